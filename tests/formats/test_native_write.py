"""The native writer: what it writes reads back as the rows it was given."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats.native_write import write
from detector.formats.rows import exact
from detector.kernels.digest import digest
from detector.model.events import CancelCode, EventColumn, Flag, Kind, Side, StatusCode, empty_events
from tests.formats.native_messages import decoded

MARKETS = ("BTC-PERP", "x" * 64)
KEY = (3, 4)
FLOATS = {
    Kind.LEVERAGE: ("leverage", "previous", "notional", "margin", "liquidation_price"),
    Kind.POSITION: ("leverage", "margin", "liquidation_price"),
    Kind.MARK: ("previous", "leverage", "notional"),
}


@st.composite
def rows(draw: st.DrawFn) -> EventColumn:
    """Events whose every column says something."""
    events = empty_events(draw(st.integers(1, 8)))
    for event in events:
        kind = event["kind"] = draw(st.sampled_from([kind for kind in Kind if kind != Kind.BOOK]))
        event["event_ns"] = draw(st.integers(946_684_800 * 10**9, 7_258_118_399 * 10**9))
        event["market"] = draw(st.integers(0, 1))
        event["seq"] = event["first_seq"] = draw(st.integers(-1, 2**62))
        event["account"] = draw(st.integers(1, 2**63 - 1))
        if kind in (Kind.ORDER, Kind.CANCEL, Kind.FILL):
            event["order"] = draw(st.integers(1, 2**64 - 1))
        if kind == Kind.FILL:
            event["taker"] = draw(st.integers(0, 2**64 - 1))
            event["flags"] = draw(st.sampled_from([0, Flag.FORCED]))
        if kind in (Kind.ORDER, Kind.LEVEL, Kind.TRADE, Kind.LIQUIDATION):
            event["side"] = draw(st.sampled_from([Side.BUY, Side.SELL]))
        if kind == Kind.CANCEL:
            event["code"] = draw(st.sampled_from(CancelCode))
            event["flags"] = draw(st.sampled_from([0, Flag.ALL]))
            event["flags"] |= Flag.FORCED * (event["code"] == CancelCode.LIQUIDATION)
        if kind == Kind.STATUS:
            event["code"] = draw(st.sampled_from(StatusCode))
        if kind in (Kind.LEVERAGE, Kind.POSITION):
            event["flags"] = draw(st.sampled_from([0, Flag.CROSS, Flag.ISOLATED]))
        if kind not in (Kind.LEVERAGE, Kind.STATUS, Kind.CANCEL):
            event["price_ticks"], event["price_decimals"] = draw(st.integers(1, 2**62 - 1)), draw(st.integers(0, 12))
        if kind not in (Kind.LEVERAGE, Kind.STATUS, Kind.MARK) and not event["flags"] & Flag.ALL:
            sign = draw(st.sampled_from([1, -1])) if kind == Kind.POSITION else 1
            event["qty_lots"], event["qty_decimals"] = sign * draw(st.integers(1, 2**62 - 1)), draw(st.integers(0, 12))
        for name in FLOATS.get(kind, ()):
            if name == "leverage" or draw(st.booleans()):
                event[name] = (
                    draw(st.decimals(1, 10**6, places=3)) if draw(st.booleans()) else draw(st.integers(1, 10**15))
                )
    return events


@settings(max_examples=80, deadline=None)
@given(rows())
def test_what_is_written_reads_back_as_it_was(events: EventColumn) -> None:
    payload, bounds = write(events, MARKETS)
    batch = decoded(*(payload[start:end].tobytes() for start, end in bounds))
    assert not batch.rejects
    read = batch.events
    names = np.array(batch.markets)[read["market"]]
    assert names.tolist() == [MARKETS[market] for market in events["market"]]
    for name in ("event_ns", "seq", "first_seq", "kind", "side", "code", "flags"):
        assert read[name].tolist() == events[name].tolist(), name
    for name in ("leverage", "previous", "notional", "margin", "liquidation_price"):
        np.testing.assert_array_equal(read[name], events[name], name)
    for column, letter in (("order", "o"), ("account", "a"), ("taker", "a")):
        ids = [digest(f"{letter}{number}".encode(), KEY) if number else 0 for number in events[column].tolist()]
        assert read[column].tolist() == ids
    for number, decimals in (("price_ticks", "price_decimals"), ("qty_lots", "qty_decimals")):
        for got, given_ in zip(read[[number, decimals]].tolist(), events[[number, decimals]].tolist(), strict=True):
            assert got == exact(_text(*given_))


def _text(ticks: int, decimals: int) -> str:
    digits = str(abs(ticks)).rjust(decimals + 1, "0")
    whole, part = (digits[:-decimals], digits[-decimals:]) if decimals else (digits, "")
    return f"{'-' * (ticks < 0)}{whole}{'.' * bool(part)}{part}"


def test_a_book_and_its_snapshot_rows_make_one_message() -> None:
    events = empty_events(5)
    events["kind"] = [Kind.BOOK, Kind.LEVEL, Kind.ORDER, Kind.ORDER, Kind.TRADE]
    events["event_ns"] = 1_700_000_000 * 10**9
    events["flags"][1:4] = Flag.SNAPSHOT
    events["side"] = [0, Side.SELL, Side.BUY, Side.BUY, Side.BUY]
    events["price_ticks"] = [0, 105, 95, 94, 100]
    events["price_decimals"] = 1
    events["qty_lots"] = 7
    events["order"], events["account"] = [0, 0, 4, 5, 0], [0, 0, 0, 9, 0]
    payload, bounds = write(events, ("M",))
    assert len(bounds) == 2
    book = json.loads(payload[slice(*bounds[0])].tobytes())
    assert book["bids"] == [[9.5, 7, "o4"], [9.4, 7, "o5", "a9"]] and book["asks"] == [[10.5, 7]]
    assert [json.loads(line)["type"] for line in payload.tobytes().rstrip(b"\0").splitlines()] == ["book", "trade"]


def test_a_large_batch_outgrows_the_first_guess_and_loses_nothing() -> None:
    events = empty_events(2_000)
    events["kind"], events["event_ns"] = Kind.LEVERAGE, 1_700_000_000 * 10**9 + np.arange(2_000)
    events["account"] = 2**64 - 1
    for name in FLOATS[Kind.LEVERAGE]:
        events[name] = 123456.789012345
    payload, bounds = write(events, ("x" * 64,))
    lines = [json.loads(payload[start:end].tobytes()) for start, end in bounds]
    assert [line["ts"] for line in lines] == events["event_ns"].tolist()
    assert {line["margin"] for line in lines} == {123456.789012345}
    assert not payload[-64:].any()


def test_nothing_is_written_of_no_rows_and_our_own_mistakes_are_asserts() -> None:
    payload, bounds = write(empty_events(0), ())
    assert bounds.shape == (0, 2) and len(payload) == 64
    with pytest.raises(AssertionError, match="cannot be written"):
        write(empty_events(1), ("M",))

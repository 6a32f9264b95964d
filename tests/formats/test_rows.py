"""Rows: many numbers at once mean what one alone means, and an unreadable record leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats.rows import Markets, Rows, Unreadable, exact, parse_decimals, read_quotes
from detector.kernels import plain
from detector.model.events import Kind
from detector.model.records import pack

DECIMAL = st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{1,14})?(e-?[0-9]{1,2})?", fullmatch=True)
ROUGH = st.text(alphabet="0123456789.-e+x \n", max_size=24)


def alone(text: str) -> tuple[int, int] | str:
    try:
        return exact(text)
    except Unreadable as unreadable:
        return unreadable.reason


@given(st.lists(DECIMAL | ROUGH, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_many_numbers_at_once_are_what_each_is_alone(texts: list[str]) -> None:
    read = [alone(text) for text in texts]
    # a quantity may be zero, a price may not, so every text is tried as a quantity
    said = [number for number in read if not isinstance(number, str)]
    try:
        quotes = read_quotes([["1", text] for text in texts], [])
    except Unreadable as unreadable:
        assert unreadable.reason in read or any(ticks < 0 for ticks, _ in said)
    else:
        assert read == list(zip(quotes.qty_lots.tolist(), quotes.qty_decimals.tolist(), strict=True))


@given(st.lists(DECIMAL, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_the_compiled_parser_is_the_plain_one(texts: list[str]) -> None:
    text = np.frombuffer("".join(f"{number}\n" for number in texts).encode(), np.uint8)
    columns = [(np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int8)) for _ in range(2)]
    assert parse_decimals(text, *columns[0]) == plain(parse_decimals)(text, *columns[1]) == len(texts)
    for compiled, uncompiled in zip(*columns, strict=True):
        np.testing.assert_array_equal(compiled, uncompiled)


@pytest.mark.parametrize(
    ("bids", "reason"),
    [
        ([["0", "1"]], "price_not_positive"),
        ([["1", "-1"]], "quantity_negative"),
        ([["1"]], "not_levels"),
        ([1], "not_levels"),
        ([{"p": "1", "q": "1"}], "not_levels"),
        ({"1": "1"}, "not_levels"),
        (None, "not_levels"),
        ([["1", None]], "not_a_number"),
        ([["1", "1\n2"]], "not_a_number"),
        ([["1", 10**40]], "number_too_large"),
        ([["0.0000000000001", "1"]], "number_too_fine"),
    ],
)
def test_levels_that_are_none_are_refused_with_a_reason(bids: object, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_quotes(bids, [])
    assert refused.value.reason == reason


def test_rows_levels_and_rejects_keep_their_records_apart() -> None:
    rows = Rows(pack("t", 3, [b"a", b"bad", b"c", b"d"], [10, 11, 12, 20]), (1, 2))
    rows.add(kind=int(Kind.TRADE), price="1.5", qty="2", order_id=b"x")
    rows.add_levels(read_quotes([["9", "1"]], [["10", "0"]]), market=0, seq=7)
    rows.keep(0)
    rows.add(kind=int(Kind.TRADE), price="3", qty="4")
    rows.add_levels(read_quotes([["9", "5"]], []), market=0)
    rows.reject(1, "bad")
    rows.keep(2)  # a record without rows
    rows.add_levels(read_quotes([], [["11", "6"]]), market=0)
    rows.keep(3)
    batch = rows.finish(("M",))
    events = batch.events
    assert events["offset"].tolist() == [10, 10, 10, 20]
    assert events["kind"].tolist() == [Kind.TRADE, Kind.LEVEL, Kind.LEVEL, Kind.LEVEL]
    assert events["price_ticks"].tolist() == [15, 9, 10, 11]
    assert events["qty_lots"].tolist() == [2, 1, 0, 6]
    assert events["seq"].tolist() == [-1, 7, 7, -1]
    assert events["order"][0] != 0
    assert [(reject.offset, reject.reason, reject.sample) for reject in batch.rejects] == [(11, "bad", b"bad")]
    assert (batch.topic, batch.partition, batch.next_offset, batch.records) == ("t", 3, 21, 4)


def test_a_table_of_markets_does_not_outgrow_its_limit() -> None:
    markets = Markets(2)
    assert [markets.index(name) for name in ("A", "B", "A")] == [0, 1, 0]
    with pytest.raises(Unreadable, match="too_many_markets"):
        markets.index("C")
    with pytest.raises(Unreadable, match="not_a_market"):
        markets.index("\x1b[31m")
    assert markets.names == ("A", "B")

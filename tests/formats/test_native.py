"""The native format: what each type says, and what is refused for which reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.formats.native import Native
from detector.formats.native_words import Limits
from detector.kernels.digest import digest
from detector.model.events import CancelCode, Flag, Kind, Side, StatusCode
from tests.formats.native_messages import ONE_OF_EACH, TS, batch_of, decoded, encoded, message, reason_of, same

KEY = (3, 4)


def row(kind: str, **changes: Any) -> np.void:
    """The one row of a good message, which both parsers agree on."""
    value = encoded(message(kind, **changes))
    fast, general = decoded(value), decoded(value, fast=False)
    assert same(fast, general) and not fast.rejects and len(fast.events) == 1
    event: np.void = fast.events[0]
    return event


def test_an_order_says_where_when_who_and_exactly_how_much() -> None:
    event = row("order")
    assert (event["kind"], event["side"], event["market"]) == (Kind.ORDER, Side.BUY, 0)
    assert (event["event_ns"], event["offset"], event["seq"], event["first_seq"]) == (TS, 100, 5, 5)
    assert (event["price_ticks"], event["price_decimals"]) == (618002, 1)
    assert (event["qty_lots"], event["qty_decimals"]) == (5, 1)
    assert event["order"] == digest(b"a-1", KEY) and event["account"] == digest(b"alice", KEY)


def test_a_cancel_without_a_quantity_takes_all_and_one_with_takes_that() -> None:
    assert row("cancel", qty=...)["flags"] == Flag.ALL and row("cancel", qty=None)["flags"] == Flag.ALL
    event = row("cancel")
    assert (event["flags"], event["qty_lots"], event["qty_decimals"]) == (0, 25, 2)


@pytest.mark.parametrize("reason", [code.name.lower() for code in CancelCode])
def test_a_cancel_carries_its_reason_and_a_liquidation_forces_it(reason: str) -> None:
    event = row("cancel", reason=reason)
    assert event["code"] == CancelCode[reason.upper()]
    assert bool(event["flags"] & Flag.FORCED) == (reason == "liquidation")


def test_a_fill_has_a_taker_and_may_be_forced() -> None:
    event = row("fill")
    assert event["taker"] == digest(b"bob", KEY) and event["flags"] == Flag.FORCED
    assert row("fill", liquidation=False)["flags"] == row("fill", liquidation=...)["flags"] == 0


def test_a_leverage_change_says_how_much_is_at_stake() -> None:
    event = row("leverage")
    assert (event["leverage"], event["previous"], event["notional"]) == (50.0, 10.0, 125000.5)
    assert (event["margin"], event["liquidation_price"], event["flags"]) == (2500.01, 60000.0, Flag.ISOLATED)
    bare = row("leverage", previous=..., notional=..., margin=..., liquidation_price=..., margin_mode=...)
    assert np.isnan([bare[name] for name in ("previous", "notional", "margin", "liquidation_price")]).all()


def test_a_position_is_signed_and_a_flat_one_needs_no_entry_price() -> None:
    event = row("position")
    assert (event["qty_lots"], event["qty_decimals"], event["price_ticks"]) == (-35, 1, 61000)
    assert event["flags"] == Flag.CROSS and event["margin"] == -1 and np.isnan(event["liquidation_price"])
    assert row("position", qty="0.00", entry_price=0)["qty_lots"] == 0
    assert reason_of(encoded(message("position", entry_price=0))) == "out_of_range:entry_price"


def test_a_mark_carries_index_funding_and_open_interest() -> None:
    event = row("mark")
    assert (event["previous"], event["leverage"], event["notional"]) == (61799.5, -0.000125, 1e6)


@pytest.mark.parametrize("status", [code.name.lower() for code in StatusCode])
def test_a_status_is_one_of_four(status: str) -> None:
    assert row("status", status=status)["code"] == StatusCode[status.upper()]


def test_a_book_opens_a_snapshot_of_levels_and_orders_at_one_offset() -> None:
    events = decoded(encoded(message("book"))).events
    assert events["kind"].tolist() == [Kind.BOOK, Kind.LEVEL, Kind.ORDER, Kind.ORDER, Kind.LEVEL]
    assert events["flags"].tolist() == [0] + [Flag.SNAPSHOT] * 4 and events["side"].tolist() == [0, 1, 1, -1, -1]
    assert events["seq"].tolist() == [5, -1, -1, -1, -1] and set(events["offset"].tolist()) == {100}
    assert events["order"][2] == digest(b"x", KEY) and events["account"][2] == digest(b"dave", KEY)
    assert events["order"][3] == digest(b"77", KEY) and (events["price_ticks"][2], events["price_decimals"][2]) == (
        95,
        1,
    )


def test_an_integer_id_and_its_text_are_the_same_order() -> None:
    for number in (0, 123, 2**63, 2**64 - 1):
        assert row("order", order_id=number)["order"] == row("order", order_id=str(number))["order"]
        assert row("order", account=number)["account"] == row("order", account=str(number))["account"]


@pytest.mark.parametrize(
    ("text", "ticks", "decimals"),
    [("0.00000001", 1, 8), ("1000000000000", 10**12, 0), ("1e-8", 1, 8), ("1E12", 10**12, 0), ("61800.2000", 618002, 1),
     ("0.000000000001", 1, 12), (str(2**62 - 1), 2**62 - 1, 0), ("0.1" + "0" * 30, 1, 1), ("1.10", 11, 1)],
)  # fmt: skip
def test_prices_and_quantities_are_exact_as_numbers_and_as_strings(text: str, ticks: int, decimals: int) -> None:
    for written in (text, f'"{text}"'):
        value = encoded(message("order", price="P", qty="P")).replace(b'"P"', written.encode())
        fast, general = decoded(value), decoded(value, fast=False)
        assert same(fast, general)
        event = fast.events[0]
        assert (event["price_ticks"], event["price_decimals"]) == (ticks, decimals)
        assert (event["qty_lots"], event["qty_decimals"]) == (ticks, decimals)


@pytest.mark.parametrize(
    ("text", "event_ns"),
    [("2023-11-14T22:13:20Z", 1_700_000_000 * 10**9), ("2023-11-14T22:13:20.000000001+00:00", 1_700_000_000 * 10**9 + 1),
     ("2024-02-29T00:00:00.5Z", 1_709_164_800_500_000_000), ("2000-01-01T00:00:00Z", 946_684_800 * 10**9),
     ("2199-12-31T23:59:59.999999999Z", 7_258_118_399_999_999_999)],
)  # fmt: skip
def test_an_iso_time_is_read_to_the_nanosecond(text: str, event_ns: int) -> None:
    assert row("status", ts=text)["event_ns"] == event_ns


@pytest.mark.parametrize(
    "text",
    ["2023-02-29T00:00:00Z", "2023-11-14T24:00:00Z", "2023-11-14T22:60:00Z", "2023-11-14T22:13:60Z", "2023-11-14 22:13:20Z",
     "2023-11-14T22:13:20", "2023-11-14T22:13:20+01:00", "2023-11-14T22:13:20-00:00", "2023-11-14T22:13:20.Z", "now", "",
     "2023-11-14T22:13:20.1234567890Z", "2023-13-14T22:13:20Z", "2023-00-14T22:13:20Z", "2023-11-00T22:13:20Z",
     "20231114T221320Z", "2023-11-14T22:13:20z", str(TS), "２０２３-11-14T22:13:20Z"],
)  # fmt: skip
def test_any_other_text_is_not_a_time(text: str) -> None:
    assert reason_of(encoded(message("status", ts=text))) == "not_a_time:ts"


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("order", {"type": ...}, "missing_field:type"),
        ("order", {"type": 3}, "wrong_type:type"),
        ("order", {"ts": ...}, "missing_field:ts"),
        ("order", {"ts": 1.7e18}, "wrong_type:ts"),
        ("order", {"ts": True}, "wrong_type:ts"),
        ("order", {"ts": 1_700_000_000}, "out_of_range:ts"),
        ("order", {"ts": -TS}, "out_of_range:ts"),
        ("order", {"ts": 7_258_118_400 * 10**9}, "out_of_range:ts"),
        ("order", {"ts": "1999-12-31T23:59:59Z"}, "out_of_range:ts"),
        ("order", {"ts": "2200-01-01T00:00:00Z"}, "out_of_range:ts"),
        ("order", {"market": None}, "missing_field:market"),
        ("order", {"market": 5}, "wrong_type:market"),
        ("order", {"market": ""}, "market_name"),
        ("order", {"market": "BTC PERP"}, "market_name"),
        ("order", {"market": "<script>"}, "market_name"),
        ("order", {"market": "BTC‮"}, "market_name"),
        ("order", {"market": "x" * 65}, "market_name"),
        ("order", {"seq": -1}, "out_of_range:seq"),
        ("order", {"seq": "5"}, "wrong_type:seq"),
        ("order", {"seq": 2**63}, "out_of_range:seq"),
        ("order", {"order_id": ...}, "missing_field:order_id"),
        ("order", {"order_id": ""}, "out_of_range:order_id"),
        ("order", {"order_id": "é" * 65}, "out_of_range:order_id"),
        ("order", {"order_id": -1}, "out_of_range:order_id"),
        ("order", {"order_id": 2**64}, "out_of_range:order_id"),
        ("order", {"order_id": 1.5}, "wrong_type:order_id"),
        ("order", {"order_id": ["a"]}, "wrong_type:order_id"),
        ("order", {"account": True}, "wrong_type:account"),
        ("order", {"side": "BUY"}, "unknown_word:side"),
        ("order", {"side": 1}, "wrong_type:side"),
        ("order", {"price": 0}, "out_of_range:price"),
        ("order", {"price": -1}, "out_of_range:price"),
        ("order", {"price": "NaN"}, "not_a_number:price"),
        ("order", {"price": "Infinity"}, "not_a_number:price"),
        ("order", {"price": " 1"}, "not_a_number:price"),
        ("order", {"price": "0x10"}, "not_a_number:price"),
        ("order", {"price": ""}, "not_a_number:price"),
        ("order", {"price": False}, "wrong_type:price"),
        ("order", {"price": {}}, "wrong_type:price"),
        ("order", {"price": "1e-13"}, "number_too_fine:price"),
        ("order", {"price": 2**62}, "number_too_large:price"),
        ("order", {"price": "1e300"}, "number_too_large:price"),
        ("order", {"price": 10**60}, "number_too_large:price"),
        ("order", {"qty": "-0"}, "out_of_range:qty"),
        ("order", {"qty": "0.000"}, "out_of_range:qty"),
        ("order", {"qty": -5}, "out_of_range:qty"),
        ("cancel", {"qty": 0}, "out_of_range:qty"),
        ("cancel", {"reason": "because"}, "unknown_word:reason"),
        ("fill", {"liquidation": 1}, "wrong_type:liquidation"),
        ("fill", {"taker_account": ""}, "out_of_range:taker_account"),
        ("leverage", {"account": ...}, "missing_field:account"),
        ("leverage", {"leverage": ...}, "missing_field:leverage"),
        ("leverage", {"leverage": 0}, "out_of_range:leverage"),
        ("leverage", {"leverage": -3}, "out_of_range:leverage"),
        ("leverage", {"leverage": "1e999"}, "number_too_large:leverage"),
        ("leverage", {"leverage": "nan"}, "not_a_number:leverage"),
        ("leverage", {"notional": -1}, "out_of_range:notional"),
        ("leverage", {"margin_mode": "hedged"}, "unknown_word:margin_mode"),
        ("position", {"leverage": 0}, "out_of_range:leverage"),
        ("position", {"entry_price": -1}, "out_of_range:entry_price"),
        ("level", {"qty": -1}, "out_of_range:qty"),
        ("trade", {"qty": 0}, "out_of_range:qty"),
        ("mark", {"price": 0}, "out_of_range:price"),
        ("mark", {"index": 0}, "out_of_range:index"),
        ("mark", {"open_interest": -1}, "out_of_range:open_interest"),
        ("liquidation", {"side": ...}, "missing_field:side"),
        ("status", {"status": "asleep"}, "unknown_word:status"),
        ("book", {"bids": ...}, "missing_field:bids"),
        ("book", {"asks": {}}, "wrong_type:asks"),
        ("book", {"bids": [[1]]}, "wrong_type:bids"),
        ("book", {"bids": [5]}, "wrong_type:bids"),
        ("book", {"bids": [[0, 1]]}, "out_of_range:bids"),
        ("book", {"bids": [[1, 0, "x"]]}, "out_of_range:bids"),
        ("book", {"bids": [[1, 1, None]]}, "wrong_type:bids"),
        ("book", {"bids": [[1, 1, "x", "y", "z"]]}, "wrong_type:bids"),
    ],
)
def test_a_wrong_value_is_refused_for_a_reason_that_names_it(kind: str, changes: dict[str, Any], reason: str) -> None:
    assert reason_of(encoded(message(kind, **changes))) == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not_json"),
        (b"\0", "not_json"),
        (b"{", "not_json"),
        (encoded(message("order"))[:-1], "not_json"),
        (encoded(message("order")) + b"}", "not_json"),
        (encoded(message("order")) + encoded(message("order")), "not_json"),
        (b'{"type":"order","price":NaN}', "not_json"),
        (b'{"type":"order","price":-Infinity}', "not_json"),
        (b"\xef\xbb\xbf" + encoded(message("order")), "not_json"),
        (b'{"type":"order","note":"\xff"}', "not_utf8"),
        (b"{'type':'order'}", "not_json"),
        (b"null", "not_an_object"),
        (b"17", "not_an_object"),
        (b'"order"', "not_an_object"),
        (b"[[]]", "not_an_object"),
        (b"[" * 100_000 + b"]" * 100_000, "too_long"),
        (b"[" * 30_000, "too_deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
        (b'{"type":"order","note":' + b"9" * 20_000 + b"}", "number_too_large"),
        (b'{"type":"order","market":"' + b"x" * 1_000_000 + b'"}', "too_long"),
        (b'{"type":"book","market":"' + b"x" * 1_000_000 + b'"}', "market_name"),
        (b'{"type":"book","market":"' + b"x" * 1_100_000 + b'"}', "too_long"),
    ],
    ids=range(22),
)
def test_what_is_no_event_at_all_is_refused_with_its_position(value: bytes, reason: str) -> None:
    good = encoded(message("status"))
    for fast in (True, False):
        batch = decoded(good, value, good, fast=fast)
        assert [(r.topic, r.partition, r.offset, r.reason) for r in batch.rejects] == [("events", 3, 101, reason)]
        assert batch.events["offset"].tolist() == [100, 102], "its neighbours are read"
        assert batch.rejects[0].sample == value[:4096]


def test_unknown_fields_are_ignored_and_unknown_types_are_counted() -> None:
    plain = encoded(message("order"))
    extra = encoded({"note": {"deep": [1, None]}, **message("order"), "é": "x", "status": 17, "bids": None})
    batch = decoded(plain, extra, encoded({"type": "greeting"}), encoded([{"type": "x"}, {"type": "y"}]))
    assert batch.skipped == {"unknown_type": 3} and not batch.rejects
    assert batch.events[0]["order"] == batch.events[1]["order"] and len(batch.events) == 2


def test_an_array_is_taken_whole_or_refused_whole() -> None:
    events = [message("order"), message("cancel"), message("mark", market="ETH-PERP")]
    batch = decoded(encoded(events))
    assert batch.events["kind"].tolist() == [Kind.ORDER, Kind.CANCEL, Kind.MARK] and batch.markets == (
        "BTC-PERP",
        "ETH-PERP",
    )
    batch = decoded(encoded([*events, message("trade", qty=0)]))
    assert not len(batch.events) and batch.rejects[0].reason == "out_of_range:qty"
    assert batch.markets == (), "a refused message leaves no market behind"
    assert not decoded(b"[]").rejects


def test_rows_of_one_message_are_limited() -> None:
    decoder = Native(limits=Limits(rows_per_message_max=3))
    batch = decoder.decode(
        batch_of([encoded([message("status")] * 4), encoded(message("book")), encoded([message("status")] * 3)])
    )
    assert [reject.reason for reject in batch.rejects] == ["too_many_rows"] * 2 and len(batch.events) == 3


@pytest.mark.parametrize("fast", [True, False])
def test_past_markets_max_a_new_market_is_refused_and_the_known_ones_go_on(fast: bool) -> None:
    values = [encoded(message("status", market=f"M{number % 4}")) for number in range(8)]
    values.append(encoded([message("status", market="M1"), message("status", market="M9")]))
    batch = decoded(*values, fast=fast, markets_max=3)
    assert batch.markets == ("M0", "M1", "M2") and batch.events["market"].tolist() == [0, 1, 2, 0, 1, 2]
    assert [(reject.offset, reject.reason) for reject in batch.rejects] == [
        (103, "markets_max"),
        (107, "markets_max"),
        (108, "markets_max"),
    ]


def test_the_last_of_a_field_told_twice_counts_as_everywhere_in_json() -> None:
    value = encoded(message("order"))[:-1] + b',"qty":7}'
    for fast in (True, False):
        assert decoded(value, fast=fast).events[0]["qty_lots"] == 7


def test_market_numbers_stay_while_the_decoder_lives() -> None:
    decoder = Native()
    first = decoder.decode(batch_of([encoded(message("status", market="A"))]))
    second = decoder.decode(batch_of([encoded(message("status", market=name)) for name in "BA"]))
    assert first.markets == ("A",) and second.markets == ("A", "B") and second.events["market"].tolist() == [1, 0]


def test_out_of_order_and_repeated_sequence_numbers_are_left_to_the_book() -> None:
    values = [encoded(message("order", seq=seq)) for seq in (9, 3, 3)]
    assert decoded(*values).events["seq"].tolist() == [9, 3, 3]


def test_a_message_is_not_read_into_its_neighbour() -> None:
    """Bounds may leave anything between messages; a cut-off message must not be completed by what stands behind it."""
    good = encoded(message("order"))
    for cut in range(1, len(good)):
        batch = batch_of([good])
        batch.bounds[0, 1] -= cut
        decoder = Native()
        assert [reject.reason for reject in decoder.decode(batch).rejects] == ["not_json"]


def test_every_type_has_an_example_here() -> None:
    assert set(ONE_OF_EACH) == {kind.name.lower() for kind in Kind}

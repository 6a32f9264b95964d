"""The independent_reserve format: synthetic lines of every shape, hostile ones, and its laws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats import independent_reserve_orders
from detector.formats.independent_reserve import IndependentReserve
from detector.kernels.digest import digest
from detector.model.events import EventBatch, Flag, Kind, Side
from detector.model.records import pack

KEY = (3, 5)
MS = 1_000_000
URL = b"https://api.example/GetAllOrders?primaryCurrencyCode=%b&secondaryCurrencyCode=%b -> 1.5: "
Message = dict[str, Any]


def told(event: str, guid: str, nonce: int, at: int = 1_000, primary: str = "eth", **data: Any) -> Message:
    said = {"OrderType": "LimitBid", "OrderGuid": guid, **data}
    return {"Channel": f"orderbook-{primary}", "Nonce": nonce, "Data": said, "Time": at, "Event": event}


def new(guid: str, nonce: int, volume: float = 2.5, price: float = 10.25, at: int = 1_000, **more: Any) -> Message:
    prices = {"aud": price, "usd": price / 2, "nzd": price * 2}
    return told("NewOrder", guid, nonce, at, **{"Price": prices, "Volume": volume, **more})


def book(
    created: str, buys: Sequence[tuple[str, float, float]], sells: Any = (), pair: Sequence[str] = ("Eth", "Aud")
) -> Message:
    sides = [
        [{"Guid": guid, "Price": price, "Volume": volume} for guid, price, volume in side] for side in (buys, sells)
    ]
    named = {"PrimaryCurrencyCode": pair[0], "SecondaryCurrencyCode": pair[1]} if pair else {}
    return {"BuyOrders": sides[0], "SellOrders": sides[1], **named, "CreatedTimestampUtc": created}


def subscribe(*channels: str) -> bytes:
    return b"wss://socket.example <- 1.25: " + json.dumps({"Event": "Subscribe", "Data": list(channels)}).encode()


def line(message: Any, head: bytes = b"1.25: ") -> bytes:
    return head + (message if isinstance(message, bytes) else json.dumps(message).encode())


def decode(lines: Sequence[bytes], decoder: IndependentReserve | None = None, at: int = 0) -> EventBatch:
    return (decoder or IndependentReserve(KEY)).decode(pack("t", 0, lines, list(range(at, at + len(lines)))))


def rows(batch: EventBatch, *columns: str) -> list[Any]:
    return batch.events[list(columns)].tolist() if len(columns) > 1 else batch.events[columns[0]].tolist()


def reasons(batch: EventBatch) -> list[str]:
    return [reject.reason for reject in batch.rejects]


@pytest.mark.parametrize("head", [b"", b"1.25: ", b"1649023809.313331: "])
def test_a_new_order_rests_at_its_exact_price(head: bytes) -> None:
    batch = decode([line(new("G-1", 7, volume=14.72539, price=31.5105), head)])
    event = batch.events[0]
    assert batch.markets == ("ETH-AUD",)
    assert (event["kind"], event["side"], event["order"]) == (Kind.ORDER, Side.BUY, digest(b"g-1", KEY))
    assert (event["price_ticks"], event["price_decimals"]) == (315105, 4)
    assert (event["qty_lots"], event["qty_decimals"]) == (1472539, 5)
    assert (event["event_ns"], event["seq"], event["first_seq"]) == (1_000 * MS, 7, 7)


def test_an_order_rests_in_the_markets_of_the_pairs_that_were_asked_for() -> None:
    said = [subscribe("ticker-eth-nzd", "ticker-eth-usd", "orderbook-eth", "orderbook-dot"), line(new("a", 1))]
    batch = decode([*said, line(told("OrderCanceled", "a", 2)), line(new("b", 1, primary="dot"))])
    names = [batch.markets[market] for market in batch.events["market"]]
    assert names == ["ETH-NZD", "ETH-USD", "ETH-NZD", "ETH-USD", "DOT-AUD"]
    assert rows(batch, "price_ticks", "price_decimals")[:2] == [(205, 1), (5125, 3)]
    assert rows(batch, "seq") == [1, 1, 2, 2, 1]
    assert batch.skipped == {"sent": 1}


def test_a_cancel_takes_all_that_is_left() -> None:
    event = decode([line(told("OrderCanceled", "a", 9, OrderType="LimitOffer"))]).events[0]
    assert (event["kind"], event["flags"], event["side"], event["order"]) == (
        Kind.CANCEL,
        Flag.ALL,
        Side.SELL,
        digest(b"a", KEY),
    )


def test_a_smaller_volume_is_a_fill_of_the_difference_at_the_orders_own_price() -> None:
    said = [
        new("a", 1, volume=2.5),
        told("OrderChanged", "a", 2, Volume=2.25),
        told("OrderChanged", "a", 3, Volume=0.0),
    ]
    batch = decode([line(one) for one in said])
    assert rows(batch, "kind", "price_ticks", "qty_lots", "qty_decimals")[1:] == [
        (Kind.FILL, 1025, 25, 2),
        (Kind.FILL, 1025, 225, 2),
    ]
    after = [*said, told("OrderChanged", "a", 4, Volume=1)]
    assert decode([line(one) for one in after]).skipped == {"change_of_unknown_order": 1}


def test_a_larger_volume_amends_and_the_same_one_says_nothing() -> None:
    said = [new("a", 1, volume=2.5), told("OrderChanged", "a", 2, Volume=2.50), told("OrderChanged", "a", 3, Volume=4)]
    batch = decode([line(one) for one in said])
    assert rows(batch, "kind", "qty_lots", "first_seq") == [(Kind.ORDER, 25, 1), (Kind.ORDER, 4, 2)]
    assert batch.skipped == {"order_unchanged": 1}


def test_a_number_that_gave_no_row_is_no_gap_but_a_missing_one_is() -> None:
    unknown = told("OrderChanged", "x", 2, Volume=1)
    assert rows(decode([line(one) for one in (new("a", 1), unknown, new("b", 3))]), "first_seq") == [1, 2]
    assert rows(decode([line(one) for one in (new("a", 1), unknown, new("b", 4))]), "first_seq") == [1, 4]


def test_a_starting_book_is_a_snapshot_in_the_market_of_its_pair() -> None:
    drawn = book(
        "1970-01-01T00:00:01.2345678Z", [("a", 9.5, 1)], [("b", 10.5, 2), ("cheap", 0.0, 3)], pair=("Dot", "Nzd")
    )
    batch = decode([line(drawn, URL % (b"dot", b"nzd")), line(new("c", 1, primary="dot"))])
    assert batch.markets == ("DOT-NZD",)  # the later order is priced in the currency of the book
    assert rows(batch, "kind", "flags", "side") == [
        (Kind.BOOK, Flag.SNAPSHOT, 0),
        (Kind.ORDER, Flag.SNAPSHOT, Side.BUY),
        (Kind.ORDER, Flag.SNAPSHOT, Side.SELL),
        (Kind.ORDER, 0, Side.BUY),
    ]
    assert rows(batch, "price_ticks", "price_decimals")[1:] == [(95, 1), (105, 1), (205, 1)]
    assert rows(batch, "event_ns")[:3] == [1_234_567_800] * 3
    assert rows(batch, "seq")[:3] == [-1] * 3
    assert batch.skipped == {"order_without_price": 1}


def test_a_book_that_does_not_name_its_pair_has_that_of_its_address() -> None:
    drawn = book("", [("a", 9.5, 1)], pair=())
    batch = decode([line(drawn, URL % (b"dot", b"nzd")), line(drawn)])
    assert (batch.markets, rows(batch, "event_ns")) == (("DOT-NZD",), [1_500_000_000] * 2)
    assert reasons(batch) == ["not_a_market"]


def test_what_was_told_since_a_book_was_drawn_up_lies_over_it() -> None:
    said = [
        line(new("old", 1, at=500)),
        line(new("young", 2, at=2_000)),
        line(told("OrderCanceled", "cancelled", 3, at=2_000)),
        line(told("OrderCanceled", "returned", 4, at=500)),
        line(book("1970-01-01T00:00:01Z", [("cancelled", 9, 1), ("returned", 8, 1), ("there", 7, 1)])),
        line(told("OrderChanged", "there", 5, at=2_500, Volume=0.25)),
    ]
    batch = decode(said)
    snapshot = batch.events[(batch.events["flags"] == Flag.SNAPSHOT) & (batch.events["kind"] == Kind.ORDER)]
    assert sorted(snapshot["order"].tolist()) == sorted(digest(guid, KEY) for guid in (b"young", b"returned", b"there"))
    assert rows(batch, "kind", "qty_lots", "qty_decimals")[-1] == (Kind.FILL, 75, 2)


def test_a_trade_is_told_in_its_pair() -> None:
    data = {
        "TradeGuid": "t",
        "Pair": "eth-aud",
        "Price": 10.5,
        "Volume": 0.5,
        "Side": "Sell",
        "BidGuid": "a",
        "OfferGuid": "b",
    }
    said = {"Channel": "ticker-eth-aud", "Nonce": 3, "Data": data, "Time": 1_000, "Event": "Trade"}
    batch = decode([line(said)])
    assert (batch.markets, rows(batch, "kind", "side", "price_ticks", "qty_lots")) == (
        ("ETH-AUD",),
        [(Kind.TRADE, Side.SELL, 105, 5)],
    )


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"wss://socket.example <-> 1.5", "connect"),
        (subscribe("orderbook-eth"), "sent"),
        (b"", "blank"),
        (b"configuration: {}", "configuration"),
        (b'https://api.example/codes -> 1.5: ["Xbt"]', "rest_answer"),
        (line({"Time": 1, "Event": "Heartbeat"}), "heartbeat"),
        (line({"Time": 1, "Event": "Subscriptions", "Data": []}), "subscriptions"),
        (line({"Time": 1, "Event": "Brand new"}), "unknown_type"),
    ],
)
def test_lines_of_no_interest_are_counted(value: bytes, why: str) -> None:
    batch = decode([value])
    assert (len(batch.events), batch.rejects, batch.skipped) == (0, (), {why: 1})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"nonsense", "not_json"),
        (b"1.5", "not_json"),
        (b"1x: {}", "not_a_number"),
        (b"1.5: {", "not_json"),
        (b"https://api.example/", "not_json"),
        (b"99999999999: {}", "no_time"),
        (b"1.5: []", "not_a_message"),
        (b"1.5: {}", "no_type"),
        (b"[" * 100_000, "nested_too_deep"),
        (line({**new("a", 1), "Channel": "orderbook-"}), "no_channel"),
        (line({**new("a", 1), "Nonce": -1}), "no_sequence"),
        (line({**new("a", 1), "Time": 2**63}), "no_time"),
        (line({**new("a", 1), "Data": []}), "no_order"),
        (line(new("", 1)), "no_order_id"),
        (line(new("a", 1, OrderType="MarketBid")), "no_side"),
        (line(new("a", 1, Price={})), "no_price"),
        (line(new("a", 1, Price={"aud": -1.5})), "price_negative"),
        (line(new("a", 1, volume=0)), "quantity_not_positive"),
        (line(new("a", 1, volume=-2)), "quantity_negative"),
        (line(book("1970-01-01T00:00:01Z", [("a", 1, 0)])), "quantity_not_positive"),
        (line(book("now", []), b""), "no_time"),
        (line(book("1970-02-31T00:00:01Z", []), b""), "no_time"),
        (line({**book("1970-01-01T00:00:01Z", []), "SellOrders": None}), "not_orders"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_a_reason(value: bytes, why: str) -> None:
    batch = decode([value])
    assert (len(batch.events), reasons(batch)) == (0, [why])


# laws

STORY = [
    b"wss://socket.example <-> 1.5",
    line(new("z", 1, primary="bch")),
    subscribe("ticker-eth-nzd", "ticker-dot-usd"),
    line(new("a", 1)),
    line(new("b", 2, OrderType="LimitOffer", price=11)),
    line(told("OrderChanged", "nobody", 3, Volume=1)),
    line(told("OrderChanged", "a", 4, Volume=0.5)),
    b"rubbish",
    line(told("OrderCanceled", "c", 5, at=5_000)),
    line(
        book("1970-01-01T00:00:01.5Z", [("a", 20.5, 2.5), ("c", 20, 1), ("d", 19, 1)], pair=("Eth", "Nzd")),
        URL % (b"eth", b"nzd"),
    ),
    line(told("OrderChanged", "d", 6, Volume=0)),
    line(told("OrderChanged", "a", 7, Volume=0)),
    line(told("OrderCanceled", "b", 8)),
    line(
        {"Channel": "ticker-eth-nzd", "Data": {"Price": 1.5, "Volume": 2, "Side": "Buy"}, "Time": 9, "Event": "Trade"}
    ),
]


def seen(batches: Sequence[EventBatch]) -> list[Any]:
    found = []
    for batch in batches:
        for event in batch.events:
            row = {name: event[name].item() for name in event.dtype.names}
            row["market"] = batch.markets[row["market"]]
            found.append({name: value for name, value in row.items() if value == value})
        found.extend((reject.offset, reject.reason) for reject in batch.rejects)
    return found


@given(st.sets(st.integers(1, len(STORY) - 1)))
@settings(max_examples=60, deadline=None)
def test_chunks_and_restarts_change_nothing(cuts: set[int]) -> None:
    whole = seen([decode(STORY)])
    decoder, batches, at = IndependentReserve(KEY), [], 0
    for cut in [*sorted(cuts), len(STORY)]:
        batches.append(decode(STORY[at:cut], decoder, at))
        at = cut
        state = decoder.state()
        decoder = IndependentReserve(KEY)
        decoder.restore(state)
    assert sorted(map(repr, seen(batches))) == sorted(map(repr, whole))


def test_open_orders_and_gone_ones_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independent_reserve_orders, "ORDERS_MAX", 3)
    monkeypatch.setattr(independent_reserve_orders, "GONE_MAX", 2)
    decoder = IndependentReserve(KEY)
    decode([line(new(f"a{number}", number)) for number in range(9)], decoder)
    decode([line(told("OrderCanceled", f"a{number}", 10 + number)) for number in range(3)], decoder, 9)
    place = decoder._places["t", 0]
    assert (len(place.orders), len(place.gone)) == (3, 2)
    late = decode([line(told("OrderChanged", f"a{number}", 20 + number, Volume=1)) for number in (3, 8)], decoder, 12)
    assert (rows(late, "kind"), late.skipped) == ([Kind.FILL], {"change_of_unknown_order": 1})


@pytest.mark.parametrize(
    "state", [{"partitions": [{}]}, {"partitions": 3}, {"partitions": [{"topic": "t", "partition": 0, "pairs": []}]}]
)
def test_a_state_that_is_none_is_refused_with_a_sentence(state: Any) -> None:
    with pytest.raises(ValueError, match="saved state of the independent_reserve format"):
        IndependentReserve(KEY).restore(state)


ODD = st.sampled_from(
    [None, True, -1, 0, 2**63, 10**400, "", "x", "NaN", 1.5, 1e-30, [], {}, [[]], [{}], {"aud": []}, "\ud800", "9" * 60]
)


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from([one for one in STORY if b"{" in one]))
    head, brace, tail = text.partition(b"{")
    message = json.loads(brace + tail)
    spot = message
    while True:
        name = draw(st.sampled_from(sorted(spot)))
        inner = spot[name]
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            inner = inner[0]
        if isinstance(inner, dict) and inner and draw(st.booleans()):
            spot = inner
            continue
        if draw(st.booleans()):
            spot[name] = draw(ODD)
        else:
            del spot[name]
        return head + json.dumps(message).encode("utf-8", "replace")


@given(st.lists(bent(), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_bent_message_is_a_value(lines: list[bytes]) -> None:
    batch = decode([*STORY, *lines])
    assert (np.diff(batch.events["offset"]) >= 0).all()
    assert (batch.events["market"] < len(batch.markets)).all()


@given(st.sampled_from(STORY).filter(len), st.integers(0, 400), st.binary(max_size=3))
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_a_value(text: bytes, at: int, instead: bytes) -> None:
    at %= len(text)
    decode([text[:at] + instead + text[at + 1 :]])

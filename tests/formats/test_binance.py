"""The binance format on synthetic lines: every shape, every limit, and the laws its memory must keep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats import binance_places
from detector.formats.binance import Binance
from detector.kernels.digest import digest
from detector.model.events import CancelCode, EventBatch, Flag, Kind, Side
from detector.model.records import pack

KEY = (3, 5)
MS = 1_000_000
Message = dict[str, Any]


def line(message: Any, stream: str = "", receive_ns: int = 0) -> bytes:
    wrapped = {"stream": stream, "data": message} if stream else message
    head = f"{receive_ns} " if receive_ns else ""
    return (head + json.dumps(wrapped, separators=(",", ":"))).encode()


def depth(
    first: int,
    last: int,
    before: int | None = None,
    bids: Any = (),
    asks: Any = (),
    at: int = 1_000,
    s: str = "BTCUSDT",
) -> Message:
    """A perpetual's update when `before` is given, else a spot one."""
    update: Message = {"e": "depthUpdate", "E": at + 2, "s": s, "U": first, "u": last, "b": list(bids), "a": list(asks)}
    return update if before is None else {**update, "T": at, "pu": before}


def ticker(u: int, bid: str, ask: str, spot: bool = False, s: str = "BTCUSDT") -> Message:
    said: Message = {"u": u, "s": s, "b": bid, "B": "1", "a": ask, "A": "1"}
    return said if spot else {"e": "bookTicker", "T": 999, "E": 999, **said}


def trade(price: str, qty: str, sell: bool, spot: bool = False, kind: str = "trade", **more: Any) -> Message:
    said: Message = {"e": kind, "E": 1_001, "T": 1_000, "s": "BTCUSDT", "t": 1, "p": price, "q": qty, "m": sell}
    return {**said, "M": True, **more} if spot else {**said, "X": "MARKET", **more}


def snapshot(last: int, bids: Any, asks: Any, **more: Any) -> Message:
    return {"lastUpdateId": last, "bids": list(bids), "asks": list(asks), **more}


def decode(lines: Sequence[bytes], decoder: Binance | None = None, topic: str = "t", at: int = 0) -> EventBatch:
    return (decoder or Binance(KEY)).decode(pack(topic, 0, lines, list(range(at, at + len(lines)))))


def only(message: Any, **more: Any) -> tuple[np.void, EventBatch]:
    batch = decode([line(message, **more)])
    assert not batch.rejects, batch.rejects
    assert len(batch.events) == 1
    return batch.events[0], batch


def reason(message: Any) -> str:
    batch = decode([message if isinstance(message, bytes) else line(message)])
    assert len(batch.events) == 0
    return batch.rejects[0].reason


def levels(batch: EventBatch, name: str) -> dict[tuple[int, float], float]:
    """The book a plain reader would hold of one market after the batch."""
    market = batch.markets.index(name)
    book: dict[tuple[int, float], float] = {}
    for event in batch.events[batch.events["market"] == market]:
        if event["kind"] == Kind.BOOK:
            book = {}
        if event["kind"] == Kind.LEVEL:
            key = (int(event["side"]), event["price_ticks"] / 10.0 ** event["price_decimals"])
            book[key] = event["qty_lots"] / 10.0 ** event["qty_decimals"]
    return {key: lots for key, lots in book.items() if lots}


# shapes


@pytest.mark.parametrize("stream", ["", "btcusdt@depth@0ms"])
@pytest.mark.parametrize("receive_ns", [0, 1_700_000_000_000_000_000])
def test_a_perpetual_depth_update_is_its_levels_in_any_wrapping(stream: str, receive_ns: int) -> None:
    update = depth(11, 20, 7, [["61800.20", "2.500"], ["61800.00", "0.000"]], [["61800.30", "1"]])
    batch = decode([line(update, stream, receive_ns)])
    events = batch.events
    assert batch.markets == ("BTCUSDT",)
    assert events["kind"].tolist() == [Kind.LEVEL] * 3
    assert events["side"].tolist() == [Side.BUY, Side.BUY, Side.SELL]
    assert events["price_ticks"].tolist() == [618002, 61800, 618003]
    assert events["price_decimals"].tolist() == [1, 0, 1]
    assert events["qty_lots"].tolist() == [25, 0, 1]
    assert events["qty_decimals"].tolist() == [1, 0, 0]
    assert events["event_ns"].tolist() == [1_000 * MS] * 3
    assert events["seq"].tolist() == [20] * 3
    assert events["first_seq"].tolist() == [8] * 3  # one after pu, not U: what lies between is another market's
    assert events["offset"].tolist() == [0] * 3
    assert not events["flags"].any()


def test_a_spot_depth_update_has_a_market_of_its_own_and_chains_on_its_first_number() -> None:
    event, batch = only(depth(11, 20, None, [["61800.20000000", "2.50000000"]]))
    assert batch.markets == ("BTCUSDT-SPOT",)
    assert (event["seq"], event["first_seq"], event["event_ns"]) == (20, 11, 1_002 * MS)


@pytest.mark.parametrize(("kind", "more"), [("trade", {}), ("aggTrade", {"a": 5, "f": 1, "l": 2})])
@pytest.mark.parametrize(("sell", "side"), [(True, Side.SELL), (False, Side.BUY)])
@pytest.mark.parametrize(("spot", "market"), [(True, "BTCUSDT-SPOT"), (False, "BTCUSDT")])
def test_a_trade_has_the_side_of_its_aggressor(
    kind: str, more: Message, sell: bool, side: Side, spot: bool, market: str
) -> None:
    event, batch = only(trade("61800.30", "0.006", sell, spot, kind, **more))
    assert (event["kind"], event["side"], batch.markets) == (Kind.TRADE, side, (market,))
    assert (event["price_ticks"], event["qty_lots"], event["event_ns"]) == (618003, 6, 1_000 * MS)


def test_a_market_that_sends_trades_and_aggregates_has_each_trade_once() -> None:
    said = [trade("10", "1", True), trade("10", "1", True, kind="aggTrade"), trade("11", "2", False)]
    batch = decode([line(one) for one in said])
    assert batch.events["price_ticks"].tolist() == [10, 11]
    assert batch.skipped == {"told_twice": 1}


def test_a_trade_with_the_insurance_fund_took_nothing_from_the_book() -> None:
    event, _ = only(trade("10", "1", True, X="INSURANCE_FUND"))
    assert event["kind"] == Kind.LIQUIDATION


def test_a_number_in_the_count_of_trades_that_was_no_trade_is_skipped() -> None:
    assert decode([line(trade("0", "0", True, X="NA"))]).skipped == {"trade_without_quantity": 1}


def test_a_forced_order_is_a_liquidation() -> None:
    order = {"s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.014", "p": "9910", "ap": "9910.5", "T": 7}
    event, _ = only({"e": "forceOrder", "E": 9, "o": order})
    assert (event["kind"], event["side"], event["event_ns"]) == (Kind.LIQUIDATION, Side.SELL, 7 * MS)
    assert (event["price_ticks"], event["qty_lots"], event["qty_decimals"]) == (9910, 14, 3)


def test_a_mark_price_happened_when_it_was_said_not_at_the_next_funding() -> None:
    said = {"e": "markPriceUpdate", "E": 5, "s": "BTCUSDT", "p": "100.5", "i": "100.25", "r": "0.0001", "T": 99_999}
    event, _ = only(said)
    assert (event["kind"], event["event_ns"], event["price_ticks"]) == (Kind.MARK, 5 * MS, 1005)
    assert (event["leverage"], event["previous"]) == (pytest.approx(0.0001), 100.25)
    dated, _ = only({**said, "r": ""})
    assert np.isnan(dated["leverage"])


def test_an_array_of_messages_stands_at_one_offset_and_falls_as_one() -> None:
    marks = [{"e": "markPriceUpdate", "E": 5, "s": name, "p": "1", "i": "1", "r": "0"} for name in ("A", "B")]
    batch = decode([line(marks, "!markPrice@arr")])
    assert (batch.markets, batch.events["offset"].tolist()) == (("A", "B"), [0, 0])
    assert reason([marks[0], {"e": "markPriceUpdate", "E": 5, "s": "B", "p": "x"}]) == "not_a_number"


@pytest.mark.parametrize(
    ("message", "stream", "why"),
    [
        (ticker(5, "1", "2"), "", "bookTicker"),
        ({"e": "kline", "s": "BTCUSDT"}, "", "kline"),
        ({"e": "somethingNew"}, "", "unknown_type"),
        ({"e": 7}, "", "unknown_type"),
        ({"result": None, "id": 1}, "", "reply"),
        (depth(1, 2, 0, [["1", "1"]]), "btcusdt@depth5@100ms", "other_depth"),
        (snapshot(5, [["1", "1"]], []), "btcusdt@depth20", "other_depth"),
        (depth(1, 2, 0, [["1", "1"]]), "btcusdt@rpiDepth@500ms", "other_depth"),
        (depth(1, 2, 0), "", "depth_without_levels"),
    ],
)
def test_what_is_of_no_interest_is_counted(message: Message, stream: str, why: str) -> None:
    batch = decode([line(message, stream)])
    assert (len(batch.events), batch.rejects, batch.skipped) == (0, (), {why: 1})


# the user stream


def order(execution: str, **more: Any) -> Message:
    said: Message = {
        "s": "BTCUSDT",
        "c": "web",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "2.5",
        "p": "100",
        "x": execution,
    }
    return {
        "e": "ORDER_TRADE_UPDATE",
        "T": 4,
        "E": 5,
        "o": {**said, "X": "NEW", "i": 77, "l": "0", "z": "0", "T": 4, **more},
    }


SELF = digest(b"self", KEY)
ORDER = digest(b"77", KEY)


def test_an_order_rests_with_what_is_not_filled_yet() -> None:
    event, _ = only(order("NEW"))
    assert (event["kind"], event["order"], event["account"], event["side"]) == (Kind.ORDER, ORDER, SELF, Side.BUY)
    assert (event["price_ticks"], event["qty_lots"], event["qty_decimals"], event["event_ns"]) == (100, 25, 1, 4 * MS)
    amended, _ = only(order("AMENDMENT", z="0.25"))
    assert (amended["kind"], amended["qty_lots"], amended["qty_decimals"]) == (Kind.ORDER, 225, 2)


@pytest.mark.parametrize(
    ("execution", "more", "code", "flags"),
    [
        ("CANCELED", {}, CancelCode.USER, Flag.ALL),
        ("EXPIRED", {}, CancelCode.EXPIRED, Flag.ALL),
        ("EXPIRED", {"X": "EXPIRED_IN_MATCH"}, CancelCode.SELF_TRADE, Flag.ALL),
        ("CANCELED", {"c": "autoclose-1"}, CancelCode.LIQUIDATION, Flag.ALL | Flag.FORCED),
    ],
)
def test_a_cancel_says_why(execution: str, more: Message, code: CancelCode, flags: int) -> None:
    event, _ = only(order(execution, **more))
    assert (event["kind"], event["order"], event["code"], event["flags"]) == (Kind.CANCEL, ORDER, code, flags)


@pytest.mark.parametrize(
    ("execution", "more", "forced"),
    [
        ("TRADE", {"c": "web"}, False),
        ("TRADE", {"c": "autoclose-123"}, True),
        ("TRADE", {"c": "adl_autoclose"}, True),
        ("CALCULATED", {}, True),
    ],
)
def test_a_fill_has_its_own_price_and_quantity_and_says_when_it_was_forced(
    execution: str, more: Message, forced: bool
) -> None:
    event, _ = only(order(execution, l="0.5", L="100.5", z="0.5", m=True, **more))
    assert (event["kind"], event["order"], event["account"], event["taker"]) == (Kind.FILL, ORDER, SELF, 0)
    assert (event["price_ticks"], event["qty_lots"], bool(event["flags"] & Flag.FORCED)) == (1005, 5, forced)


def test_a_market_order_never_rests() -> None:
    for execution in ("NEW", "EXPIRED"):
        assert decode([line(order(execution, o="MARKET", p="0"))]).skipped == {"order_not_resting": 1}
    event, _ = only(order("TRADE", o="MARKET", l="1", L="99", m=False))
    assert (event["account"], event["taker"]) == (0, SELF)


def test_a_change_of_leverage_names_no_account_and_no_leverage_before() -> None:
    event, batch = only({"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ac": {"s": "BTCUSDT", "l": 25}})
    assert (event["kind"], event["leverage"], event["account"], batch.markets) == (
        Kind.LEVERAGE,
        25,
        SELF,
        ("BTCUSDT",),
    )
    assert np.isnan(event["previous"])
    mode = {"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ai": {"j": True}}
    assert decode([line(mode, "key")]).skipped == {"multi_assets_mode": 1}


def test_an_account_update_is_what_it_holds_now() -> None:
    held = {"s": "BTCUSDT", "pa": "-1.5", "ep": "100.5", "mt": "isolated", "iw": "20", "ps": "BOTH"}
    event, _ = only({"e": "ACCOUNT_UPDATE", "E": 5, "T": 4, "a": {"m": "ORDER", "B": [], "P": [held]}})
    assert (event["kind"], event["qty_lots"], event["price_ticks"]) == (Kind.POSITION, -15, 1005)
    assert (event["margin"], event["flags"]) == (20, Flag.ISOLATED)
    hedged = {"e": "ACCOUNT_UPDATE", "E": 5, "T": 4, "a": {"P": [{**held, "ps": "LONG"}]}}
    assert decode([line(hedged)]).skipped == {"hedged_position": 1}


# snapshots


def test_a_snapshot_takes_the_market_of_its_partition_and_lies_under_the_newer_updates() -> None:
    said = [
        line(depth(1, 10, 0, [["100", "9"]])),
        line(depth(11, 20, 10, [["99", "5"], ["98", "0"]], [["101", "2"]], at=2_000)),
        line(snapshot(10, [["100", "1"], ["98", "4"], ["97", "1"]], [["101", "1"]], T=1_500), receive_ns=5),
        line(depth(21, 30, 20, [["100", "0"]], at=3_000)),
    ]
    batch = decode(said)
    assert levels(batch, "BTCUSDT") == {(1, 99.0): 5.0, (1, 97.0): 1.0, (-1, 101.0): 2.0}
    book = batch.events[batch.events["offset"] == 2]
    assert book["kind"].tolist() == [Kind.BOOK] + [Kind.LEVEL] * 4
    assert (book["flags"] == Flag.SNAPSHOT).all()
    assert (book["seq"] == 20).all()
    assert (book["event_ns"] == 2_000 * MS).all()
    assert batch.events["first_seq"][-1] == 21
    assert not batch.skipped


def test_a_snapshot_newer_than_every_update_stands_at_its_own_number() -> None:
    batch = decode([line(depth(1, 10, 0, [["100", "9"]])), line(snapshot(15, [["100", "1"]], [["101", "1"]], T=1_500))])
    book = batch.events[batch.events["offset"] == 1]
    assert (book["seq"] == 15).all()
    assert (book["event_ns"] == 1_500 * MS).all()


def test_a_snapshot_without_a_time_happened_at_the_last_event_of_its_market_not_at_the_recorders_clock() -> None:
    said = [line(depth(1, 10, None, [["100", "9"]], at=998)), line(snapshot(12, [["100", "1"]], []), receive_ns=77)]
    assert decode(said).events["event_ns"].tolist() == [1_000 * MS] * 3
    quiet = [line(ticker(10, "100", "101", spot=True)), line(snapshot(12, [["100", "1"]], []), receive_ns=77)]
    assert decode(quiet).events["event_ns"].tolist() == [77] * 2


def test_a_snapshot_from_before_the_first_update_is_counted() -> None:
    batch = decode([line(depth(51, 60, 50, [["100", "9"]])), line(snapshot(10, [["100", "1"]], []))])
    assert batch.skipped == {"snapshot_before_the_first_update": 1}


def test_an_older_snapshot_does_not_set_back_a_whole_book_but_mends_a_broken_one() -> None:
    decoder = Binance(KEY)
    decode([line(depth(1, 10, 0, [["100", "9"]])), line(snapshot(10, [["100", "1"]], []))], decoder)
    whole = decode([line(depth(11, 20, 10, [["100", "2"]])), line(snapshot(15, [["100", "1"]], []))], decoder, at=2)
    assert whole.skipped == {"snapshot_behind_the_book": 1}
    broken = decode([line(depth(31, 40, 30, [["100", "3"]])), line(snapshot(35, [["99", "1"]], []))], decoder, at=4)
    assert levels(broken, "BTCUSDT") == {(1, 100.0): 3.0, (1, 99.0): 1.0}


def test_three_markets_on_one_partition_each_get_their_own_snapshot() -> None:
    """The numbers of two perpetuals lie close together and the prices of spot and perpetual do."""
    said = [
        line(depth(1, 50_000_000, None, [["100.4", "1"]])),
        line(ticker(50_000_001, "100.4", "100.5", spot=True)),
        line(depth(1, 5_000_000_000_000, 0, [["100.0", "1"]])),
        line(ticker(5_000_000_000_050, "100.0", "100.1")),
        line(depth(1, 5_000_000_000_020, 0, [["7.0", "1"]], s="ETHUSDT")),
        line(ticker(5_000_000_000_060, "7.0", "7.1", s="ETHUSDT")),
        line(snapshot(5_000_000_000_070, [["7.01", "8"]], [["7.09", "8"]])),
        line(snapshot(50_000_009, [["100.41", "8"]], [])),
        line(snapshot(5_000_000_000_030, [["100.02", "8"]], [["100.09", "8"]])),
    ]
    batch = decode(said)
    books = batch.events[batch.events["kind"] == Kind.BOOK]
    assert [batch.markets[market] for market in books["market"]] == ["ETHUSDT", "BTCUSDT-SPOT", "BTCUSDT"]


def test_a_snapshot_nobody_can_place_is_rejected() -> None:
    book = line(snapshot(10, [["100", "1"]], [["101", "1"]]))
    assert reason(book) == "snapshot_without_market"
    twins = [line(ticker(10, "100", "101", s=name)) for name in ("BTCUSDT", "BTCUSDC")]
    assert [reject.reason for reject in decode([*twins, book]).rejects] == ["snapshot_ambiguous"]
    far = [line(ticker(10, "200", "201")), book]
    assert [reject.reason for reject in decode(far).rejects] == ["snapshot_without_market"]
    apart = [line(ticker(10**13, "100", "101")), book]
    assert [reject.reason for reject in decode(apart).rejects] == ["snapshot_without_market"]


def test_a_snapshot_on_another_partition_than_its_updates_is_not_guessed() -> None:
    decoder = Binance(KEY)
    decode([line(depth(1, 10, 0, [["100", "9"]]))], decoder, topic="one")
    other = decode([line(snapshot(10, [["100", "1"]], []))], decoder, topic="two")
    assert [reject.reason for reject in other.rejects] == ["snapshot_without_market"]


def test_a_coin_margined_snapshot_says_its_market_itself() -> None:
    batch = decode([line(snapshot(10, [["100", "1"]], [], symbol="BTCUSD_PERP", pair="BTCUSD", T=4, E=5))])
    assert (batch.markets, batch.events["event_ns"].tolist()) == (("BTCUSD_PERP",), [4 * MS] * 2)


def test_updates_without_levels_leave_no_gap_in_the_chain() -> None:
    said = [depth(1, 10, 0, [["1", "1"]]), depth(11, 12, 10), depth(13, 14, 12), depth(15, 20, 14, [["1", "2"]])]
    assert decode([line(one) for one in said]).events["first_seq"].tolist() == [1, 11]
    said[3] = depth(17, 20, 16, [["1", "2"]])  # here one is really missing
    assert decode([line(one) for one in said]).events["first_seq"].tolist() == [1, 17]


def test_the_updates_that_wait_for_a_snapshot_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_places, "HELD_LEVELS_MAX", 10)
    place = binance_places.Place()
    quotes = binance_places.Quotes(*(np.ones(4, kind) for _, kind in binance_places._COLUMNS))
    for at in range(50):
        place.update(at, at, quotes)
        assert place.held_levels == sum(len(held[2]) for held in place.held) <= 10


# laws

STORY = [
    line(ticker(5, "100.0", "100.2")),
    line(depth(1, 10, 0, [["100", "9"]])),
    line(trade("100.1", "1", True)),
    line(depth(1, 10, None, [["100.5", "3"]]), receive_ns=1_700_000_000_000_000_000),
    line(trade("100.6", "1", False, spot=True)),
    line(depth(11, 20, 10, [["99", "5"], ["98", "0"]], [["101", "2"]], at=2_000)),
    line(depth(21, 22, 20)),
    line(depth(2_000_011, 2_000_020, None, [["100.4", "3"]])),
    b"rubbish",
    line(trade("100.1", "2", True, kind="aggTrade")),
    line(snapshot(3_500_000, [["100.5", "1"], ["98", "4"]], [["101", "1"]])),
    line(snapshot(15, [["100", "1"], ["98", "4"]], [["101", "1"]], T=1_500)),
    line(depth(23, 30, 22, [["100", "0"]], at=3_000)),
    line(order("NEW")),
]


def seen(batches: Sequence[EventBatch]) -> list[Any]:
    """What was said, with market names in place of indexes."""
    rows = []
    for batch in batches:
        for event in batch.events:
            row = {name: event[name].item() for name in event.dtype.names}
            row["market"] = batch.markets[row["market"]]
            rows.append({name: value for name, value in row.items() if value == value})
        rows.extend((reject.offset, reject.reason) for reject in batch.rejects)
    return sorted(rows, key=lambda row: row["offset"] if isinstance(row, dict) else row[0])


@given(st.sets(st.integers(1, len(STORY) - 1)), st.booleans())
@settings(max_examples=60, deadline=None)
def test_chunks_and_restarts_change_nothing(cuts: set[int], restart: bool) -> None:
    whole = seen([decode(STORY)])
    decoder, batches, at = Binance(KEY), [], 0
    for cut in [*sorted(cuts), len(STORY)]:
        batches.append(decode(STORY[at:cut], decoder, at=at))
        at = cut
        if restart:
            state = decoder.state()
            decoder = Binance(KEY)
            decoder.restore(state)
    assert seen(batches) == whole


@pytest.mark.parametrize(
    "state",
    [
        {"partitions": [{}]},
        {"partitions": 3},
        {"partitions": [{"topic": "t", "partition": 0, "markets": {"A": {"seq": 1}}}]},
        {"partitions": [{"topic": "t", "partition": 0, "markets": []}]},
    ],
)
def test_a_state_that_is_none_is_refused_with_a_sentence(state: Any) -> None:
    with pytest.raises(ValueError, match="saved state of the binance format"):
        Binance(KEY).restore(state)


VALID = [
    *STORY,
    line(order("TRADE", l="1", L="2")),
    line({"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ac": {"s": "A", "l": 5}}),
]
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        2**63,
        10**400,
        "",
        "x",
        "NaN",
        "1e999",
        "1\n2",
        "\ud800",
        [],
        {},
        [[]],
        [["1"]],
        [[None, {}]],
        1.5,
        "9" * 60,
    ]
)


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A valid line with one field of it, at any depth, made odd."""
    text = draw(st.sampled_from([one for one in VALID if b"{" in one]))
    head, brace, tail = text.partition(b"{")
    message = json.loads(brace + tail)
    spot = message
    while True:
        name = draw(st.sampled_from(sorted(spot)))
        if isinstance(spot[name], dict) and spot[name] and draw(st.booleans()):
            spot = spot[name]
            continue
        if draw(st.booleans()):
            spot[name] = draw(ODD)
        else:
            del spot[name]
        return head + json.dumps(message).encode("utf-8", "replace")


@given(st.lists(bent(), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_a_bent_message_is_a_value(lines: list[bytes]) -> None:
    batch = decode([*STORY, *lines])
    assert batch.records == len(STORY) + len(lines)
    assert (np.diff(batch.events["offset"]) >= 0).all()
    assert (batch.events["market"] < len(batch.markets)).all()


@given(
    st.lists(
        st.sampled_from(VALID).flatmap(
            lambda text: st.tuples(st.just(text), st.integers(0, len(text) - 1), st.binary(max_size=3))
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_a_value(damaged: list[tuple[bytes, int, bytes]]) -> None:
    decode([text[:at] + instead + text[at + 1 :] for text, at, instead in damaged])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"17000000", "not_json"),
        (b"1x {}", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 100_000, "nested_too_deep"),
        (b"null", "not_a_message"),
        (b"{}", "no_type"),
        (line(depth(1, 2, 0, [["1", "x"]])), "not_a_number"),
        (line({**depth(1, 2, 0, [["1", "1"]]), "T": -5}), "no_time"),
        (line({**depth(1, 2, 0, [["1", "1"]]), "u": 2**70}), "no_sequence"),
        (line(depth(1, 2, 0, [["1", "1"]], s="\n")), "not_a_market"),
        (line({**trade("1", "1", True), "m": "yes"}), "no_side"),
        (line({"e": "forceOrder"}), "no_order"),
        (line(order("NEW", q="1", z="1")), "quantity_not_positive"),
        (line({"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ac": {"s": "A", "l": 0}}), "leverage_out_of_range"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_a_reason(value: bytes, why: str) -> None:
    assert reason(value) == why


def test_more_markets_than_allowed_are_rejected() -> None:
    decoder = Binance(KEY, markets_max=2)
    said = [line(depth(1, 2, 0, [["1", "1"]], s=name)) for name in ("A", "B", "C", "A")]
    batch = decode(said, decoder)
    assert [reject.reason for reject in batch.rejects] == ["too_many_markets"]
    assert batch.markets == ("A", "B")

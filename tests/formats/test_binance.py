"""The binance format on synthetic lines: every shape of the market streams and of the user stream."""

from __future__ import annotations

import numpy as np
import pytest

from detector.kernels.digest import digest
from detector.model.events import CancelCode, Flag, Kind, Side
from tests.formats.binance_lines import (
    KEY,
    MS,
    Message,
    decode,
    depth,
    line,
    only,
    order,
    reason,
    snapshot,
    ticker,
    trade,
)

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

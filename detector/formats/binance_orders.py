"""The futures user stream: what one account did. The messages name no account, so it is called SELF."""

from __future__ import annotations

from typing import Any

from detector.formats.binance_words import decimal, event_ns_of, side_of, text
from detector.formats.rows import Markets, Rows, Unreadable, exact, text_of
from detector.model.events import CancelCode, Flag, Kind

SELF = b"self"  # the account whose stream this is
LEVERAGE_MAX = 1_000_000.0
_FORCED = ("autoclose-", "adl_autoclose")  # client ids the venue gives to liquidation and auto-deleveraging orders
_IMMEDIATE = ("IOC", "FOK")


def order_update(markets: Markets, rows: Rows, message: dict[str, Any]) -> None:
    """ORDER_TRADE_UPDATE: an order of the account was placed, amended, filled or taken away."""
    order = message.get("o")
    if type(order) is not dict:
        raise Unreadable("no_order")
    number = order.get("i")
    if type(number) is not int:
        raise Unreadable("no_order_id")
    client_id = order.get("c")
    execution = order.get("x")
    forced = execution == "CALCULATED" or (type(client_id) is str and client_id.startswith(_FORCED))
    columns: dict[str, Any] = {
        "event_ns": event_ns_of(order) if "T" in order else event_ns_of(message),
        "market": markets.index(text(order, "s")),
        "side": side_of(order),
        "order_id": b"%d" % number,
        "flags": int(Flag.FORCED) if forced else 0,
    }
    if execution in ("TRADE", "CALCULATED"):
        maker = order.get("m") is True
        columns["account_id" if maker or _rests(order) else "taker_id"] = SELF
        rows.add(kind=int(Kind.FILL), price=decimal(order, "L"), qty=decimal(order, "l"), **columns)
    elif not _rests(order):
        rows.skip("order_not_resting")  # a market or trigger order: never on the book
    elif execution in ("NEW", "AMENDMENT"):
        lots, decimals = _left(order)
        columns["flags"] = 0  # the flag is for what a liquidation takes away
        rows.add(
            kind=int(Kind.ORDER),
            price=decimal(order, "p"),
            qty_lots=lots,
            qty_decimals=decimals,
            account_id=SELF,
            **columns,
        )
    elif execution in ("CANCELED", "EXPIRED"):
        columns["flags"] |= int(Flag.ALL)
        rows.add(kind=int(Kind.CANCEL), code=int(_code(order, forced)), account_id=SELF, **columns)
    else:
        rows.skip("order_unchanged")


def _rests(order: dict[str, Any]) -> bool:
    """It is, or was, on the book: a limit order that is not for at once or never."""
    return order.get("o") == "LIMIT" and order.get("f") not in _IMMEDIATE


def _left(order: dict[str, Any]) -> tuple[int, int]:
    """(lots, decimals) of an order's quantity that is not filled yet."""
    whole, whole_decimals = exact(decimal(order, "q"))
    filled, filled_decimals = exact(decimal(order, "z")) if "z" in order else (0, 0)
    decimals = max(whole_decimals, filled_decimals)
    left = whole * 10 ** (decimals - whole_decimals) - filled * 10 ** (decimals - filled_decimals)
    if left <= 0:
        raise Unreadable("quantity_not_positive")
    if left >= 2**62:
        raise Unreadable("number_too_large")
    return left, decimals


def _code(order: dict[str, Any], forced: bool) -> CancelCode:
    if forced:
        return CancelCode.LIQUIDATION
    if order.get("X") == "EXPIRED_IN_MATCH":
        return CancelCode.SELF_TRADE
    return CancelCode.EXPIRED if order.get("x") == "EXPIRED" else CancelCode.USER


def leverage_change(markets: Markets, rows: Rows, message: dict[str, Any]) -> None:
    """ACCOUNT_CONFIG_UPDATE: the account's leverage on a market. What it was before is not said."""
    change = message.get("ac")
    if type(change) is not dict:
        if "ai" in message:
            rows.skip("multi_assets_mode")
            return
        raise Unreadable("no_leverage")
    ticks, decimals = exact(text_of(change.get("l")))
    leverage = ticks / 10.0**decimals
    if not 0.0 < leverage <= LEVERAGE_MAX:
        raise Unreadable("leverage_out_of_range")
    rows.add(
        kind=int(Kind.LEVERAGE),
        event_ns=event_ns_of(message),
        market=markets.index(text(change, "s")),
        leverage=leverage,
        account_id=SELF,
    )


def account_update(markets: Markets, rows: Rows, message: dict[str, Any]) -> None:
    """ACCOUNT_UPDATE: what the account holds now. In hedge mode an account holds two positions of a market, which
    nothing here could keep apart: those are skipped."""
    update = message.get("a")
    positions = update.get("P", []) if type(update) is dict else None
    if type(positions) is not list:
        raise Unreadable("no_positions")
    event_ns = event_ns_of(message)
    for position in positions:
        if type(position) is not dict:
            raise Unreadable("no_positions")
        if position.get("ps", "BOTH") != "BOTH":
            rows.skip("hedged_position")
            continue
        isolated = position.get("mt") == "isolated"
        columns: dict[str, Any] = {}
        if isolated and "iw" in position:
            ticks, decimals = exact(decimal(position, "iw"))
            columns["margin"] = ticks / 10.0**decimals
        rows.add(
            kind=int(Kind.POSITION),
            event_ns=event_ns,
            market=markets.index(text(position, "s")),
            price=decimal(position, "ep"),
            qty=decimal(position, "pa"),
            account_id=SELF,
            flags=int(Flag.ISOLATED if isolated else Flag.CROSS),
            **columns,
        )

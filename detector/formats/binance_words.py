"""Words of Binance's messages: how a field is read, or refused with a reason."""

from __future__ import annotations

from typing import Any

from detector.formats.rows import EVENT_NS_MAX, Unreadable, text_of
from detector.model.events import Side

SPOT = "-SPOT"  # behind a spot symbol, so that it is not taken for the perpetual of the same name
MILLISECOND_NS = 1_000_000
SEQ_MAX = 2**62


def text(message: dict[str, Any], field: str) -> str:
    """A symbol. Raises Unreadable: not_a_market."""
    value = message.get(field)
    if type(value) is not str or not value:
        raise Unreadable("not_a_market")
    return value


def decimal(message: dict[str, Any], field: str) -> str:
    """The text of a number. Raises Unreadable: not_a_number."""
    return text_of(message.get(field))


def sequence(message: dict[str, Any], field: str) -> int:
    """A sequence number. Raises Unreadable: no_sequence."""
    value = message.get(field)
    if type(value) is not int or not 0 <= value < SEQ_MAX:
        raise Unreadable("no_sequence")
    return value


def event_ns_of(message: dict[str, Any], *fields: str) -> int:
    """When it happened: the first of `fields` (T, the transaction's time, else E, the message's) that is there, in ms
    on the wire. Raises Unreadable: no_time."""
    for field in fields or ("T", "E"):
        value = message.get(field)
        if value is not None:
            if type(value) is int and 0 < value < EVENT_NS_MAX // MILLISECOND_NS:
                return value * MILLISECOND_NS
            break
    raise Unreadable("no_time")


def side_of(order: dict[str, Any]) -> int:
    """Side of an order's "S". Raises Unreadable: no_side."""
    side = order.get("S")
    if side == "BUY":
        return int(Side.BUY)
    if side == "SELL":
        return int(Side.SELL)
    raise Unreadable("no_side")

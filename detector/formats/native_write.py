"""The native writer: EVENT rows to JSON messages, for the simulated exchange and for benchmarks. Exact decimals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.kernels import kernel
from detector.model.events import EventColumn, Flag, Kind
from detector.model.records import PADDING

ROW_BYTES_MAX = 640  # no row needs more: 13 fields of at most 20 + 20 bytes and a market of 64


def write(events: EventColumn, markets: tuple[str, ...]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(payload, bounds) of native JSON messages, in the order of the rows.

    events   EVENT (rows) whose `order`, `account` and `taker` hold plain numbers, written "o17", "a4"; 0 = not said
    markets  names that EVENT["market"] indexes
    payload  uint8 (bytes): messages, a newline after each (so it is NDJSON too), then PADDING zero bytes
    bounds   int64 (messages, 2), start and end without the newline. One message a row; a BOOK row and the SNAPSHOT
             rows right behind it make one message together

    Numbers of float columns are written with the fewest decimals (at most 15) that read back as the same float.

    >>> from detector.model.events import Side, empty_events
    >>> events = empty_events(1)
    >>> events["kind"], events["event_ns"], events["order"], events["side"] = Kind.ORDER, 17 * 10**17, 7, Side.BUY
    >>> events["price_ticks"], events["price_decimals"], events["qty_lots"] = 618002, 1, 5
    >>> payload, bounds = write(events, ("BTC-PERP",))
    >>> bytes(payload[slice(*bounds[0])])[:54]
    b'{"type":"order","ts":1700000000000000000,"market":"BTC'
    """
    names = [name.encode() for name in markets]
    name_ends = np.cumsum([0] + [len(name) for name in names], dtype=np.int64)
    name_bytes = np.frombuffer(b"".join(names) or b"\0", np.uint8)
    bounds = np.zeros((len(events), 2), np.int64)
    payload = np.zeros(max(len(events), 1) * 192 + ROW_BYTES_MAX + PADDING, np.uint8)
    row, messages, used = 0, 0, 0
    while True:
        row, messages, used, needed = _write(
            events, name_bytes, name_ends, payload[: len(payload) - PADDING], bounds, row, messages, used
        )
        if needed == 0:
            payload[used : used + PADDING] = 0
            return payload[: used + PADDING], bounds[:messages]
        assert needed > 0, f"row {row} cannot be written: unknown kind, market out of range, or a float past 2**62"
        grown = np.zeros(max(2 * len(payload), used + needed + PADDING), np.uint8)
        grown[:used] = payload[:used]
        payload = grown


def _literals(*texts: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Texts end to end, and where each ends, first a 0."""
    joined = "".join(texts).encode()
    return np.frombuffer(joined, np.uint8).copy(), np.cumsum([0] + [len(text) for text in texts], dtype=np.int64)


_MARKET, _SEQ, _ORDER_ID, _ACCOUNT, _TAKER, _PRICE, _QTY, _ENTRY_PRICE = range(8)
_LEVERAGE, _PREVIOUS, _NOTIONAL, _MARGIN, _LIQUIDATION_PRICE, _INDEX, _FUNDING, _OPEN_INTEREST = range(8, 16)
_BUY, _SELL, _CROSS, _ISOLATED, _FORCED, _BIDS, _ASKS = range(16, 23)
_FIELD, _FIELD_ENDS = _literals(
    ',"market":"',
    ',"seq":',
    ',"order_id":"o',
    ',"account":"a',
    ',"taker_account":"a',
    ',"price":',
    ',"qty":',
    ',"entry_price":',
    ',"leverage":',
    ',"previous":',
    ',"notional":',
    ',"margin":',
    ',"liquidation_price":',
    ',"index":',
    ',"funding_rate":',
    ',"open_interest":',
    ',"side":"buy"',
    ',"side":"sell"',
    ',"margin_mode":"cross"',
    ',"margin_mode":"isolated"',
    ',"liquidation":true',
    ',"bids":[',
    '],"asks":[',
)
_TYPE, _TYPE_ENDS = _literals("", *(f'{{"type":"{kind.name.lower()}","ts":' for kind in Kind))
_REASON, _REASON_ENDS = _literals(
    "",  # user is what a cancel without a reason means
    ',"reason":"expired"',
    ',"reason":"self_trade"',
    ',"reason":"liquidation"',
    ',"reason":"admin"',
)
_STATUS, _STATUS_ENDS = _literals(
    "", ',"status":"open"', ',"status":"auction"', ',"status":"halted"', ',"status":"resumed"'
)

_ORDER_KIND, _CANCEL, _FILL, _LEVERAGE_KIND = int(Kind.ORDER), int(Kind.CANCEL), int(Kind.FILL), int(Kind.LEVERAGE)
_POSITION, _BOOK, _MARK, _STATUS_KIND = int(Kind.POSITION), int(Kind.BOOK), int(Kind.MARK), int(Kind.STATUS)
_FLAG_FORCED, _FLAG_SNAPSHOT, _FLAG_ALL = int(Flag.FORCED), int(Flag.SNAPSHOT), int(Flag.ALL)
_FLAG_CROSS, _FLAG_ISOLATED = int(Flag.CROSS), int(Flag.ISOLATED)
_FLOAT_MAX = 2.0**62
_EXACT_MAX = 2.0**53
_DECIMALS_MAX = 15


@kernel
def _write(events: Any, names: Any, name_ends: Any, out: Any, bounds: Any, row: Any, messages: Any, used: Any) -> Any:
    """From `row` on. (next row, messages, bytes used, what is missing): 0 = nothing, > 0 = bytes, < 0 = our mistake."""
    while row < len(events):
        last = row + 1
        if events[row]["kind"] == _BOOK:
            while (
                last < len(events) and (events[last]["flags"] & _FLAG_SNAPSHOT) != 0 and events[last]["kind"] != _BOOK
            ):
                last += 1
        needed = (last - row) * ROW_BYTES_MAX
        if used + needed > len(out):
            return row, messages, used, needed
        kind = events[row]["kind"]
        market = events[row]["market"]
        if kind < 1 or kind >= len(_TYPE_ENDS) - 1 or market < 0 or market >= len(name_ends) - 1:
            return row, messages, used, -1
        bounds[messages, 0] = used
        at = _text(out, used, _TYPE, _TYPE_ENDS, kind)
        at = _whole(out, at, events[row]["event_ns"])
        at = _text(out, at, _FIELD, _FIELD_ENDS, _MARKET)
        at = _text(out, at, names, name_ends, market)
        out[at] = 34  # "
        at += 1
        if events[row]["seq"] >= 0:
            at = _text(out, at, _FIELD, _FIELD_ENDS, _SEQ)
            at = _whole(out, at, events[row]["seq"])
        if kind == _BOOK:
            at = _entries(events, row + 1, last, 1, out, _text(out, at, _FIELD, _FIELD_ENDS, _BIDS))
            at = _entries(events, row + 1, last, -1, out, _text(out, at, _FIELD, _FIELD_ENDS, _ASKS))
            out[at] = 93  # ]
            at += 1
        else:
            at = _words(events[row], out, at)
            at = _sizes(events[row], out, at)
            at = _floats(events[row], out, at)
            if at < 0:
                return row, messages, used, -1
        out[at] = 125  # }
        out[at + 1] = 10
        bounds[messages, 1] = at + 1
        messages += 1
        used = at + 2
        row = last
    return row, messages, used, 0


@kernel
def _words(event: Any, out: Any, at: Any) -> Any:
    """Ids and the closed sets of words."""
    kind = event["kind"]
    if event["order"] != 0:
        at = _whole(out, _text(out, at, _FIELD, _FIELD_ENDS, _ORDER_ID), event["order"])
        out[at] = 34
        at += 1
    if event["account"] != 0:
        at = _whole(out, _text(out, at, _FIELD, _FIELD_ENDS, _ACCOUNT), event["account"])
        out[at] = 34
        at += 1
    if event["taker"] != 0:
        at = _whole(out, _text(out, at, _FIELD, _FIELD_ENDS, _TAKER), event["taker"])
        out[at] = 34
        at += 1
    if event["side"] != 0 and kind != _CANCEL and kind != _FILL:
        at = _text(out, at, _FIELD, _FIELD_ENDS, _BUY if event["side"] > 0 else _SELL)
    if kind == _CANCEL:
        at = _text(out, at, _REASON, _REASON_ENDS, event["code"])
    if kind == _STATUS_KIND:
        at = _text(out, at, _STATUS, _STATUS_ENDS, event["code"])
    if kind == _FILL and (event["flags"] & _FLAG_FORCED) != 0:
        at = _text(out, at, _FIELD, _FIELD_ENDS, _FORCED)
    if (event["flags"] & _FLAG_CROSS) != 0:
        at = _text(out, at, _FIELD, _FIELD_ENDS, _CROSS)
    if (event["flags"] & _FLAG_ISOLATED) != 0:
        at = _text(out, at, _FIELD, _FIELD_ENDS, _ISOLATED)
    return at


@kernel
def _sizes(event: Any, out: Any, at: Any) -> Any:
    """Price and quantity, where the type has them."""
    kind = event["kind"]
    if kind != _LEVERAGE_KIND and kind != _STATUS_KIND and kind != _CANCEL:
        at = _text(out, at, _FIELD, _FIELD_ENDS, _ENTRY_PRICE if kind == _POSITION else _PRICE)
        at = _decimal(out, at, event["price_ticks"], event["price_decimals"])
    if kind in (_LEVERAGE_KIND, _STATUS_KIND, _MARK):
        return at
    if kind == _CANCEL and (event["flags"] & _FLAG_ALL) != 0:
        return at
    at = _text(out, at, _FIELD, _FIELD_ENDS, _QTY)
    return _decimal(out, at, event["qty_lots"], event["qty_decimals"])


@kernel
def _floats(event: Any, out: Any, at: Any) -> Any:
    """The float columns; NaN = not said. -1: a value that cannot be written."""
    kind = event["kind"]
    if kind in (_LEVERAGE_KIND, _POSITION):
        at = _float(out, at, _LEVERAGE, event["leverage"])
        at = _float(out, at, _MARGIN, event["margin"])
        at = _float(out, at, _LIQUIDATION_PRICE, event["liquidation_price"])
        if kind == _LEVERAGE_KIND:
            at = _float(out, at, _PREVIOUS, event["previous"])
            at = _float(out, at, _NOTIONAL, event["notional"])
    elif kind == _MARK:
        at = _float(out, at, _FUNDING, event["leverage"])
        at = _float(out, at, _INDEX, event["previous"])
        at = _float(out, at, _OPEN_INTEREST, event["notional"])
    return at


@kernel
def _entries(events: Any, first: Any, last: Any, side: Any, out: Any, at: Any) -> Any:
    """One side of a book: [price,qty] or [price,qty,"o1","a2"] per row."""
    seen = 0
    for row in range(first, last):
        event = events[row]
        if event["side"] != side:
            continue
        if seen > 0:
            out[at] = 44  # ,
            at += 1
        seen += 1
        out[at] = 91  # [
        at = _decimal(out, at + 1, event["price_ticks"], event["price_decimals"])
        out[at] = 44
        at = _decimal(out, at + 1, event["qty_lots"], event["qty_decimals"])
        if event["kind"] == _ORDER_KIND:
            at = _id(out, at, 111, event["order"])  # o
            if event["account"] != 0:
                at = _id(out, at, 97, event["account"])  # a
        out[at] = 93
        at += 1
    return at


@kernel
def _id(out: Any, at: Any, letter: Any, number: Any) -> Any:
    """`,"o17"`"""
    out[at] = 44
    out[at + 1] = 34
    out[at + 2] = letter
    at = _whole(out, at + 3, number)
    out[at] = 34
    return at + 1


@kernel
def _text(out: Any, at: Any, texts: Any, ends: Any, index: Any) -> Any:
    start = ends[index]
    length = ends[index + 1] - start
    for i in range(length):
        out[at + i] = texts[start + i]
    return at + length


@kernel
def _whole(out: Any, at: Any, number: Any) -> Any:
    """A number >= 0, in decimal."""
    rest = np.uint64(number)
    digits = 1
    bound = np.uint64(10)
    while digits < 20 and rest >= bound:
        digits += 1
        bound = bound * np.uint64(10) if digits < 20 else bound
    for i in range(digits):
        tenth = rest // np.uint64(10)
        out[at + digits - 1 - i] = np.uint8(np.uint64(48) + rest - tenth * np.uint64(10))
        rest = tenth
    return at + digits


@kernel
def _decimal(out: Any, at: Any, ticks: Any, decimals: Any) -> Any:
    """ticks * 10**-decimals, exactly; a point only where there are decimals."""
    if ticks < 0:
        out[at] = 45  # -
        at += 1
        ticks = -ticks
    scale = np.int64(1)
    for _ in range(decimals):
        scale *= 10
    whole = ticks // scale
    at = _whole(out, at, whole)
    if decimals > 0:
        out[at] = 46  # .
        rest = ticks - whole * scale
        for i in range(decimals):
            tenth = rest // 10
            out[at + decimals - i] = np.uint8(48 + rest - tenth * 10)
            rest = tenth
        at += decimals + 1
    return at


@kernel
def _float(out: Any, at: Any, field: Any, value: Any) -> Any:
    """`,"field":value`, or nothing for NaN. -1 stays -1; past 2**62 is -1."""
    if at < 0 or np.isnan(value):
        return at
    if abs(value) >= _FLOAT_MAX:
        return -1
    at = _text(out, at, _FIELD, _FIELD_ENDS, field)
    scale = 1.0
    decimals = 0
    # A whole number below 2**53 over a power of ten below 10**22 is the float nearest to that decimal: exact.
    while (
        decimals < _DECIMALS_MAX and abs(value * scale) * 10.0 < _EXACT_MAX and np.rint(value * scale) / scale != value
    ):
        scale *= 10.0
        decimals += 1
    return _decimal(out, at, np.int64(np.rint(value * scale)), decimals)

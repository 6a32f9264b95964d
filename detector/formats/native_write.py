"""The native writer: EVENT rows to JSON messages, for the simulated exchange and for benchmarks. Exact decimals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.formats.native_words import NEEDED, OPTIONAL
from detector.kernels import kernel
from detector.model.events import CancelCode, EventColumn, Flag, Kind, StatusCode
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


# What can be written of a row, by number; in this order. Behind it stands the text before its value.
_PARTS = {
    "seq": ',"seq":',
    "order_id": ',"order_id":"o',
    "account": ',"account":"a',
    "taker_account": ',"taker_account":"a',
    "side": "",
    "reason": "",
    "status": "",
    "liquidation": "",
    "margin_mode": "",
    "price": ',"price":',
    "entry_price": ',"entry_price":',
    "qty": ',"qty":',
    "leverage": ',"leverage":',
    "previous": ',"previous":',
    "notional": ',"notional":',
    "margin": ',"margin":',
    "liquidation_price": ',"liquidation_price":',
    "funding_rate": ',"funding_rate":',
    "index": ',"index":',
    "open_interest": ',"open_interest":',
}
_NUMBERS = {name: number for number, name in enumerate(_PARTS)}
_SEQ, _ORDER_ID, _ACCOUNT, _TAKER = range(4)
_SIDE, _REASON, _STATUS, _FORCED, _MODE, _PRICE, _ENTRY_PRICE, _QTY, _FIRST_REAL = range(4, 13)
_LEVERAGE, _PREVIOUS, _NOTIONAL, _MARGIN, _LIQUIDATION_PRICE, _FUNDING, _INDEX, _OPEN_INTEREST = range(12, 20)
# Words, written whole, follow the parts in the table of texts; then what opens a message of each kind.
_BUY = len(_PARTS)
_SELL, _FORCED_TRUE, _CROSS, _ISOLATED, _MARKET, _BIDS, _ASKS, _REASONS = range(_BUY + 1, _BUY + 9)
_STATUSES = _REASONS + len(CancelCode)
_TYPES = _STATUSES + len(StatusCode) + 1
_TEXTS, _ENDS = _literals(
    *_PARTS.values(),
    ',"side":"buy"',
    ',"side":"sell"',
    ',"liquidation":true',
    ',"margin_mode":"cross"',
    ',"margin_mode":"isolated"',
    ',"market":"',
    ',"bids":[',
    '],"asks":[',
    "",  # `user` is what a cancel without a reason means
    *(f',"reason":"{code.name.lower()}"' for code in list(CancelCode)[1:]),
    "",  # no status is 0
    *(f',"status":"{code.name.lower()}"' for code in StatusCode),
    "",  # no kind is 0
    *(f'{{"type":"{kind.name.lower()}","ts":' for kind in Kind),
)

_FLAG_FORCED, _FLAG_SNAPSHOT, _FLAG_ALL = int(Flag.FORCED), int(Flag.SNAPSHOT), int(Flag.ALL)
_FLAG_CROSS, _FLAG_ISOLATED = int(Flag.CROSS), int(Flag.ISOLATED)
_KIND_ORDER, _KIND_CANCEL, _KIND_BOOK, _KINDS = int(Kind.ORDER), int(Kind.CANCEL), int(Kind.BOOK), len(Kind)
_QUOTE, _COMMA, _POINT, _MINUS, _ZERO = (ord(byte) for byte in '",.-0')
_OPEN, _CLOSE, _BRACE, _NEWLINE, _LETTER_O, _LETTER_A = (ord(byte) for byte in "[]}\noa")
_NOTHING, _WORD, _NUMBER, _QUOTED, _MISTAKE = range(5)
_FLOAT_MAX = 2.0**62
_EXACT_MAX = 2.0**53
_DECIMALS_MAX = 15
_PARTS_MAX = 16
# By kind, the parts in the order they are written; -1 ends them.
_PLAN = np.full((_KINDS + 1, _PARTS_MAX), -1, np.int64)
for _kind in Kind:
    _takes = {"seq", "account", *NEEDED[_kind], *OPTIONAL.get(_kind, ())}
    _plan = [number for name, number in _NUMBERS.items() if name in _takes]
    _PLAN[_kind, : len(_plan)] = _plan


@kernel
def _write(events: Any, names: Any, name_ends: Any, out: Any, bounds: Any, row: Any, messages: Any, used: Any) -> Any:
    """From `row` on. (next row, messages, bytes used, what is missing): 0 = nothing, > 0 = bytes, < 0 = our mistake."""
    while row < len(events):
        kind = events[row]["kind"]
        last = row + 1
        if kind == _KIND_BOOK:
            while last < len(events) and (events[last]["flags"] & _FLAG_SNAPSHOT) != 0:
                last += 1
        needed = (last - row) * ROW_BYTES_MAX
        if used + needed > len(out):
            return row, messages, used, needed
        market = events[row]["market"]
        if kind < 1 or kind > _KINDS or market < 0 or market >= len(name_ends) - 1:
            return row, messages, used, -1
        bounds[messages, 0] = used
        at = _text(out, used, _TEXTS, _ENDS, _TYPES + kind)
        at = _number(out, at, False, np.uint64(events[row]["event_ns"]), 0)
        at = _text(out, at, _TEXTS, _ENDS, _MARKET)
        at = _text(out, at, names, name_ends, market)
        out[at] = _QUOTE
        at = _parts(events[row], kind, out, at + 1)
        if at < 0:
            return row, messages, used, -1
        if kind == _KIND_BOOK:
            at = _entries(events, row + 1, last, out, at)
        out[at] = _BRACE
        out[at + 1] = _NEWLINE
        bounds[messages, 1] = at + 1
        messages += 1
        used = at + 2
        row = last
    return row, messages, used, 0


@kernel
def _parts(event: Any, kind: Any, out: Any, at: Any) -> Any:
    """What the plan of the kind says, as far as the row has it; -1: it cannot be written."""
    for step in range(_PARTS_MAX):
        part = _PLAN[kind, step]
        if part < 0:
            return at
        form, text, magnitude, negative, decimals = _part(event, kind, part)
        if form == _MISTAKE:
            return -1
        if form == _NOTHING:
            continue
        at = _text(out, at, _TEXTS, _ENDS, text)
        if form != _WORD:
            at = _number(out, at, negative, magnitude, decimals)
        if form == _QUOTED:
            out[at] = _QUOTE
            at += 1
    return at


@kernel
def _part(event: Any, kind: Any, part: Any) -> Any:
    """(form, text, magnitude, negative, decimals) of one part."""
    form = _NUMBER
    text = np.int64(part)
    signed = np.int64(0)
    magnitude = np.uint64(0)
    decimals = np.int64(0)
    if part >= _FIRST_REAL:
        real = _real(event, part)
        if np.isnan(real):
            form = _NOTHING
        elif abs(real) >= _FLOAT_MAX:
            form = _MISTAKE
        else:
            signed, decimals = _shortest(real)
    elif part == _SEQ:
        signed = np.int64(event["seq"])
        form = _NUMBER if signed >= 0 else _NOTHING
    elif part in (_PRICE, _ENTRY_PRICE):
        signed = np.int64(event["price_ticks"])
        decimals = np.int64(event["price_decimals"])
    elif part == _QTY:
        signed = np.int64(event["qty_lots"])
        decimals = np.int64(event["qty_decimals"])
        if kind == _KIND_CANCEL and (event["flags"] & _FLAG_ALL) != 0:
            form = _NOTHING
    elif part <= _TAKER:
        magnitude = np.uint64(event["order"] if part == _ORDER_ID else event["account"])
        if part == _TAKER:
            magnitude = np.uint64(event["taker"])
        form = _QUOTED if magnitude != np.uint64(0) else _NOTHING
        return form, text, magnitude, False, decimals
    else:
        form = _WORD
        text = np.int64(_word(event, part))
    return form, text, np.uint64(-signed if signed < 0 else signed), signed < 0, decimals


@kernel
def _word(event: Any, part: Any) -> Any:
    """The text to write for a word; that of the part itself is empty."""
    flags = event["flags"]
    if part == _SIDE:
        return _BUY if event["side"] > 0 else _SELL
    if part == _REASON:
        return _REASONS + min(event["code"], _STATUSES - _REASONS - 1)
    if part == _STATUS:
        return _STATUSES + min(event["code"], _TYPES - _STATUSES - 1)
    if part == _FORCED and (flags & _FLAG_FORCED) != 0:
        return _FORCED_TRUE
    if part == _MODE and (flags & (_FLAG_CROSS | _FLAG_ISOLATED)) != 0:
        return _CROSS if (flags & _FLAG_CROSS) != 0 else _ISOLATED
    return part


@kernel
def _real(event: Any, part: Any) -> Any:
    """The float column a part is written from."""
    if part in (_LEVERAGE, _FUNDING):
        return event["leverage"]
    if part in (_PREVIOUS, _INDEX):
        return event["previous"]
    if part in (_NOTIONAL, _OPEN_INTEREST):
        return event["notional"]
    return event["margin"] if part == _MARGIN else event["liquidation_price"]


@kernel
def _shortest(value: Any) -> Any:
    """(digits, decimals) of the decimal with the fewest decimals, at most 15, that is nearest to the float `value`.

    A whole number below 2**53 over a power of ten below 10**22 is the float nearest to that decimal: dividing is exact.
    """
    scale = 1.0
    decimals = np.int64(0)
    while (
        decimals < _DECIMALS_MAX and abs(value * scale) * 10.0 < _EXACT_MAX and np.rint(value * scale) / scale != value
    ):
        scale *= 10.0
        decimals += 1
    return np.int64(np.rint(value * scale)), decimals


@kernel
def _entries(events: Any, first: Any, last: Any, out: Any, at: Any) -> Any:
    """Both sides of a book: [price,qty] or [price,qty,"o1","a2"] for each row."""
    for side in range(2):
        at = _text(out, at, _TEXTS, _ENDS, _BIDS + side)
        begun = False
        for row in range(first, last):
            event = events[row]
            if (event["side"] > 0) != (side == 0):
                continue
            if begun:
                out[at] = _COMMA
                at += 1
            begun = True
            out[at] = _OPEN
            at = _number(out, at + 1, False, np.uint64(event["price_ticks"]), event["price_decimals"])
            out[at] = _COMMA
            at = _number(out, at + 1, False, np.uint64(event["qty_lots"]), event["qty_decimals"])
            if event["kind"] == _KIND_ORDER:
                at = _id(out, at, _LETTER_O, event["order"])
                if event["account"] != 0:
                    at = _id(out, at, _LETTER_A, event["account"])
            out[at] = _CLOSE
            at += 1
    out[at] = _CLOSE
    return at + 1


@kernel
def _id(out: Any, at: Any, letter: Any, number: Any) -> Any:
    """`,"o17"`"""
    out[at] = _COMMA
    out[at + 1] = _QUOTE
    out[at + 2] = letter
    at = _number(out, at + 3, False, np.uint64(number), 0)
    out[at] = _QUOTE
    return at + 1


@kernel
def _text(out: Any, at: Any, texts: Any, ends: Any, index: Any) -> Any:
    start = ends[index]
    length = ends[index + 1] - start
    source = np.uint64(start)  # of a signed index every byte would be checked for being below 0
    target = np.uint64(at)
    for i in range(length):
        out[target + np.uint64(i)] = texts[source + np.uint64(i)]
    return at + length


@kernel
def _number(out: Any, at: Any, negative: Any, magnitude: Any, decimals: Any) -> Any:
    """magnitude * 10**-decimals, exactly; a point only where there are decimals. magnitude: uint64."""
    if negative:
        out[at] = _MINUS
        at += 1
    digits = 1
    bound = np.uint64(10)
    while digits < 20 and magnitude >= bound:
        digits += 1
        bound = bound * np.uint64(10) if digits < 20 else bound
    digits = max(digits, decimals + 1)
    end = at + digits + (1 if decimals > 0 else 0)
    place = end - 1
    for i in range(digits):
        if i == decimals and decimals > 0:
            out[np.uint64(place)] = _POINT
            place -= 1
        tenth = magnitude // np.uint64(10)
        out[np.uint64(place)] = np.uint8(np.uint64(_ZERO) + magnitude - tenth * np.uint64(10))
        magnitude = tenth
        place -= 1
    return end

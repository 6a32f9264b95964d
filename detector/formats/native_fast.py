"""The fast parser of the native format: plain flat objects, in place, no Python object per message.

It never refuses anything: at the first message that is not plain it stops, and the general parser decides what that one
means. Plain is: one object; ASCII strings without escapes; numbers without exponent, of at most 19 digits; integer ts;
no null; no nesting; no field twice; a type of ours other than `book`; every value in range.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.formats.native_parts import has, identity, instant, price, quantity, real, word_meaning
from detector.formats.native_scan import (
    AS_MARGIN_MODE,
    AS_REASON,
    AS_SIDE,
    AS_STATUS,
    AS_TYPE,
    DECIMALS,
    DIGITS,
    END,
    FALSE,
    NOT_PLAIN,
    NOTHING,
    NUMBER,
    SHAPE,
    START,
    STRING,
    TRUE,
    scan,
)
from detector.formats.native_words import (
    EVENT_NS_FIRST,
    EVENT_NS_LAST,
    FIELD_NUMBERS,
    SEQ_MAX,
    Field,
)
from detector.kernels import kernel
from detector.kernels.names import NAME_BYTES_MAX, name_add, name_find
from detector.model.events import CancelCode, Flag, Kind

_TYPE, _TS, _MARKET, _SEQ, _ACCOUNT = (FIELD_NUMBERS[name] for name in ("type", "ts", "market", "seq", "account"))
_ORDER_ID, _SIDE, _PRICE, _QTY = (
    FIELD_NUMBERS[Field.ORDER_ID],
    FIELD_NUMBERS[Field.SIDE],
    FIELD_NUMBERS[Field.PRICE],
    FIELD_NUMBERS[Field.QTY],
)
_REASON, _STATUS, _TAKER = FIELD_NUMBERS[Field.REASON], FIELD_NUMBERS[Field.STATUS], FIELD_NUMBERS[Field.TAKER_ACCOUNT]
_FORCED, _LEVERAGE, _PREVIOUS = (
    FIELD_NUMBERS[Field.LIQUIDATION],
    FIELD_NUMBERS[Field.LEVERAGE],
    FIELD_NUMBERS[Field.PREVIOUS],
)
_NOTIONAL, _MODE, _MARGIN = FIELD_NUMBERS[Field.NOTIONAL], FIELD_NUMBERS[Field.MARGIN_MODE], FIELD_NUMBERS[Field.MARGIN]
_LIQUIDATION_PRICE, _ENTRY_PRICE = FIELD_NUMBERS[Field.LIQUIDATION_PRICE], FIELD_NUMBERS[Field.ENTRY_PRICE]
_INDEX, _FUNDING_RATE, _OPEN_INTEREST = (
    FIELD_NUMBERS[Field.INDEX],
    FIELD_NUMBERS[Field.FUNDING_RATE],
    FIELD_NUMBERS[Field.OPEN_INTEREST],
)

_KIND_ORDER, _KIND_CANCEL, _KIND_FILL = int(Kind.ORDER), int(Kind.CANCEL), int(Kind.FILL)
_KIND_LEVERAGE, _KIND_POSITION, _KIND_LEVEL = int(Kind.LEVERAGE), int(Kind.POSITION), int(Kind.LEVEL)
_KIND_BOOK, _KIND_MARK, _KIND_STATUS = int(Kind.BOOK), int(Kind.MARK), int(Kind.STATUS)
_FLAG_FORCED, _FLAG_ALL = int(Flag.FORCED), int(Flag.ALL)
_CODE_LIQUIDATION = int(CancelCode.LIQUIDATION)

# The least a price or a quantity may be.
_ABOVE_ZERO, _NOT_NEGATIVE, _ANY = 1, 0, -(2**62)

_NAME_CHARACTERS = np.zeros(256, np.bool_)
_NAME_CHARACTERS[[ord(c) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-"]] = True


@kernel
def read_plain(
    payload: Any,
    bounds: Any,
    offsets: Any,
    record: Any,
    events: Any,
    row: Any,
    values: Any,
    slots: Any,
    digests: Any,
    texts: Any,
    lengths: Any,
    count: Any,
    key0: Any,
    key1: Any,
    message_bytes_max: Any,
) -> Any:
    """Records from `record` on into the blank rows from `row` on. (first record that is not plain, next free row).

    values: the table of native_scan; slots, digests, texts, lengths, count: the arrays of a kernels.names.Names.
    """
    while record < len(bounds):
        start = bounds[record, 0]
        end = bounds[record, 1]
        if start >= end or end - start > message_bytes_max:
            break
        seen = scan(payload, start, end, values)
        if seen == np.uint64(0):
            break
        event = events[row]
        _blank(event)
        if not _common(payload, values, seen, event, key0, key1):
            break
        kind = event["kind"]
        if kind <= _KIND_FILL:
            plain = _of_order(payload, values, seen, event, key0, key1)
        elif kind in (_KIND_LEVERAGE, _KIND_POSITION):
            plain = _of_account(payload, values, seen, event)
        else:
            plain = _of_market(payload, values, seen, event)
        if not plain:
            break
        # The name is numbered last: a message that is refused must not leave one behind.
        market = _market(payload, values, slots, digests, texts, lengths, count, key0, key1)
        if market < 0:
            break
        event["market"] = market
        event["offset"] = offsets[record]
        record += 1
        row += 1
    return record, row


@kernel
def _common(payload: Any, values: Any, seen: Any, event: Any, key0: Any, key1: Any) -> Any:
    """Type, ts, seq and account; the market is there but not looked at."""
    kind = word_meaning(payload, values, seen, _TYPE, AS_TYPE)
    if kind <= 0 or kind == _KIND_BOOK or not (has(seen, _TS) and has(seen, _MARKET)):
        return False
    event_ns = instant(payload, values, _TS)
    if event_ns < EVENT_NS_FIRST or event_ns > EVENT_NS_LAST:
        return False
    event["kind"] = kind
    event["event_ns"] = event_ns
    if has(seen, _SEQ):
        seq = values[_SEQ, DIGITS]
        if values[_SEQ, SHAPE] != NUMBER or values[_SEQ, DECIMALS] != 0 or seq < 0 or seq > SEQ_MAX:
            return False
        event["seq"] = seq
        event["first_seq"] = seq
    if has(seen, _ACCOUNT):
        event["account"] = identity(payload, values, _ACCOUNT, key0, key1)
        return event["account"] != np.uint64(0)
    return True


@kernel
def _of_order(payload: Any, values: Any, seen: Any, event: Any, key0: Any, key1: Any) -> Any:
    """An order, a cancel or a fill."""
    if not has(seen, _ORDER_ID):
        return False
    event["order"] = identity(payload, values, _ORDER_ID, key0, key1)
    if event["order"] == np.uint64(0):
        return False
    kind = event["kind"]
    if kind == _KIND_ORDER:
        side = word_meaning(payload, values, seen, _SIDE, AS_SIDE)
        if side == NOTHING:
            return False
        event["side"] = side
        return price(payload, values, seen, _PRICE, _ABOVE_ZERO, event) and quantity(
            payload, values, seen, _ABOVE_ZERO, event
        )
    if kind == _KIND_FILL:
        if has(seen, _TAKER):
            event["taker"] = identity(payload, values, _TAKER, key0, key1)
            if event["taker"] == np.uint64(0):
                return False
        if has(seen, _FORCED):
            if values[_FORCED, SHAPE] != TRUE and values[_FORCED, SHAPE] != FALSE:
                return False
            if values[_FORCED, SHAPE] == TRUE:
                event["flags"] = _FLAG_FORCED
        return price(payload, values, seen, _PRICE, _ABOVE_ZERO, event) and quantity(
            payload, values, seen, _ABOVE_ZERO, event
        )
    flags = 0
    if has(seen, _REASON):
        code = word_meaning(payload, values, seen, _REASON, AS_REASON)
        if code == NOTHING:
            return False
        event["code"] = code
        if code == _CODE_LIQUIDATION:
            flags |= _FLAG_FORCED
    if not has(seen, _QTY):
        event["flags"] = flags | _FLAG_ALL
        return True
    event["flags"] = flags
    return quantity(payload, values, seen, _ABOVE_ZERO, event)


@kernel
def _of_account(payload: Any, values: Any, seen: Any, event: Any) -> Any:
    """A change of leverage, or a position."""
    if not has(seen, _ACCOUNT):
        return False
    if event["kind"] == _KIND_LEVERAGE:
        plain_previous, event["previous"] = real(payload, values, seen, _PREVIOUS)
        plain_notional, event["notional"] = real(payload, values, seen, _NOTIONAL)
        if not (has(seen, _LEVERAGE) and plain_previous and plain_notional):
            return False
        if event["previous"] < 0.0 or event["notional"] < 0.0:
            return False
    else:
        if not quantity(payload, values, seen, _ANY, event):
            return False
        lowest = _NOT_NEGATIVE if event["qty_lots"] == 0 else _ABOVE_ZERO
        if not price(payload, values, seen, _ENTRY_PRICE, lowest, event):
            return False
    plain_leverage, event["leverage"] = real(payload, values, seen, _LEVERAGE)
    plain_margin, event["margin"] = real(payload, values, seen, _MARGIN)
    plain_price, liquidation_price = real(payload, values, seen, _LIQUIDATION_PRICE)
    if not (plain_leverage and plain_margin and plain_price):
        return False
    if event["leverage"] <= 0.0 or liquidation_price < 0.0:
        return False
    if liquidation_price > 0.0:  # 0 is what venues say where there is none
        event["liquidation_price"] = liquidation_price
    if has(seen, _MODE):
        mode = word_meaning(payload, values, seen, _MODE, AS_MARGIN_MODE)
        if mode == NOTHING:
            return False
        event["flags"] = mode
    return True


@kernel
def _of_market(payload: Any, values: Any, seen: Any, event: Any) -> Any:
    """A level, trade, liquidation, mark or status."""
    kind = event["kind"]
    if kind == _KIND_STATUS:
        code = word_meaning(payload, values, seen, _STATUS, AS_STATUS)
        if code == NOTHING:
            return False
        event["code"] = code
        return True
    if not price(payload, values, seen, _PRICE, _ABOVE_ZERO, event):
        return False
    if kind == _KIND_MARK:
        plain_index, event["previous"] = real(payload, values, seen, _INDEX)
        plain_funding, event["leverage"] = real(payload, values, seen, _FUNDING_RATE)
        plain_interest, event["notional"] = real(payload, values, seen, _OPEN_INTEREST)
        if event["previous"] <= 0.0 or event["notional"] < 0.0:
            return False
        return plain_index and plain_funding and plain_interest
    side = word_meaning(payload, values, seen, _SIDE, AS_SIDE)
    if side == NOTHING:
        return False
    event["side"] = side
    return quantity(payload, values, seen, _NOT_NEGATIVE if kind == _KIND_LEVEL else _ABOVE_ZERO, event)


@kernel
def _market(
    payload: Any, values: Any, slots: Any, digests: Any, texts: Any, lengths: Any, count: Any, key0: Any, key1: Any
) -> Any:
    """The market's number, below 0 when the name will not do or the table is full."""
    start = values[_MARKET, START]
    end = values[_MARKET, END]
    if values[_MARKET, SHAPE] != STRING or start >= end or end - start > NAME_BYTES_MAX:
        return np.int64(NOT_PLAIN)
    place = name_find(payload, start, end, slots, digests, texts, lengths, key0, key1)
    if place >= 0:
        return np.int64(slots[place])
    for at in range(start, end):  # a name that is held was looked at when it came
        if not _NAME_CHARACTERS[payload[at]]:
            return np.int64(NOT_PLAIN)
    return name_add(payload, start, end, place, slots, digests, texts, lengths, count, key0, key1)


@kernel
def _blank(event: Any) -> Any:
    """Every 'not said' value in place, as model.events.empty_events."""
    event["seq"] = -1
    event["first_seq"] = -1
    event["order"] = np.uint64(0)
    event["account"] = np.uint64(0)
    event["taker"] = np.uint64(0)
    event["price_ticks"] = 0
    event["qty_lots"] = 0
    event["leverage"] = np.nan
    event["previous"] = np.nan
    event["notional"] = np.nan
    event["margin"] = np.nan
    event["liquidation_price"] = np.nan
    event["price_decimals"] = 0
    event["qty_decimals"] = 0
    event["side"] = 0
    event["code"] = 0
    event["flags"] = 0
    event["effect"] = 0
    event["window"] = 0
    event["participant"] = -1
    event["distance_bps"] = 0.0
    event["age_ns"] = 0
    event["moved_lots"] = 0

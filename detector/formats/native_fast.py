"""The fast parser of the native format: plain flat objects, in place, no Python object per message.

It never refuses anything: at the first message that is not plain it stops, and the general parser decides what that one
means. Plain is: one object; ASCII strings without escapes; numbers without exponent, of at most 19 digits; no null
in a field that counts; no nesting; no field twice; a type of ours other than `book`, which native_book_fast reads;
every value in range.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.formats.native_parts import blank, decimal, has, identity, market_number, moment, real, word
from detector.formats.native_scan import (
    AS_MARGIN_MODE,
    AS_REASON,
    AS_SIDE,
    AS_STATUS,
    AS_TYPE,
    FALSE,
    NOTHING,
    SHAPE,
    TRUE,
    scan,
)
from detector.formats.native_words import (
    FIELD_NUMBERS,
    NEEDED,
    OPTIONAL,
    Field,
)
from detector.kernels import inlined, kernel
from detector.model.events import CancelCode, Flag, Kind

_TYPE, _ACCOUNT = FIELD_NUMBERS["type"], FIELD_NUMBERS["account"]
_ORDER_ID, _TAKER = FIELD_NUMBERS["order_id"], FIELD_NUMBERS["taker_account"]
_SIDE, _REASON, _STATUS, _MODE = (FIELD_NUMBERS[name] for name in ("side", "reason", "status", "margin_mode"))
_PRICE, _ENTRY_PRICE, _QTY = FIELD_NUMBERS["price"], FIELD_NUMBERS["entry_price"], FIELD_NUMBERS["qty"]
_FORCED, _LEVERAGE, _PREVIOUS = (FIELD_NUMBERS[name] for name in ("liquidation", "leverage", "previous"))
_NOTIONAL, _MARGIN = FIELD_NUMBERS["notional"], FIELD_NUMBERS["margin"]
_LIQUIDATION_PRICE, _INDEX = FIELD_NUMBERS["liquidation_price"], FIELD_NUMBERS["index"]
_FUNDING_RATE, _OPEN_INTEREST = FIELD_NUMBERS["funding_rate"], FIELD_NUMBERS["open_interest"]

_CANCEL, _POSITION, _LEVEL = int(Kind.CANCEL), int(Kind.POSITION), int(Kind.LEVEL)
_BOOK, _MARK = int(Kind.BOOK), int(Kind.MARK)
_FLAG_FORCED, _FLAG_ALL = int(Flag.FORCED), int(Flag.ALL)
_CODE_LIQUIDATION = int(CancelCode.LIQUIDATION)


def _mask(*fields: str) -> int:
    return sum(1 << FIELD_NUMBERS[field] for field in fields)


# By kind, a bit for each field: those that must be there, and those that mean anything. Row 0 is of no kind.
NEEDS = np.zeros(len(Kind) + 1, np.uint64)
TAKES = np.zeros(len(Kind) + 1, np.uint64)
for _kind in Kind:
    NEEDS[_kind] = _mask(Field.TYPE, Field.TS, Field.MARKET, *NEEDED[_kind])
    TAKES[_kind] = NEEDS[_kind] | np.uint64(_mask(Field.SEQ, Field.ACCOUNT, *OPTIONAL.get(_kind, ())))
_REALS = np.uint64(
    _mask(Field.LEVERAGE, Field.PREVIOUS, Field.NOTIONAL, Field.MARGIN, Field.LIQUIDATION_PRICE)
    | _mask(Field.INDEX, Field.FUNDING_RATE, Field.OPEN_INTEREST)
)


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
    near: Any,
    key0: Any,
    key1: Any,
    message_bytes_max: Any,
) -> Any:
    """Records from `record` on into the rows from `row` on, whatever those hold. (First record that is not plain, next
    free row.)

    values: the table of native_scan; slots, digests, texts, lengths, count, near: the arrays of a kernels.names.Names.
    """
    while record < len(bounds):
        start = bounds[record, 0]
        end = bounds[record, 1]
        if start >= end or end - start > message_bytes_max:
            break
        seen = scan(payload, start, end, values)
        kind = word(values, _TYPE, AS_TYPE) if has(seen, _TYPE) else np.int64(NOTHING)
        if kind <= 0 or kind == _BOOK or (seen & NEEDS[kind]) != NEEDS[kind]:
            break
        seen &= TAKES[kind]  # what means nothing for this type is ignored, whatever it holds
        event = events[row]
        blank(event)
        event["kind"] = kind
        if not moment(payload, values, seen, event) or not _identities(payload, values, seen, event, key0, key1):
            break
        if not _words(values, seen, event) or not _sizes(values, seen, event) or not _reals(values, seen, event):
            break
        # The name is numbered last: a message that is refused must not leave one behind.
        market = market_number(payload, values, slots, digests, texts, lengths, count, near, key0, key1)
        if market < 0:
            break
        event["market"] = market
        event["offset"] = offsets[record]
        record += 1
        row += 1
    return record, row


@inlined
def _identities(payload: Any, values: Any, seen: Any, event: Any, key0: Any, key1: Any) -> Any:
    """The order, the account and the taker."""
    if has(seen, _ACCOUNT):
        event["account"] = identity(payload, values, _ACCOUNT, key0, key1)
        if event["account"] == np.uint64(0):
            return False
    if has(seen, _ORDER_ID):
        event["order"] = identity(payload, values, _ORDER_ID, key0, key1)
        if event["order"] == np.uint64(0):
            return False
    if has(seen, _TAKER):
        event["taker"] = identity(payload, values, _TAKER, key0, key1)
        if event["taker"] == np.uint64(0):
            return False
    return True


@inlined
def _words(values: Any, seen: Any, event: Any) -> Any:
    """What is one of a few words, or true or false."""
    if has(seen, _SIDE):
        side = word(values, _SIDE, AS_SIDE)
        event["side"] = side
        return side != NOTHING
    flags = np.int64(0)
    code = np.int64(0)
    if has(seen, _REASON):
        code = word(values, _REASON, AS_REASON)
        if code == _CODE_LIQUIDATION:
            flags |= _FLAG_FORCED
    elif has(seen, _STATUS):
        code = word(values, _STATUS, AS_STATUS)
    elif has(seen, _MODE):
        flags = word(values, _MODE, AS_MARGIN_MODE)
    elif has(seen, _FORCED):
        if values[_FORCED, SHAPE] == TRUE:
            flags |= _FLAG_FORCED
        elif values[_FORCED, SHAPE] != FALSE:
            return False
    if code == NOTHING or flags == NOTHING:
        return False
    if event["kind"] == _CANCEL and not has(seen, _QTY):
        flags |= _FLAG_ALL
    event["code"] = code
    event["flags"] = flags
    return True


@inlined
def _sizes(values: Any, seen: Any, event: Any) -> Any:
    """Price and quantity, above 0, but: a level may be emptied, a position is signed, a flat one has no price."""
    kind = event["kind"]
    if has(seen, _QTY):
        plain, lots, decimals = decimal(values, _QTY)
        if not plain or (lots <= 0 and kind != _POSITION and (kind != _LEVEL or lots < 0)):
            return False
        event["qty_lots"] = lots
        event["qty_decimals"] = decimals
    field = _ENTRY_PRICE if kind == _POSITION else _PRICE
    if has(seen, field):
        plain, ticks, decimals = decimal(values, field)
        if not plain or ticks < 0 or (ticks == 0 and (kind != _POSITION or event["qty_lots"] != 0)):
            return False
        event["price_ticks"] = ticks
        event["price_decimals"] = decimals
    return True


@inlined
def _reals(values: Any, seen: Any, event: Any) -> Any:
    """The float columns, which a mark uses for its own."""
    if seen & _REALS == np.uint64(0):
        return True
    mark = event["kind"] == _MARK
    leverage = real(values, seen, _FUNDING_RATE if mark else _LEVERAGE)
    previous = real(values, seen, _INDEX if mark else _PREVIOUS)
    notional = real(values, seen, _OPEN_INTEREST if mark else _NOTIONAL)
    margin = real(values, seen, _MARGIN)
    liquidation_price = real(values, seen, _LIQUIDATION_PRICE)
    if (
        leverage == np.inf
        or previous == np.inf
        or notional == np.inf
        or margin == np.inf
        or liquidation_price == np.inf
    ):
        return False
    if previous < 0.0 or notional < 0.0 or liquidation_price < 0.0:
        return False
    if (mark and previous == 0.0) or (not mark and leverage <= 0.0):
        return False
    event["leverage"] = leverage
    event["previous"] = previous
    event["notional"] = notional
    event["margin"] = margin
    event["liquidation_price"] = liquidation_price if liquidation_price > 0.0 else np.nan  # venues say 0 for none
    return True

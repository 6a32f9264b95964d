"""The values of a plain message, as the fast parser takes them: what native_values says, where it is plain."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.formats.native_scan import (
    DECIMALS,
    DIGITS,
    END,
    NOT_PLAIN,
    NOTHING,
    NUMBER,
    SHAPE,
    START,
    STRING,
    meaning,
    number,
)
from detector.formats.native_words import FIELD_NUMBERS, ID_BYTES_MAX, Field
from detector.formats.rows import TICKS_MAX
from detector.kernels import kernel
from detector.kernels.digest import digest_bytes
from detector.kernels.instants import instant_of_text
from detector.kernels.words import byte_at
from detector.model.events import DECIMALS_MAX

_QTY = FIELD_NUMBERS[Field.QTY]
_MINUS = ord("-")
_REAL_DIGITS_MAX = 2**53  # below it a whole number over a power of ten is the float nearest to the decimal
_POWERS = np.array([10.0**power for power in range(20)])


@kernel
def has(seen: Any, field: Any) -> Any:
    """Whether the message has the field."""
    return (seen >> np.uint64(field)) & np.uint64(1) != np.uint64(0)


@kernel
def word_meaning(payload: Any, values: Any, seen: Any, field: Any, column: Any) -> Any:
    """What the field's word means as `column`; NOTHING when it is missing, no string or no such word."""
    if not has(seen, field) or values[field, SHAPE] != STRING:
        return np.int64(NOTHING)
    return meaning(payload, values[field, START], values[field, END], column)


@kernel
def identity(payload: Any, values: Any, field: Any, key0: Any, key1: Any) -> Any:
    """Digest of an order id or account; 0 when it is not plain."""
    start = values[field, START]
    end = values[field, END]
    if values[field, SHAPE] == STRING:
        if start >= end or end - start > ID_BYTES_MAX:
            return np.uint64(0)
    elif values[field, SHAPE] != NUMBER or values[field, DECIMALS] != 0 or byte_at(payload, start) == _MINUS:
        return np.uint64(0)
    return digest_bytes(payload, start, end, key0, key1)


@kernel
def instant(payload: Any, values: Any, field: Any) -> Any:
    """ns since the epoch, of an integer or of an ISO-8601 UTC string; NOT_PLAIN when it is neither."""
    if values[field, SHAPE] == STRING:
        return instant_of_text(payload, values[field, START], values[field, END])
    if values[field, SHAPE] != NUMBER or values[field, DECIMALS] != 0:
        return np.int64(NOT_PLAIN)
    return values[field, DIGITS]


@kernel
def _digits(payload: Any, values: Any, field: Any) -> Any:
    """(plain, digits, decimals) of a number or a string that holds one."""
    if values[field, SHAPE] == NUMBER:
        return True, values[field, DIGITS], values[field, DECIMALS]
    if values[field, SHAPE] != STRING:
        return False, np.int64(0), np.int64(0)
    stop, digits, decimals = number(payload, values[field, START])
    return stop == values[field, END], digits, decimals


@kernel
def decimal(payload: Any, values: Any, seen: Any, field: Any, lowest: Any) -> Any:
    """(plain, ticks, decimals), without trailing zeros, as formats.rows.exact."""
    failed = (False, np.int64(0), np.int64(0))
    if not has(seen, field):
        return failed
    plain, ticks, decimals = _digits(payload, values, field)
    while decimals > 0 and ticks & 1 == 0 and ticks % 10 == 0:
        ticks //= 10
        decimals -= 1
    if not plain or decimals > DECIMALS_MAX or ticks < lowest or ticks >= TICKS_MAX or ticks <= -TICKS_MAX:
        return failed
    return True, ticks, decimals


@kernel
def price(payload: Any, values: Any, seen: Any, field: Any, lowest: Any, event: Any) -> Any:
    """Writes the price into the event; False when it is missing, not plain or below `lowest`."""
    plain, ticks, decimals = decimal(payload, values, seen, field, lowest)
    event["price_ticks"] = ticks
    event["price_decimals"] = decimals
    return plain


@kernel
def quantity(payload: Any, values: Any, seen: Any, lowest: Any, event: Any) -> Any:
    """Writes the quantity into the event; False when it is missing, not plain or below `lowest`."""
    plain, lots, decimals = decimal(payload, values, seen, _QTY, lowest)
    event["qty_lots"] = lots
    event["qty_decimals"] = decimals
    return plain


@kernel
def real(payload: Any, values: Any, seen: Any, field: Any) -> Any:
    """(plain, the nearest float); NaN when it is not said."""
    if not has(seen, field):
        return True, np.nan
    plain, digits, decimals = _digits(payload, values, field)
    if digits > _REAL_DIGITS_MAX or digits < -_REAL_DIGITS_MAX:
        return False, np.nan
    return plain, np.float64(digits) / _POWERS[decimals]

"""The values of a plain message, as the fast parser takes them: what native_values says, where it is plain."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.formats.native_scan import (
    DECIMALS,
    DIGITS,
    END,
    MEANINGS,
    NOT_PLAIN,
    NOTHING,
    NUMBER,
    SHAPE,
    START,
    STRING,
    WORD,
)
from detector.formats.native_words import ID_BYTES_MAX
from detector.formats.rows import TICKS_MAX
from detector.kernels import inlined
from detector.kernels.digest import digest_bytes
from detector.kernels.instants import instant_of_text
from detector.kernels.words import byte_at
from detector.model.events import DECIMALS_MAX

_MINUS = ord("-")
_REAL_DIGITS_MAX = 2**53  # below it a whole number over a power of ten is the float nearest to the decimal
_POWERS = np.array([10.0**power for power in range(20)])


@inlined
def has(seen: Any, field: Any) -> Any:
    """Whether the message has the field."""
    return (seen >> np.uint64(field)) & np.uint64(1) != np.uint64(0)


@inlined
def word(values: Any, field: Any, column: Any) -> Any:
    """What the field's word means as `column` of MEANINGS; NOTHING when it is no string or no such word."""
    if values[field, SHAPE] != STRING:
        return np.int64(NOTHING)
    return MEANINGS[values[field, WORD], column]


@inlined
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


@inlined
def instant(payload: Any, values: Any, field: Any) -> Any:
    """ns since the epoch, of an integer or of an ISO-8601 UTC string; NOT_PLAIN when it is neither."""
    if values[field, SHAPE] == STRING:
        return instant_of_text(payload, values[field, START], values[field, END])
    if values[field, SHAPE] != NUMBER or values[field, DECIMALS] != 0:
        return np.int64(NOT_PLAIN)
    return values[field, DIGITS]


@inlined
def decimal(values: Any, field: Any) -> Any:
    """(plain, ticks, decimals), without trailing zeros, as formats.rows.exact."""
    ticks = values[field, DIGITS]
    decimals = values[field, DECIMALS]
    while decimals > 0 and ticks & 1 == 0 and ticks % 10 == 0:
        ticks //= 10
        decimals -= 1
    plain = values[field, SHAPE] == NUMBER and decimals <= DECIMALS_MAX and ticks < TICKS_MAX and ticks > -TICKS_MAX
    return plain, ticks, decimals


@inlined
def real(values: Any, seen: Any, field: Any) -> Any:
    """The nearest float to an optional number: NaN when it is not said, infinity when it is not plain."""
    if not has(seen, field):
        return np.nan
    digits = values[field, DIGITS]
    if values[field, SHAPE] != NUMBER or digits > _REAL_DIGITS_MAX or digits < -_REAL_DIGITS_MAX:
        return np.inf
    return np.float64(digits) / _POWERS[values[field, DECIMALS]]

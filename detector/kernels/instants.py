"""Instants: ISO-8601 UTC text to nanoseconds since the epoch, in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.kernels.words import byte_at

NOT_AN_INSTANT = -1
_MINUS, _COLON, _POINT, _T, _Z, _ZERO, _NINE = (ord(byte) for byte in "-:.TZ09")
_DAY_S = 86_400


@kernel
def instant_of_text(payload: Any, start: Any, end: Any) -> Any:
    """ns since the epoch of payload[start:end] (uint8), or NOT_AN_INSTANT.

    Read is YYYY-MM-DDTHH:MM:SS, then perhaps a point and 1 to 9 digits, then Z or +00:00; from 1970 to 2199. Reads
    past `end`, into a message's padding, at most a text's length.
    """
    failed = np.int64(NOT_AN_INSTANT)
    if end - start < 20 or end - start > 35:
        return failed
    year = _two(payload, start) * 100 + _two(payload, start + 2)
    month = _two(payload, start + 5)
    day = _two(payload, start + 8)
    hour = _two(payload, start + 11)
    minute = _two(payload, start + 14)
    second = _two(payload, start + 17)
    # A pair that is not two digits counts as -10,000, which no sum below brings back into range.
    if year < 1970 or year > 2199 or month < 1 or month > 12 or day < 1 or day > _month_days(year, month):
        return failed
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return failed
    if byte_at(payload, start + 4) != _MINUS or byte_at(payload, start + 7) != _MINUS:
        return failed
    if byte_at(payload, start + 13) != _COLON or byte_at(payload, start + 16) != _COLON:
        return failed
    if byte_at(payload, start + 10) != _T:
        return failed
    at = start + 19
    part_ns = np.int64(0)
    if byte_at(payload, at) == _POINT:
        at += 1
        unit_ns = np.int64(1_000_000_000)
        while unit_ns > 1 and byte_at(payload, at) >= _ZERO and byte_at(payload, at) <= _NINE:
            unit_ns //= 10
            part_ns += (np.int64(byte_at(payload, at)) - _ZERO) * unit_ns
            at += 1
        if unit_ns == 1_000_000_000:
            return failed
    if not ((at + 1 == end and byte_at(payload, at) == _Z) or (at + 6 == end and _is_zero_offset(payload, at))):
        return failed
    seconds = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1_000_000_000 + part_ns


@kernel
def _two(payload: Any, at: Any) -> Any:
    """The number two digits make; -10,000 when they are none."""
    tens = np.int64(byte_at(payload, at)) - _ZERO
    ones = np.int64(byte_at(payload, at + 1)) - _ZERO
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return np.int64(-10_000)
    return tens * 10 + ones


@kernel
def _is_zero_offset(payload: Any, at: Any) -> Any:
    """`+00:00`"""
    return (
        byte_at(payload, at) == 43
        and _two(payload, at + 1) == 0
        and byte_at(payload, at + 3) == _COLON
        and _two(payload, at + 4) == 0
    )


@kernel
def _month_days(year: Any, month: Any) -> Any:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@kernel
def _days(year: Any, month: Any, day: Any) -> Any:
    """Days since 1970-01-01, of a date after it. Years are counted from March, so that the leap day comes last."""
    if month <= 2:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719_469

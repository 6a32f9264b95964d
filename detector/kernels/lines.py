"""Lines: where the records of a text file lie, and when a recorder says it received them."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel

# A recorder writes its receive time in front: "1723161255030314667 {...}" (an integer; its length tells the unit) or
# "1649023809.313331: {...}" (seconds). Anything else has no receive time.
_SECONDS_DIGITS = 10
_NANO_DIGITS = 19
_SPACE, _DOT, _COLON, _ZERO, _NINE, _RETURN = 32, 46, 58, 48, 57, 13


@kernel
def receive_ns(payload: Any, start: Any, end: Any) -> Any:
    """int64: the receive time that payload[start:end] (uint8) begins with, ns since the epoch; 0 = none."""
    at = start
    value = np.int64(0)
    while at < end and at - start < _NANO_DIGITS and payload[at] >= _ZERO and payload[at] <= _NINE:
        if at - start == _NANO_DIGITS - 1 and value >= 400_000_000_000_000_000:
            return np.int64(0)  # past the year 2096 and near the end of int64: nobody's clock
        value = value * 10 + (np.int64(payload[at]) - _ZERO)
        at += 1
    digits = at - start
    if digits < _SECONDS_DIGITS or at >= end:
        return np.int64(0)
    if payload[at] == _SPACE:
        if digits != 10 and digits != 13 and digits != 16 and digits != 19:
            return np.int64(0)  # s, ms, us, ns since the epoch have just these lengths from 2001 to 2286
        for _ in range(_NANO_DIGITS - digits):
            value *= 10
        return value
    if payload[at] != _DOT or digits != _SECONDS_DIGITS:
        return np.int64(0)
    at += 1
    decimals = 0
    while at < end and payload[at] >= _ZERO and payload[at] <= _NINE:
        if decimals < 9:
            value = value * 10 + (np.int64(payload[at]) - _ZERO)
            decimals += 1
        at += 1
    if decimals == 0 or at >= end or payload[at] != _COLON:
        return np.int64(0)
    for _ in range(9 - decimals):
        value *= 10
    return value


@kernel
def lay_lines(
    payload: Any, ends: Any, first_line: Any, line_bytes_max: Any, bounds: Any, offsets: Any, at_ns: Any
) -> Any:
    """Write where each line that is not empty lies; returns how many there are.

    payload   uint8 (bytes), lines from byte 0 on
    ends      int64 (lines), index of each line's newline; a carriage return before it belongs to the line's end
    bounds    int64 (lines, 2); a line of more than line_bytes_max bytes is cut to line_bytes_max + 1
    offsets   int64 (lines), first_line + the line's number; empty lines are counted too
    at_ns     int64 (lines), receive_ns
    """
    count = 0
    start = 0
    for i in range(len(ends)):
        end = ends[i]
        stop = end
        if stop > start and payload[stop - 1] == _RETURN:
            stop -= 1
        if first_line + i == 0 and stop - start >= 3:  # a byte order mark is no part of the first record
            if payload[start] == 0xEF and payload[start + 1] == 0xBB and payload[start + 2] == 0xBF:
                start += 3
        if stop > start:
            if stop - start > line_bytes_max:
                stop = start + line_bytes_max + 1
            bounds[count, 0] = start
            bounds[count, 1] = stop
            offsets[count] = first_line + i
            at_ns[count] = receive_ns(payload, start, stop)
            count += 1
        start = end + 1
    return count

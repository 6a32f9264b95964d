"""Lines: where the records of a text file lie, and when a recorder says it received them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.kernels import kernel
from detector.kernels.bits import trailing_zeros

# A recorder writes its receive time in front: "1723161255030314667 {...}" (an integer; its length tells the unit) or
# "1649023809.313331: {...}" (seconds). Anything else has no receive time.
_SECONDS_DIGITS = 10
_NANO_DIGITS = 19
_SPACE, _DOT, _COLON, _ZERO, _NINE, _RETURN = 32, 46, 58, 48, 57, 13

_NEWLINE = 10
_NEWLINES, _LOW_BITS = np.uint64(0x0A0A0A0A0A0A0A0A), np.uint64(0x7F7F7F7F7F7F7F7F)
_ONE, _BYTE_BITS = np.uint64(1), np.uint64(3)
_WORD, _WORD_BITS = 8, 3
_LINE_BYTES = 24  # room for as many lines as are no shorter; of shorter ones numpy finds the ends


def line_ends(payload: npt.NDArray[np.uint8], start: int, stop: int) -> npt.NDArray[np.int64]:
    """int64: where the newlines in payload[start:stop] (uint8) are."""
    room = np.empty((stop - start) // _LINE_BYTES + _WORD, np.int64)
    words = payload[: len(payload) >> _WORD_BITS << _WORD_BITS].view(np.uint64)
    found = int(find_ends(payload, words, start, stop, room))
    if found < 0:
        return np.flatnonzero(payload[start:stop] == _NEWLINE) + start
    return room[:found]


@kernel
def find_ends(payload: Any, words: Any, start: Any, stop: Any, ends: Any) -> Any:
    """Write where the newlines of payload[start:stop] are into `ends` int64; how many, -1 when it has not room for
    them. words: the payload as uint64, least significant byte first.

    A byte of a word is a newline where the exclusive or with newlines is 0 (Warren, Hacker's Delight, 6-1).
    """
    count = 0
    most = len(ends) - _WORD  # a word may hold so many
    first = min(stop, (start + _WORD - 1) >> _WORD_BITS << _WORD_BITS)
    last = max(first, stop >> _WORD_BITS << _WORD_BITS)
    for at in range(start, first):
        if payload[at] == _NEWLINE:
            ends[count] = at
            count += 1
    for place in range(first >> _WORD_BITS, last >> _WORD_BITS):
        word = words[place] ^ _NEWLINES
        found = ~(((word & _LOW_BITS) + _LOW_BITS) | word | _LOW_BITS)
        if found and count > most:
            return -1
        while found:
            ends[count] = (place << _WORD_BITS) + np.int64(trailing_zeros(found) >> _BYTE_BITS)
            count += 1
            found &= found - _ONE
    if count > most:
        return -1
    for at in range(last, stop):
        if payload[at] == _NEWLINE:
            ends[count] = at
            count += 1
    return count


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

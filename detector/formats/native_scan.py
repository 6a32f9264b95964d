"""The grammar of a plain message: one pass over a flat JSON object that finds the value of every known field.

What is not plain is not judged here: every function says NOT_PLAIN and the general parser takes over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from detector.formats.native_words import FIELD_NUMBERS, MARGIN_MODES, REASONS, SIDES, STATUSES, TYPES
from detector.kernels import inlined
from detector.kernels.bits import trailing_zeros
from detector.kernels.words import Words, byte_at, load, word_index

# A row of VALUES per field: what kind of value, where it stands (strings without their quotes), a number's digits and
# count of decimals, the index of a word. From FOLLOWS on, by kind of event, 0 = not known yet: which field came after
# this one last time. Producers keep the order of their keys, so it is tried first; it decides nothing but the time.
SHAPE, START, END, DIGITS, DECIMALS, FOLLOWS = range(6)
WORD = DIGITS
STRING, NUMBER, TRUE, FALSE = range(1, 5)
FIELDS = len(FIELD_NUMBERS)
BEGINNING = FIELDS + 1  # the row of what comes first; row FIELDS is of all unknown fields
NOT_PLAIN = -1

# What a word can mean: columns of MEANINGS, NOTHING where it is not that. The last row is of all other words.
AS_FIELD, AS_TYPE, AS_SIDE, AS_REASON, AS_STATUS, AS_MARGIN_MODE = range(6)
NOTHING = -100
_COLUMNS: tuple[Mapping[str, int], ...] = (
    FIELD_NUMBERS,
    TYPES,
    SIDES,
    REASONS,
    STATUSES,
    MARGIN_MODES,
)
_WORDS = list(dict.fromkeys(word for column in _COLUMNS for word in column))
_SLOTS, _PARTS, _LENGTHS, _MAGIC = Words(_WORDS).arrays
MEANINGS = np.array([[int(column.get(word, NOTHING)) for column in _COLUMNS] for word in [*_WORDS, ""]], np.int64)

# What a string may hold, by field: nothing to be looked into, a word, or a number.
_TEXT, _WORDY, _NUMERIC = range(3)
_HOLDS = np.full(FIELDS + 1, _TEXT, np.int64)
_HOLDS[[FIELD_NUMBERS[name] for name in ("type", "side", "reason", "status", "margin_mode")]] = _WORDY
_HOLDS[
    [
        FIELD_NUMBERS[name]
        for name in (
            *("price", "qty", "entry_price", "leverage", "previous", "notional", "margin", "liquidation_price"),
            *("index", "funding_rate", "open_interest"),
        )
    ]
] = _NUMERIC

_TYPE = FIELD_NUMBERS["type"]
_QUOTE, _BACKSLASH, _COMMA, _COLON, _OPEN, _CLOSE, _MINUS, _POINT = (ord(byte) for byte in '"\\,:{}-.')
_SPACE, _TAB, _NEWLINE, _RETURN, _ZERO, _NINE = (ord(byte) for byte in " \t\n\r09")
_ONES = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_QUOTES = np.uint64(0x2222222222222222)
_BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_SPACES = np.uint64(0x2020202020202020)
_ZEROS = np.uint64(0x3030303030303030)
_LOWS = np.uint64(0x7F7F7F7F7F7F7F7F)
_PAST_NINE = np.uint64(0x7676767676767676)  # added to a byte of at most 127, it sets the top bit from 10 on
_TRUE, _FALSE, _NULL = (np.uint64(int.from_bytes(word, "little")) for word in (b"true", b"fals", b"null"))
_FOUR_BYTES = np.uint64(0xFFFFFFFF)
_DIGITS_MAX = 19  # of a number, its zeros included: always fits into uint64
_TENS = np.array([10**power for power in range(9)], np.uint64)

# Each field's key as it is nearly always written, quotes and colon included: three words under a mask, and its length.
# Nothing under its mask equals the key of the last row, which stands for no guess.
_KEY_BYTES = 24
_KEYS = np.zeros((FIELDS + 1, 3), np.uint64)
_KEY_MASKS = np.zeros((FIELDS + 1, 3), np.uint64)
_KEY_LENGTHS = np.zeros(FIELDS + 1, np.int64)
for _name, _number in FIELD_NUMBERS.items():
    _key = f'"{_name}":'.encode()
    _KEYS[_number] = np.frombuffer(_key.ljust(_KEY_BYTES, b"\0"), np.uint64)
    _KEY_MASKS[_number] = np.frombuffer((b"\xff" * len(_key)).ljust(_KEY_BYTES, b"\0"), np.uint64)
    _KEY_LENGTHS[_number] = len(_key)
_KEYS[FIELDS] = 1


def values_table() -> Any:
    """VALUES, int64 (fields + 2, FOLLOWS + kinds + 1): where `scan` leaves what it found, and what it guesses from."""
    table = np.zeros((FIELDS + 2, FOLLOWS + len(TYPES) + 1), np.int64)
    table[:, FOLLOWS:] = FIELDS
    return table


@inlined
def scan(payload: Any, start: Any, end: Any, values: Any) -> Any:
    """Fields seen in payload[start:end], a bit each (uint64), their values in `values`; 0 = not plain.

    Reads at most a value's length past `end`, into the next message or the padding; whoever did ends beyond `end`,
    which is not plain either.
    """
    none = np.uint64(0)
    seen = none
    at = skip_space(payload, start, end)
    if byte_at(payload, at) != _OPEN:
        return none
    at += 1
    before = np.int64(BEGINNING)
    follows = np.int64(FOLLOWS)
    while True:
        field = values[before, follows]
        if _is_key(payload, at, field):  # most producers leave no space, so where there may be some is asked last
            at += _KEY_LENGTHS[field]
        else:
            at = skip_space(payload, at, end)
            if at >= end:
                return none
            if _is_key(payload, at, field):
                at += _KEY_LENGTHS[field]
            else:
                at, field = key_at(payload, at, end)
                if at < 0:
                    return none
                values[before, follows] = field
        if byte_at(payload, at) <= _SPACE:
            at = skip_space(payload, at, end)
        if at >= end:
            return none
        if field != FIELDS:
            bit = np.uint64(1) << np.uint64(field)
            if seen & bit:
                return none
            seen |= bit
        at = value_at(payload, at, end, values, field)
        if at < 0:
            return none
        before = field
        if field == _TYPE and values[field, SHAPE] == STRING:
            follows = FOLLOWS + max(np.int64(0), MEANINGS[values[field, WORD], AS_TYPE])
        byte = byte_at(payload, at)
        if byte <= _SPACE:
            at = skip_space(payload, at, end)
            byte = byte_at(payload, at)
        at += 1
        if byte == _COMMA:
            continue
        if byte != _CLOSE:
            return none
        return seen if skip_space(payload, at, end) == end else none


@inlined
def _is_key(payload: Any, at: Any, field: Any) -> Any:
    """Whether the field's key stands at `at`, to the last bit of its quotes and its colon."""
    differs = (load(payload, at) & _KEY_MASKS[field, 0]) ^ _KEYS[field, 0]
    differs |= (load(payload, at + 8) & _KEY_MASKS[field, 1]) ^ _KEYS[field, 1]
    if _KEY_LENGTHS[field] > 16:
        differs |= (load(payload, at + 16) & _KEY_MASKS[field, 2]) ^ _KEYS[field, 2]
    return differs == np.uint64(0)


@inlined
def key_at(payload: Any, at: Any, end: Any) -> Any:
    """(where the key at `at` ends with its colon, its field, FIELDS when it is unknown); NOT_PLAIN for where."""
    failed = (np.int64(NOT_PLAIN), np.int64(FIELDS))
    if byte_at(payload, at) != _QUOTE:
        return failed
    stop = string_end(payload, at + 1, end)
    if stop < 0:
        return failed
    field = MEANINGS[word_index(payload, at + 1, stop, _SLOTS, _PARTS, _LENGTHS, _MAGIC), AS_FIELD]
    at = skip_space(payload, stop + 1, end)
    if byte_at(payload, at) != _COLON:
        return failed
    return np.int64(at + 1), field if field >= 0 else np.int64(FIELDS)


@inlined
def value_at(payload: Any, at: Any, end: Any, values: Any, field: Any) -> Any:
    """Where the value that begins at `at` ends, itself in values[field]; or NOT_PLAIN."""
    byte = byte_at(payload, at)
    quoted = byte == _QUOTE
    if quoted:
        at += 1
        if _HOLDS[field] != _NUMERIC:
            stop = string_end(payload, at, end)
            if stop < 0:
                return NOT_PLAIN
            values[field, SHAPE] = STRING
            values[field, START] = at
            values[field, END] = stop
            if _HOLDS[field] == _WORDY:
                values[field, WORD] = word_index(payload, at, stop, _SLOTS, _PARTS, _LENGTHS, _MAGIC)
            return stop + 1
        byte = byte_at(payload, at)
    if byte == _MINUS or (byte >= _ZERO and byte <= _NINE):
        after, digits, decimals = number(payload, at)
        if after < 0 or (quoted and byte_at(payload, after) != _QUOTE):
            return NOT_PLAIN
        values[field, DIGITS] = digits
        values[field, DECIMALS] = decimals
        values[field, SHAPE] = NUMBER
        values[field, START] = at
        values[field, END] = after
        return after + 1 if quoted else after
    if quoted:
        return NOT_PLAIN
    word = load(payload, at) & _FOUR_BYTES
    if word == _TRUE:
        values[field, SHAPE] = TRUE
        return at + 4
    if word == _FALSE and byte_at(payload, at + 4) == 0x65:  # the e
        values[field, SHAPE] = FALSE
        return at + 5
    if word == _NULL and field == FIELDS:
        return at + 4
    return NOT_PLAIN


@inlined
def skip_space(payload: Any, at: Any, end: Any) -> Any:
    """The first place from `at` on that is no white space; not beyond `end`."""
    while at < end:
        byte = byte_at(payload, at)
        if byte > _SPACE or byte not in (_SPACE, _NEWLINE, _TAB, _RETURN):
            return at
        at += 1
    return at


@inlined
def string_end(payload: Any, at: Any, end: Any) -> Any:
    """Where the quote stands that ends the string; NOT_PLAIN at an escape, a control character or a non-ASCII one."""
    while at < end:
        word = load(payload, at)
        quotes = word ^ _QUOTES
        slashes = word ^ _BACKSLASHES
        # The top bit of each byte: is it a quote, a backslash, below a space, or not ASCII. A borrow can set a bit too
        # many, but only above one that is right, and the lowest is all that counts.
        found = ((quotes - _ONES) & ~quotes) | ((slashes - _ONES) & ~slashes) | ((word - _SPACES) & ~word) | word
        found &= _TOPS
        if found == np.uint64(0):
            at += 8
            continue
        at += np.int64(trailing_zeros(found) >> np.uint64(3))
        return at if at < end and byte_at(payload, at) == _QUOTE else NOT_PLAIN
    return NOT_PLAIN


@inlined
def number(payload: Any, at: Any) -> Any:
    """(end, digits as one signed integer, how many of them are decimals); the end is NOT_PLAIN if it is not."""
    failed = (NOT_PLAIN, np.int64(0), np.int64(0))
    negative = byte_at(payload, at) == _MINUS
    if negative:
        at += 1
    leading_zero = byte_at(payload, at) == _ZERO
    at, whole, digits = _digits(payload, at, np.int64(0), np.uint64(0))
    if whole == 0 or whole > _DIGITS_MAX or (whole > 1 and leading_zero):
        return failed
    decimals = np.int64(0)
    if byte_at(payload, at) == _POINT:
        at, count, digits = _digits(payload, at + 1, whole, digits)
        decimals = count - whole
        if decimals == 0 or count > _DIGITS_MAX:
            return failed
    if digits >> np.uint64(63):
        return failed
    signed = np.int64(digits)
    return at, -signed if negative else signed, decimals


@inlined
def _digits(payload: Any, at: Any, count: Any, digits: Any) -> Any:
    """The digits from `at` on behind `count` others that make `digits`: (the place after them, how many in all, uint64
    their number). It stops counting beyond _DIGITS_MAX; what it says then is no number."""
    while count <= _DIGITS_MAX:
        word = load(payload, at) ^ _ZEROS
        others = (((word & _LOWS) + _PAST_NINE) | word) & _TOPS
        if others == np.uint64(0):
            digits = digits * _TENS[8] + _eight(word)
            count += 8
            at += 8  # not `more`: where to go on is known before the count is
            continue
        more = trailing_zeros(others) >> np.uint64(3)
        if more != np.uint64(0):
            # zeros in front
            digits = digits * _TENS[more] + _eight(word << (np.uint64(64) - np.uint64(8) * more))
            count += np.int64(more)
            at += np.int64(more)
        break
    return at, count, digits


@inlined
def _eight(word: Any) -> Any:
    """The number that eight digits make, each a byte of 0 to 9, the first one lowest."""
    word = word * np.uint64(10) + (word >> np.uint64(8))
    low = (word & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
    high = ((word >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
    return (low + high) >> np.uint64(32)

"""The fast parser of a `book` of the native format: one plain object whose bids and asks are read in place.

Plain is what native_fast says, and: bids come before asks; each is an array of [price, qty], [price, qty, order_id] or
[price, qty, order_id, account], with numbers or strings of one for price and qty, strings or whole numbers for the ids,
and nothing else in them. Of all others the general parser says what they mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.formats.native_fast import NEEDS, TAKES
from detector.formats.native_parts import blank, has, identity, market_number, moment, shortest, word
from detector.formats.native_scan import (
    AS_TYPE,
    FIELDS,
    NOT_PLAIN,
    key_at,
    number,
    skip_space,
    string_end,
    value_at,
)
from detector.formats.native_words import FIELD_NUMBERS, ID_BYTES_MAX, Field, Limits
from detector.kernels import inlined, kernel
from detector.kernels.digest import digest_bytes
from detector.kernels.words import byte_at
from detector.model.events import Flag, Kind, Side

BOOK_DEPTH = 3  # brackets open at once in a plain book

_TYPE, _ACCOUNT = FIELD_NUMBERS[Field.TYPE], FIELD_NUMBERS[Field.ACCOUNT]
_BIDS, _ASKS = FIELD_NUMBERS[Field.BIDS], FIELD_NUMBERS[Field.ASKS]
_BOOK, _LEVEL, _ORDER = int(Kind.BOOK), int(Kind.LEVEL), int(Kind.ORDER)
_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_SNAPSHOT = int(Flag.SNAPSHOT)
_QUOTE, _COMMA, _MINUS, _OPEN, _CLOSE, _FIRST, _LAST = (ord(byte) for byte in '",-{}[]')


def book_rows(value: bytes, limits: Limits) -> int:
    """Rows that a message would take at most if it were a plain book; 0 when it is none or larger than one may be."""
    if b'"book"' not in value or len(value) > limits.book_bytes_max or limits.depth_max < BOOK_DEPTH:
        return 0
    brackets = value.count(b"[")  # one for each entry, one for each side, and those in names
    return brackets if brackets - 1 <= limits.rows_per_message_max else 0  # entries and the book's own row


@kernel
def read_book(
    payload: Any,
    start: Any,
    end: Any,
    offset: Any,
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
) -> Any:
    """The next free row after those of the book in payload[start:end], its first at `row`; NOT_PLAIN, and nothing
    changed but rows that were free, when the general parser must decide.

    `events` has room for `book_rows` rows from `row` on; the other arrays are those of native_fast.read_plain.
    """
    seen, free = _fields(payload, start, end, events, row, values, key0, key1)
    if seen & NEEDS[_BOOK] != NEEDS[_BOOK] or word(values, _TYPE, AS_TYPE) != _BOOK:
        return np.int64(NOT_PLAIN)
    seen &= TAKES[_BOOK]  # what means nothing for a book is ignored, whatever it holds
    book = events[row]
    blank(book)
    book["kind"] = _BOOK
    if not moment(payload, values, seen, book):
        return np.int64(NOT_PLAIN)
    if has(seen, _ACCOUNT):
        book["account"] = identity(payload, values, _ACCOUNT, key0, key1)
        if book["account"] == np.uint64(0):
            return np.int64(NOT_PLAIN)
    # The name is numbered last: a message that is refused must not leave one behind.
    market = market_number(payload, values, slots, digests, texts, lengths, count, near, key0, key1)
    if market < 0:
        return np.int64(NOT_PLAIN)
    for at in range(row, free):
        event = events[at]
        event["event_ns"] = book["event_ns"]
        event["market"] = market
        event["offset"] = offset
    return free


@inlined
def _fields(payload: Any, start: Any, end: Any, events: Any, row: Any, values: Any, key0: Any, key1: Any) -> Any:
    """(fields seen, a bit each, 0 = not plain; the free row behind the entries, which begin at row + 1)."""
    none = np.uint64(0)
    seen = none
    free = np.int64(row + 1)
    at = skip_space(payload, start, end)
    if byte_at(payload, at) != _OPEN:
        return none, free
    at += 1
    while True:
        at = skip_space(payload, at, end)
        if at >= end:
            return none, free
        at, field = key_at(payload, at, end)
        if at < 0:
            return none, free
        at = skip_space(payload, at, end)
        if at >= end:
            return none, free
        if field != FIELDS:
            bit = np.uint64(1) << np.uint64(field)
            if seen & bit:
                return none, free
            seen |= bit
        if field in (_BIDS, _ASKS):
            if field == _BIDS and has(seen, _ASKS):  # rows stand in the order bids, asks
                return none, free
            at, free = _side(payload, at, end, events, free, _BUY if field == _BIDS else _SELL, key0, key1)
        else:
            at = value_at(payload, at, end, values, field)
        if at < 0:
            return none, free
        at = skip_space(payload, at, end)
        byte = byte_at(payload, at)
        at += 1
        if byte == _COMMA:
            continue
        if byte != _CLOSE or skip_space(payload, at, end) != end:
            return none, free
        return seen, free


@kernel
def _side(payload: Any, at: Any, end: Any, events: Any, row: Any, side: Any, key0: Any, key1: Any) -> Any:
    """(where the array at `at` ends, the next free row), its entries in the rows from `row` on; NOT_PLAIN for where."""
    failed = (np.int64(NOT_PLAIN), np.int64(row))
    if byte_at(payload, at) != _FIRST:
        return failed
    at = skip_space(payload, at + 1, end)
    if at < end and byte_at(payload, at) == _LAST:
        return np.int64(at + 1), np.int64(row)
    while True:
        if at >= end or byte_at(payload, at) != _FIRST:
            return failed
        at = _entry(payload, at + 1, end, events[row], side, key0, key1)
        if at < 0:
            return failed
        row += 1
        at = skip_space(payload, at, end)
        if at >= end:
            return failed
        byte = byte_at(payload, at)
        if byte == _LAST:
            return np.int64(at + 1), np.int64(row)
        if byte != _COMMA:
            return failed
        at = skip_space(payload, at + 1, end)


@inlined
def _entry(payload: Any, at: Any, end: Any, event: Any, side: Any, key0: Any, key1: Any) -> Any:
    """Where the entry ends that goes on at `at`, after its bracket, itself in `event`; or NOT_PLAIN."""
    at, price, price_decimals = _amount(payload, skip_space(payload, at, end), end)
    if at < 0 or price <= 0 or byte_at(payload, at) != _COMMA:
        return np.int64(NOT_PLAIN)
    at, qty, qty_decimals = _amount(payload, skip_space(payload, at + 1, end), end)
    if at < 0 or qty < 0:
        return np.int64(NOT_PLAIN)
    blank(event)
    event["kind"] = _LEVEL
    event["side"] = side
    event["flags"] = _SNAPSHOT
    event["price_ticks"] = price
    event["price_decimals"] = price_decimals
    event["qty_lots"] = qty
    event["qty_decimals"] = qty_decimals
    if byte_at(payload, at) == _COMMA:
        event["kind"] = _ORDER
        at, order = _id(payload, skip_space(payload, at + 1, end), end, key0, key1)
        if at < 0 or qty == 0:
            return np.int64(NOT_PLAIN)
        event["order"] = order
        if byte_at(payload, at) == _COMMA:
            at, account = _id(payload, skip_space(payload, at + 1, end), end, key0, key1)
            if at < 0:
                return np.int64(NOT_PLAIN)
            event["account"] = account
    return np.int64(at + 1) if byte_at(payload, at) == _LAST else np.int64(NOT_PLAIN)


@inlined
def _amount(payload: Any, at: Any, end: Any) -> Any:
    """(where what follows the number at `at` stands, below `end`; its ticks; its decimals); NOT_PLAIN for where."""
    failed = (np.int64(NOT_PLAIN), np.int64(0), np.int64(0))
    quoted = byte_at(payload, at) == _QUOTE
    at, digits, decimals = number(payload, at + 1 if quoted else at)
    if at < 0:
        return failed
    if quoted:
        if byte_at(payload, at) != _QUOTE:
            return failed
        at += 1
    at = skip_space(payload, at, end)
    plain, ticks, decimals = shortest(digits, decimals)
    if at >= end or not plain:
        return failed
    return np.int64(at), ticks, decimals


@inlined
def _id(payload: Any, at: Any, end: Any, key0: Any, key1: Any) -> Any:
    """(where what follows the id at `at` stands, below `end`; its digest); NOT_PLAIN for where."""
    failed = (np.int64(NOT_PLAIN), np.uint64(0))
    start = at
    byte = byte_at(payload, at)
    if byte == _QUOTE:
        start = at + 1
        stop = string_end(payload, start, end)
        at = stop + 1
        if stop <= start or stop - start > ID_BYTES_MAX:
            return failed
    else:
        stop, _, decimals = number(payload, at)
        at = stop
        if stop < 0 or decimals != 0 or byte == _MINUS:
            return failed
    at = skip_space(payload, at, end)
    if at >= end:
        return failed
    return np.int64(at), digest_bytes(payload, start, stop, key0, key1)

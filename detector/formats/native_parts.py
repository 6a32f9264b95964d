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
from detector.formats.native_words import EVENT_NS_FIRST, EVENT_NS_LAST, FIELD_NUMBERS, ID_BYTES_MAX, SEQ_MAX
from detector.formats.rows import TICKS_MAX
from detector.kernels import inlined
from detector.kernels.digest import digest_bytes
from detector.kernels.instants import instant_of_text
from detector.kernels.names import NAME_BYTES_MAX, name_add, name_find, name_near
from detector.kernels.words import byte_at
from detector.model.events import DECIMALS_MAX

_TS, _MARKET, _SEQ = FIELD_NUMBERS["ts"], FIELD_NUMBERS["market"], FIELD_NUMBERS["seq"]
_MINUS = ord("-")
_REAL_DIGITS_MAX = 2**53  # below it a whole number over a power of ten is the float nearest to the decimal
_POWERS = np.array([10.0**power for power in range(20)])

_NAME_CHARACTERS = np.zeros(256, np.bool_)
_NAME_CHARACTERS[[ord(c) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-"]] = True


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
    plain, ticks, decimals = shortest(values[field, DIGITS], values[field, DECIMALS])
    return plain and values[field, SHAPE] == NUMBER, ticks, decimals


@inlined
def shortest(ticks: Any, decimals: Any) -> Any:
    """The same number without trailing zeros behind its point: (whether it is in range, ticks, decimals)."""
    while decimals > 0 and ticks & 1 == 0 and ticks % 10 == 0:
        ticks //= 10
        decimals -= 1
    return decimals <= DECIMALS_MAX and ticks < TICKS_MAX and ticks > -TICKS_MAX, ticks, decimals


@inlined
def real(values: Any, seen: Any, field: Any) -> Any:
    """The nearest float to an optional number: NaN when it is not said, infinity when it is not plain."""
    if not has(seen, field):
        return np.nan
    digits = values[field, DIGITS]
    if values[field, SHAPE] != NUMBER or digits > _REAL_DIGITS_MAX or digits < -_REAL_DIGITS_MAX:
        return np.inf
    return np.float64(digits) / _POWERS[values[field, DECIMALS]]


@inlined
def moment(payload: Any, values: Any, seen: Any, event: Any) -> Any:
    """When it happened, and its sequence number."""
    event_ns = instant(payload, values, _TS)
    if event_ns < EVENT_NS_FIRST or event_ns > EVENT_NS_LAST:
        return False
    event["event_ns"] = event_ns
    if has(seen, _SEQ):
        seq = values[_SEQ, DIGITS]
        if values[_SEQ, SHAPE] != NUMBER or values[_SEQ, DECIMALS] != 0 or seq < 0 or seq > SEQ_MAX:
            return False
        event["seq"] = seq
        event["first_seq"] = seq
    return True


@inlined
def market_number(
    payload: Any,
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
    """The market's number, below 0 when the name will not do or the table is full."""
    start = values[_MARKET, START]
    end = values[_MARKET, END]
    if values[_MARKET, SHAPE] != STRING or start >= end or end - start > NAME_BYTES_MAX:
        return np.int64(NOT_PLAIN)
    number, spot = name_near(payload, start, end, near, texts, lengths)
    if number >= 0:
        return number
    digest = digest_bytes(payload, start, end, key0, key1)
    place = name_find(payload, start, end, digest, slots, digests, texts, lengths)
    if place >= 0:
        near[spot] = slots[place]
        return np.int64(slots[place])
    for at in range(start, end):  # a name that is held was looked at when it came
        if not _NAME_CHARACTERS[byte_at(payload, at)]:
            return np.int64(NOT_PLAIN)
    return name_add(payload, start, end, digest, place, slots, digests, texts, lengths, count)


@inlined
def blank(event: Any) -> Any:
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

"""What single values of a native message mean: numbers, words, ids, times. The reference the fast parser is held to."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from detector.formats.native_words import (
    EVENT_NS_FIRST,
    EVENT_NS_LAST,
    ID_BYTES_MAX,
    ID_INTEGER_MAX,
    MARKET_NAME,
    Field,
    Refusal,
)
from detector.formats.rows import NUMBER_CHARS_MAX, Unreadable, exact
from detector.kernels.digest import digest

Fields = Mapping[str, Any]

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|\+00:00)", re.ASCII
)
_MARKET = re.compile(MARKET_NAME, re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def needed(fields: Fields, field: Field) -> Any:
    """The field's value; null counts as missing, as it does everywhere."""
    value = fields.get(field)
    if value is None:
        raise Unreadable(Refusal.MISSING_FIELD.of(field))
    return value


def text_of(fields: Fields, field: Field) -> str:
    """A string that must be there."""
    value = needed(fields, field)
    if type(value) is not str:
        raise Unreadable(Refusal.WRONG_TYPE.of(field))
    return value


def word_of(fields: Fields, field: Field, words: Mapping[str, int]) -> int:
    """One of a closed set of words."""
    code = words.get(text_of(fields, field))
    if code is None:
        raise Unreadable(Refusal.UNKNOWN_WORD.of(field))
    return code


def market_of(fields: Fields) -> bytes:
    """The market's name, of harmless characters only."""
    name = text_of(fields, Field.MARKET)
    if not _MARKET.fullmatch(name):
        raise Unreadable(Refusal.MARKET_NAME)
    return name.encode()


def integer(value: Any, field: Field, largest: int) -> int:
    """0..largest."""
    if type(value) is not int:
        raise Unreadable(Refusal.WRONG_TYPE.of(field))
    if not 0 <= value <= largest:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return value


def identity_of(value: Any, field: Field, key: tuple[int, int]) -> int:
    """The digest of an order id or account; 0 for none. The integer 123 and the string "123" are the same one."""
    if value is None:
        return 0
    if type(value) is not str:
        return digest(b"%d" % integer(value, field, ID_INTEGER_MAX), key)
    text = value.encode()
    if not 0 < len(text) <= ID_BYTES_MAX:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return digest(text, key)


def time_of(value: Any) -> int:
    """ns since the epoch, of an integer or an ISO-8601 UTC string."""
    if type(value) is str:
        parts = _TIME.fullmatch(value)
        if parts is None:
            raise Unreadable(Refusal.NOT_A_TIME.of(Field.TS))
        try:
            moment = datetime(*(int(part) for part in parts.groups()[:6]), tzinfo=UTC) - _EPOCH  # type: ignore[arg-type,misc]
        except ValueError:  # the 30th of February, 25 o'clock
            raise Unreadable(Refusal.NOT_A_TIME.of(Field.TS)) from None
        value = (moment.days * 86_400 + moment.seconds) * 10**9 + int((parts[7] or "").ljust(9, "0"))
    if type(value) is not int:
        raise Unreadable(Refusal.WRONG_TYPE.of(Field.TS))
    if not EVENT_NS_FIRST <= value <= EVENT_NS_LAST:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(Field.TS))
    return int(value)


def _number_text(value: Any, field: Field) -> str:
    """The decimal text of a JSON number or a string that should hold one."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Unreadable(Refusal.WRONG_TYPE.of(field))
    text = str(value)
    if len(text) > NUMBER_CHARS_MAX:
        raise Unreadable(Refusal.NUMBER_TOO_LARGE.of(field))
    return text


def decimal(value: Any, field: Field) -> tuple[int, int]:
    """(ticks, decimals), exactly."""
    text = _number_text(value, field)
    try:
        return exact(text)
    except Unreadable as refused:
        raise Unreadable(Refusal(refused.reason).of(field)) from None


def positive(value: Any, field: Field) -> tuple[int, int]:
    """A decimal above 0."""
    ticks, decimals = decimal(value, field)
    if ticks <= 0:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return ticks, decimals


def not_negative(value: Any, field: Field) -> tuple[int, int]:
    """A decimal of at least 0."""
    ticks, decimals = decimal(value, field)
    if ticks < 0:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return ticks, decimals


_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)


def real(fields: Fields, field: Field, *, lowest: float = -math.inf, above: float = -math.inf) -> float:
    """The nearest float to an optional number; NaN when it is not said."""
    value = fields.get(field)
    if value is None:
        return math.nan
    text = _number_text(value, field)
    if not _REAL.fullmatch(text):
        raise Unreadable(Refusal.NOT_A_NUMBER.of(field))
    number = float(text) + 0.0  # -0.0 becomes 0.0
    if math.isinf(number):
        raise Unreadable(Refusal.NUMBER_TOO_LARGE.of(field))
    if number < lowest or number <= above:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return number

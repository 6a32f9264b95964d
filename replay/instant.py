"""Instants: ISO-8601 or integer nanoseconds, to nanoseconds since the epoch and back, without a float on the way."""

from __future__ import annotations

import re
from datetime import UTC, datetime

SECOND_NS = 1_000_000_000
EVENT_NS_MAX = 2**62

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?\s*([Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_instant(text: int | str) -> int:
    """Nanoseconds since the epoch. Without a zone it is UTC; without a time it is the day's begin. Raises ValueError.

    >>> parse_instant("2026-11-22T10:03:31.120Z"), parse_instant("2026-11-22"), parse_instant("1767571200000000000")
    (1795341811120000000, 1795305600000000000, 1767571200000000000)
    """
    if isinstance(text, bool):
        raise ValueError(f"{text!r} is no instant")
    if isinstance(text, int) or (text.isascii() and text.isdigit() and len(text) <= 19):
        instant_ns = int(text)
    else:
        instant_ns = _parse_iso(text)
    if not 0 <= instant_ns < EVENT_NS_MAX:
        raise ValueError(f"{text!r} lies before 1970 or after 2116")
    return instant_ns


def format_instant(instant_ns: int) -> str:
    """ISO-8601 in UTC, to the millisecond, as the alerts say it.

    >>> format_instant(1795341811120000000)
    '2026-11-22T10:03:31.120Z'
    """
    seconds, rest_ns = divmod(instant_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"


def _parse_iso(text: str) -> int:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no instant; write 2026-11-22T10:03:31Z or nanoseconds since the epoch")
    year, month, day, hour, minute, second, part, zone = found.groups()
    try:
        # 23:59:60 is the second that leap seconds add; the epoch's count has no room for it
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(59, int(second or 0)), tzinfo=UTC
        )
    except ValueError as error:
        raise ValueError(f"{text!r} is no instant: {error}") from None
    since = moment - _EPOCH
    instant_ns = (since.days * 86_400 + since.seconds) * SECOND_NS + int((part or "0").ljust(9, "0"))
    if zone and zone not in "Zz":
        sign = -1 if zone[0] == "-" else 1
        instant_ns -= sign * (int(zone[1:3]) * 60 + int(zone[-2:])) * 60 * SECOND_NS
    return instant_ns

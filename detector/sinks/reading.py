"""Reading: an alert read back from its JSON, as far as other people's formats need it, and its texts made harmless."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

TEST, HEARTBEAT = "foreshock.test", "foreshock.heartbeat"
CUT = "…"
_UNSEEN = dict.fromkeys((*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF))


class Contributor(msgspec.Struct, frozen=True):
    """Who stands behind it, by a pseudonym."""

    account: str
    share: float


class Moment(msgspec.Struct, frozen=True):
    """One step of the story, without its score."""

    market: str
    detector: str


class Lead(msgspec.Struct, frozen=True):
    """The market that moved first."""

    market: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The contract's `data`. What a notice about ourselves lacks is empty."""

    incident_id: str
    status: Literal["firing", "resolved"]
    reason: str
    severity: Literal["info", "warning", "critical"]
    kind: str
    title: str
    summary: str
    started_at: datetime
    ended_at: datetime | None = None
    markets: tuple[str, ...] = ()
    timeline: tuple[Moment, ...] = ()
    contributors: tuple[Contributor, ...] = ()
    links: Mapping[str, str | None] = {}
    led_by: Lead | None = None
    expected_every: str = ""
    delayed_by_s: float = 0.0
    reopened: bool = False
    momentary: bool = False

    @property
    def leading(self) -> str:
        """The market that moved before the others, else the first that joined; '' = it is about none."""
        return self.led_by.market if self.led_by is not None else next(iter(self.markets), "")


class Letter(msgspec.Struct, frozen=True):
    """What travels. `data` is kept as it came beside what is read of it."""

    type: str
    timestamp: datetime
    data: msgspec.Raw

    def told(self) -> Told:
        """Raises msgspec.MsgspecError where it is no alert's."""
        return msgspec.json.decode(self.data, type=Told)

    def fields(self) -> dict[str, object]:
        """All of `data`."""
        return msgspec.json.decode(self.data, type=dict[str, object])


def fires(letter: Letter, told: Told) -> bool:
    """Whether somebody is to be told that it is so now. The end of a test would close what nobody has seen."""
    return told.status == "firing" or letter.type == TEST


def is_momentary_end(data: Mapping[str, object]) -> bool:
    """The end of what was over when it was told: it comes in the same moment, and would close what nobody has seen."""
    return data.get("momentary") is True and data.get("status") == "resolved"


def instant(at: datetime) -> str:
    """As our contract and RFC 3339 write it.

    >>> instant(datetime(2026, 11, 22, 10, 23, 19, 120_000, UTC))
    '2026-11-22T10:23:19.120Z'
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(text: str) -> str:
    """One line in which nothing is hidden: control and formatting characters are shown as their codes or left out.

    >>> shown("BTC" + chr(0x202E) + chr(10) + "PERP")
    'BTC\\\\nPERP'
    """
    if text.isascii() and text.isprintable():
        return text
    plain = text.translate(_UNSEEN)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)


def cut(text: str, characters_max: int) -> str:
    """At most so many characters; what was cut ends with an ellipsis.

    >>> cut("leverage", 8), cut("leverage", 5)
    ('leverage', 'leve…')
    """
    return text if len(text) <= characters_max else text[: characters_max - 1] + CUT


def named(names: tuple[str, ...], names_max: int) -> str:
    """The first of them, and how many more there are.

    >>> named(("A", "B", "C"), 2)
    'A, B and 1 more'
    """
    more = len(names) - names_max
    return ", ".join(shown(name) for name in names[:names_max]) + (f" and {more} more" if more > 0 else "")

"""Incident: scores that belong together, from the first signal to the all-clear."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from detector.model.score import Evidence

# Whom an alert names: nobody, or the accounts that lately cancelled, that raised their leverage, or the makers whose
# quotes are missing (features/contributors.py).
Behind = Literal["", "cancels", "raises", "quotes"]


class Severity(IntEnum):
    """Ordered, so that an incident can rise."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def label(self) -> str:
        """The contract's word: info, warning, critical."""
        return self.name.lower()


class Reason(StrEnum):
    """Why somebody is told."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the story: which market and detector moved when, and how far."""

    at_ns: int
    market: str
    detector: str
    score: float


@dataclass(frozen=True, slots=True)
class Contributor:
    """An account's share of what was unusual. `account` is the digest; its pseudonym is made as an alert is written.
    maker: it is one of the market's makers, who have a part in all that happens there."""

    account: int
    share: float
    maker: bool = False


@dataclass(frozen=True, slots=True)
class Opinion:
    """What another method makes of it: rank 1 = the most unusual of `of` windows; `agrees` = it finds it unusual."""

    method: str
    rank: int
    of: int
    agrees: bool


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What else was unusual: evidence without a share in any score. `deviations`: signed, from the market's usual."""

    market: str
    feature: str
    unit: str
    meaning: str
    observed: float
    usual: float
    deviations: float


@dataclass(frozen=True, slots=True)
class Lead:
    """Which market moved first, and how long before the next one did."""

    market: str
    following: str
    by_ns: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the log it stands: offsets, both inclusive."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int


@dataclass(frozen=True, slots=True)
class Incident:
    """One episode. Its id is a pure function of the log and the configuration (operations.md, Identity)."""

    incident_id: str
    seq: int
    reason: Reason
    severity: Severity
    kind: str
    markets: tuple[str, ...]
    detectors: tuple[str, ...]
    score: float
    peak: float
    started_ns: int
    detected_ns: int
    updated_ns: int
    ended_ns: int | None
    evidence: tuple[Evidence, ...]
    timeline: tuple[Moment, ...]
    contributors: tuple[Contributor, ...] = ()
    position: tuple[Position, ...] = ()
    warming: bool = False
    lacks: tuple[str, ...] = ()  # what the feed of one of its markets does not tell: "accounts", "order ids"
    phases: tuple[str, ...] = ()  # planned phases that its markets were in when evidence was last taken
    context: tuple[Circumstance, ...] = ()  # furthest from its usual first
    second_opinion: Opinion | None = None
    every_s: float = 0.0  # seconds of market time between two such peaks in normal times, 0 = not known
    led_by: Lead | None = None  # None: one market, or several moved first

    @property
    def degraded(self) -> bool:
        """Seen less sharply than a feed that names everything would allow."""
        return bool(self.lacks)

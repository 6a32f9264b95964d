"""Restart: a market whose feed began anew where nobody had announced it, and whose books followed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Anew(Enum):
    """What began anew."""

    NUMBERS = "numbers"
    SCALE = "scale"


@dataclass(frozen=True, slots=True)
class Restart:
    """at_ns: the latest of `times` since the market's last was told; before, after: what held until then, and since."""

    market: str
    what: Anew
    at_ns: int
    times: int
    before: str
    after: str

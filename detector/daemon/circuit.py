"""Circuit: how patient to be with a destination that fails. Pure: the time and the dice are arguments."""

from __future__ import annotations

from enum import StrEnum
from random import Random

BACKOFF_MIN_S = 1.0
BACKOFF_MAX_S = 300.0
FAILURES_MAX = 5  # in a row, before a destination is left alone


class Mood(StrEnum):
    """closed: all is well; open: left alone until a time, then one attempt decides; off: it wants nothing any more."""

    CLOSED = "closed"
    OPEN = "open"
    OFF = "off"


def backoff_s(failures: int, random: Random, min_s: float = BACKOFF_MIN_S, max_s: float = BACKOFF_MAX_S) -> float:
    """Full jitter: anything from nothing to a bound that doubles, so that a herd spreads out. failures >= 1."""
    return random.uniform(0.0, min(max_s, min_s * 2.0 ** min(failures - 1, 16)))


class Circuit:
    """Of one destination. Ask `allows` before an attempt, tell `succeeded` or `failed` after it. Times are monotonic
    seconds: on a wall clock that is set back an hour, a wait of half a minute would last that much longer."""

    def __init__(self, random: Random, min_s: float = BACKOFF_MIN_S, max_s: float = BACKOFF_MAX_S) -> None:
        self.mood = Mood.CLOSED
        self.failures = 0  # in a row
        self.why = ""
        self.until_s = 0.0
        self._random = random
        self._min_s, self._max_s = min_s, max_s
        self._opened = 0  # times in a row

    def allows(self, now_s: float, under_way: int, concurrency: int) -> int:
        """How many attempts may begin now."""
        if self.mood is Mood.OFF or now_s < self.until_s:
            return 0
        if self.mood is Mood.OPEN:  # half-open: a probe
            return 1 if under_way == 0 else 0
        return concurrency - under_way

    def succeeded(self) -> None:
        """It answered: a letter it rejects is an answer too."""
        if self.mood is not Mood.OFF:
            self.mood, self.failures, self._opened, self.until_s, self.why = Mood.CLOSED, 0, 0, 0.0, ""

    def failed(self, now_s: float, why: str, retry_after_s: float | None) -> None:
        """It did not; what it asked for (Retry-After) holds for everything sent to it."""
        self.failures += 1
        self.why = why
        if self.mood is Mood.OFF:
            return
        # attempts that were under way together open it once: those that end after it opened are no probes
        if now_s >= self.until_s and (self.mood is Mood.OPEN or self.failures >= FAILURES_MAX):
            self._opened += 1
            half = min(self._max_s, self._min_s * 2.0 ** min(self._opened, 16)) / 2
            self.until_s = now_s + half + self._random.uniform(0.0, half)
            self.mood = Mood.OPEN
        if retry_after_s is not None:
            self.until_s = max(self.until_s, now_s + retry_after_s)

    def switch_off(self, why: str) -> None:
        """For the life of the process: the receiver said so (410)."""
        self.mood, self.why = Mood.OFF, why

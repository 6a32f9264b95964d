"""Lateness: whether so many events come too late, or at a time that cannot be theirs, that somebody's clock is wrong.

What is late changes books and counts in no window; what is far ahead counts at another time than it says
(engine/lane.py). Either way a market may be judged by half of its events, and nothing else would say so. Decided by
the log alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from detector.model.state import State

WINDOWS = 60  # that are looked at together
SHARE = 0.2  # of their events; half as many, and it is over
COUNT_MIN = 30


@dataclass(frozen=True, slots=True)
class WrongClock:
    """To be told. since_ns: when it was first found, at_ns: now (event time); of `events` so many were late, skewed.
    back_ns > 0: nothing of that, but event time went back by so much."""

    since_ns: int
    at_ns: int
    firing: bool
    events: int = 0
    late: int = 0
    skewed: int = 0
    back_ns: int = 0


class Lateness:
    """`close` after every window, with what was counted since the log began."""

    def __init__(self) -> None:
        self._totals: deque[tuple[int, int, int]] = deque(maxlen=WINDOWS + 1)  # events, late, skewed as windows closed
        self._since_ns = 0  # 0 = all is well

    def close(self, close_ns: int, events: int, late: int, skewed: int) -> tuple[WrongClock, ...]:
        """A window closed."""
        self._totals.append((events, late, skewed))
        before = self._totals[0]
        events, late, skewed = events - before[0], late - before[1], skewed - before[2]
        wrong, firing = late + skewed, self._since_ns > 0
        if firing == (wrong >= COUNT_MIN and wrong > events * SHARE * (0.5 if firing else 1.0)):
            return ()
        since_ns = self._since_ns or close_ns
        self._since_ns = 0 if firing else close_ns
        return (WrongClock(since_ns, close_ns, not firing, events, late, skewed),)

    def state(self) -> State:
        """For a checkpoint."""
        return {"totals": np.array(self._totals, np.int64).reshape(-1, 3), "since_ns": self._since_ns}

    def restore(self, state: State) -> None:
        """Go on from a checkpoint."""
        rows = np.asarray(state["totals"]).tolist()
        self._totals = deque(((events, late, skewed) for events, late, skewed in rows), WINDOWS + 1)
        self._since_ns = int(str(state["since_ns"]))

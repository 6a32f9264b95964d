"""Calendar: phases that are planned, by event time alone: a funding minute, a listing, an expiry, a maintenance.

In a busy phase (funding, listing) everybody acts at once and an attack may hide in it: nothing is learned, and every
rank needs the level of the next graver one, so that a page takes what else would be critical. In a closed phase
(expiry, maintenance) trading stands still as in a halt: nothing is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from detector.model.score import Score


@dataclass(frozen=True, slots=True)
class Phase:
    """From start_ns on for lasts_ns, again every `every_ns` (0 = once), in `markets` (empty = all)."""

    name: str
    start_ns: int
    lasts_ns: int
    every_ns: int = 0
    markets: tuple[str, ...] = ()
    closed: bool = False

    def touches(self, from_ns: int, to_ns: int) -> bool:
        """Some of (from_ns, to_ns] lies in it.

        >>> hour = Phase("funding", start_ns=50, lasts_ns=10, every_ns=100)
        >>> [hour.touches(at, at + 5) for at in (0, 46, 59, 60, 146, 255)]
        [False, True, True, False, True, True]
        """
        start_ns = self.start_ns
        if self.every_ns > 0:
            start_ns += max(0, (to_ns - start_ns) // self.every_ns) * self.every_ns
        return start_ns <= to_ns and from_ns < start_ns + self.lasts_ns


class Calendar:
    """All phases of one configuration. Holds no state."""

    def __init__(self, phases: Sequence[Phase] = ()) -> None:
        self.phases = tuple(phases)

    def during(self, from_ns: int, to_ns: int) -> tuple[Phase, ...]:
        """Those that some of (from_ns, to_ns] lies in."""
        return tuple(phase for phase in self.phases if phase.touches(from_ns, to_ns))

    def within(
        self, from_ns: int, to_ns: int, markets: Sequence[str]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """bool (M), bool (M): markets in a busy phase, markets in a closed one."""
        busy, closed = np.zeros((2, len(markets)), np.bool_)
        phases = self.during(from_ns, to_ns)
        if not phases:
            return busy, closed
        for phase in phases:
            hit = closed if phase.closed else busy
            hit |= np.array([market in phase.markets for market in markets], np.bool_) if phase.markets else True
        return busy & ~closed, closed

    def names(self, market: str, from_ns: int, to_ns: int) -> tuple[str, ...]:
        """Busy phases that `market` is in."""
        found = (phase for phase in self.during(from_ns, to_ns) if not phase.closed)
        return tuple(phase.name for phase in found if not phase.markets or market in phase.markets)


def raised(scores: Sequence[Score], busy: npt.NDArray[np.bool_]) -> tuple[Score, ...]:
    """The scores with the levels of busy markets raised by one rank; critical by as much as warning was."""
    if not np.count_nonzero(busy):
        return tuple(scores)
    return tuple(replace(score, levels=_raised(score.levels, busy)) for score in scores)


def _raised(levels: npt.NDArray[np.float64], busy: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    _, warning, critical = levels
    with np.errstate(invalid="ignore"):
        beyond = np.where(np.isfinite(critical), critical + (critical - warning), critical)
    return np.where(busy, np.stack((warning, critical, beyond)), levels)

"""Early: looks into windows that are still open, so that a burst beyond doubt is told before its window ends.

A look is at an instant of event time, a multiple of `every_ns`: every lane is folded exactly that far, as it is for a
window's end, so looks depend on batches and interleaving as little as closes do. What is looked at are counts that only
grow inside a window. A look learns nothing and changes nothing; what it finds goes to the correlator, and the window's
own close follows as if nobody had looked.

    count of a market over the open windows >= the detector's floor      nearly never, and that is all a look costs
    score on copies, activity taken for busier than it was                detector.early
    beyond warning by EARLY_MARGIN                                         the correlator opens or raises the incident
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from detector.anomaly.base import Detector
from detector.engine.calendar import raised
from detector.engine.shard import Shard
from detector.engine.shards import Shards
from detector.model.score import Score
from detector.model.state import State


class Early:
    """`stops` between two closes, `look` at each, `closed` after each close. every_ns = 0: never."""

    def __init__(self, shard: Shard | Shards, detectors: Sequence[Detector], every_ns: int) -> None:
        self.every_ns = every_ns
        self.looked_ns = 0  # event time of the last look
        self._shard = shard
        self._detectors = [detector for detector in detectors if detector.GROWS]
        for detector in self._detectors:
            shard.grown(detector.GROWS, range(0))  # what nobody counts is told now, not at the first look
        self._floors: list[Any] = []  # float64 (counts, M) of each detector; empty = ask again
        self._quiet_at = -1  # events folded when last nothing was worth a closer look

    def stops(self, from_ns: int, limit_ns: int) -> Iterator[int]:
        """Instants in [from_ns, limit_ns) that nobody has looked at yet."""
        if not self.every_ns:
            return
        first = max(self.looked_ns // self.every_ns + 1, -(-from_ns // self.every_ns))
        for at in range(first, -(-limit_ns // self.every_ns)):
            yield at * self.every_ns
            self.looked_ns = at * self.every_ns

    def look(self, at_ns: int, open_window: int, told: Callable[[], frozenset[str]]) -> tuple[Score, ...]:
        """One Score for each detector and market worth a closer look, as if its open windows closed now; close_ns is
        the end of the first of them in which it is unusual. told: markets of which the worst is known already."""
        shard = self._shard
        folded = shard.folded
        if folded == self._quiet_at or not self._detectors:
            return ()
        width_ns = shard.width_ns
        windows = range(open_window, (at_ns - 1) // width_ns + 1)
        suspects = [rows for rows in self._suspects(windows, told) if len(rows[1])]
        if not suspects:
            self._quiet_at = folded
            return ()
        so_far = [shard.so_far(window) for window in windows]
        passed = [min(1.0, (at_ns - window * width_ns) / width_ns) for window in windows]
        found = [score for detector, rows in suspects for score in detector.early(so_far, passed, rows)]
        busy = so_far[-1].busy
        if busy is None:
            return tuple(found)
        return tuple(one for score in found for one in raised((score,), busy[[shard.index[score.markets[0]]]]))

    def closed(self) -> None:
        """A window closed: what is usual may have moved, and counts have left."""
        self._floors = []
        self._quiet_at = -1

    def begin_again(self) -> None:
        """Event time stepped back."""
        self.looked_ns = 0
        self.closed()

    def state(self) -> State:
        """For a checkpoint."""
        return {"looked_ns": self.looked_ns}

    def restore(self, state: State) -> None:
        """Go on from a checkpoint."""
        self.looked_ns = int(str(state["looked_ns"]))
        self.closed()

    def _suspects(self, windows: range, told: Callable[[], frozenset[str]]) -> Iterator[tuple[Detector, Any]]:
        count = len(self._shard.markets)
        if not self._floors or self._floors[0].shape[1] != count:
            self._floors = [detector.early_from(count) for detector in self._detectors]
        for detector, floor in zip(self._detectors, self._floors, strict=True):
            rows = np.flatnonzero((self._shard.grown(detector.GROWS, windows) >= floor).any(axis=0))
            if len(rows):
                known = told()
                rows = np.array([row for row in rows.tolist() if self._shard.markets[row] not in known], np.int64)
            yield detector, rows

"""Lane: one partition's decoded events on their way into the fold, and how far event time has come there.

A lane's clock is the largest event time so far, record by record. Two things keep one wrong timestamp from harming it:
a record that leaps further ahead than leap_ns waits for the next one and is put at the clock when that one contradicts
it (`skewed`); and a lane whose records all lie far behind the clock for BEHIND_MAX records steps back (`stepped_back`).
Only the log decides, so live and replay agree.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.kernels.clocks import NOT_ORDINARY, lay_clocks
from detector.model.events import EventBatch
from detector.model.state import State

BEHIND_NS = 60_000_000_000
BEHIND_MAX = 1000  # records


@dataclass(slots=True, eq=False)
class Staged:
    """A decoded batch with the clock after each row (int64, never falling) and how many rows are folded."""

    batch: EventBatch
    clocks: npt.NDArray[np.int64]
    decoder: State  # what the decoder held before it
    at: int = 0


class Lane:
    """Order in, order out. `next_offset` is the first record not wholly folded."""

    def __init__(self, topic: str, partition: int, leap_ns: int) -> None:
        self.topic = topic
        self.partition = partition
        self.leap_ns = leap_ns
        self.clock_ns = 0  # of released records
        self.folded_ns = 0  # of folded ones
        self.idle_ns = 0
        self.next_offset = -1
        self.behind = 0
        self.skewed = 0
        self.stepped_back = False
        self.queue: deque[Staged] = deque()
        self.rows = 0  # staged, not folded
        self._held: tuple[EventBatch, State, int] | None = None

    @property
    def frontier_ns(self) -> int:
        """Event time this lane has reached: every later record is at it or after, lateness aside."""
        return max(self.clock_ns, self.idle_ns)

    def put(self, batch: EventBatch, decoder: State) -> None:
        """Take a decoded batch. Its last record may be held back until the next one comes (see leap_ns)."""
        if self.next_offset < 0:
            self.next_offset = batch.first_offset
        if self._held is not None:
            self._release(batch.events)
        if batch.idle_ns > self.idle_ns:
            self.idle_ns = batch.idle_ns
            if self._held is not None:
                self._release(None)
        if len(batch.events) == 0:
            if not self.queue and self._held is None:
                self.next_offset = max(self.next_offset, batch.next_offset)
            return
        self._stage(batch, decoder, 0, None)

    def flush(self) -> None:
        """Nothing follows: what was held back is released as it is."""
        if self._held is not None:
            self._release(None)

    def _release(self, following: Any) -> None:
        if following is not None and len(following) == 0:
            return
        assert self._held is not None
        batch, decoder, start = self._held
        self._held = None
        self._stage(batch, decoder, start, following if following is not None else batch.events[:0])

    def _stage(self, batch: EventBatch, decoder: State, start: int, following: Any) -> None:
        events = batch.events
        clocks = np.empty(len(events), np.int64)
        row = start
        stop = len(events)
        last_ns = int(lay_clocks(events, start, self.clock_ns, self.leap_ns, BEHIND_NS, clocks))
        if last_ns != NOT_ORDINARY:
            self.clock_ns = last_ns
            self.behind = 0
        else:
            times = events["event_ns"]
            bounds = _bounds(events["offset"])
            tops = np.maximum.reduceat(times, bounds[:-1])
            for record in range(int(np.searchsorted(bounds, start)), len(tops)):
                top = int(tops[record])
                low, high = int(bounds[record]), int(bounds[record + 1])
                if self.clock_ns and top > self.clock_ns + self.leap_ns:
                    if record + 1 < len(tops):
                        after = int(tops[record + 1])
                    elif following is None:
                        stop = low
                        self._held = (batch, decoder, low)
                        break
                    else:
                        after = _first_top(following) if len(following) else top
                    if after < top - self.leap_ns:
                        self.skewed += high - low
                        np.minimum(times[low:high], self.clock_ns, out=times[low:high])
                        top = self.clock_ns
                self._behind(top)
                self.clock_ns = max(self.clock_ns, top)
                clocks[low:high] = self.clock_ns
        if stop > row:
            self.queue.append(Staged(batch, clocks[:stop], decoder, row))
            self.rows += stop - row

    def _behind(self, top: int) -> None:
        if top >= self.clock_ns - BEHIND_NS:
            self.behind = 0
            return
        self.behind += 1
        if self.behind >= BEHIND_MAX:
            self.behind = 0
            self.clock_ns = top
            self.stepped_back = True

    def ready(self, limit_ns: int) -> tuple[Staged, int] | None:
        """The first staged batch and the row up to which it may be folded: records whose clock is before `limit_ns`."""
        if not self.queue:
            return None
        staged = self.queue[0]
        stop = int(np.searchsorted(staged.clocks, limit_ns)) if staged.clocks[-1] >= limit_ns else len(staged.clocks)
        return (staged, stop) if stop > staged.at else None

    def folded(self, staged: Staged, stop: int) -> None:
        """Rows of the first staged batch up to `stop` are folded."""
        self.rows -= stop - staged.at
        staged.at = stop
        self.folded_ns = int(staged.clocks[stop - 1])
        events = staged.batch.events
        if stop < len(staged.clocks):
            self.next_offset = int(events["offset"][stop])
            return
        whole = len(staged.clocks) == len(events)
        self.next_offset = staged.batch.next_offset if whole else int(events["offset"][stop])
        self.queue.popleft()

    def reached(self, limit_ns: int) -> bool:
        """Every record before `limit_ns` is folded, and the lane's event time is there."""
        waiting = self.queue[0].clocks[self.queue[0].at] if self.queue else self.frontier_ns
        return int(waiting) >= limit_ns

    @property
    def oldest_decoder(self) -> State | None:
        """What the decoder held before the oldest batch that is not wholly folded, None when all are."""
        if self.queue:
            return self.queue[0].decoder
        return self._held[1] if self._held is not None else None

    def state(self) -> State:
        """Of what is folded; staged events are read again from `next_offset`."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "next_offset": self.next_offset,
            "clock_ns": self.folded_ns,
            "idle_ns": self.idle_ns,
        }

    def restore(self, state: State) -> None:
        """Go on after what was folded."""
        self.next_offset = int(str(state["next_offset"]))
        self.clock_ns = self.folded_ns = int(str(state["clock_ns"]))
        self.idle_ns = int(str(state["idle_ns"]))


def _bounds(offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64 (records + 1): where each record's rows begin, and the end."""
    flat = np.ascontiguousarray(offsets)  # a column lies scattered; read it once
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return np.concatenate(([0], ends, [len(flat)]))


def _first_top(events: Any) -> int:
    """Largest event time of the first record."""
    return int(events["event_ns"][events["offset"] == events["offset"][0]].max())

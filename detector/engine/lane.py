"""Lane: one partition's decoded events on their way into the fold, and how far event time has come there.

A lane's clock is the largest event time so far, record by record; whole batches are laid in one loop. A record that
leaps more than leap_ns ahead of the clock, or lies more than BEHIND_NS behind it, waits until those after it have said
who is wrong (kernels/clocks.py, `settle`):

    ahead    the log's own time (RecordBatch.broker_ns) keeps to the clock -> put at it, at once
             LEAP_RECORDS more agree with it than do not                   -> the clock follows
             as many contradict as agree                                   -> put at the clock, counted `skewed`
    behind   BACK_RECORDS more lie as far behind than do not               -> the clock goes back (`Staged.back_ns`)
             as many do not                                                -> late, and nothing else

Only what follows and the clock before decide, so a restart at any record comes to the same, in any chunks. Silence
(`idle_ns`) confirms nothing by itself: it moves the clock that a leap is measured from, and lets two that agree, or one
that the log's own time bears out, pass unopposed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from detector.kernels.clocks import AHEAD, BACK, BUSY, IDLE, NOT_ORDINARY, OVER, lay_clocks, settle
from detector.model.events import EventBatch
from detector.model.state import State

BEHIND_NS = 60_000_000_000
LEAP_RECORDS = 16
BACK_RECORDS = 256
HELD_MAX = 1024  # records that one waits for at most; by then it is half and half, and stays where it is
OVER_NS = 2**62  # who says that time is there has nothing more to say

Int64s = npt.NDArray[np.int64]
_NONE: Int64s = np.zeros(0, np.int64)


@dataclass(slots=True, eq=False)
class Staged:
    """Rows `at` to len(clocks) of a decoded batch, with the clock after each (int64, never falling).

    decoder   what it held before the batch
    moved     bool, rows that were put at the clock; None = none
    back_ns   > 0: event time begins again, so much earlier, with the first of these rows; none is folded before that
              is settled
    """

    batch: EventBatch
    clocks: Int64s
    decoder: State
    at: int = 0
    moved: npt.NDArray[np.bool_] | None = None
    back_ns: int = 0


@dataclass(slots=True, eq=False)
class Waiting:
    """A batch not laid yet, from record `at` on. bounds: int64 (records + 1), where each record's rows begin."""

    batch: EventBatch
    decoder: State
    bounds: Int64s
    at: int = 0


class Lane:
    """Order in, order out. `next_offset` is the first record not wholly folded."""

    def __init__(self, topic: str, partition: int, leap_ns: int) -> None:
        self.topic = topic
        self.partition = partition
        self.leap_ns = leap_ns
        self.clock_ns = 0  # of laid records
        self.folded_ns = 0  # of folded ones
        self.idle_ns = 0
        self.broker_ns = 0  # when the log got the last folded record, 0 = unknown
        self.next_offset = -1
        self.skewed = 0  # rows folded at another time than they said
        self.went_back = 0  # times since the start
        self.queue: deque[Staged] = deque()
        self.rows = 0  # staged, not folded
        self.backs = 0  # times that the queue goes back
        self._waiting: deque[Waiting] = deque()
        self._tops, self._stamps = _NONE, _NONE  # of the records that wait

    @property
    def frontier_ns(self) -> int:
        """Event time this lane has reached: every later record is at it or after, lateness aside."""
        return max(self._reached_ns(), self.idle_ns)

    def _reached_ns(self) -> int:
        """The clock before the log goes back next, if it does: what comes after that is not there yet."""
        before_ns = self.folded_ns
        for staged in self.queue if self.backs else ():
            if staged.back_ns:
                return before_ns
            before_ns = int(staged.clocks[-1])
        return self.clock_ns

    @property
    def first_ns(self) -> int:
        """Event time of the first staged row, or what the lane has reached."""
        if self.queue:
            staged = self.queue[0]
            return int(staged.clocks[staged.at])
        return self.frontier_ns

    @property
    def stepped_back(self) -> bool:
        """What comes next begins at an earlier time: `step_back`, or nothing more is ready."""
        return bool(self.queue) and self.queue[0].back_ns > 0

    def put(self, batch: EventBatch, decoder: State) -> None:
        """Take a decoded batch. Its last records may wait for what follows them."""
        if self.next_offset < 0:
            self.next_offset = batch.first_offset
        if len(batch.events):
            self._lay(batch, decoder)
        elif not self.queue and not self._waiting:
            self.next_offset = max(self.next_offset, batch.next_offset)
        if batch.idle_ns > self.idle_ns:
            self.idle_ns = batch.idle_ns
            self._settle(OVER if batch.idle_ns >= OVER_NS else IDLE)

    def flush(self) -> None:
        """Nothing follows."""
        self._settle(OVER)

    def _lay(self, batch: EventBatch, decoder: State) -> None:
        if not self._waiting:
            clocks = np.empty(len(batch.events), np.int64)
            last_ns = int(lay_clocks(batch.events, 0, self.clock_ns, self.leap_ns, BEHIND_NS, clocks))
            if last_ns != NOT_ORDINARY:
                self.clock_ns = last_ns
                self._stage(Staged(batch, clocks, decoder))
                return
        offsets = np.ascontiguousarray(batch.events["offset"])  # a column lies scattered; read it once
        bounds = np.concatenate(([0], np.flatnonzero(offsets[1:] != offsets[:-1]) + 1, [len(offsets)]))
        tops = np.maximum.reduceat(batch.events["event_ns"], bounds[:-1])
        stamps = np.zeros(len(tops), np.int64)
        if len(batch.broker_ns):
            stamps = batch.broker_ns[np.searchsorted(batch.offsets, offsets[bounds[:-1]])]
        self._waiting.append(Waiting(batch, decoder, bounds))
        self._tops = np.concatenate((self._tops, tops))
        self._stamps = np.concatenate((self._stamps, stamps))
        self._settle(BUSY)

    def _settle(self, follows: int) -> None:
        """Lay the waiting records whose fate is decided."""
        if not self._waiting:
            return
        clocks, fates = np.empty(len(self._tops), np.int64), np.empty(len(self._tops), np.uint8)
        done = int(
            settle(
                self._tops,
                self._stamps,
                self.clock_ns,
                self.idle_ns,
                follows,
                self.leap_ns,
                BEHIND_NS,
                LEAP_RECORDS,
                BACK_RECORDS,
                HELD_MAX,
                clocks,
                fates,
            )
        )
        self._tops, self._stamps = self._tops[done:], self._stamps[done:]
        at = 0
        while at < done:
            waiting = self._waiting[0]
            stop = min(done, at + len(waiting.bounds) - 1 - waiting.at)
            self._lay_part(waiting, clocks[at:stop], fates[at:stop])
            if waiting.at == len(waiting.bounds) - 1:
                self._waiting.popleft()
            at = stop

    def _lay_part(self, waiting: Waiting, clocks: Int64s, fates: npt.NDArray[np.uint8]) -> None:
        """The next len(clocks) records of a batch."""
        bounds = waiting.bounds[waiting.at : waiting.at + len(clocks) + 1]
        waiting.at += len(clocks)
        low, high = int(bounds[0]), int(bounds[-1])
        laid, moved = np.empty(high, np.int64), np.zeros(high, np.bool_)
        laid[low:] = np.repeat(clocks, np.diff(bounds))
        moved[low:] = np.repeat(fates == AHEAD, np.diff(bounds))
        times = waiting.batch.events["event_ns"][:high]
        times[moved] = np.minimum(times[moved], laid[moved])
        backs = np.flatnonzero(fates == BACK).tolist()
        for first, last in pairwise([0, *(at for at in backs if at), len(clocks)]):
            row, stop = int(bounds[first]), int(bounds[last])
            before_ns = int(clocks[first - 1]) if first else self.clock_ns
            back_ns = before_ns - int(clocks[first]) if fates[first] == BACK else 0
            self._stage(Staged(waiting.batch, laid[:stop], waiting.decoder, row, moved[:stop], back_ns))
        self.clock_ns = int(clocks[-1])
        if backs:
            self.forget_silence(self.clock_ns)

    def _stage(self, staged: Staged) -> None:
        self.queue.append(staged)
        self.backs += staged.back_ns > 0
        self.rows += len(staged.clocks) - staged.at

    def ready(self, limit_ns: int) -> tuple[Staged, int] | None:
        """The first staged rows, and up to which one they may be folded: records whose clock is before `limit_ns`."""
        if not self.queue or self.queue[0].back_ns:
            return None
        staged = self.queue[0]
        stop = int(np.searchsorted(staged.clocks[staged.at :], limit_ns)) + staged.at
        return (staged, stop) if stop > staged.at else None

    def folded(self, staged: Staged, stop: int) -> None:
        """Rows of the first staged batch up to `stop` are folded."""
        self.rows -= stop - staged.at
        if staged.moved is not None:
            self.skewed += int(np.count_nonzero(staged.moved[staged.at : stop]))
        staged.at = stop
        self.folded_ns = int(staged.clocks[stop - 1])
        events = staged.batch.events
        self.next_offset = int(events["offset"][stop]) if stop < len(events) else staged.batch.next_offset
        if stop == len(staged.clocks):
            if len(staged.batch.broker_ns):
                self.broker_ns = max(self.broker_ns, int(staged.batch.broker_ns[-1]))
            self.queue.popleft()

    def reached(self, limit_ns: int) -> bool:
        """Every record before `limit_ns` is folded, and the lane's event time is there."""
        waiting = self.queue[0].clocks[self.queue[0].at] if self.queue else self.frontier_ns
        return int(waiting) >= limit_ns

    def step_back(self) -> tuple[int, int]:
        """Go on at the earlier time that comes next: (that time, how far back it lies), ns."""
        staged = self.queue[0]
        back_ns, staged.back_ns = staged.back_ns, 0
        self.backs -= 1
        self.went_back += 1
        self.folded_ns = int(staged.clocks[staged.at])
        return self.folded_ns, back_ns

    def forget_silence(self, from_ns: int) -> None:
        """Silence was counted from where the clock should not have been: count it from here."""
        if self.idle_ns < OVER_NS:
            self.idle_ns = min(self.idle_ns, from_ns)

    def come_down(self, others_ns: int) -> None:
        """What stands before the log goes back at a time that the other lanes, at others_ns, do not follow to is put
        where it goes back to: it would wait for that time for good, and with it all that comes after."""
        back = next((place for place, staged in enumerate(self.queue) if staged.back_ns), 0)
        if not back:
            return
        to_ns = int(self.queue[back].clocks[self.queue[back].at])
        if int(self.queue[back - 1].clocks[-1]) <= max(to_ns, others_ns):
            return
        for staged in list(self.queue)[:back]:
            times = staged.batch.events["event_ns"][: len(staged.clocks)]
            moved = np.arange(len(times)) >= staged.at
            moved &= times > to_ns
            times[moved] = to_ns
            staged.moved = moved if staged.moved is None else staged.moved | moved
            staged.clocks = np.minimum(staged.clocks, to_ns)

    @property
    def oldest_decoder(self) -> State | None:
        """What the decoder held before the oldest batch that is not wholly folded, None when all are."""
        if self.queue:
            return self.queue[0].decoder
        return self._waiting[0].decoder if self._waiting else None

    def state(self) -> State:
        """Of what is folded; staged events are read again from `next_offset`."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "next_offset": self.next_offset,
            "clock_ns": self.folded_ns,
            "idle_ns": self.idle_ns,
            "broker_ns": self.broker_ns,
            "skewed": self.skewed,
        }

    def restore(self, state: State) -> None:
        """Go on after what was folded."""
        self.next_offset = int(str(state["next_offset"]))
        self.clock_ns = self.folded_ns = int(str(state["clock_ns"]))
        self.idle_ns = int(str(state["idle_ns"]))
        # an older version did not save these: as if there had been none
        self.skewed = int(str(state.get("skewed", 0)))
        self.broker_ns = int(str(state.get("broker_ns", 0)))

"""Run: the other driver of the engine. Files in, steps out, as fast as they can be read or at a chosen speed.

It reads no clock of its own and decides nothing: which input is read next depends on the engine alone, and the engine's
answers do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from detector.engine.step import Step
from detector.formats.base import Format
from detector.model.events import EventBatch, Reject, empty_events
from detector.model.state import State
from replay.instant import EVENT_NS_MAX, SECOND_NS
from replay.reading import Ahead, Input, Partition, Reading
from replay.workers import later

SAMPLES_MAX = 10  # rejects kept to be shown
FIRST_EVENTS = 15
SLEEP_MAX_S = 1e9  # thirty years; the system refuses to wait for ten times as long


class Engine(Protocol):
    """What is asked of detector.engine.pipeline.Pipeline."""

    @property
    def decoder(self) -> Format:
        """Bytes to events."""

    def assign(self, partitions: Sequence[Partition]) -> None:
        """Wait for these."""

    def take(self, batches: Sequence[tuple[State, EventBatch]]) -> Step:
        """Go on."""

    def finish(self) -> Step:
        """The log ends here."""

    def ahead(self) -> tuple[Partition, ...]:
        """Read no more of these for now."""

    def event_ns(self, partition: Partition) -> int:
        """How far event time has come in a partition, 0 = unknown."""

    @property
    def watermark_ns(self) -> int:
        """Every window up to here is closed."""


class Listener(Protocol):
    """Somebody who is told of every step: a file of alerts, a progress bar, a judge."""

    def take(self, step: Step, tally: Tally) -> None:
        """One step of the engine, and what was counted up to it."""

    def close(self) -> None:
        """The replay is over, well or not."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are wanted: from_ns <= event_ns <= to_ns, and of `markets` (empty = all)."""

    from_ns: int = 0
    to_ns: int = EVENT_NS_MAX
    markets: frozenset[str] = frozenset()

    @property
    def everything(self) -> bool:
        """Nothing is left out."""
        return self.from_ns <= 0 and self.to_ns >= EVENT_NS_MAX and not self.markets

    def passed(self, batch: EventBatch) -> bool:
        """Whether all of a batch lies after `to_ns`: its input is done."""
        return len(batch.events) > 0 and int(batch.events["event_ns"].min()) > self.to_ns

    def of(self, batch: EventBatch) -> EventBatch:
        """The batch with the wanted events only; the others are counted as skipped."""
        if self.everything or not len(batch.events):
            return batch
        times = batch.events["event_ns"]
        wanted = (times >= self.from_ns) & (times <= self.to_ns)
        if self.markets:
            chosen = np.array([market in self.markets for market in batch.markets], np.bool_)
            wanted &= chosen[batch.events["market"]]
        left_out = int(len(wanted) - np.count_nonzero(wanted))
        skipped = {**batch.skipped, "not_selected": left_out} if left_out else batch.skipped
        return replace(batch, events=batch.events[wanted], skipped=skipped)


@dataclass(slots=True)
class Tally:
    """What was counted on the way.

    counts       the engine's own, by name: records, events, late, ...
    rejects      records nobody could read, by reason; `samples` are the first SAMPLES_MAX of them
    observed_ns  per market, from its first event to the end of what was replayed
    first_ns     times of the first FIRST_EVENTS events per (market, topic, partition)
    heard        per (topic, partition), the markets of each of which so many are known: there is no need to look again
    damage       inputs that broke off, a sentence each
    """

    counts: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    samples: list[Reject] = field(default_factory=list)
    observed_ns: dict[str, tuple[int, int]] = field(default_factory=dict)
    first_ns: dict[tuple[str, str, int], list[int]] = field(default_factory=dict)
    heard: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    alerts: int = 0
    watermark_ns: int = 0
    bytes_done: int = 0
    bytes_total: int | None = None

    @property
    def span_ns(self) -> tuple[int, int]:
        """First and last instant of event time; (0, 0) when there was no event."""
        spans = self.observed_ns.values()
        return (min(begin for begin, _ in spans), max(end for _, end in spans)) if spans else (0, 0)

    def note(self, step: Step) -> None:
        """Count a step."""
        for name, number in step.counts.items():
            self.counts[name] = self.counts.get(name, 0) + number
        for reject in step.rejects:
            self.rejects[reject.reason] = self.rejects.get(reject.reason, 0) + 1
        self.samples += step.rejects[: max(0, SAMPLES_MAX - len(self.samples))]
        self.alerts += len(step.alerts)

    def see(self, batch: EventBatch) -> None:
        """Remember when each market was first heard of."""
        place = (batch.topic, batch.partition)
        if not len(batch.events) or self.heard.get(place) == batch.markets:
            return
        markets = batch.events["market"].copy()
        order = np.argsort(markets, kind="stable")
        bounds = np.searchsorted(markets[order], np.arange(len(batch.markets) + 1)).tolist()
        for index, (begin, end) in enumerate(pairwise(bounds)):
            if begin == end:
                continue
            first = self.first_ns.setdefault((batch.markets[index], *place), [])
            rows = order[begin : min(end, begin + FIRST_EVENTS - len(first))]
            first += batch.events["event_ns"][rows].tolist()
        if all(len(self.first_ns.get((name, *place), ())) >= FIRST_EVENTS for name in batch.markets):
            self.heard[place] = batch.markets

    def end(self, end_ns: int) -> None:
        """The replay reached to `end_ns`: so long was every market observed. Of the first few events the median counts,
        so that one wrong timestamp does not add years."""
        for (market, _, _), first in sorted(self.first_ns.items()):
            begin_ns = min(sorted(first)[len(first) // 2], end_ns)
            known_ns, _ = self.observed_ns.get(market, (end_ns, end_ns))
            self.observed_ns[market] = (min(begin_ns, known_ns), end_ns)


class Pace:
    """Event time at `speed` times the wall's. `clock` and `sleep` in seconds."""

    def __init__(self, speed: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        assert speed > 0
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._begin_s = 0.0
        self._begin_ns = 0

    def wait(self, event_ns: int) -> None:
        """Return when event time `event_ns` (0 = unknown) has come."""
        if not event_ns:
            return
        if not self._begin_ns:
            self._begin_ns, self._begin_s = event_ns, self._clock()
            return
        due_s = self._begin_s + (event_ns - self._begin_ns) / SECOND_NS / self._speed
        if (left_s := due_s - self._clock()) > 0:
            self._sleep(min(left_s, SLEEP_MAX_S))


def replay(
    engine: Engine,
    inputs: Sequence[Input],
    *,
    selection: Selection | None = None,
    listeners: Sequence[Listener] = (),
    pace: Pace | None = None,
    ahead: Ahead = later,
) -> Tally:
    """Drive `engine` over `inputs` to their end, merged by event time. Every listener hears every step; however it
    ends, all of them are closed. ahead: who reads (replay/workers.py)."""
    selection = selection or Selection()
    tally = Tally()
    with ExitStack() as opened:
        for each in inputs:
            opened.callback(each.close)
        for listener in listeners:
            opened.callback(listener.close)
        for step in _steps(engine, inputs, selection, tally, pace, ahead):
            tally.note(step)
            for listener in listeners:
                listener.take(step, tally)
    return tally


def _steps(
    engine: Engine, inputs: Sequence[Input], selection: Selection, tally: Tally, pace: Pace | None, ahead: Ahead
) -> Iterator[Step]:
    def wanted(batch: EventBatch) -> EventBatch | None:
        if selection.passed(batch):
            return None
        chosen = selection.of(batch)
        tally.see(chosen)
        return chosen

    engine.assign([each.partition for each in inputs])
    left = list(inputs)
    reading = Reading(engine.decoder, wanted, ahead)
    while left:
        while reading.wants:
            reading.ask(_due(engine, left))
        batches: list[tuple[State, EventBatch]] = []
        for handed in reading.take():
            if handed.batch is not None:
                batches.append((handed.decoder, handed.batch))
                continue
            left.remove(handed.source)
            if handed.source.damage:
                tally.damage.append(handed.source.damage)
            if left:
                batches.append((handed.decoder, _over(handed.source.partition)))
        step = engine.take(batches)
        _progress(tally, engine, inputs)
        yield step
        if pace is not None and left:
            pace.wait(min(engine.event_ns(each.partition) for each in left))
    # one that never said a word would be waited for even now
    engine.assign([each.partition for each in inputs if engine.event_ns(each.partition)])
    step = engine.finish()
    _progress(tally, engine, inputs)
    tally.end(engine.watermark_ns)
    yield step


def _due(engine: Engine, reading: Sequence[Input]) -> list[Input]:
    """The inputs to read from now: all that are not ahead. If all are, the one furthest behind: something must move."""
    ahead = engine.ahead()
    return [each for each in reading if each.partition not in ahead] or [
        min(reading, key=lambda each: engine.event_ns(each.partition))
    ]


def _over(partition: Partition) -> EventBatch:
    """The statement that nothing more will come of a partition: nobody need wait for it."""
    return EventBatch(*partition, 0, 0, (), empty_events(0), idle_ns=EVENT_NS_MAX)


def _progress(tally: Tally, engine: Engine, inputs: Sequence[Input]) -> None:
    tally.watermark_ns = engine.watermark_ns
    tally.bytes_done = sum(each.bytes_done for each in inputs)
    totals = [each.bytes_total for each in inputs]
    tally.bytes_total = sum(total for total in totals if total is not None) if None not in totals else None

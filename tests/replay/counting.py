"""A small true engine for tests of the driver: it counts the events of each market and second, and tells of crowds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.engine.step import Scored, Step
from detector.formats.base import Format
from detector.model.alert import Alert
from detector.model.events import EventBatch, Reject, empty_events
from detector.model.records import RecordBatch
from detector.model.score import Score
from detector.model.state import State
from detector.model.windows import Windows
from replay.instant import SECOND_NS, format_instant

CROWD = 3


class Words(Format):
    """Lines of `MARKET SECOND`; anything else is a reject."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def state(self) -> State:
        return {"names": list(self.names)}

    def decode(self, batch: RecordBatch) -> EventBatch:
        rows, rejects = [], []
        for index in range(len(batch)):
            offset = int(batch.offsets[index])
            try:
                market, second = batch.value(index).decode().split()
                at_ns = int(float(second) * SECOND_NS)
            except ValueError:
                rejects.append(Reject(batch.topic, batch.partition, offset, "no_words", batch.value(index)))
                continue
            if market not in self.names:
                self.names.append(market)
            rows.append((offset, self.names.index(market), at_ns))
        events = empty_events(len(rows))
        for i, (offset, at, at_ns) in enumerate(rows):
            events["offset"][i], events["market"][i], events["event_ns"][i] = offset, at, at_ns
        return EventBatch(
            batch.topic,
            batch.partition,
            batch.first_offset,
            batch.next_offset,
            tuple(self.names),
            events,
            tuple(rejects),
            records=len(batch),
            idle_ns=batch.idle_ns,
        )


class CountingEngine:
    """Windows of a second, closed when every assigned partition has passed their end."""

    def __init__(self, staged_max: int = 5) -> None:
        self.decoder = Words()
        self.staged_max = staged_max
        self.staged: dict[tuple[str, int], list[tuple[int, str]]] = {}
        self.clocks: dict[tuple[str, int], int] = {}
        self.assigned: set[tuple[str, int]] = set()
        self.open_second = -1
        self.last_second = -1
        self.most_staged = 0

    def assign(self, partitions: Sequence[tuple[str, int]]) -> None:
        self.assigned = set(partitions)
        for gone in set(self.clocks) - self.assigned:
            assert not self.staged.pop(gone), "a partition with events was taken away"
            del self.clocks[gone]

    def take(self, batches: Sequence[tuple[State, EventBatch]]) -> Step:
        rejects: list[Reject] = []
        for _, batch in batches:
            key = (batch.topic, batch.partition)
            assert key in self.assigned
            queue = self.staged.setdefault(key, [])
            self.clocks.setdefault(key, 0)
            for row in batch.events:
                queue.append((int(row["event_ns"]), batch.markets[row["market"]]))
                self.clocks[key] = max(self.clocks[key], int(row["event_ns"]))
            self.clocks[key] = max(self.clocks[key], batch.idle_ns)
            rejects += batch.rejects
        self.most_staged = max(self.most_staged, max((len(queue) for queue in self.staged.values()), default=0))
        return self._advance(rejects, sum(batch.records for _, batch in batches), ending=False)

    def finish(self) -> Step:
        return self._advance([], 0, ending=True)

    def ahead(self) -> tuple[tuple[str, int], ...]:
        return tuple(key for key, queue in self.staged.items() if len(queue) > self.staged_max)

    def event_ns(self, partition: tuple[str, int]) -> int:
        return self.clocks.get(partition, 0)

    @property
    def watermark_ns(self) -> int:
        return max(0, self.open_second) * SECOND_NS

    def _advance(self, rejects: list[Reject], records: int, *, ending: bool) -> Step:
        alerts, scored, events = [], [], 0
        while all(self.clocks.get(key, 0) > 0 for key in self.assigned):
            waiting = [at_ns for queue in self.staged.values() for at_ns, _ in queue]
            if not waiting:
                break
            if self.open_second < 0:
                self.open_second = min(waiting) // SECOND_NS
            end_ns = (self.open_second + 1) * SECOND_NS
            if not ending and min(self.clocks[key] for key in self.assigned) < end_ns:
                break
            counts = dict.fromkeys(self.decoder.names, 0)
            for key, queue in self.staged.items():
                for _, market in (row for row in queue if row[0] < end_ns):
                    counts[market] += 1
                    events += 1
                self.staged[key] = [row for row in queue if row[0] >= end_ns]
            scored.append(_scored(end_ns, counts))
            alerts += [_alert(end_ns, market, count) for market, count in sorted(counts.items()) if count >= CROWD]
            self.open_second += 1
        return Step(tuple(alerts), (), tuple(rejects), tuple(scored), {"events": events, "records": records})


def _scored(close_ns: int, counts: dict[str, int]) -> Scored:
    markets = tuple(counts)
    none = np.zeros(len(markets), np.bool_)
    values = np.array([count or np.nan for count in counts.values()], np.float64)
    score = Score(
        detector="crowd",
        close_ns=close_ns,
        markets=markets,
        values=values,
        levels=np.zeros((3, len(markets))),
        every_s=values,
        warming=none,
        surprises=np.zeros((len(markets), 0)),
        residuals=np.zeros((len(markets), 0)),
        streams=(),
        explain=lambda _: (),
    )
    return Scored(Windows(close_ns, SECOND_NS, markets, (), np.zeros((len(markets), 0)), none, none), (score,))


def _alert(close_ns: int, market: str, count: int) -> Alert:
    incident = f"inc_{market}_{close_ns}"
    data = {
        "schema": 1,
        "incident_id": incident,
        "seq": 1,
        "status": "firing",
        "reason": "opened",
        "severity": "critical" if count >= 2 * CROWD else "warning",
        "kind": "crowd",
        "markets": [market],
        "detectors": ["crowd"],
        "title": f"{count} events <b>at once</b> on {market}",
        "summary": "many at once",
        "started_at": format_instant(close_ns - SECOND_NS),
        "detected_at": format_instant(close_ns),
        "ended_at": None,
        "score": float(count),
        "expected_every": "3 market-days",
        "evidence": [],
        "contributors": [],
        "timeline": [],
    }
    return Alert(key=f"{incident}_1", type="foreshock.incident.opened", timestamp=format_instant(close_ns), data=data)

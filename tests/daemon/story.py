"""Small true things for the daemon's tests: a source that is a list, an engine that is a counter, a sink that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from detector.engine.step import Step
from detector.model.alert import Alert
from detector.model.events import Reject
from detector.model.records import RecordBatch, pack
from detector.model.state import State
from detector.sinks.base import Delivery, Outcome, Parcel, Sink
from detector.sources.base import Partition, Source

BATCH = 10  # records


class ListSource(Source):
    """One topic, `partitions` partitions, record N of each is the text N. Slows down to `pause_s` a batch."""

    name = "list"

    def __init__(self, records: int, partitions: int = 1, pause_s: float = 0.0) -> None:
        self.records = records
        self.pause_s = pause_s
        self.next = {("orders", number): 0 for number in range(partitions)}
        self.started_at: dict[Partition, int] = {}
        self.expected: dict[Partition, str] = {}
        self.kept: dict[Partition, str] = {}
        self.committed: dict[Partition, int] = {}
        self.paused: tuple[Partition, ...] = ()
        self.closed = False

    def expect(self, logs: Mapping[Partition, str]) -> None:
        assert not self.started_at
        self.expected = dict(logs)

    @property
    def logs(self) -> Mapping[Partition, str]:
        return self.kept

    async def start(self, positions: Mapping[Partition, int]) -> None:
        self.started_at = dict(positions)
        self.next.update(positions)

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        found = []
        for (topic, number), first in self.next.items():
            end = min(self.records, first + BATCH)
            if first < end and (topic, number) not in self.paused:
                found.append(pack(topic, number, [b"%d" % n for n in range(first, end)], list(range(first, end))))
                self.next[topic, number] = end
        await asyncio.sleep(self.pause_s if found else min(timeout_s, 0.005))
        return found

    async def partitions(self) -> Sequence[Partition]:
        return sorted(self.next)

    def pause(self, partitions: Sequence[Partition]) -> None:
        self.paused = tuple(partitions)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        self.committed = dict(positions)

    async def close(self) -> None:
        self.closed = True


class CountingEngine:
    """A pure function of the log: of every partition's records, each seventh opens an incident and the next resolves it;
    each fifth is unreadable. Its state is how far it is and a running sum, which is wrong if anything is read twice."""

    def __init__(self) -> None:
        self.at: dict[Partition, int] = {}
        self.sum = 0

    def assign(self, partitions: Sequence[Partition]) -> None: ...

    def step(self, batches: Sequence[RecordBatch]) -> Step:
        alerts, rejects, records = [], [], 0
        for batch in batches:
            key = (batch.topic, batch.partition)
            for index in range(len(batch)):
                number, offset = int(batch.value(index)), int(batch.offsets[index])
                assert offset == self.at.get(key, 0), f"{key}: expected record {self.at.get(key, 0)}, got {offset}"
                self.at[key] = offset + 1
                self.sum += number
                records += 1
                if number % 5 == 0:
                    rejects.append(Reject(batch.topic, batch.partition, offset, "each fifth", b"%d" % number))
                if number % 7 == 0 or number % 7 == 1:
                    alerts.append(alert(f"inc_{batch.partition}x{number // 7}", 1 + number % 7))
        return Step(alerts=tuple(alerts), rejects=tuple(rejects), counts={"records": records})

    def ahead(self) -> tuple[Partition, ...]:
        return ()

    def positions(self) -> Mapping[Partition, int]:
        return dict(self.at)

    @property
    def watermark_ns(self) -> int:
        return sum(self.at.values())

    def state(self) -> State:
        return {"at": [[*key, value] for key, value in self.at.items()], "sum": self.sum}

    def restore(self, state: State) -> None:
        rows = state["at"]
        assert isinstance(rows, list)
        for row in rows:
            assert isinstance(row, list)
            self.at[str(row[0]), int(str(row[1]))] = int(str(row[2]))
        self.sum = int(str(state["sum"]))

    def go_on(self, positions: Mapping[Partition, int]) -> None:
        self.at = {key: positions[key] for key in self.at if key in positions}


class Remembering(Sink):
    """Delivers, after what `answer` says; keeps what it was sent, in order."""

    def __init__(self, name: str, answer: Callable[[Parcel], Outcome] | None = None, pause_s: float = 0.0) -> None:
        super().__init__(name)
        self.answer = answer or (lambda parcel: Outcome(Delivery.DELIVERED))
        self.pause_s = pause_s
        self.attempts: list[Parcel] = []
        self.got: list[str] = []
        self.most_at_once = 0
        self._now = 0
        self.closed = False

    async def send(self, parcel: Parcel) -> Outcome:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        self.attempts.append(parcel)
        await asyncio.sleep(self.pause_s)
        self._now -= 1
        outcome = self.answer(parcel)
        if outcome.delivery is Delivery.DELIVERED:
            self.got.append(parcel.key)
        return outcome

    async def close(self) -> None:
        self.closed = True


def alert(incident_id: str, seq: int, severity: str = "warning") -> Alert:
    firing = seq == 1
    data = {
        "schema": 1, "incident_id": incident_id, "seq": seq, "status": "firing" if firing else "resolved",
        "reason": "opened" if firing else "resolved", "severity": severity, "kind": "cancel_burst", "delayed_by_s": 0,
        "title": incident_id,
    }  # fmt: skip
    kind = "foreshock.incident.opened" if firing else "foreshock.incident.resolved"
    return Alert(key=f"{incident_id}_{seq}", type=kind, timestamp="2026-11-22T10:03:31.120Z", data=data)


def expected_keys(records: int, partitions: int = 1) -> set[str]:
    """What a run over all records tells, by the engine's own words and no restart."""
    engine = CountingEngine()
    keys: set[str] = set()
    for number in range(partitions):
        whole = pack("orders", number, [b"%d" % n for n in range(records)], list(range(records)))
        keys |= {alert.key for alert in engine.step([whole]).alerts}
    return keys


def data_of(parcel: Parcel) -> dict[str, object]:
    body = msgspec.json.decode(parcel.body, type=dict[str, dict[str, object] | str])
    data = body["data"]
    assert isinstance(data, dict)
    return data

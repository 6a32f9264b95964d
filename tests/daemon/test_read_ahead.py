"""Reading ahead: the next poll runs while the engine steps, and nothing is lost, doubled or committed too early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from detector.engine.step import Step
from detector.model.records import RecordBatch
from detector.sources.base import Partition
from detector.store.store import Store
from tests.daemon.house import QUICK, House
from tests.daemon.story import CountingEngine, ListSource, Remembering, expected_keys

AHEAD = replace(QUICK, read_ahead=True)
FIRST = ("orders", 0)


@pytest.mark.parametrize("settings", [QUICK, AHEAD], ids=["serial", "read ahead"])
async def test_both_ways_tell_and_save_the_same(tmp_path: Path, settings: object) -> None:
    sink = Remembering("oncall")
    house = House(tmp_path, ListSource(200, partitions=2), sink, settings=settings)  # type: ignore[arg-type]
    await house.open()
    expected = expected_keys(200, 2)
    assert await house.run_until(lambda: len(sink.got) == len(expected)) == 0
    assert set(sink.got) == expected and len(sink.got) == len(expected)
    assert house.engines[-1].sum == 2 * sum(range(200))
    assert house.source.committed == {("orders", 0): 200, ("orders", 1): 200}


class Waiting(CountingEngine):
    """An engine whose steps last until the source was asked again, or for a second."""

    polled = threading.Event()
    seen: list[bool]

    def step(self, batches: Sequence[RecordBatch]) -> Step:
        self.seen = [*getattr(self, "seen", []), self.polled.wait(1.0)]
        return super().step(batches)


class Telling(ListSource):
    """A source that says when it is asked for the second time."""

    polls = 0

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        self.polls += 1
        if self.polls == 2:
            Waiting.polled.set()
        return await super().poll(timeout_s)


@pytest.mark.parametrize(("settings", "during"), [(QUICK, False), (AHEAD, True)], ids=["serial", "read ahead"])
async def test_the_source_is_polled_while_the_engine_steps(tmp_path: Path, settings: object, during: bool) -> None:
    Waiting.polled.clear()
    house = House(tmp_path, Telling(30), settings=settings)  # type: ignore[arg-type]
    await house.open(Waiting)
    await house.run_until(lambda: bool(house.engines) and house.engines[-1].at.get(FIRST) == 30)
    engine = house.engines[-1]
    assert isinstance(engine, Waiting) and engine.seen[0] is during


async def test_what_was_read_ahead_but_not_stepped_is_neither_saved_nor_committed_and_is_read_again(
    tmp_path: Path,
) -> None:
    class Slow(CountingEngine):
        def step(self, batches: Sequence[RecordBatch]) -> Step:
            first.stop()  # the second batch is polled during this step, and never stepped
            return super().step(batches)

    house = House(tmp_path, ListSource(40), settings=AHEAD)
    first = await house.open(Slow)
    assert await asyncio.wait_for(first.run(signals=False), 10) == 0
    assert house.engines[-1].at == {FIRST: 10} and house.source.committed == {FIRST: 10}
    store = await Store.open(tmp_path)
    checkpoint = await store.load()
    await store.close()
    assert checkpoint is not None and dict(checkpoint.positions) == {FIRST: 10}
    second = House(tmp_path, ListSource(40), settings=AHEAD)
    await second.open()
    await second.run_until(lambda: bool(second.engines) and second.engines[-1].at.get(FIRST) == 40)
    assert second.source.started_at == {FIRST: 10} and second.engines[-1].sum == sum(range(40))


class Moving(ListSource):
    """A source whose only partition leaves and comes back at some of its polls; it asks where to go on, as Kafka's
    does."""

    service: object = None
    polls = 0
    asked: list[int]

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        self.polls += 1
        if self.polls % 3 == 2:
            where: Mapping[Partition, int] = await self.service.positions_of([FIRST])  # type: ignore[attr-defined]
            self.asked = [*getattr(self, "asked", []), self.next[FIRST]]
            self.next[FIRST] = where.get(FIRST, 0)
        return await super().poll(timeout_s)


@pytest.mark.parametrize("settings", [QUICK, AHEAD], ids=["serial", "read ahead"])
async def test_a_partition_that_leaves_and_comes_back_during_a_step_is_not_read_twice(
    tmp_path: Path, settings: object
) -> None:
    source = Moving(100)
    house = House(tmp_path, source, settings=settings)  # type: ignore[arg-type]
    source.service = await house.open()
    await house.run_until(lambda: bool(house.engines) and house.engines[-1].at.get(FIRST) == 100)
    assert house.engines[-1].sum == sum(range(100)) and len(source.asked) > 2

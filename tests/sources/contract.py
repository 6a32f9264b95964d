"""What every source promises. Subclass SourceContract, say how a log is filled and a source made, and it is tested."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from detector.model.records import PADDING, RecordBatch
from detector.sources.base import Partition, Source

READ_MAX_S = 20.0
BATCH_MAX = 10


class SourceContract:
    partitions_max = 2

    async def fill(self, world: Any, values: Mapping[int, list[bytes]]) -> None:
        """Append to the partitions of the one topic."""
        raise NotImplementedError

    def make(self, world: Any, **options: Any) -> Source:
        """A source of that topic from its beginning, with batch_max = BATCH_MAX; options: event_clock."""
        raise NotImplementedError

    async def test_every_record_comes_once_and_in_order(self, world: Any) -> None:
        sent = {number: values(number, 57) for number in range(self.partitions_max)}
        await self.fill(world, sent)
        async with opened(self.make(world), {}) as source:
            batches = await read(source, 57 * self.partitions_max)
            partitions = await source.partitions() or {(batch.topic, batch.partition) for batch in batches}
            assert by_partition(batches) == sent
            assert {(batch.topic, batch.partition) for batch in batches} <= set(partitions)

    async def test_batches_are_bounded_and_go_on_where_the_last_ended(self, world: Any) -> None:
        await self.fill(world, {0: values(0, 57)})
        async with opened(self.make(world), {}) as source:
            position = None
            for batch in await read(source, 57):
                assert 0 < len(batch) <= BATCH_MAX
                assert position in (None, batch.first_offset)
                assert (batch.offsets >= batch.first_offset).all() and (batch.offsets < batch.next_offset).all()
                assert len(batch.payload) >= batch.bounds.max() + PADDING
                position = batch.next_offset

    async def test_it_resumes_after_any_batch(self, world: Any) -> None:
        sent = values(0, 57)
        await self.fill(world, {0: sent})
        async with opened(self.make(world), {}) as source:
            batches = await read(source, 57)
        for batch in (batches[0], batches[-2]):
            position = {(batch.topic, batch.partition): batch.next_offset}
            seen = sent.index(batch.value(len(batch) - 1)) + 1
            async with opened(self.make(world), position) as source:
                after = await read(source, 57 - seen)
                assert by_partition(after) == {0: sent[seen:]}
                assert after[0].first_offset == batch.next_offset

    async def test_it_resumes_in_the_middle_of_a_batch(self, world: Any) -> None:
        sent = values(0, 30)
        await self.fill(world, {0: sent})
        async with opened(self.make(world), {}) as source:
            first = (await read(source, 30))[0]
        position = {(first.topic, first.partition): int(first.offsets[3])}
        async with opened(self.make(world), position) as source:
            assert by_partition(await read(source, 27)) == {0: sent[3:]}

    async def test_nothing_comes_of_a_paused_partition_until_it_goes_on(self, world: Any) -> None:
        sent = {number: values(number, 20) for number in range(self.partitions_max)}
        await self.fill(world, sent)
        async with opened(self.make(world), {}) as source:
            while not (ours := await source.partitions()):
                await source.poll(0.1)
            source.pause([ours[0]])
            others = await read(source, 20 * (len(ours) - 1))
            for _ in range(3):
                others += await source.poll(0.05)
            assert ours[0] not in {(batch.topic, batch.partition) for batch in others}
            source.pause([])
            assert by_partition(await read(source, 20)) == {ours[0][1]: sent[ours[0][1]]}

    async def test_an_empty_poll_ends_in_time(self, world: Any) -> None:
        await self.fill(world, {0: values(0, 1)})
        async with opened(self.make(world), {}) as source:
            await read(source, 1)
            began = time.monotonic()
            assert not await source.poll(0.2)
            assert 0.1 < time.monotonic() - began < 1.5

    async def test_a_quiet_live_partition_lets_event_time_move_on(self, world: Any) -> None:
        await self.fill(world, {0: values(0, 3)})
        async with opened(
            self.make(world, event_clock=lambda partition, quiet_s: 1_000_000 + int(quiet_s * 1e9)), {}
        ) as source:
            (last,) = (await read(source, 3))[-1:]
            began = time.monotonic()
            told: list[RecordBatch] = []
            while len(told) < 3:
                told += [batch for batch in await source.poll(0.1) if batch.partition == 0]
                assert time.monotonic() - began < READ_MAX_S
            assert [len(batch) for batch in told] == [0, 0, 0]
            assert {batch.next_offset for batch in told} == {last.next_offset}
            assert 1_000_000 <= told[0].idle_ns < told[1].idle_ns < told[2].idle_ns
            # never further than the silence lasted beyond idle_after
            assert told[2].idle_ns - 1_000_000 < (time.monotonic() - began) * 1e9
            await self.fill(world, {0: [b"more"]})
            assert by_partition(await read(source, 1)) == {0: [b"more"]}

    async def test_of_unknown_event_time_nothing_is_said(self, world: Any) -> None:
        await self.fill(world, {0: values(0, 3)})
        async with opened(self.make(world, event_clock=lambda partition, quiet_s: 0), {}) as source:
            await read(source, 3)
            began = time.monotonic()
            while time.monotonic() - began < 1.0:
                assert not await source.poll(0.1)

    async def test_closing_twice_or_unstarted_is_no_error(self, world: Any) -> None:
        await self.fill(world, {0: values(0, 1)})
        source = self.make(world)
        await source.start({})
        await source.close()
        await source.close()
        await self.make(world).close()


def values(partition: int, count: int) -> list[bytes]:
    return [b'{"partition":%d,"n":%d}' % (partition, i) for i in range(count)]


def by_partition(batches: list[RecordBatch]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for batch in batches:
        if len(batch):
            found.setdefault(batch.partition, []).extend(batch.value(i) for i in range(len(batch)))
    return found


async def read(source: Source, count: int) -> list[RecordBatch]:
    """Batches with records, until there were `count` records."""
    batches: list[RecordBatch] = []
    deadline = time.monotonic() + READ_MAX_S
    while sum(map(len, batches)) < count:
        assert time.monotonic() < deadline, sum(map(len, batches))
        batches += [batch for batch in await source.poll(0.1) if len(batch)]
    assert sum(map(len, batches)) == count
    return batches


class opened:
    def __init__(self, source: Source, positions: Mapping[Partition, int]) -> None:
        self.source, self.positions = source, positions

    async def __aenter__(self) -> Any:
        await self.source.start(self.positions)
        return self.source

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()

"""How the tests read a source to its end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from detector.model.records import PADDING, RecordBatch
from detector.sources.base import Partition
from detector.sources.kafka import KafkaSource
from detector.sources.kafka_settings import KafkaSettings

Record = tuple[str, int, int, int, bytes]  # topic, partition, offset, broker_ns, value

READ_MAX_S = 30.0


def records_of(batch: RecordBatch) -> list[Record]:
    """What a batch says; and it must be in order."""
    assert len(batch.payload) >= (batch.bounds[:, 1].max(initial=0) + PADDING)
    offsets = batch.offsets.tolist()
    assert offsets == sorted(set(offsets))
    assert all(batch.first_offset <= offset < batch.next_offset for offset in offsets)
    return [
        (batch.topic, batch.partition, offset, broker_ns, batch.value(i))
        for i, (offset, broker_ns) in enumerate(zip(offsets, batch.broker_ns.tolist(), strict=True))
    ]


async def read_until(source: KafkaSource, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """Poll until `enough`; positions must go on without a hole between batches."""
    found: list[Record] = []
    positions: dict[Partition, int] = {}
    deadline = time.monotonic() + READ_MAX_S
    while not enough(found):
        assert time.monotonic() < deadline, (len(found), source.trouble, source.counts)
        for batch in await source.poll(0.2):
            partition = batch.topic, batch.partition
            assert positions.get(partition, batch.first_offset) <= batch.first_offset
            positions[partition] = batch.next_offset
            assert len(batch) <= source.settings.batch_max
            found += records_of(batch)
    return found


async def read_count(source: KafkaSource, count: int) -> list[Record]:
    """Poll until `count` records came, and then a little more: nothing may follow."""
    found = await read_until(source, lambda records: len(records) >= count)
    for batch in await source.poll(0.2):
        found += records_of(batch)
    assert len(found) == count
    return found


@asynccontextmanager
async def reading(
    settings: KafkaSettings,
    positions: dict[Partition, int] | None = None,
    logs: dict[Partition, str] | None = None,
    **options: object,
) -> AsyncIterator[KafkaSource]:
    source = KafkaSource(settings, **options)  # type: ignore[arg-type]
    source.expect(logs or {})
    await source.start(positions or {})
    try:
        yield source
    finally:
        await source.close()

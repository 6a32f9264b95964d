"""A range of a topic as inputs of a replay, on a real broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from replay.instant import format_instant
from replay.run import replay
from replay.topic import TopicInput, TopicUnreadable, open_topic, parse_url
from tests.replay.counting import CountingEngine

if TYPE_CHECKING:
    from tests.kafka.conftest import NewTopic

BEGIN_MS = 1_767_571_200_000


async def produce(broker: str, topic: str, records: int) -> None:
    """Record i of each partition says `A i` and was there i seconds after BEGIN_MS, by the broker's clock."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        for i in range(records):
            for partition in (0, 1):
                value = f"A {i + 1}".encode()
                await producer.send(topic, value, partition=partition, timestamp_ms=BEGIN_MS + 1000 * i)
    finally:
        await producer.stop()


def drain(inputs: list[TopicInput]) -> list[list[bytes]]:
    found = []
    for each in inputs:
        values = []
        while (batch := each.read()) is not None:
            assert batch.topic, batch.partition == each.partition
            assert len(batch) <= 7 and batch.first_offset <= batch.offsets[0] < batch.next_offset
            values += [batch.value(i) for i in range(len(batch))]
        assert each.damage == ""
        each.close()
        found.append(values)
    return found


async def test_a_range_by_offset_and_by_time_is_read_from_every_partition(broker: str, new_topic: NewTopic) -> None:
    topic = await new_topic(2, retention_ms="-1")  # the records are old, and the broker would delete them
    await produce(broker, topic, 60)
    base = f"kafka://{broker}/{topic}"

    def read(query: str) -> list[list[bytes]]:
        return drain(open_topic(parse_url(base + query), {}, batch_max=7))

    def said(first: int, after: int) -> list[list[bytes]]:
        return [[f"A {i + 1}".encode() for i in range(first, after)]] * 2

    assert await asyncio.to_thread(read, "") == said(0, 60)
    assert await asyncio.to_thread(read, "?from=offset:10&to=offset:25") == said(10, 25)
    begin, end = (format_instant((BEGIN_MS + 1000 * s) * 1_000_000) for s in (20, 30))
    assert await asyncio.to_thread(read, f"?from={begin}&to={end}") == said(20, 30)
    assert await asyncio.to_thread(read, f"?from={(BEGIN_MS + 55_001) * 1_000_000}") == said(56, 60)
    assert await asyncio.to_thread(read, "?from=2030-01-01") == said(0, 0)
    assert await asyncio.to_thread(read, "?from=offset:500") == said(0, 0)


async def test_a_topic_is_replayed_as_files_are(broker: str, new_topic: NewTopic) -> None:
    topic = await new_topic(2, retention_ms="-1")  # the records are old, and the broker would delete them
    await produce(broker, topic, 30)

    def run() -> Any:
        return replay(CountingEngine(), open_topic(parse_url(f"kafka://{broker}/{topic}"), {}, batch_max=7))

    tally = await asyncio.to_thread(run)
    assert tally.counts == {"events": 60, "records": 60}


async def test_a_topic_that_is_not_there_is_said(broker: str) -> None:
    with pytest.raises(TopicUnreadable, match="no such topic"):
        await asyncio.to_thread(open_topic, parse_url(f"kafka://{broker}/absent"), {})

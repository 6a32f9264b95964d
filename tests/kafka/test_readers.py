"""The three ways of reading say the same of the same topic."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from detector.sources.kafka_settings import KafkaSettings
from tests.kafka.reading import read_count, read_until, reading

READERS = ("in_place", "values", "records")
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")

VALUES = [b'{"type":"order","n":%d}' % i * (1 + i % 7) for i in range(400)]


async def said_by_aiokafka(broker: str, topic: str, start: int = 0) -> list[tuple[str, int, int, int, bytes]]:
    """The reference: a plain consumer."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="none", isolation_level="read_committed")
    await consumer.start()
    try:
        top = TopicPartition(topic, 0)
        consumer.assign([top])
        end = (await consumer.end_offsets([top]))[top]
        consumer.seek(top, start)
        found = []
        while await consumer.position(top) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [(topic, 0, r.offset, r.timestamp * 1_000_000, r.value or b"") for r in records]
        return found
    finally:
        await consumer.stop()


def settings(broker: str, topic: str, reader: str, **more: Any) -> KafkaSettings:
    return KafkaSettings(broker, (topic,), group="", start_at="earliest", reader=reader, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=COMPRESSIONS)
def compression(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_every_reader_says_what_aiokafka_says_in_every_codec(broker, topic, produce, compression) -> None:
    headers = [("trace", b"7"), ("empty", b"")]
    await produce(topic, VALUES[:150], compression=compression, key_of=lambda value: value[:3], headers=headers)
    await produce(topic, [None, b"", *VALUES[150:200]], compression=compression, batch_bytes=900)
    await produce(topic, VALUES[200:230], compression=compression, transaction="commit")
    await produce(topic, VALUES[230:260], compression=compression, transaction="abort")
    await produce(topic, VALUES[260:270], compression=compression, batch_bytes=1)
    await produce(topic, VALUES[270:], compression=compression, stamp_ms_of=lambda value: 1_700_000_000_000)
    expected = await said_by_aiokafka(broker, topic)
    values = [value for _, _, _, _, value in expected]
    assert values == [*VALUES[:150], b"", b"", *VALUES[150:230], *VALUES[260:]]  # the aborted ones are no records
    for reader in READERS:
        async with reading(settings(broker, topic, reader)) as source:
            assert await read_count(source, len(expected)) == expected
            assert source.reader == reader
            if reader != "records":
                assert source.counts["control_batches"] == 2
                assert source.counts["aborted_batches"] >= 1


@pytest.mark.parametrize("reader", READERS)
async def test_reading_begins_in_the_middle_of_a_batch(broker, topic, produce, reader) -> None:
    await produce(topic, VALUES[:100], compression="zstd")
    await produce(topic, VALUES[100:200], compression="none")
    for start in (1, 57, 99, 100, 151, 199):
        async with reading(settings(broker, topic, reader), {(topic, 0): start}) as source:
            found = await read_count(source, 200 - start)
            assert [value for *_, value in found] == VALUES[start:200]
            assert found == await said_by_aiokafka(broker, topic, start)


@pytest.mark.parametrize("reader", READERS)
async def test_small_fetches_and_small_batches_say_the_same(broker, topic, produce, reader) -> None:
    await produce(topic, VALUES, compression="lz4", batch_bytes=2000)
    small = settings(broker, topic, reader, partition_fetch_bytes_max=700, batch_max=7, batch_bytes_max=500)
    async with reading(small) as source:
        assert [value for *_, value in await read_count(source, len(VALUES))] == VALUES


@pytest.mark.parametrize("reader", READERS)
async def test_a_compacted_topic_has_gaps_and_tombstones(broker, new_topic, produce, reader) -> None:
    topic = await new_topic(
        cleanup_policy="compact",
        segment_bytes="1048576",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="500",
        delete_retention_ms="600000",
    )
    for round_ in range(4):
        values = [b"k%d r%d" % (i % 10, round_) for i in range(40)]
        await produce(topic, values, key_of=lambda value: value.split()[0], batch_bytes=400)
        await produce(topic, [None], key_of=lambda value: b"k3")
    await append_until_compacted(broker, topic, produce)
    await produce(topic, [b"last"], key_of=lambda value: b"last")
    for _ in range(10):  # the broker may compact once more while we read
        expected = await said_by_aiokafka(broker, topic)
        async with reading(settings(broker, topic, reader)) as source:
            last = expected[-1][2]
            found = await read_until(source, lambda records, last=last: bool(records) and records[-1][2] == last)
        if expected == await said_by_aiokafka(broker, topic):
            break
    assert found == expected
    assert len(expected) < 100 < expected[-1][2] and b"" in [value for *_, value in expected]


async def append_until_compacted(broker: str, topic: str, produce: Any) -> None:
    """An append rolls the segment, and only what is not in the last segment is compacted."""
    for _ in range(50):
        await produce(topic, [b"roll"], key_of=lambda value: b"roll")
        if len(await said_by_aiokafka(broker, topic)) < 100:
            return
        await asyncio.sleep(0.3)
    raise AssertionError("the broker does not compact")

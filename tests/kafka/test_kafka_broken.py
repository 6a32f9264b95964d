"""The Kafka source when the broker itself breaks: one of our own, killed, started again, its log damaged."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from detector.sources.kafka import KafkaSource
from detector.sources.kafka_settings import KafkaSettings
from detector.sources.positions import NoticeKind
from replay.produce import create_topic, produce
from tests.kafka.conftest import REQUIRED
from tests.kafka.reading import read_count, read_until, reading, records_of
from tools.kafka import Broker, KafkaError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own() -> Iterator[Broker]:
    """A broker that may be mistreated, beside the one that the other tests share."""
    own = Broker()
    try:
        own.start()
    except KafkaError as error:
        if any(os.environ.get(name) for name in REQUIRED):
            pytest.fail(f"a broker is required here, and there is none: {error}")
        pytest.skip(f"no broker of our own: {error}")
    try:
        yield own
    finally:
        own.stop()


def told(own: Broker, topic: str, **more: Any) -> KafkaSettings:
    options: dict[str, Any] = {
        "group": f"group-{topic}",
        "start_at": "earliest",
        "backoff_first_s": 0.05,
        "backoff_max_s": 0.5,
        "request_timeout_ms": 3_000,
        "session_timeout_ms": 3_000,  # a member that could not say goodbye is waited for this long
        "heartbeat_interval_ms": 500,
        "stalled_after_s": 3.0,
    }
    return KafkaSettings(own.bootstrap, (topic,), **(options | more))


def lines(count: int, prefix: bytes = b"n") -> list[bytes]:
    return [prefix + b"%d" % i for i in range(count)]


async def test_a_broker_that_is_killed_is_waited_for_and_nothing_is_lost(own: Broker) -> None:
    await create_topic(own.bootstrap, "killed")
    await produce(own.bootstrap, "killed", lines(50))
    settings = told(own, "killed", idle_after_s=0.3)
    async with reading(settings, event_clock=lambda partition, quiet_s: 1000 + int(quiet_s * 1e9)) as source:
        await read_count(source, 50)
        await asyncio.to_thread(own.kill)
        began = time.monotonic()
        while not source.trouble:
            assert time.monotonic() - began < 20, "nobody noticed"
            silent_s = time.monotonic() - began
            for batch in await source.poll(0.1):
                # a broker that is away says nothing about time
                assert batch.idle_ns and silent_s < 3.0
        assert not await source.poll(0.1)
        await asyncio.to_thread(own.start)
        await produce(own.bootstrap, "killed", lines(50, b"m"))
        found = await read_until(source, lambda records: len(records) >= 50)
        assert [(record[2], record[4]) for record in found] == list(enumerate(lines(50, b"m"), 50))
        assert source.trouble == ""
        assert source.counts["reconnects"] >= 1


@pytest.mark.parametrize("reader", ["in_place", "values"])
async def test_a_damaged_batch_is_quarantined_after_some_tries(own: Broker, reader: str) -> None:
    topic = f"damaged-{reader}"
    await create_topic(own.bootstrap, topic)
    for prefix in (b"before", b"BROKEN", b"after!"):
        await produce(own.bootstrap, topic, lines(10, prefix))
    damage(own, topic, b"BROKEN7")
    settings = told(own, topic, reader=reader, corrupt_tries=3)
    async with reading(settings) as source:
        found = await read_until(source, lambda records: len(records) >= 20)
        assert [record[2] for record in found] == [*range(10), *range(20, 30)]
        assert [notice.kind for notice in source.notices] == [NoticeKind.CORRUPT, NoticeKind.QUARANTINED]
        quarantined = source.take_notices()[1]
        assert (quarantined.topic, quarantined.partition) == (topic, 0)
        assert (quarantined.from_offset, quarantined.to_offset) == (10, 20)
        assert "checksum" in quarantined.detail
        assert source.counts["corrupt_batches"] == 3 and source.counts["quarantined_batches"] == 1
        await produce(own.bootstrap, topic, lines(5))
        await read_until(source, lambda records: len(records) >= 5)
        assert source.counts["quarantined_batches"] == 1


async def test_a_damaged_batch_at_the_very_end_is_quarantined_too(own: Broker) -> None:
    await create_topic(own.bootstrap, "damaged-end")
    await produce(own.bootstrap, "damaged-end", lines(10))
    await produce(own.bootstrap, "damaged-end", lines(10, b"BROKEN"))
    damage(own, "damaged-end", b"BROKEN3")
    async with reading(told(own, "damaged-end")) as source:
        await read_until(source, lambda records: len(records) >= 10)
        await poll_until_told(source, NoticeKind.QUARANTINED)
        assert source.lag() == {("damaged-end", 0): 0}


async def test_plain_getmany_holds_the_damaged_partition_and_says_so(own: Broker) -> None:
    await create_topic(own.bootstrap, "damaged-records", 2)
    for prefix in (b"BROKEN", b"after!"):
        await produce(own.bootstrap, "damaged-records", lines(10, prefix))
    damage(own, "damaged-records", b"BROKEN7")
    async with reading(told(own, "damaged-records", reader="records")) as source:
        await poll_until_told(source, NoticeKind.HELD)
        assert source.held == (("damaged-records", 0),)
        await produce(own.bootstrap, "damaged-records", lines(5), partition_of=1)
        await read_count(source, 5)  # the other partition goes on
        source.seek(("damaged-records", 0), 10)
        assert [record[2] for record in await read_count(source, 10)] == list(range(10, 20))


async def poll_until_told(source: KafkaSource, kind: NoticeKind) -> None:
    deadline = time.monotonic() + 20
    while kind not in [notice.kind for notice in source.notices]:
        assert time.monotonic() < deadline, (source.notices, source.trouble)
        for batch in await source.poll(0.1):
            assert not records_of(batch)


def damage(own: Broker, topic: str, at: bytes) -> None:
    """Flip a bit of the record on the broker's disk; it serves what is there."""
    (path,) = (own.directory / "data" / f"{topic}-0").glob("*.log")
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(data.index(at))
        file.write(bytes([at[0] ^ 1]))

"""The Kafka source while its topic itself changes: it grows, it is deleted, it is made anew."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError

from detector.sources import kafka_member
from detector.sources.kafka_settings import KafkaSettings
from detector.sources.positions import NoticeKind
from replay.produce import create_topic
from tests.kafka.reading import read_count, read_until, reading

pytestmark = pytest.mark.slow


@pytest.fixture
async def admin(broker: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker)
    await client.start()
    yield client
    await client.close()


def told(broker: str, topic: str, **more: str) -> KafkaSettings:
    options = {"group": f"group-{topic}", "start_at": "latest"} | more
    return KafkaSettings(broker, (topic,), session_timeout_ms=6_000, heartbeat_interval_ms=500, **options)


def lines(count: int) -> list[bytes]:
    return [b"n%d" % i for i in range(count)]


@pytest.mark.parametrize("group", ["", "some"])
async def test_a_partition_that_is_added_is_read_from_its_first_record(
    broker, topic, produce, admin, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    monkeypatch.setattr(kafka_member, "METADATA_MAX_AGE_MS", 3_000)
    await produce(topic, lines(5))
    async with reading(told(broker, topic, group=group and topic)) as source:
        while not await source.partitions():
            assert not await source.poll(0.1)
        await admin.create_partitions({topic: NewPartitions(2)})
        await produce(topic, lines(7), partition_of=1)  # before anybody here can know of it
        found = await read_until(source, lambda records: len(records) >= 7)
        assert [(record[1], record[2]) for record in found] == [(1, offset) for offset in range(7)]


@pytest.mark.parametrize("group", ["", "some"])
async def test_a_partition_that_was_added_while_nobody_listened_is_read_from_its_first_record(
    broker, topic, produce, admin, group: str
) -> None:
    settings = told(broker, topic, group=group and topic)
    await produce(topic, lines(5))
    async with reading(settings, {(topic, 0): 3}) as source:
        await read_until(source, lambda records: len(records) >= 2)
        await source.commit({(topic, 0): 5})
    await admin.create_partitions({topic: NewPartitions(2)})
    await produce(topic, lines(7), partition_of=1)
    async with reading(settings, {(topic, 0): 5}) as source:
        found = await read_until(source, lambda records: len(records) >= 7)
        assert [(record[1], record[2]) for record in found] == [(1, offset) for offset in range(7)]
        assert source.begun == {(topic, 1): 0}
        await source.commit({(topic, 1): 6})
    async with reading(settings, {(topic, 0): 5}) as source:  # another's, of which we have nothing
        await produce(topic, lines(1), partition_of=0)
        await read_until(source, lambda records: any(record[1] == 0 for record in records))
        assert source.begun == {(topic, 1): 7 if group else 0}


async def test_a_topic_that_is_deleted_is_a_trouble_and_made_anew_it_is_held(
    broker, topic, produce, admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_member, "METADATA_MAX_AGE_MS", 1_000)
    await produce(topic, lines(50))
    async with reading(told(broker, topic, start_at="earliest")) as source:
        await read_until(source, lambda records: len(records) >= 50)
        await admin.delete_topics([topic])
        await read_until(source, lambda _: topic in source.trouble)
        await _made_anew(broker, topic)
        await produce(topic, lines(10))
        await read_until(source, lambda _: bool(source.held))
        (notice,) = source.take_notices()
        assert (notice.kind, notice.from_offset, notice.to_offset) == (NoticeKind.TRUNCATED, 0, 50)
        assert source.trouble == ""


async def test_a_log_that_ended_before_our_position_stays_held_when_it_has_grown_past_it(
    broker, topic, produce
) -> None:
    await produce(topic, lines(10))
    async with reading(told(broker, topic), {(topic, 0): 50}) as source:
        await read_until(source, lambda _: bool(source.held))
        await produce(topic, lines(100))
        generation = source.generation
        source._started.fail(ConnectionError("a broker restarts"))
        await read_until(source, lambda _: source.generation > generation and not source.trouble)
        for _ in range(5):
            assert not await source.poll(0.1)
        assert source.held == ((topic, 0),)
        assert [notice.kind for notice in source.take_notices()] == [NoticeKind.TRUNCATED]
        source.seek((topic, 0), 0)
        assert len(await read_count(source, 110)) == 110


@pytest.mark.parametrize("group", ["", "some"])
async def test_a_topic_made_anew_while_nobody_listened_is_held_though_it_has_outgrown_our_position(
    broker, topic, produce, admin, group: str
) -> None:
    settings = told(broker, topic, group=group and topic)
    await produce(topic, lines(10))
    async with reading(settings, {(topic, 0): 3}) as source:
        await read_until(source, lambda records: len(records) >= 7)
        old = dict(source.logs)
        assert list(old) == [(topic, 0)]
    async with reading(settings, {(topic, 0): 10}, old) as source:  # the same one
        await produce(topic, lines(2))
        assert len(await read_count(source, 2)) == 2 and source.logs == old
    await admin.delete_topics([topic])
    await _made_anew(broker, topic)
    await produce(topic, lines(30))
    async with reading(settings, {(topic, 0): 12}, old) as source:
        await read_until(source, lambda _: bool(source.held))
        (notice,) = source.take_notices()
        assert (notice.kind, notice.from_offset, notice.to_offset) == (NoticeKind.TRUNCATED, 0, 12)
        assert "made anew" in notice.detail and source.logs == old, "held after a restart, too"
        source.seek((topic, 0), 4)
        assert len(await read_count(source, 26)) == 26
        assert not source.held and source.logs.keys() == old.keys() and source.logs != old
    for unknown in ({}, {(topic, 0): ""}):
        async with reading(settings, {(topic, 0): 12}, unknown) as source:
            assert len(await read_count(source, 18)) == 18, "nobody knows of another one"
    async with reading(settings, {(topic, 0): 0}, old) as source:
        assert len(await read_count(source, 30)) == 30, "who had read nothing misses nothing"


@pytest.mark.parametrize("flaw", ["_client", "get_random_node", "send"])
async def test_where_a_topic_s_id_cannot_be_asked_for_it_is_read_all_the_same(
    broker, topic, produce, monkeypatch: pytest.MonkeyPatch, flaw: str
) -> None:
    class Client:
        """aiokafka's, without one of its names."""

        def __init__(self, told: object) -> None:
            self._told = told

        def __getattr__(self, name: str) -> object:
            if name == flaw:
                raise AttributeError(name)
            return getattr(self._told, name)

    asked = kafka_member.topic_ids

    async def ask(consumer: object, topics: Iterable[str]) -> dict[str, str]:
        without = SimpleNamespace() if flaw == "_client" else SimpleNamespace(_client=Client(consumer._client))  # type: ignore[attr-defined]
        return await asked(without, topics)

    monkeypatch.setattr(kafka_member, "topic_ids", ask)
    await produce(topic, lines(10))
    async with reading(told(broker, topic), {(topic, 0): 3}, {(topic, 0): "of old"}) as source:
        assert len(await read_count(source, 7)) == 7
        assert source.logs == {(topic, 0): "of old"}


async def _made_anew(broker: str, topic: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            if await create_topic(broker, topic):
                return
        except KafkaError:
            assert time.monotonic() < deadline

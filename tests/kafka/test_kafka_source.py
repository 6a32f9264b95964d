"""The Kafka source in a world that changes: members come and go, retention, topics made anew, positions, pauses."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from detector.sources import kafka_member
from detector.sources.kafka import KafkaSource
from detector.sources.kafka_settings import KafkaSettings, Security
from detector.sources.positions import NoticeKind
from tests.kafka.reading import Record, read_count, read_until, reading, records_of


def lines(count: int, prefix: bytes = b"n") -> list[bytes]:
    return [prefix + b"%d" % i for i in range(count)]


def told(broker: str, topic: str, **more: Any) -> KafkaSettings:
    options = {
        "group": f"group-{topic}",
        "start_at": "earliest",
        "session_timeout_ms": 6_000,
        "heartbeat_interval_ms": 500,
    }
    return KafkaSettings(broker, (topic,), **(options | more))


async def poll_until(source: KafkaSource, condition: Any, max_s: float = 20.0) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + max_s
    while not condition():
        assert time.monotonic() < deadline, (source.trouble, source.counts)
        for batch in await source.poll(0.1):
            found += records_of(batch)
    return found


async def test_a_second_member_takes_over_partitions_and_gives_them_back(broker, new_topic, produce) -> None:
    topic = await new_topic(4)
    shared: dict[tuple[str, int], int] = {}  # what a store shared by both would hold
    seen: dict[tuple[int, int], int] = {}

    def take(records: list[Record]) -> None:
        for _, partition, offset, _, _ in records:
            seen[partition, offset] = seen.get((partition, offset), 0) + 1
            shared[topic, partition] = max(shared.get((topic, partition), 0), offset + 1)

    async def positions_of(partitions):
        return {partition: shared[partition] for partition in partitions if partition in shared}

    await produce(topic, lines(400), partition_of=lambda value: int(value[1:]) % 4)
    settings = told(broker, topic)
    async with reading(settings, positions_of=positions_of) as first:
        take(await read_count(first, 400))
        assert len(await first.partitions()) == 4
        generation = first.generation
        second = KafkaSource(settings, positions_of=positions_of)
        await second.start({})
        try:
            async with asyncio.timeout(25):
                while len(await first.partitions()) != 2 or len(await second.partitions()) != 2:
                    for source in (first, second):
                        take([record for batch in await source.poll(0.05) for record in records_of(batch)])
            assert first.generation > generation
            assert not set(await first.partitions()) & set(await second.partitions())
            await produce(topic, lines(400, b"m"), partition_of=lambda value: int(value[1:]) % 4)
            async with asyncio.timeout(25):
                while len(seen) < 800:
                    for source in (first, second):
                        take([record for batch in await source.poll(0.05) for record in records_of(batch)])
        finally:
            await second.close()
        await poll_until(first, lambda: len(first._started.placed) == 4)
        await produce(topic, lines(40, b"o"), partition_of=lambda value: int(value[1:]) % 4)
        async with asyncio.timeout(25):
            while len(seen) < 840:
                take([record for batch in await first.poll(0.05) for record in records_of(batch)])
    assert set(seen.values()) == {1}  # nothing twice, nothing lost
    assert {number: sum(1 for p, _ in seen if p == number) for number in range(4)} == dict.fromkeys(range(4), 210)


async def test_a_static_member_that_restarts_causes_no_rebalance(broker, topic, produce) -> None:
    settings = told(broker, topic, member="engine-1")
    await produce(topic, lines(5))
    async with reading(settings) as source:
        await read_count(source, 5)
    began = time.monotonic()
    async with reading(settings, {(topic, 0): 5}) as source:
        await produce(topic, lines(2))
        assert [record[2] for record in await read_count(source, 2)] == [5, 6]
    assert time.monotonic() - began < settings.session_timeout_ms / 1000


async def test_two_daemons_that_share_a_members_name_are_told(broker, topic, produce, monkeypatch) -> None:
    monkeypatch.setattr(kafka_member, "STORM_S", 8.0)
    settings = told(broker, topic, member="engine-1")
    async with reading(settings) as source:
        async with reading(settings) as double:
            async with asyncio.timeout(25):
                while "'engine-1', too" not in source.trouble:
                    for each in (source, double):
                        await each.poll(0.1)
        await poll_until(source, lambda: not source.trouble)
        await produce(topic, lines(3))
        assert len(await read_count(source, 3)) == 3


async def test_what_retention_took_is_a_gap_and_never_a_silent_jump(broker, topic, produce) -> None:
    await produce(topic, lines(100), batch_bytes=200)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=60)})
    finally:
        await admin.close()
    async with reading(told(broker, topic), {(topic, 0): 20}) as source:
        found = await read_count(source, 40)
        assert [record[2] for record in found] == list(range(60, 100))
        (notice,) = source.take_notices()
        assert (notice.kind, notice.from_offset, notice.to_offset) == (NoticeKind.GAP, 20, 60)
        assert source.counts["gaps"] == 1


async def test_retention_behind_a_paused_reader_is_told_when_it_goes_on(broker, topic, produce) -> None:
    await produce(topic, lines(100), batch_bytes=200)
    small = told(broker, topic, partition_fetch_bytes_max=300, batch_max=10)
    async with reading(small) as source:
        await poll_until(source, lambda: source._started.positions.get((topic, 0), 0) > 0)
        source.pause([(topic, 0)])
        await source.poll(0.2)
        at = source._started.positions[topic, 0]
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=90)})
        finally:
            await admin.close()
        source.pause([])
        found = await read_until(source, lambda records: len(records) >= 10)
        assert [record[2] for record in found][-10:] == list(range(90, 100))
        (notice,) = source.take_notices()
        assert (notice.kind, notice.from_offset, notice.to_offset) == (NoticeKind.GAP, at, 90)


async def test_a_topic_made_anew_is_not_read_until_somebody_decides(broker, topic, produce) -> None:
    await produce(topic, lines(10))
    async with reading(told(broker, topic), {(topic, 0): 500}) as source:
        assert await poll_until(source, lambda: source.held) == []
        assert source.held == ((topic, 0),)
        (notice,) = source.take_notices()
        assert (notice.kind, notice.from_offset, notice.to_offset) == (NoticeKind.TRUNCATED, 10, 500)
        await produce(topic, lines(10))
        assert not await source.poll(0.5)
        source.seek((topic, 0), 0)
        assert len(await read_count(source, 20)) == 20
        assert source.held == ()


@pytest.mark.parametrize(("start_at", "first"), [("earliest", 0), ("latest", 30), (1_700_000_000_020_000_000, 20)])
async def test_without_a_position_reading_starts_as_configured(broker, new_topic, produce, start_at, first) -> None:
    topic = await new_topic(1, retention_ms="-1")  # the records are old, and the broker would delete them
    stamps = iter(range(1_700_000_000_000, 1_700_000_000_100))
    await produce(topic, lines(30), stamp_ms_of=lambda value: next(stamps), batch_bytes=200)
    async with reading(told(broker, topic, start_at=start_at)) as source:
        await poll_until(source, lambda: source._started.placed) if first == 30 else None
        await produce(topic, lines(5))
        assert [record[2] for record in await read_count(source, 35 - first)] == list(range(first, 35))


async def test_commits_are_for_lag_tools_and_never_read_back(broker, topic, produce) -> None:
    await produce(topic, lines(10))
    settings = told(broker, topic)
    async with reading(settings) as source:
        await read_count(source, 10)
        await source.commit({(topic, 0): 7, ("elsewhere", 3): 1})
        assert source.lag() == {(topic, 0): 0}
        assert "commits_failed" not in source.counts
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=settings.group, enable_auto_commit=False)
    await consumer.start()
    try:
        assert await consumer.committed(TopicPartition(topic, 0)) == 7
    finally:
        await consumer.stop()
    async with reading(settings, {(topic, 0): 3}) as source:
        assert [record[2] for record in await read_count(source, 7)] == list(range(3, 10))


async def test_an_open_transaction_is_not_the_end_so_time_does_not_move_on(broker, topic, produce) -> None:
    await produce(topic, lines(3))
    producer = AIOKafkaProducer(bootstrap_servers=broker, transactional_id=f"open-{topic}")
    await producer.start()
    settings = told(broker, topic, idle_after_s=0.3, idle_every_s=0.05)
    try:
        async with reading(settings, event_clock=lambda partition, quiet_s: 1000 + int(quiet_s * 1e9)) as source:
            await read_count(source, 3)
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"pending")
            await poll_until(source, lambda: source.lag() == {(topic, 0): 1})
            began = time.monotonic()
            while time.monotonic() - began < 1.0:
                assert not await source.poll(0.1)
            await producer.commit_transaction()
            (record,) = await read_until(source, lambda records: len(records) == 1)
            assert record[4] == b"pending"
            idle: list[Any] = []
            while not idle:
                idle += await source.poll(0.1)
            assert idle[0].next_offset == 5  # the control record is behind us
            assert source.lag() == {(topic, 0): 0}
    finally:
        await producer.stop()


async def test_a_quiet_partition_is_idle_beside_a_busy_one(broker, new_topic, produce) -> None:
    topic = await new_topic(2)
    await produce(topic, lines(3), partition_of=1)
    settings = told(broker, topic, idle_after_s=0.3, idle_every_s=0.05)
    async with reading(settings, event_clock=lambda partition, quiet_s: 1000 + int(quiet_s * 1e9)) as source:
        stop = asyncio.Event()

        async def keep_busy() -> None:
            while not stop.is_set():
                await produce(topic, lines(20), batch_bytes=1)

        busy = asyncio.create_task(keep_busy())
        try:
            idle: set[int] = set()
            came = 0
            async with asyncio.timeout(20):
                while not idle or came < 100:
                    for batch in await source.poll(0.1):
                        came += len(batch)
                        if not len(batch):
                            idle.add(batch.partition)
            assert idle == {1}
        finally:
            stop.set()
            await busy


async def test_nobody_there_is_a_trouble_with_a_name_and_every_poll_ends(capsys: pytest.CaptureFixture[str]) -> None:
    settings = KafkaSettings("127.0.0.1:9", ("orders",), backoff_first_s=0.01, backoff_max_s=0.05)
    async with reading(settings) as source:
        began = time.monotonic()
        for _ in range(10):
            assert not await source.poll(0.05)
        assert 0.4 < time.monotonic() - began < 3
        assert "127.0.0.1:9" in source.trouble
        assert source.counts["reconnects"] > 1
        assert await source.partitions() == []
        await source.commit({("orders", 0): 3})
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert capsys.readouterr().out.count("kafka_trouble") == 1  # said once, not at each of the tries


async def test_a_topic_that_comes_later_is_waited_for(broker, produce) -> None:
    from replay.produce import create_topic

    topic = f"later-{time.monotonic_ns()}"
    settings = told(broker, topic, backoff_first_s=0.05, backoff_max_s=0.2, request_timeout_ms=2_000)
    async with reading(settings) as source:
        await poll_until(source, lambda: source.trouble)
        await create_topic(broker, topic)
        await produce(topic, lines(3))
        assert len(await read_count(source, 3)) == 3
        assert source.trouble == ""


def test_settings_that_cannot_be_meant_are_refused() -> None:
    for wrong, sentence in (
        ({"topics": ()}, "at least one"),
        ({"topics": ("a", "a")}, "once"),
        ({"batch_max": 0}, "at least 1"),
        ({"session_timeout_ms": 5_000}, "three heartbeats"),
        ({"backoff_first_s": 0.0}, "above 0"),
        ({"start_at": -1}, "nanoseconds"),
        ({"bootstrap": ""}, "no broker"),
    ):
        with pytest.raises(ValueError, match=sentence):
            KafkaSettings(**({"bootstrap": "b:1", "topics": ("a",)} | wrong))
    for wrong, sentence in (
        ({"protocol": "TLS"}, "none of"),
        ({"protocol": "SASL_SSL"}, "username"),
        ({"protocol": "SASL_SSL", "mechanism": "NTLM", "username": "u", "password": "p"}, "none of"),
        ({"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "username": "u", "password": "p"}, "readably"),
        ({"certificate_file": "c.pem"}, "both"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Security(**wrong)


async def test_before_the_start_everything_that_may_be_asked_has_an_answer() -> None:
    source = KafkaSource(KafkaSettings("b:1", ("a",)))
    assert (source.trouble, source.held, source.generation, source.lag()) == ("not started", (), 0, {})
    assert await source.partitions() == []
    await source.commit({("a", 0): 1})
    source.pause([("a", 0)])
    await source.close()


async def test_a_certificate_that_cannot_be_read_is_said_at_the_start() -> None:
    source = KafkaSource(KafkaSettings("b:1", ("a",), security=Security("SSL", ca_file="/nowhere/ca.pem")))
    with pytest.raises(FileNotFoundError):
        await source.start({})
    await source.close()


def test_tls_verifies_and_sasl_is_passed_on() -> None:
    arguments = Security("SASL_SSL", mechanism="SCRAM-SHA-256", username="us", password="canary").client_arguments()
    context = arguments.pop("ssl_context")
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert arguments == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "us",
        "sasl_plain_password": "canary",
    }


def test_a_password_is_in_no_repr() -> None:
    security = Security(
        "SASL_SSL", username="us", password="canary-1", key_password="canary-2", certificate_file="c", key_file="k"
    )
    assert "canary" not in repr(security) + repr(KafkaSettings("b:1", ("a",), security=security))

"""Produce: recorded lines and test traffic into a topic, for the quickstart, the benchmarks and the tests."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import Any, Literal

from aiokafka import AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import TopicAlreadyExistsError, for_code  # type: ignore[import-untyped]

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]

BATCH_BYTES = 256 << 10  # of one Kafka record batch, before compression
IN_FLIGHT_MAX = 64  # batches sent and not yet acknowledged

REQUEST_TIMEOUT_MS = 15_000


async def create_topic(
    bootstrap: str, topic: str, partitions: int = 1, *, configs: dict[str, str] | None = None, **client: Any
) -> bool:
    """Make a topic. False = it was there already. `client`: TLS and SASL arguments of aiokafka.

    Raises KafkaError when the broker refuses (policy, name) and KafkaConnectionError when nobody is there.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS, **client)
    await admin.start()
    try:
        try:
            answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs or {})])
        except TopicAlreadyExistsError:
            return False
        for _, code, *message in answer.topic_errors:
            error = for_code(code)
            if error is TopicAlreadyExistsError:
                return False
            if code:
                raise error(f"{topic}: {message[0] if message else error.__name__}")
        return True
    finally:
        await admin.close()


async def produce(
    bootstrap: str,
    topic: str,
    values: Iterable[bytes | None] | AsyncIterable[bytes | None],
    *,
    partition_of: Callable[[bytes], int] | int = 0,
    key_of: Callable[[bytes], bytes | None] = lambda value: None,
    stamp_ms_of: Callable[[bytes], int | None] = lambda value: None,
    headers: Sequence[tuple[str, bytes]] = (),
    compression: Compression = "none",
    batch_bytes: int = BATCH_BYTES,
    transaction: Literal["", "commit", "abort"] = "",
    transactional_id: str = "foreshock-produce",
    **client: Any,
) -> int:
    """Send `values` in order (per partition) and return how many were acknowledged. None is a tombstone.

    partition_of  a partition, or of a value: the same market must always give the same
    stamp_ms_of   record timestamp, None = now
    batch_bytes   1 makes a record batch of every record
    transaction   all of them in one, which is then committed or aborted
    Raises KafkaError, and ValueError for a partition that is not there. Records that were acknowledged before stay.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if compression == "none" else compression,
        acks="all",
        enable_idempotence=True,
        max_batch_size=batch_bytes,
        max_request_size=max(1 << 20, 2 * batch_bytes),
        transactional_id=transactional_id if transaction else None,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **client,
    )
    await producer.start()
    try:
        partitions = await producer.partitions_for(topic)
        sender = _Sender(producer, topic, headers, batch_bytes)
        if transaction:
            await producer.begin_transaction()
        async for value in _each(values):
            known = value or b""
            partition = partition_of if isinstance(partition_of, int) else partition_of(known)
            if partition not in partitions:
                raise ValueError(f"{topic} has no partition {partition}")
            await sender.add(partition, key_of(known), value, stamp_ms_of(known))
        await sender.finish()
        if transaction == "commit":
            await producer.commit_transaction()
        elif transaction == "abort":
            await producer.abort_transaction()
        return sender.acknowledged
    finally:
        await producer.stop()


class _Sender:
    """Builds record batches itself: a future per batch, not one per record, so that sending is not the bottleneck."""

    def __init__(self, producer: Any, topic: str, headers: Sequence[tuple[str, bytes]], batch_bytes: int) -> None:
        self.acknowledged = 0
        self._producer = producer
        self._topic = topic
        self._headers = list(headers)
        self._batch_bytes = batch_bytes
        self._building: dict[int, Any] = {}
        self._in_flight: list[tuple[Any, int]] = []

    async def add(self, partition: int, key: bytes | None, value: bytes | None, stamp_ms: int | None) -> None:
        """Into the partition's batch; a full one is sent."""
        for _ in range(2):
            batch = self._building.get(partition)
            if batch is None:
                batch = self._building[partition] = self._producer.create_batch()
            if self._batch_bytes > 1 or batch.record_count() == 0:
                added = batch.append(key=key, value=value, timestamp=stamp_ms, headers=self._headers)
                if added is not None:
                    return
            await self._send(partition)
        raise ValueError(f"a record of {len(value or b'')} bytes does not fit into a batch of {self._batch_bytes}")

    async def finish(self) -> None:
        """Send what is begun, and wait until everything is acknowledged."""
        for partition in sorted(self._building):
            await self._send(partition)
        await self._settle(0)

    async def _send(self, partition: int) -> None:
        batch = self._building.pop(partition)
        if batch.record_count() == 0:
            return
        count = batch.record_count()
        future = await self._producer.send_batch(batch, self._topic, partition=partition)
        self._in_flight.append((future, count))
        await self._settle(IN_FLIGHT_MAX)

    async def _settle(self, most: int) -> None:
        """Until at most `most` batches are not acknowledged."""
        while len(self._in_flight) > most:
            future, count = self._in_flight.pop(0)
            await future
            self.acknowledged += count


async def end_offsets(bootstrap: str, topic: str, **client: Any) -> dict[int, int]:
    """Partition -> offset after its last record (control records included)."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS, **client)
    await consumer.start()  # knows the topic's partitions because it is to read it
    try:
        tops = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return {top.partition: offset for top, offset in (await consumer.end_offsets(tops)).items()}
    finally:
        await consumer.stop()


async def _each(values: Iterable[bytes | None] | AsyncIterable[bytes | None]) -> AsyncIterable[bytes | None]:
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value

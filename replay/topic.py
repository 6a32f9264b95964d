"""Topic: a range of a Kafka topic as inputs of a replay. kafka://host:port/topic?from=T&to=T

T is an instant (ISO-8601 or nanoseconds) by the broker's clock, or `offset:N`; without `from` the range begins where
the log does, without `to` it ends where the log ended when it was opened. Reads without a group: no position moves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from detector.model.records import RecordBatch, pack
from replay.instant import parse_instant

SCHEME = "kafka://"
BATCH_MAX = 5_000
WAIT_S = 1.0  # of one look for records
QUIET_MAX_S = 30.0  # nothing for this long before the range's end: the broker is gone
OPEN_MAX_S = 30.0
LOOK_S = 0.02
MS_NS = 1_000_000


class TopicUnreadable(ConnectionError):
    """The broker, the topic or the range is not there. The message says which."""

    exit_code = 4


class UrlError(ValueError):
    """The URL cannot be meant. The message says why."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range: an instant by the broker's clock in ms, or an offset; both None = the log's own end."""

    at_ms: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class TopicUrl:
    """A parsed URL. `end` is outside of the range."""

    bootstrap: str
    topic: str
    begin: Bound = Bound()
    end: Bound = Bound()


def parse_url(url: str) -> TopicUrl:
    """Raises UrlError.

    >>> parse_url("kafka://localhost:9092/orders?from=2026-01-05&to=offset:7")
    TopicUrl(bootstrap='localhost:9092', topic='orders', begin=Bound(at_ms=1767571200000, offset=None), \
end=Bound(at_ms=None, offset=7))
    """
    wanted = f"{SCHEME}...: write {SCHEME}HOST:PORT/TOPIC?from=T&to=T; who logs in stands in [kafka]"
    try:
        parts = urlsplit(url)
        brokers = [_host(place) for place in parts.netloc.split(",")]
    except ValueError as error:
        raise UrlError(f"{wanted} ({error})") from None
    topic = unquote(parts.path.strip("/"))
    if parts.scheme != "kafka" or not all(brokers) or not topic or "/" in topic or "@" in parts.netloc:
        raise UrlError(wanted)
    bounds = {"from": Bound(), "to": Bound()}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in bounds:
            raise UrlError(f"{url}: {name} means nothing here; there is from and to")
        bounds[name] = _bound(url, name, value)
    return TopicUrl(parts.netloc, topic, bounds["from"], bounds["to"])


def _host(place: str) -> str:
    """The host of a broker's host:port; ValueError where it can be none."""
    parts = urlsplit(f"//{place}")
    if parts.port == 0:
        raise ValueError("nobody listens on port 0")
    host = parts.hostname or ""
    host.encode("idna")  # as whoever looks it up will
    return host


def open_topic(url: TopicUrl, security: Mapping[str, Any], *, batch_max: int = BATCH_MAX) -> list[TopicInput]:
    """An input for each partition. security: keyword arguments of aiokafka's clients. Raises TopicUnreadable."""
    reader = _Reader(url, security, batch_max)
    try:
        return [TopicInput(reader, number, *span) for number, span in sorted(reader.spans.items())]
    except BaseException:
        reader.close()
        raise


class TopicInput:
    """One partition's part of the range: from offset `begin` to before `end`."""

    bytes_total = None

    def __init__(self, reader: _Reader, number: int, begin: int, end: int) -> None:
        self.partition = (reader.topic, number)
        self.damage = ""
        self.bytes_done = 0
        self._reader: _Reader | None = reader
        self._position = begin
        self._end = end
        reader.users += 1

    def read(self) -> RecordBatch | None:
        """The next records; None at the end, or when the broker is gone, which `damage` tells."""
        while self._reader is not None and self._position < self._end:
            try:
                records, position = self._reader.fetch(self.partition[1], self._position)
            except (KafkaError, OSError, TimeoutError) as error:
                name, number = self.partition
                self.damage = f"{name}/{number}: offset {self._position}: {type(error).__name__}: {error}"
                return None
            wanted = [record for record in records if record.offset < self._end and record.value is not None]
            first, self._position = self._position, position
            if wanted:
                self.bytes_done += sum(len(record.value) for record in wanted)
                return self._batch(wanted, first)
        return None

    def close(self) -> None:
        """Give the partition back; the last one closes the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.users -= 1
            if reader.users == 0:
                reader.close()

    def _batch(self, records: list[Any], first: int) -> RecordBatch:
        batch = pack(
            *self.partition,
            [record.value for record in records],
            [record.offset for record in records],
            [record.timestamp * MS_NS if record.timestamp > 0 else 0 for record in records],
            next_offset=min(self._position, self._end),
        )
        assert first <= batch.first_offset
        return batch


class _Reader:
    """The connection that the inputs of one URL share, on an event loop that turns only while one of them reads.

    spans: per partition the first offset, and the one after the last.
    """

    def __init__(self, url: TopicUrl, security: Mapping[str, Any], batch_max: int) -> None:
        self.topic = url.topic
        self.users = 0
        self._batch_max = batch_max
        self._loop = asyncio.new_event_loop()
        self._consumer: Any = None
        try:
            self.spans = self._loop.run_until_complete(asyncio.wait_for(self._open(url, security), OPEN_MAX_S))
        except (KafkaError, OSError, TimeoutError) as error:
            self.close()
            why = str(error) or type(error).__name__
            raise TopicUnreadable(f"{SCHEME}{url.bootstrap}/{url.topic}: {why}") from None

    def fetch(self, number: int, position: int) -> tuple[list[Any], int]:
        """(records, where reading goes on). Raises TimeoutError when nothing comes for QUIET_MAX_S, KafkaError."""
        return self._loop.run_until_complete(self._fetch(TopicPartition(self.topic, number), position))

    def close(self) -> None:
        """Leave the broker."""
        if self._loop.is_closed():
            return
        if self._consumer is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                self._loop.run_until_complete(asyncio.wait_for(self._consumer.stop(), WAIT_S))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _open(self, url: TopicUrl, security: Mapping[str, Any]) -> dict[int, tuple[int, int]]:
        self._consumer = consumer = AIOKafkaConsumer(
            bootstrap_servers=url.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # until it is told where to begin, below
            isolation_level="read_committed",
            client_id="foreshock-replay",
            **security,
        )
        await consumer.start()
        if url.topic not in await consumer.topics():
            raise OSError("there is no such topic")
        consumer.subscribe([url.topic])  # without a group: all its partitions, as soon as it has heard of them
        while not (tops := sorted(consumer.assignment())):  # noqa: ASYNC110  nothing tells when it has
            await asyncio.sleep(LOOK_S)
        log_begins, log_ends = await consumer.beginning_offsets(tops), await consumer.end_offsets(tops)
        begins = await self._offsets(tops, url.begin, log_begins, log_ends)
        ends = await self._offsets(tops, url.end, log_ends, log_ends)
        spans = {}
        for top in tops:
            begin = min(max(begins[top], log_begins[top]), log_ends[top])
            spans[top.partition] = (begin, max(begin, min(ends[top], log_ends[top])))
            consumer.seek(top, begin)
        return spans

    async def _offsets(self, tops: list[Any], bound: Bound, without: Mapping[Any, int], ends: Mapping[Any, int]) -> Any:
        """Per partition the offset that a bound means; `without` when it means none."""
        if bound.offset is not None:
            return dict.fromkeys(tops, bound.offset)
        if bound.at_ms is None:
            return without
        found = await self._consumer.offsets_for_times(dict.fromkeys(tops, bound.at_ms))
        return {top: found[top].offset if found.get(top) is not None else ends[top] for top in tops}

    async def _fetch(self, top: Any, position: int) -> tuple[list[Any], int]:
        waited_s = 0.0
        while waited_s < QUIET_MAX_S:
            handed = await self._consumer.getmany(top, timeout_ms=int(WAIT_S * 1000), max_records=self._batch_max)
            records = handed.get(top, [])
            after = await self._consumer.position(top)
            # control records and what compaction took move the position without a record
            if records or after > position:
                return records, after
            waited_s += WAIT_S
        raise TimeoutError(f"nothing came for {QUIET_MAX_S:g} s")


def _bound(url: str, name: str, value: str) -> Bound:
    if value.startswith("offset:"):
        digits = value.removeprefix("offset:")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise UrlError(f"{url}: {name}: offset:N, N a number")
        return Bound(offset=int(digits))
    try:
        instant_ns = parse_instant(value.replace(" ", "+"))  # a + in a query means a space; here it is a zone's sign
    except ValueError as error:
        raise UrlError(f"{url}: {name}: {error}") from None
    return Bound(at_ms=-(-instant_ns // MS_NS))

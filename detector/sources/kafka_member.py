"""Member: one place in a consumer group, held through every broken connection. A helper of kafka.py, no plug-in."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import (  # type: ignore[import-untyped]
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.coordinator.assignors.range import RangePartitionAssignor  # type: ignore[import-untyped]
from aiokafka.errors import UnknownTopicOrPartitionError  # type: ignore[import-untyped]

from detector.sources.base import Partition
from detector.sources.kafka_settings import KafkaSettings
from detector.sources.kafka_topics import topic_ids
from detector.sources.positions import Notice, NoticeKind, Placing, place

CLOSE_MAX_S = 10.0
HEALTHY_AFTER_S = 10.0  # a connection that lasted this long was one: the next failure starts with a short wait
PROBE_EVERY_S = 1.0
PLACE_EVERY_S = 0.1  # positions are compared with the log at most this often
STORM_ASSIGNMENTS, STORM_S = 10, 60.0  # so many in so short a time: a static member has a double
METADATA_MAX_AGE_MS = 10_000  # partitions that are added, and a topic that comes back, are seen this late at most

# For the partitions that just became ours: where our durable state stands. Records flow when it has returned.
PositionsOf = Callable[[Sequence[Partition]], Awaitable[Mapping[Partition, int]]]

_NOWHERE = TopicPartition("", 0)

log = structlog.get_logger(__name__)


class SharedName(Exception):
    """Another member of the group has our name."""


class Member:
    """Makes consumers, one after the other, and says when records may be taken from the present one.

    live        the consumer, while every partition of ours stands at its checked position; None otherwise
    positions   next offset to hand over, per partition; whoever takes records moves it, without waiting in between
    begun       where those were placed that had no position, by our own account, when they came
    logs        the id of the topic that a position is of, where it is known
    assigned    by the group; `placed`: of those, position checked; `held`: of those, the ones that must not be read
    generation  counts assignments
    trouble     what is wrong now, '' = nothing; logged only when it changes

    A rebalance runs in aiokafka's background. The listener only takes note; checking and seeking are done by this
    member's own task, and nothing flows before it has: so no lock is held across aiokafka, and none can deadlock.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        value_deserializer: Callable[[bytes | None], bytes | None] | None,
        positions: Mapping[Partition, int],
        logs: Mapping[Partition, str],
        positions_of: PositionsOf,
        tell: Callable[[Notice], None],
        counts: dict[str, int],
    ) -> None:
        self.live: Any = None
        self.positions = dict(positions)
        self.begun: dict[Partition, int] = {}
        self.logs = dict(logs)
        self.assigned: frozenset[Partition] = frozenset()
        self.placed: frozenset[Partition] = frozenset()
        self.held: set[Partition] = set()
        self.generation = 0
        self.trouble = ""
        self._settings = settings
        self._value_deserializer = value_deserializer
        self._positions_of = positions_of
        self._tell = tell
        self._counts = counts
        self._opened = asyncio.Event()  # says that live was set
        self._changed = asyncio.Event()  # asks to place partitions, or to make the consumer anew
        self._failure: BaseException | None = None
        self._read_before = frozenset(topic for topic, _ in positions)
        self._undecided: set[Partition] = set()  # another log than ours: held, however long it has become meanwhile
        self._assigned_s: deque[float] = deque(maxlen=STORM_ASSIGNMENTS)  # when, monotonic
        self._widths: dict[str, int] = {}  # partitions of a topic when it was looked at last
        self._troubled_s = 0.0
        self._task = asyncio.create_task(self._supervise(), name="kafka-member")

    async def wait(self, timeout_s: float) -> None:
        """Until records may be taken; at most `timeout_s`. Raises what our own mistake was, if the task died of one."""
        if self._task.done():
            self._task.result()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._opened.wait()

    def shut(self) -> None:
        """Nothing may be taken until further notice."""
        self.live = None
        self._opened.clear()

    def place_again(self) -> None:
        """Compare the positions with the log, and seek. Nothing flows until that is done."""
        self.shut()
        self._changed.set()

    def decide(self, partition: Partition, offset: int) -> None:
        """Go on there, also with a partition that is held."""
        self.positions[partition] = offset
        self._undecided.discard(partition)
        self.logs.pop(partition, None)
        self.place_again()

    def fail(self, error: BaseException) -> None:
        """The present consumer is done for."""
        self._failure = error
        self.place_again()

    def assign(self, partitions: Iterable[Partition]) -> None:
        """What is ours from now on."""
        self.assigned = frozenset(partitions)
        self.generation += 1
        self._assigned_s.append(time.monotonic())
        self._count("rebalances")
        self.place_again()

    async def close(self) -> None:
        """Leave the group (a static member does not), and end."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _supervise(self) -> None:
        """One consumer after the other, for ever."""
        failures = 0
        while True:
            consumer = None
            began_s = time.monotonic()
            self._failure = None
            self._changed.clear()
            try:
                consumer = self._make()
                await self._connect(consumer)
                while True:
                    await self._place(consumer)
                    await self._until_changed(consumer)
                    await asyncio.sleep(PLACE_EVERY_S)
                    self._changed.clear()
                    if self._failure is not None:
                        raise self._failure
            except asyncio.CancelledError as error:
                if cancelled_by_us():
                    raise
                self._say_trouble(error)
            except Exception as error:  # whatever ends a consumer
                self._say_trouble(error)
            finally:
                self.shut()
                self.assigned = frozenset()
                if consumer is not None:
                    await _stop(consumer)
            failures = 0 if time.monotonic() - began_s > HEALTHY_AFTER_S else failures + 1
            self._count("reconnects")
            ceiling_s = min(self._settings.backoff_max_s, self._settings.backoff_first_s * 2 ** min(failures, 16))
            await asyncio.sleep(random.uniform(0, ceiling_s))  # noqa: S311  spreads members, guards nothing

    async def _until_changed(self, consumer: Any) -> None:
        """Until there is something to do. Raises what broke the consumer while nobody polls it: a rebalance that failed
        is told by aiokafka only to those who poll, and one that never ends to nobody."""
        shut_s = time.monotonic()
        ends_s = (self._settings.rebalance_timeout_ms + self._settings.session_timeout_ms) / 1000
        while not self._changed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY_S):
                    await self._changed.wait()
            if self.live is not None or self._changed.is_set():
                shut_s = time.monotonic()
                if self.live is not None and self.trouble:
                    self._say_standing(consumer)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY_S):
                    await consumer.getmany(_NOWHERE, timeout_ms=0)  # takes no record, raises what is wrong
            if time.monotonic() - shut_s > ends_s:
                raise TimeoutError(f"a rebalance did not end within {ends_s:.0f} s")

    def _make(self) -> Any:
        settings = self._settings
        return AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap,
            client_id=settings.client,
            group_id=settings.group or None,
            group_instance_id=settings.member or None,
            client_rack=settings.rack or None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level=settings.isolation,
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=settings.poll_interval_max_ms,
            request_timeout_ms=settings.request_timeout_ms,
            fetch_max_wait_ms=settings.fetch_wait_ms,
            fetch_max_bytes=settings.fetch_bytes_max,
            max_partition_fetch_bytes=settings.partition_fetch_bytes_max,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            value_deserializer=self._value_deserializer,
            **settings.security.client_arguments(),
        )

    async def _connect(self, consumer: Any) -> None:
        """Join the group, or take every partition of the topics."""
        if self._settings.group:
            consumer.subscribe(self._settings.topics, listener=_Listener(self))
            await consumer.start()
        else:
            consumer.subscribe(self._settings.topics)
            await consumer.start()
            self.assign(key_of(top) for top in consumer.assignment())

    async def _place(self, consumer: Any) -> None:
        """Check the position of everything that is ours, seek, and let records flow."""
        while self.live is None:
            if not self._settings.group:
                self.assigned = frozenset(key_of(top) for top in consumer.assignment())  # topics may have grown
            generation = self.generation
            tops = [TopicPartition(*partition) for partition in sorted(self.assigned)]
            gained = sorted(self.assigned - self.placed)
            if gained:
                self.positions |= await self._positions_of(gained)
            begins = await consumer.beginning_offsets(tops) if tops else {}
            ends = await consumer.end_offsets(tops) if tops else {}
            ids = await topic_ids(consumer, (top.topic for top in tops))
            lost = [top for top in tops if key_of(top) not in self.positions]
            # the topic has grown since we came: all that such a partition holds was written under our eyes
            starts = {top: begins[top] for top in lost if top.partition >= self._widths.get(top.topic, math.inf)}
            starts |= {top: begins[top] for top in lost if top not in starts and await self._is_new(consumer, top)}
            starts |= await self._starts(consumer, [top for top in lost if top not in starts], begins, ends)
            if generation != self.generation:
                continue  # a rebalance came in between
            self.held = set()
            for top in tops:
                partition = key_of(top)
                position = self.positions.get(partition)
                log_id, known = ids.get(top.topic, ""), self.logs.get(partition, "")
                another = bool(log_id and known) and known != log_id
                start = starts.get(top, ends[top])
                placing = place(partition, position, begins[top], ends[top], start, another=another)
                if partition in self._undecided:
                    placing = Placing(ends[top], held=True)
                if placing.notice is not None:
                    self._count("gaps" if placing.notice.kind is NoticeKind.GAP else "truncated")
                    self._tell(placing.notice)
                if placing.held:
                    self.held.add(partition)
                    self._undecided.add(partition)
                    consumer.pause(top)
                else:
                    self.positions[partition] = placing.offset
                    if log_id:
                        self.logs[partition] = log_id
                if position is None:
                    self.begun[partition] = placing.offset
                consumer.seek(top, placing.offset)
            # Positions of partitions that others read now are kept: they may come back, and then ours is the state
            # that is in memory here, unless positions_of knows a better one.
            self.placed = self.assigned
            self.live = consumer
            self._opened.set()
            self._say_standing(consumer)

    def _say_standing(self, consumer: Any) -> None:
        """What no error tells: a topic that is not there leaves a member with nothing; and of two that have one name
        each throws the other out at its next heartbeat (aiokafka's is too old to be fenced), and both read all."""
        widths = {topic: len(consumer.partitions_for_topic(topic) or ()) for topic in self._settings.topics}
        self._widths |= {topic: width for topic, width in widths.items() if width}
        absent = [topic for topic, width in widths.items() if not width]
        often = len(self._assigned_s) == STORM_ASSIGNMENTS and time.monotonic() - self._assigned_s[0] < STORM_S
        if absent:
            self._say_trouble(UnknownTopicOrPartitionError(f"not there: {', '.join(absent)}"))
        elif often and self._settings.member:
            told = f"{STORM_ASSIGNMENTS} assignments within {STORM_S:.0f} s: does another daemon call itself"
            self._say_trouble(SharedName(f"{told} {self._settings.member!r}, too (kafka.member)?"))
        else:
            self._say_healed()

    async def _is_new(self, consumer: Any, top: Any) -> bool:
        """A partition of a topic that we read before we were started, which nobody has read: it was added while we were
        away. The group's offsets are no truth of ours, but whoever reads a partition commits some."""
        if top.topic not in self._read_before:
            return False
        return not self._settings.group or await consumer.committed(top) is None

    async def _starts(self, consumer: Any, tops: list[Any], begins: Any, ends: Any) -> Mapping[Any, int]:
        """Where the partitions start that nobody has a position for."""
        start_at = self._settings.start_at
        if start_at == "earliest":
            return {top: begins[top] for top in tops}
        if start_at == "latest" or not tops:
            return {top: ends[top] for top in tops}
        found = await consumer.offsets_for_times({top: int(start_at) // 1_000_000 for top in tops})
        return {top: found[top].offset if found.get(top) is not None else ends[top] for top in tops}

    def _say_trouble(self, error: BaseException) -> None:
        kind = type(error).__name__
        text = f"{self._settings.bootstrap}: {kind}: {str(error).removeprefix(kind).lstrip(': ')}"
        if not self.trouble:
            self._troubled_s = time.monotonic()
        if text != self.trouble:
            log.warning("kafka_trouble", error=text)
        self.trouble = text

    def _say_healed(self) -> None:
        if self.trouble:
            log.info("kafka_healed", after_s=round(time.monotonic() - self._troubled_s, 3), was=self.trouble)
        self.trouble = ""

    def _count(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes note, and does nothing that waits: aiokafka runs it in the middle of a rebalance."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._member.shut()

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._member.assign(key_of(partition) for partition in assigned)


def key_of(partition: Any) -> Partition:
    """Of aiokafka's TopicPartition."""
    return partition.topic, partition.partition


async def _stop(consumer: Any) -> None:
    """A consumer that cannot even stop is left to the collector."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=CLOSE_MAX_S)
    if stopping.done() and not stopping.cancelled() and stopping.exception() is None:
        return
    stopping.cancel()
    # aiokafka's fetcher cancels a task of its own, awaits it, and lets that CancelledError out: the connections behind
    # it stay open then
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_MAX_S):
            await consumer._client.close()


def cancelled_by_us() -> bool:
    """Of a CancelledError at hand: this task was cancelled. Otherwise it leaked out of aiokafka, and is an error."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def end_of(consumer: Any, partition: Partition) -> int | None:
    """The log's end as the last fetch told; None before the first, and when the partition was just lost."""
    try:
        end: int | None = consumer.highwater(TopicPartition(*partition))
    except Exception:
        return None
    return end

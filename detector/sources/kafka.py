"""Kafka: a member of a consumer group whose positions are kept outside Kafka, and that outlives every connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import structlog
from aiokafka import OffsetAndMetadata, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    CorruptRecordException,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from detector.model.records import RecordBatch, idle
from detector.sources.base import Partition, Source
from detector.sources.idle import EventClock, IdleClock
from detector.sources.kafka_chunks import Chunk, Corrupt, Reading, chunk_of
from detector.sources.kafka_member import Member, PositionsOf, cancelled_by_us, end_of, key_of
from detector.sources.kafka_records import choose
from detector.sources.kafka_settings import KafkaSettings, ReaderName
from detector.sources.positions import DECIDE, Notice, NoticeKind

NOTICES_MAX = 1_000  # not yet taken; past it the oldest go
COMMIT_MAX_S = 5.0
REBALANCE_GRACE_S = 1.0  # a poll during a rebalance lasts at most this much longer than asked
FETCH_FRESH_S = 2.0  # "at the end" is believed when the broker said so this recently
CORRUPT_WAIT_MAX_S = 5.0

log = structlog.get_logger(__name__)


async def _no_positions(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
    return {}


class KafkaSource(Source):
    """Reads the topics' partitions that the group gives to this member, in one of three ways (settings.reader).

    positions_of  asked whenever partitions become ours that were not before; must restore their state, too
    event_clock   for idle statements: see sources/idle.py
    notices       gaps, truncated logs, corrupt batches, oldest first; whoever reads takes them out (take_notices)
    counts        reconnects, rebalances, gaps, truncated, corrupt_batches, quarantined_batches, control_batches,
                  aborted_batches, commits_failed
    reader        the way of reading that passed its self-check

    A broker that is away, a group that cannot be joined, a consumer that got stuck: the consumer is made anew, with
    full-jitter backoff, and `poll` gives nothing meanwhile; `trouble` says why.
    """

    name = "kafka"

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        positions_of: PositionsOf = _no_positions,
        event_clock: EventClock = lambda partition, quiet_s: 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.notices: deque[Notice] = deque(maxlen=NOTICES_MAX)
        self.reader: ReaderName = settings.reader
        self.counts: dict[str, int] = {}
        self._positions_of = positions_of
        self._monotonic = monotonic
        self._event_clock = event_clock
        self._reading: Reading | None = None
        self._member: Member | None = None
        self._expected: Mapping[Partition, str] = {}
        self._paused: frozenset[Partition] = frozenset()
        self._watched = 0  # the generation that the tables below speak of
        self._idle = IdleClock(event_clock, settings.idle_after_s, settings.idle_every_s)
        self._waits: dict[Partition, float] = {}  # corrupt batch: not to be fetched again before
        self._tries: dict[Partition, tuple[int, int]] = {}  # corrupt batch: (offset, times fetched)
        self._stamps: dict[Partition, tuple[int, float]] = {}  # aiokafka's stamp of the last fetch, when it changed
        self._heard_s = 0.0  # when a broker answered last
        self._looked_s = 0.0  # when idle statements were looked for last

    def expect(self, logs: Mapping[Partition, str]) -> None:
        """See Source.expect: ids of topics."""
        self._expected = logs

    @property
    def logs(self) -> Mapping[Partition, str]:
        """See Source.logs: ids of topics, where the broker told them."""
        return self._member.logs if self._member else self._expected

    async def start(self, positions: Mapping[Partition, int]) -> None:
        """Begin to connect; does not wait for the broker. Raises OSError when a certificate cannot be read."""
        assert self._member is None, "started twice"
        self.settings.security.client_arguments()
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it repeats itself; we say what changes
        self._reading = choose(self.settings, self.counts, self._tell)
        self.reader = self._reading.how if self._reading else "records"
        log.info("kafka_reader", reader=self.reader)
        self._member = Member(
            self.settings,
            value_deserializer=self._reading,
            positions=positions,
            logs=self._expected,
            positions_of=self._positions_of,
            tell=self._tell,
            counts=self.counts,
        )

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        """What came; [] after `timeout_s` when nothing did or nobody is there. Raises nothing of Kafka's."""
        member = self._started
        consumer, generation = member.live, member.generation
        if consumer is None:
            await member.wait(timeout_s)
            return []
        self._watch(generation)
        self._pause_and_resume(consumer)
        statements = await self._idle_statements(consumer)
        wait_s = 0.0 if statements else timeout_s
        most = self.settings.poll_batches_max if self._reading else self.settings.batch_max
        try:
            async with asyncio.timeout(wait_s + REBALANCE_GRACE_S):
                handed = await consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=most)
        except TimeoutError:
            return []  # a rebalance is going on
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            member.place_again()  # compares our positions with the log, and says what it found
            return []
        except CorruptRecordException as error:
            self._corrupt_somewhere(consumer, error)
            return []
        except asyncio.CancelledError as error:
            if cancelled_by_us():
                raise
            member.fail(error)
            return []
        except Exception as error:  # whatever ends a consumer: it is made anew
            member.fail(error)
            return []
        if self._reading is None:
            handed = await self._chunked(consumer, handed)
        if member.live is not consumer or member.generation != generation:
            self._give_back(consumer, handed)
            return []
        # from here on nothing waits: what is taken is ours, and our positions move with it
        batches = [batch for top, items in handed.items() for batch in self._take(consumer, key_of(top), items)]
        if batches:
            self._heard_s = self._monotonic()
        return statements + batches

    async def partitions(self) -> Sequence[Partition]:
        """Those that are ours, sorted: given by the group, and their positions checked."""
        return sorted(self._member.placed) if self._member else []

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hand over nothing more of these."""
        self._paused = frozenset(partitions)

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on at `offset`; also what an operator decides about a partition that is held."""
        self._tries.pop(partition, None)
        self._started.decide(partition, offset)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the group's lag tools. Failing is counted, and nothing else: these are not the truth."""
        member = self._member
        if member is None or member.live is None or not self.settings.group:
            return
        ours = {TopicPartition(*p): OffsetAndMetadata(at, "") for p, at in positions.items() if p in member.placed}
        if not ours:
            return
        try:
            async with asyncio.timeout(COMMIT_MAX_S):
                await member.live.commit(ours)
        except Exception:  # a rebalance, a coordinator that moves, a broker that is away
            self._count("commits_failed")

    async def close(self) -> None:
        """Leave the group (a static member does not), and end."""
        if self._member is not None:
            await self._member.close()

    @property
    def generation(self) -> int:
        """Counts assignments: when it has changed, state of what `partitions()` does not name any more may go."""
        return self._member.generation if self._member else 0

    @property
    def trouble(self) -> str:
        """What keeps it from reading now, '' = nothing."""
        return self._member.trouble if self._member else "not started"

    @property
    def held(self) -> tuple[Partition, ...]:
        """Partitions that are not read until somebody decides (truncated, unreadable), sorted."""
        return tuple(sorted(self._member.held)) if self._member else ()

    @property
    def begun(self) -> Mapping[Partition, int]:
        """Where partitions without a position began."""
        return self._member.begun if self._member else {}

    def take_notices(self) -> tuple[Notice, ...]:
        """What is to be known since the last call."""
        taken = tuple(self.notices)
        self.notices.clear()
        return taken

    def lag(self) -> dict[Partition, int]:
        """Records between what was handed over and the log's end, as far as the last fetch told."""
        member = self._member
        lags: dict[Partition, int] = {}
        if member is None or member.live is None:
            return lags
        for partition in member.placed:
            end = end_of(member.live, partition)
            if end is not None:
                lags[partition] = max(0, end - member.positions[partition])
        return lags

    @property
    def _started(self) -> Member:
        assert self._member is not None, "not started"
        return self._member

    # the way of a record

    async def _chunked(self, consumer: Any, handed: Mapping[Any, list[Any]]) -> dict[Any, list[Any]]:
        """Plain getmany: ConsumerRecords become a Chunk a partition."""
        try:
            return {
                top: [chunk_of(records, await self._consumed(consumer, key_of(top), records[-1].offset + 1))]
                for top, records in handed.items()
            }
        except asyncio.CancelledError:
            self._give_back(consumer, handed)
            raise

    async def _consumed(self, consumer: Any, partition: Partition, otherwise: int) -> int:
        """aiokafka's position: past control records and what compaction took. Returns at once for what is ours."""
        try:
            async with asyncio.timeout(REBALANCE_GRACE_S):
                return int(await consumer.position(TopicPartition(*partition)))
        except Exception:  # lost it this moment
            return otherwise

    def _take(self, consumer: Any, partition: Partition, items: list[Any]) -> Iterator[RecordBatch]:
        """The RecordBatches of what aiokafka handed over for one partition."""
        for item in items:
            if isinstance(item, Corrupt):
                self._corrupt(consumer, partition, item)
                continue
            yield from self._split(partition, item)
            self._idle.busy(partition, self._monotonic())
            if partition in self._tries and item.next_offset > self._tries[partition][0]:
                del self._tries[partition]

    def _split(self, partition: Partition, chunk: Chunk) -> Iterator[RecordBatch]:
        """At most batch_max records each; one record batch of Kafka may hold more."""
        positions = self._started.positions
        count, most = len(chunk.offsets), self.settings.batch_max
        for begin in range(0, count, most):
            end = min(begin + most, count)
            first = positions[partition]
            after = chunk.next_offset if end == count else int(chunk.offsets[end - 1]) + 1
            assert first <= chunk.offsets[begin] and chunk.offsets[end - 1] < after, (partition, first, after)
            positions[partition] = after
            yield RecordBatch(
                topic=partition[0],
                partition=partition[1],
                first_offset=first,
                next_offset=after,
                payload=chunk.payload,
                bounds=chunk.bounds[begin:end],
                offsets=chunk.offsets[begin:end],
                broker_ns=chunk.broker_ns[begin:end],
            )

    def _give_back(self, consumer: Any, handed: Mapping[Any, list[Any]]) -> None:
        """A rebalance came in between: whether these are ours is not known, so they are read again if they are."""
        for top in handed:
            with contextlib.suppress(Exception):  # not ours any more
                consumer.seek(top, self._started.positions[key_of(top)])

    # a partition's silence

    def _watch(self, generation: int) -> None:
        """A new assignment: what was noted about partitions is noted afresh."""
        if generation == self._watched:
            return
        self._watched = generation
        self._idle = IdleClock(self._event_clock, self.settings.idle_after_s, self.settings.idle_every_s)
        self._heard_s = self._monotonic()
        self._waits.clear()
        self._tries.clear()
        self._stamps.clear()

    async def _idle_statements(self, consumer: Any) -> list[RecordBatch]:
        """For partitions that were read to the end, according to a broker that was heard just now."""
        member, now_s = self._started, self._monotonic()
        if now_s - self._looked_s < self.settings.idle_every_s:
            return []
        self._looked_s = now_s
        statements = []
        reading = sorted(member.placed - member.held - self._paused - self._waits.keys())
        if not reading:
            self._heard_s = now_s
        for partition in reading:
            end = self._note_fetch(consumer, partition, now_s)
            position = await self._consumed(consumer, partition, -1)
            if member.live is not consumer:
                return []  # the statements were about partitions that may not be ours now
            if end is None or position < end or now_s - self._stamps[partition][1] > FETCH_FRESH_S:
                self._idle.busy(partition, now_s)  # something lies there, or nobody knows
                continue
            # control records and compacted ends move the position without a record
            member.positions[partition] = max(position, member.positions[partition])
            idle_ns = self._idle.idle_ns(partition, now_s)
            if idle_ns:
                statements.append(idle(*partition, member.positions[partition], idle_ns))
        if now_s - self._heard_s > self.settings.stalled_after_s:
            member.fail(TimeoutError(f"no broker answered a fetch for {self.settings.stalled_after_s:g} s"))
        return statements

    def _note_fetch(self, consumer: Any, partition: Partition, now_s: float) -> int | None:
        """The log's end as the last fetch told, None = no fetch yet. Notes when a fetch was answered."""
        with contextlib.suppress(Exception):  # lost it this moment
            stamp = consumer.last_poll_timestamp(TopicPartition(*partition))
            if stamp is not None and self._stamps.get(partition, (None, 0.0))[0] != stamp:
                self._stamps[partition] = (stamp, now_s)
                self._heard_s = now_s
        return end_of(consumer, partition) if partition in self._stamps else None

    def _pause_and_resume(self, consumer: Any) -> None:
        """What aiokafka must not fetch: the engine is ahead, an operator must decide, a corrupt batch may heal."""
        member, now_s = self._started, self._monotonic()
        self._waits = {partition: until_s for partition, until_s in self._waits.items() if until_s > now_s}
        stopped = (self._paused | member.held | self._waits.keys()) & member.placed
        before = {key_of(top) for top in consumer.paused()}
        with contextlib.suppress(Exception):  # lost one this moment; the next poll looks again
            consumer.pause(*(TopicPartition(*partition) for partition in stopped - before))
            consumer.resume(*(TopicPartition(*partition) for partition in before - stopped))

    # what cannot be read

    def _corrupt(self, consumer: Any, partition: Partition, corrupt: Corrupt) -> None:
        """Fetch it again after a while; after corrupt_tries times say so and go on behind it."""
        self._count("corrupt_batches")
        offset, times = self._tries.get(partition, (corrupt.offset, 0))
        times = times + 1 if offset == corrupt.offset else 1
        self._tries[partition] = (corrupt.offset, times)
        end = end_of(consumer, partition) or 0
        # its header may be wrong, too
        after = corrupt.next_offset if corrupt.offset < corrupt.next_offset <= end else 0
        if times == 1:
            self._notice(NoticeKind.CORRUPT, partition, corrupt.offset, after, f"the record batch {corrupt.reason}")
        if times < self.settings.corrupt_tries:
            self._waits[partition] = self._monotonic() + min(0.1 * 2**times, CORRUPT_WAIT_MAX_S)
        elif after:
            del self._tries[partition]
            self._count("quarantined_batches")
            detail = f"the record batch {corrupt.reason}, {times} times; skipped"
            self._notice(NoticeKind.QUARANTINED, partition, corrupt.offset, after, detail)
            self._started.positions[partition] = after
            consumer.seek(TopicPartition(*partition), after)
        else:
            del self._tries[partition]
            self._started.held.add(partition)
            detail = f"the record batch {corrupt.reason}, {times} times, and its end is unknown; {DECIDE}"
            self._notice(NoticeKind.HELD, partition, corrupt.offset, 0, detail)

    def _corrupt_somewhere(self, consumer: Any, error: BaseException) -> None:
        """Plain getmany raises, and names the partition only in words."""
        for partition in sorted(self._started.placed):
            if str(TopicPartition(*partition)) in str(error):
                self._corrupt(consumer, partition, Corrupt(self._started.positions[partition], 0, "cannot be read"))
                return
        self._started.fail(error)

    # what is said

    def _notice(self, kind: NoticeKind, partition: Partition, begin: int, end: int, detail: str) -> None:
        self._tell(Notice(kind, *partition, begin, end, detail))

    def _tell(self, notice: Notice) -> None:
        self.notices.append(notice)
        log.warning(f"kafka_{notice.kind}", **{name: told for name, told in asdict(notice).items() if name != "kind"})

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

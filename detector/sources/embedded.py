"""An embedded log: topics and partitions in this process, read as Kafka's are. For where no Kafka is possible."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from detector.model.records import RecordBatch, idle, pack
from detector.sources.base import Partition, Source
from detector.sources.idle import EventClock, IdleClock
from detector.sources.positions import Notice, place

LOG_BYTES_MAX = 256 << 20
BLOCK_BYTES = 1 << 20  # values that come one by one are packed when there are this many bytes of them, or when read
BLOCK_RECORDS = 8_192
RECORD_BYTES = 32  # what bounds, offset and time of a record take beside its value
PARTITIONS_MAX = 1_024
NOTICES_MAX = 1_000


class EmbeddedLog:
    """Everything that was appended, the oldest first to go when `log_bytes_max` is reached: what retention is in Kafka.

    Belongs to one event loop. Nothing survives the process.
    """

    def __init__(self, log_bytes_max: int = LOG_BYTES_MAX) -> None:
        assert log_bytes_max > 0
        self.committed: dict[Partition, int] = {}
        self.bytes_held = 0
        self._log_bytes_max = log_bytes_max
        self._partitions: dict[Partition, _Stored] = {}
        self._readers: set[asyncio.Event] = set()

    def create(self, topic: str, partitions: int = 1) -> None:
        """Make a topic. ValueError when it is there already, or one partition too many."""
        if (topic, 0) in self._partitions:
            raise ValueError(f"the topic {topic} is there already")
        if not 1 <= partitions <= PARTITIONS_MAX - len(self._partitions):
            raise ValueError(f"an embedded log holds 1 to {PARTITIONS_MAX} partitions")
        for number in range(partitions):
            self._partitions[topic, number] = _Stored(topic, number)

    def append(self, topic: str, partition: int, value: bytes, broker_ns: int = 0) -> int:
        """One record; its offset. KeyError when there is no such partition."""
        stored = self._partitions[topic, partition]
        offset = stored.append(value, broker_ns)
        self._appended(stored, len(value) + RECORD_BYTES)
        return offset

    def append_block(
        self,
        topic: str,
        partition: int,
        payload: npt.NDArray[np.uint8],
        bounds: npt.NDArray[np.int64],
        broker_ns: npt.NDArray[np.int64],
    ) -> int:
        """Many records, laid out as in RecordBatch (PADDING bytes included), not copied; the first one's offset."""
        stored = self._partitions[topic, partition]
        offset = stored.append_block(payload, bounds, broker_ns)
        self._appended(stored, len(payload) + RECORD_BYTES * len(bounds))
        return offset

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        """Those of the topics, sorted."""
        return sorted(partition for partition in self._partitions if partition[0] in topics)

    def begin(self, partition: Partition) -> int:
        """Offset of the oldest record that is still there."""
        return self._partitions[partition].begin

    def end(self, partition: Partition) -> int:
        """Offset that the next record gets."""
        return self._partitions[partition].end

    def read(self, partition: Partition, position: int, batch_max: int, batch_bytes_max: int) -> RecordBatch | None:
        """From `position` on, bounded, at least one record; None at the end."""
        return self._partitions[partition].read(position, batch_max, batch_bytes_max)

    def listen(self, reader: asyncio.Event) -> None:
        """Set the event whenever something is appended."""
        self._readers.add(reader)

    def deafen(self, reader: asyncio.Event) -> None:
        """No longer."""
        self._readers.discard(reader)

    def _appended(self, stored: _Stored, size: int) -> None:
        self.bytes_held += size
        stored.bytes_held += size
        while self.bytes_held > self._log_bytes_max:
            largest = max(self._partitions.values(), key=lambda one: one.bytes_held)
            dropped = largest.drop_oldest()
            if not dropped:
                break  # what came last always stays
            self.bytes_held -= dropped
        for reader in self._readers:
            reader.set()


class _Stored:
    """One partition: packed blocks of consecutive offsets, and behind them values that are not packed yet."""

    def __init__(self, topic: str, number: int) -> None:
        self.bytes_held = 0
        self._topic = topic
        self._number = number
        self._blocks: deque[tuple[RecordBatch, int]] = deque()  # and the bytes it counts for
        self._loose: list[bytes] = []
        self._loose_ns: list[int] = []
        self._loose_bytes = 0
        self._packed_end = 0

    @property
    def begin(self) -> int:
        return self._blocks[0][0].first_offset if self._blocks else self._packed_end

    @property
    def end(self) -> int:
        return self._packed_end + len(self._loose)

    def append(self, value: bytes, broker_ns: int) -> int:
        self._loose.append(value)
        self._loose_ns.append(broker_ns)
        self._loose_bytes += len(value) + RECORD_BYTES
        offset = self.end - 1
        if self._loose_bytes >= BLOCK_BYTES or len(self._loose) >= BLOCK_RECORDS:
            self._pack()
        return offset

    def append_block(
        self, payload: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64], broker_ns: npt.NDArray[np.int64]
    ) -> int:
        self._pack()
        first = self._packed_end
        self._packed_end += len(bounds)
        if len(bounds):
            offsets = np.arange(first, self._packed_end, dtype=np.int64)
            block = RecordBatch(self._topic, self._number, first, self._packed_end, payload, bounds, offsets, broker_ns)
            self._blocks.append((block, len(payload) + RECORD_BYTES * len(bounds)))
        return first

    def read(self, position: int, batch_max: int, batch_bytes_max: int) -> RecordBatch | None:
        self._pack()
        if position >= self._packed_end:
            return None
        assert position >= self.begin, (position, self.begin)
        block = next(block for block, _ in self._blocks if position < block.next_offset)
        first = position - block.first_offset
        last = min(first + batch_max, len(block))
        sizes = np.cumsum(block.bounds[first:last, 1] - block.bounds[first:last, 0])
        last = first + max(1, int(np.searchsorted(sizes, batch_bytes_max, side="right")))
        return RecordBatch(
            topic=self._topic,
            partition=self._number,
            first_offset=position,
            next_offset=block.first_offset + last,
            payload=block.payload,
            bounds=block.bounds[first:last],
            offsets=block.offsets[first:last],
            broker_ns=block.broker_ns[first:last],
        )

    def drop_oldest(self) -> int:
        """The bytes that went; 0 when only the last block is left."""
        if len(self._blocks) + bool(self._loose) < 2:
            return 0
        _, size = self._blocks.popleft()
        self.bytes_held -= size
        return size

    def _pack(self) -> None:
        if not self._loose:
            return
        first = self._packed_end
        offsets = range(first, first + len(self._loose))
        block = pack(self._topic, self._number, self._loose, offsets, self._loose_ns)
        self._blocks.append((block, self._loose_bytes))
        self._packed_end += len(self._loose)
        self._loose, self._loose_ns, self._loose_bytes = [], [], 0


class EmbeddedSource(Source):
    """Every partition of the topics of an EmbeddedLog.

    start_at     where a partition without a position starts
    event_clock  for idle statements: see sources/idle.py
    notices      what retention took before it was read (gap), a position past the end (truncated: not read)
    """

    name = "embedded"

    def __init__(
        self,
        log: EmbeddedLog,
        topics: Sequence[str],
        *,
        start_at: Literal["earliest", "latest"] = "earliest",
        batch_max: int = 32_768,
        batch_bytes_max: int = 4 << 20,
        event_clock: EventClock = lambda partition, quiet_s: 0,
        idle_after_s: float = 2.0,
        idle_every_s: float = 0.2,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.notices: deque[Notice] = deque(maxlen=NOTICES_MAX)
        self._log = log
        self._topics = tuple(topics)
        self._start_at = start_at
        self._batch_max = batch_max
        self._batch_bytes_max = batch_bytes_max
        self._idle = IdleClock(event_clock, idle_after_s, idle_every_s)
        self._idle_every_s = idle_every_s
        self._monotonic = monotonic
        self._positions: dict[Partition, int] = {}
        self._held: set[Partition] = set()
        self._paused: frozenset[Partition] = frozenset()
        self._appended = asyncio.Event()

    async def start(self, positions: Mapping[Partition, int]) -> None:
        """Begin at the positions."""
        self._log.listen(self._appended)
        for partition in self._log.partitions(self._topics):
            self._place(partition, positions.get(partition))
            self._idle.busy(partition, self._monotonic())

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        """One batch of each partition that has something."""
        deadline_s = self._monotonic() + timeout_s
        while True:
            self._appended.clear()
            batches = self._batches()
            left_s = deadline_s - self._monotonic()
            if batches or left_s <= 0:
                if not timeout_s:
                    await asyncio.sleep(0)  # a caller that never waits must not stop the world
                return batches
            try:
                async with asyncio.timeout(min(left_s, self._idle_every_s)):
                    await self._appended.wait()
            except TimeoutError:
                continue

    async def partitions(self) -> Sequence[Partition]:
        """All of them, always: there is no group."""
        return sorted(self._positions)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hand over nothing more of these."""
        self._paused = frozenset(partitions)

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on at `offset`."""
        self._held.discard(partition)
        self._place(partition, offset)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Kept in the log, for whoever looks at lag."""
        self._log.committed |= positions

    async def close(self) -> None:
        """Hear no more of the log."""
        self._log.deafen(self._appended)

    def take_notices(self) -> tuple[Notice, ...]:
        """What is to be known since the last call."""
        taken = tuple(self.notices)
        self.notices.clear()
        return taken

    def lag(self) -> dict[Partition, int]:
        """Records that were not handed over yet."""
        return {partition: self._log.end(partition) - position for partition, position in self._positions.items()}

    def _batches(self) -> list[RecordBatch]:
        batches = []
        now_s = self._monotonic()
        for partition in sorted(self._positions):
            if partition in self._paused or partition in self._held:
                self._idle.busy(partition, now_s)
                continue
            if self._positions[partition] < self._log.begin(partition):
                self._place(partition, self._positions[partition])
            position = self._positions[partition]
            batch = self._log.read(partition, position, self._batch_max, self._batch_bytes_max)
            if batch is not None:
                self._positions[partition] = batch.next_offset
                self._idle.busy(partition, now_s)
                batches.append(batch)
            elif idle_ns := self._idle.idle_ns(partition, now_s):
                batches.append(idle(*partition, position, idle_ns))
        return batches

    def _place(self, partition: Partition, position: int | None) -> None:
        begin, end = self._log.begin(partition), self._log.end(partition)
        placing = place(partition, position, begin, end, begin if self._start_at == "earliest" else end)
        self._positions[partition] = placing.offset
        if placing.held:
            self._held.add(partition)
        if placing.notice is not None:
            self.notices.append(placing.notice)

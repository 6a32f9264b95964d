"""RecordBatch: bytes and where they stood in the log. What every source hands over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

PADDING = 64  # bytes after the last payload, so that a compiled parser may read past a payload's end


@dataclass(frozen=True, slots=True, eq=False)
class RecordBatch:
    """Consecutive records of one partition, never an object per record.

    topic, partition   where they came from (a file is a topic with one partition)
    first_offset       offset of the first record asked for
    next_offset        where reading goes on: after the last record, gaps of a compacted log included
    payload            uint8 (bytes), values laid end to end or with rubbish between them, then PADDING bytes
    bounds             int64 (records, 2), start and end of each value in `payload`
    offsets            int64 (records), strictly rising
    broker_ns          int64 (records), when the broker got it (a recorder's receive time in files), 0 = unknown
    idle_ns            > 0: the source is live, has nothing more, and event time may move on to this instant
    """

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    payload: npt.NDArray[np.uint8]
    bounds: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    broker_ns: npt.NDArray[np.int64]
    idle_ns: int = 0

    def __len__(self) -> int:
        return len(self.offsets)

    def value(self, index: int) -> bytes:
        """The bytes of record `index` (0 <= index < len)."""
        start, end = self.bounds[index]
        return self.payload[start:end].tobytes()

    def part(self, first: int, last: int) -> RecordBatch:
        """Records `first` to `last` (0 <= first < last <= len), over the same payload; ends where the next begins."""
        whole = last == len(self)
        return replace(
            self,
            first_offset=self.first_offset if first == 0 else int(self.offsets[first - 1]) + 1,
            next_offset=self.next_offset if whole else int(self.offsets[last - 1]) + 1,
            bounds=self.bounds[first:last],
            offsets=self.offsets[first:last],
            broker_ns=self.broker_ns[first:last],
            idle_ns=self.idle_ns if whole else 0,
        )


def portions(batches: Sequence[RecordBatch], most: int) -> Iterator[Sequence[RecordBatch]]:
    """The same records in portions of about `most`: each has the same share of every partition's, in their order, so
    that partitions advance together. Batches without records come where they stood among their partition's."""
    count = -(-sum(map(len, batches)) // most)
    if count <= 1:
        yield batches
        return
    lanes: dict[tuple[str, int], list[RecordBatch]] = {}
    for batch in batches:
        lanes.setdefault((batch.topic, batch.partition), []).append(batch)
    for number in range(count):
        yield [part for lane in lanes.values() for part in _share(lane, number, count)]


def _share(lane: Sequence[RecordBatch], number: int, count: int) -> Iterator[RecordBatch]:
    total = sum(map(len, lane))
    begin, end = total * number // count, total * (number + 1) // count
    start = 0
    for batch in lane:
        first, last = max(begin - start, 0), min(end - start, len(batch))
        if first < last:
            yield batch.part(first, last)
        elif not len(batch) and (begin <= start < end or (number == count - 1 and start == total)):
            yield batch
        start += len(batch)


def pack(
    topic: str,
    partition: int,
    values: Sequence[bytes],
    offsets: Sequence[int],
    broker_ns: Sequence[int] | None = None,
    *,
    next_offset: int | None = None,
) -> RecordBatch:
    """A RecordBatch from single values; the slow way, for small sources and tests.

    >>> batch = pack("orders", 0, [b"{}", b"[]"], [7, 9])
    >>> (len(batch), batch.value(1), batch.first_offset, batch.next_offset)
    (2, b'[]', 7, 10)
    """
    ends = np.cumsum([len(value) for value in values], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if len(values) else ends
    joined = b"".join(values) + bytes(PADDING)
    first = offsets[0] if len(values) else (next_offset or 0)
    after = offsets[-1] + 1 if len(values) else first
    return RecordBatch(
        topic=topic,
        partition=partition,
        first_offset=first,
        next_offset=after if next_offset is None else next_offset,
        payload=np.frombuffer(joined, np.uint8),
        bounds=np.stack((starts, ends), axis=1) if len(values) else np.zeros((0, 2), np.int64),
        offsets=np.asarray(offsets, np.int64),
        broker_ns=np.zeros(len(values), np.int64) if broker_ns is None else np.asarray(broker_ns, np.int64),
    )


def idle(topic: str, partition: int, next_offset: int, idle_ns: int) -> RecordBatch:
    """The statement that a live partition is empty and event time may move on to `idle_ns`."""
    none = np.zeros(0, np.int64)
    return RecordBatch(
        topic, partition, next_offset, next_offset, np.zeros(PADDING, np.uint8), none.reshape(0, 2), none, none, idle_ns
    )

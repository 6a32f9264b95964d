"""Chunks: record batches of one fetch, unpacked and laid out as columns. A helper of kafka.py, no plug-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from aiokafka.errors import CorruptRecordException  # type: ignore[import-untyped]
from aiokafka.record.default_records import DefaultRecordBatch  # type: ignore[import-untyped]

from detector.kernels import kafka as layout
from detector.kernels.kafka import lay_records, plain_batches
from detector.model.records import PADDING
from detector.sources.kafka_inflate import NotInflated, inflate

_STAMP_MS_MAX = 9_000_000_000_000  # as nanoseconds it still is an int64; the kernel draws the same line

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive records of one partition; the columns are those of RecordBatch."""

    next_offset: int
    payload: npt.NDArray[np.uint8]
    bounds: Int64s
    offsets: Int64s
    broker_ns: Int64s


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A record batch that cannot be read. `next_offset`: where the one after it begins, 0 = nobody knows."""

    offset: int
    next_offset: int
    reason: str


@dataclass(slots=True, eq=False)
class Reading:
    """The marker that makes a consumer's `getmany` yield Chunk and Corrupt instead of ConsumerRecords.

    how      in_place: a kernel walks the bytes; values: aiokafka's own parser, but no ConsumerRecord
    batch_max, batch_bytes_max   a Chunk is closed when it has reached one of them
    inflated_bytes_max           of one record batch
    counts   what was left out, by name: control_batches, aborted_batches
    """

    how: Literal["in_place", "values"]
    batch_max: int
    batch_bytes_max: int
    inflated_bytes_max: int
    counts: dict[str, int] = field(default_factory=dict)
    _room: npt.NDArray[np.uint8] | None = None

    def __call__(self, value: bytes | None) -> bytes | None:
        """What a value deserializer does, in case aiokafka ever calls it: nothing."""
        return value

    def count(self, name: str) -> None:
        """One more of `name`."""
        self.counts[name] = self.counts.get(name, 0) + 1

    @property
    def room(self) -> npt.NDArray[np.uint8]:
        """uint8 (inflated_bytes_max), kept for the next batch; pages never touched cost nothing."""
        if self._room is None:
            self._room = np.empty(self.inflated_bytes_max, np.uint8)
        return self._room


class Group:
    """Record batches that become one Chunk.

    payload      uint8, the fetched bytes that rows speak of
    next_offset  where reading goes on after the last batch that was added or passed over
    """

    def __init__(self, payload: npt.NDArray[np.uint8], fetch_offset: int, reading: Reading) -> None:
        self.next_offset = fetch_offset
        self._fetched = payload
        self._minimum = fetch_offset
        self._reading = reading
        self._rows: list[Int64s] = []  # (batches, COLUMNS) each
        self._inflated: list[npt.NDArray[np.uint8]] = []
        self._records = 0
        self._bytes = 0

    @property
    def full(self) -> bool:
        """It has reached a limit, and should be handed over."""
        return self._records >= self._reading.batch_max or self._bytes >= self._reading.batch_bytes_max

    def pass_over(self, row: list[int]) -> None:
        """A batch that is not for us: only its end counts."""
        self.next_offset = max(self.next_offset, row[layout.NEXT])

    def add_plain(self, table: Int64s, checked: bool) -> int:
        """Take in the plain batches that the table begins with, until the group is full. How many those are: what it
        stops at, `add` takes or says why not. One call for all of them: producers send batches of a few kilobytes."""
        if self._inflated:
            return 0
        limits = self._reading.batch_max, self._reading.batch_bytes_max
        count, self._records, self._bytes = plain_batches(
            self._fetched, table, self._minimum, self._records, self._bytes, *limits, checked
        )
        if count:
            self._rows.append(table[:count].copy())  # the table is filled anew before they are laid out
            self.next_offset = int(table[count - 1, layout.NEXT])
        return int(count)

    def add(self, row: list[int]) -> str:
        """Take a batch in, unpacked. Returns why it cannot be, '' = done."""
        if row[layout.NEXT] <= self._minimum:
            return ""  # wholly before the position: a compacted log may hand such batches out
        codec = row[layout.ATTRIBUTES] & layout.CODEC_BITS
        size = row[layout.END] - row[layout.BODY]
        body = self._fetched[row[layout.BODY] : row[layout.END]]
        if codec:
            try:
                size = inflate(codec, body.data, self._reading.room)
            except NotInflated as error:
                return f"cannot be unpacked: {error}"
            body = self._reading.room[:size].copy()
        if row[layout.COUNT] * layout.RECORD_BYTES_MIN > size:
            return "claims more records than it has bytes"
        if codec and not self._inflated:  # those that came before lie in the fetched bytes
            self._inflated = [self._body(former) for table in self._rows for former in table]
        self._rows.append(np.array([row], np.int64))
        if self._inflated or codec:
            self._inflated.append(body)
        self._records += row[layout.COUNT]
        self._bytes += size
        self.next_offset = row[layout.NEXT]
        return ""

    def lay(self) -> tuple[Chunk | None, Corrupt | None]:
        """The records of all batches, up to the first that contradicts itself; and then the group is empty."""
        rows, inflated, records = self._rows, self._inflated, self._records
        self._rows, self._inflated, self._records, self._bytes = [], [], 0, 0
        if not rows:
            return None, None
        batches = np.concatenate(rows)
        payload = self._padded(batches, inflated)
        columns = np.empty((records, 2), np.int64), np.empty(records, np.int64), np.empty(records, np.int64)
        if self._reading.how == "in_place":
            count, whole = lay_records(payload, batches, self._minimum, *columns)
        else:
            payload, count, whole = self._values(payload, batches, columns)
        corrupt = None
        next_offset = self.next_offset
        if whole < len(batches):
            begins = batches[whole - 1, layout.NEXT] if whole else max(self._minimum, int(batches[0, layout.BASE]))
            offset, after = int(begins), max(int(batches[whole, layout.NEXT]), 0)
            corrupt = Corrupt(offset, after, "has records that contradict their lengths")
            next_offset = offset
        self._minimum = self.next_offset
        bounds, offsets, broker_ns = (column[:count] for column in columns)
        return (Chunk(next_offset, payload, bounds, offsets, broker_ns) if count else None), corrupt

    def _body(self, row: Int64s) -> npt.NDArray[np.uint8]:
        return self._fetched[row[layout.BODY] : row[layout.END]]

    def _padded(self, batches: Int64s, inflated: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        """The bytes that the records lie in, with PADDING behind; `batches` is moved to speak of them."""
        pad = np.zeros(PADDING, np.uint8)
        if inflated:
            ends = np.cumsum([len(body) for body in inflated], dtype=np.int64)
            batches[:, layout.BODY] = ends - [len(body) for body in inflated]
            batches[:, layout.END] = ends
            return np.concatenate((*inflated, pad))
        begin, end = int(batches[0, layout.BODY]), int(batches[-1, layout.END])
        if len(self._fetched) - end >= PADDING:
            return self._fetched  # a batch that was cut off follows, or the next group: no copy
        batches[:, (layout.BODY, layout.END)] -= begin
        return np.concatenate((self._fetched[begin:end], pad))

    def _values(
        self, payload: npt.NDArray[np.uint8], batches: Int64s, columns: tuple[Int64s, Int64s, Int64s]
    ) -> tuple[npt.NDArray[np.uint8], int, int]:
        """What `lay_records` does, by aiokafka's own parser: payload, records, batches read to their end."""
        bounds, offsets, broker_ns = columns
        parts: list[bytes] = []
        count, used, whole = 0, 0, 0
        for batch in batches.tolist():
            start = batch[layout.START]
            header = bytearray(self._fetched[start : start + layout.HEADER_BYTES].tobytes())
            header[22] &= ~layout.CODEC_BITS & 0xFF  # its records are unpacked already
            plain = DefaultRecordBatch(bytes(header) + payload[batch[layout.BODY] : batch[layout.END]].tobytes())
            begun = count, used, len(parts)
            before = batch[layout.BASE] - 1
            try:
                for record in plain:
                    if not before < record.offset < batch[layout.NEXT]:
                        raise ValueError("offsets do not rise")
                    before = record.offset
                    if record.offset < self._minimum:
                        continue
                    value = record.value or b""
                    bounds[count] = used, used + len(value)
                    offsets[count] = record.offset
                    broker_ns[count] = _stamp_ns(record.timestamp)
                    parts.append(value)
                    used += len(value)
                    count += 1
            except (CorruptRecordException, ValueError, IndexError, OverflowError):
                count, used, kept = begun
                del parts[kept:]
                break
            whole += 1
        return np.frombuffer(b"".join((*parts, bytes(PADDING))), np.uint8), count, whole


def chunk_of(records: Sequence[Any], next_offset: int) -> Chunk:
    """A Chunk from aiokafka's ConsumerRecords."""
    values = [record.value or b"" for record in records]
    ends = np.cumsum([len(value) for value in values], dtype=np.int64)
    return Chunk(
        next_offset=next_offset,
        payload=np.frombuffer(b"".join((*values, bytes(PADDING))), np.uint8),
        bounds=np.stack((ends - [len(value) for value in values], ends), axis=1),
        offsets=np.array([record.offset for record in records], np.int64),
        broker_ns=np.array([_stamp_ns(record.timestamp) for record in records], np.int64),
    )


def _stamp_ns(stamp_ms: int | None) -> int:
    return stamp_ms * 1_000_000 if stamp_ms is not None and 0 <= stamp_ms <= _STAMP_MS_MAX else 0

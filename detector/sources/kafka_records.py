"""Record batches from aiokafka without an object per record. A helper of kafka.py, no plug-in.

aiokafka has no public way to hand out record batches, and building its ConsumerRecords is nearly all that reading
costs. So two classes of its fetcher are replaced by subclasses that behave as before, unless a consumer opts in by
passing a Reading as its public `value_deserializer`: then `getmany` yields Chunks. Positions, pausing, seeking,
rebalancing and committing stay aiokafka's. `install` checks that the private shape is the one this was written for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal

import aiokafka  # type: ignore[import-untyped]
import aiokafka.conn as connection  # type: ignore[import-untyped]
import aiokafka.consumer.fetcher as fetcher  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from aiokafka.record.default_records import (  # type: ignore[import-untyped]
    DefaultRecordBatch,
    DefaultRecordBatchBuilder,
)
from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]
from aiokafka.structs import TopicPartition  # type: ignore[import-untyped]

from detector.kernels import kafka as layout
from detector.kernels.checksum import FAST, crc32c
from detector.kernels.kafka import scan_batches
from detector.sources.kafka_chunks import Chunk, Corrupt, Group, Int64s, Reading, chunk_of
from detector.sources.kafka_inflate import CODECS
from detector.sources.kafka_settings import KafkaSettings
from detector.sources.positions import Notice, NoticeKind

AIOKAFKA_VERSION = "0.14.0"  # the one whose private shape was read
READER_BYTES = 8 << 20  # of an answer that a connection buffers before it stops its socket; twice that at most
TABLE_ROWS = 512  # headers of record batches that are looked at together

_READ_COMMITTED = 1


class KeptRecords(fetcher.MemoryRecords):  # type: ignore[misc]  # aiokafka is not typed
    """MemoryRecords that keeps the bytes it was given."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class ChunkRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """PartitionRecords that yields Chunks to consumers that opted in."""

    def _unpack_records(self) -> Iterator[Any]:
        reading = self._value_deserializer
        if isinstance(reading, Reading):
            return _chunks(self, reading)
        records: Iterator[Any] = super()._unpack_records()
        return records


def choose(settings: KafkaSettings, counts: dict[str, int], tell: Callable[[Notice], None]) -> Reading | None:
    """The fastest way of reading that settings.reader allows and that passes its check; None = aiokafka's own."""
    ways: tuple[Literal["in_place", "values"], ...] = ("in_place", "values")
    for how in ways:
        if settings.reader not in ("auto", how):
            continue
        flaw = install() or self_check(how)
        if not flaw:
            return Reading(how, settings.batch_max, settings.batch_bytes_max, settings.inflated_bytes_max, counts)
        tell(Notice(NoticeKind.FALLBACK, "", -1, 0, 0, f"reading {how} is not possible: {flaw}"))
    return None


def install() -> str:
    """Put the two classes in place. '' = done; otherwise why this aiokafka does not fit, and nothing is changed."""
    if aiokafka.__version__ != AIOKAFKA_VERSION:
        return f"aiokafka is {aiokafka.__version__}, known is {AIOKAFKA_VERSION}"
    if fetcher.PartitionRecords is ChunkRecords:
        return ""
    wanted = (
        "tp records aborted_transactions fetch_offset key_deserializer value_deserializer check_crcs isolation_level"
    )
    if " ".join(inspect.signature(fetcher.PartitionRecords).parameters) != wanted:
        return "aiokafka's PartitionRecords takes other arguments"
    for name in ("_unpack_records", "_consume_aborted_up_to", "_contains_abort_marker"):
        if not callable(getattr(fetcher.PartitionRecords, name, None)):
            return f"aiokafka's PartitionRecords has no {name}"
    if not {"MemoryRecords", "PartitionRecords"} <= set(fetcher.Fetcher._proc_fetch_request.__code__.co_names):
        return "aiokafka's fetcher makes its records elsewhere"
    fetcher.MemoryRecords = KeptRecords
    fetcher.PartitionRecords = ChunkRecords
    if "READER_LIMIT" in connection.AIOKafkaConnection.connect.__code__.co_names:
        # its own 64 KiB stop and start the socket a dozen times for each answer of a megabyte
        connection.READER_LIMIT = READER_BYTES
    return ""


def self_check(how: Literal["in_place", "values"]) -> str:
    """Read batches of every codec both ways: '' when our reading says what aiokafka's own says, else the difference."""
    for codec in CODECS:
        batches = _sample(codec)
        for start, first in ((0, 0), (3, 0), (10, 2)):  # a position may lie in the middle of the first batch
            data = b"".join(batches[first:])
            expected = [
                (record.offset, record.timestamp, record.value or b"") for record in _records_of(data, start, None)
            ]
            records = _records_of(data, start, Reading(how, 4, 1 << 20, 1 << 20))
            found: list[tuple[int, int, bytes]] = []
            for chunk in records:
                if isinstance(chunk, Corrupt):
                    return f"{CODECS[codec]} batches from offset {start}: one {chunk.reason}"
                values = [chunk.payload[begin:end].tobytes() for begin, end in chunk.bounds]
                found += zip(chunk.offsets.tolist(), (chunk.broker_ns // 1_000_000).tolist(), values, strict=True)
            if found != expected:
                return f"{CODECS[codec]} batches from offset {start} are read differently"
            if records.next_fetch_offset != _SAMPLE_END:
                return f"{CODECS[codec]} batches from offset {start} end at another position"
    return ""


_SAMPLE_END = 16


def _sample(codec: int) -> list[bytes]:
    """Batches of 4, 5 (aborted), 3 and 4 records; keys, headers, a null value, an empty one, and one of no text."""
    batches = []
    base = 0
    for count, producer, transactional in ((4, -1, 0), (5, _ABORTED, 1), (3, 8, 1), (4, -1, 0)):
        builder = DefaultRecordBatchBuilder(2, codec, transactional, producer, 0, 0, 1 << 20)
        for offset in range(count):
            value = (b'{"type":"order"}' * (1 + 40 * base), None, b"", bytes(range(256)), b"x" * 5000)[offset]
            key = b"BTC-PERP" if offset % 2 else None
            headers = [("trace", b"1"), ("empty", None)] if offset == 3 else []
            builder.append(offset, 1_700_000_000_000 + 7 * (offset - 2), key, value, headers)
        batch = bytearray(builder.build())
        batch[:8] = base.to_bytes(8, "big")  # what a broker does; the checksum does not cover it
        batches.append(bytes(batch))
        base += count
    assert base == _SAMPLE_END
    return batches


_ABORTED = 7  # the producer of the batch at offset 4


def _records_of(data: bytes, start: int, reading: Reading | None) -> Any:
    partition = TopicPartition("self-check", 0)
    return ChunkRecords(partition, KeptRecords(data), [(_ABORTED, 4)], start, None, reading, True, _READ_COMMITTED)


def _chunks(records: Any, reading: Reading) -> Iterator[Chunk | Corrupt]:
    """What `_unpack_records` does, a group of record batches at a time.

    `next_fetch_offset` moves before each yield: aiokafka takes it for the position as soon as it has the Chunk.
    An unreadable batch ends the iteration with a Corrupt as its last item and the position before that batch. Raising
    would make aiokafka throw away the good batches that it has taken from us already, for ever.
    """
    data: bytes = records._records.data
    view = memoryview(data)
    payload = np.frombuffer(data, np.uint8)
    table: Int64s = np.empty((TABLE_ROWS, layout.COLUMNS), np.int64)
    group = Group(payload, records.next_fetch_offset, reading)
    rows, at = scan_batches(payload, 0, table)
    while rows:
        number = 0
        while number < rows:
            row = table[number].tolist()
            ordinary = FAST and row[layout.ATTRIBUTES] in (0, layout.LOG_APPEND_TIME)
            if ordinary and (taken := group.add_plain(table[number:rows], records._check_crcs)):
                number += taken
                if group.full and (yield from _flush(group, records)):
                    return
                continue
            number += 1
            old_end = _end_of_old(data, row[layout.START]) if row[layout.MAGIC] in (0, 1) else 0
            if old_end > row[layout.START]:
                if (yield from _flush(group, records)):
                    return
                at = old_end
                if (yield from _old(records, data[row[layout.START] : at], reading)):
                    return
                group = Group(payload, records.next_fetch_offset, reading)
                break  # the scan ended with this row, too
            flaw = _flaw(row, payload, records._check_crcs)
            left_out = ""
            if not flaw:
                try:
                    left_out = _left_out(row, view, records)
                except Exception as error:  # whatever aiokafka's parsers raise on rubbish
                    flaw = f"is a control batch that cannot be read: {error}"
            if left_out:
                reading.count(left_out)
                group.pass_over(row)
                continue
            flaw = flaw or group.add(row)
            if flaw:
                if not (yield from _flush(group, records)):
                    after = int(table[number, layout.BASE]) if number < rows else row[layout.NEXT]
                    offset = records.next_fetch_offset
                    yield Corrupt(offset, after if after > offset else 0, flaw)
                return
            if group.full and (yield from _flush(group, records)):
                return
        rows, at = scan_batches(payload, at, table)
    yield from _flush(group, records)


def _flush(group: Group, records: Any) -> Generator[Chunk | Corrupt, None, bool]:
    """Hand over what the group holds. Returns whether it ended in a batch that cannot be read."""
    chunk, corrupt = group.lay()
    records.next_fetch_offset = corrupt.offset if corrupt else group.next_offset
    if chunk is not None:
        yield chunk
    if corrupt is not None:
        yield corrupt
    return corrupt is not None


def _flaw(row: list[int], payload: npt.NDArray[np.uint8], check_crcs: bool) -> str:
    """Why the batch cannot be believed, '' = it can."""
    if row[layout.COUNT] < 0 or row[layout.MAGIC] != 2:
        return "is no record batch"
    if row[layout.NEXT] <= row[layout.BASE] or row[layout.BASE] < 0:
        return "ends before it begins"
    if row[layout.ATTRIBUTES] & layout.CONTROL and row[layout.ATTRIBUTES] & layout.CODEC_BITS:
        return "is a packed control batch, which no broker writes"
    if check_crcs and _checksum(payload, row[layout.START] + layout.CRC_FROM, row[layout.END]) != row[layout.CRC]:
        return "has a wrong checksum"
    return ""


def _checksum(payload: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """CRC32C: ours takes a fifth of the time of aiokafka's, where the processor can do it."""
    return int(crc32c(payload, start, end)) if FAST else int(calc_crc32c(payload[start:end].data))


def _left_out(row: list[int], view: memoryview, records: Any) -> str:
    """What kind of batch is not for us, '' = it is for us. Keeps aiokafka's account of aborted transactions."""
    attributes, producer = row[layout.ATTRIBUTES], row[layout.PRODUCER]
    if records._isolation_level == _READ_COMMITTED:
        records._consume_aborted_up_to(row[layout.BASE])
        if attributes & layout.CONTROL:
            control = DefaultRecordBatch(bytes(view[row[layout.START] : row[layout.END]]))
            if records._contains_abort_marker(control):
                records._aborted_producers.discard(producer)
        elif attributes & layout.TRANSACTIONAL and producer in records._aborted_producers:
            return "aborted_batches"
    return "control_batches" if attributes & layout.CONTROL else ""


def _old(records: Any, data: bytes, reading: Reading) -> Generator[Chunk | Corrupt, None, bool]:
    """Messages of format 0 or 1, by aiokafka's own generator. Returns whether it ended in a flaw."""
    records._records = KeptRecords(data)
    records._value_deserializer = None
    origin = super(ChunkRecords, records)._unpack_records()
    taken: list[Any] = []
    size = 0
    flaw = ""
    while True:
        try:
            record = next(origin, None)
        except Exception as error:  # whatever its parsers raise on rubbish
            record, flaw = None, f"cannot be read: {error}"
        if record is not None:
            taken.append(record)
            size += len(record.value or b"")
        if taken and (record is None or len(taken) >= reading.batch_max or size >= reading.batch_bytes_max):
            yield chunk_of(taken, records.next_fetch_offset)
            taken, size = [], 0
        if record is None:
            break
    if flaw:
        yield Corrupt(records.next_fetch_offset, 0, flaw)
    return bool(flaw)


def _end_of_old(data: bytes, at: int) -> int:
    """Where the run of whole messages of one format ends (aiokafka takes the first one's format for that of all).
    `at` when there is not one."""
    magic = data[at + 16]
    while len(data) - at >= 17 and data[at + 16] == magic:
        length = int.from_bytes(data[at + 8 : at + 12], "big", signed=True)
        if not 5 <= length <= len(data) - at - 12:
            break
        at += 12 + length
    return at

"""Record batches read in place: equal to aiokafka's own reading, and never fooled by rubbish."""

from __future__ import annotations

import contextlib
import itertools
import struct
from typing import Any

import aiokafka.conn as connection
import aiokafka.consumer.fetcher as fetcher
import cramjam
import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c, decode_varint
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.kernels import kafka as layout
from detector.kernels import plain
from detector.kernels.kafka import lay_records, plain_batches, scan_batches
from detector.model.records import PADDING
from detector.sources import kafka_records
from detector.sources.kafka_chunks import Chunk, Corrupt, Group, Reading
from detector.sources.kafka_inflate import CODECS, GZIP, LZ4, SNAPPY, ZSTD, NotInflated, inflate
from detector.sources.kafka_records import READER_BYTES, ChunkRecords, KeptRecords, choose, install, self_check
from detector.sources.kafka_settings import KafkaSettings
from detector.sources.positions import NoticeKind

assert install() == ""

HOWS = ("in_place", "values")
TOP = TopicPartition("orders", 0)


def batch(
    values: list[bytes | None], base: int = 0, codec: int = 0, key: bytes | None = b"k", gaps: int = 1, **more: Any
) -> bytes:
    """One record batch, as a broker would serve it."""
    told = {"producer_id": -1, "is_transactional": 0} | more
    builder = DefaultRecordBatchBuilder(2, codec, told["is_transactional"], told["producer_id"], 0, 0, 1 << 24)
    for i, value in enumerate(values):
        builder.append(i * gaps, 1_700_000_000_000 + i, key, value, [("h", b"1")] if i % 2 else [])
    built = bytearray(builder.build())
    built[:8] = struct.pack(">q", base)
    return bytes(built)


def with_right_checksum(data: bytes) -> bytes:
    return data[:17] + struct.pack(">I", calc_crc32c(data[layout.CRC_FROM :])) + data[layout.CRC_FROM :]


def read(data: bytes, how: Any = "in_place", start: int = 0, **limits: int) -> tuple[list[Any], int]:
    """The items, and the position afterwards."""
    told = {"batch_max": 1000, "batch_bytes_max": 1 << 20, "inflated_bytes_max": 1 << 20} | limits
    records = ChunkRecords(TOP, KeptRecords(data), [], start, None, Reading(how, **told), True, 1)
    return list(records), records.next_fetch_offset


def said(items: list[Any]) -> list[tuple[int, int, bytes]]:
    return [
        (int(item.offsets[i]), int(item.broker_ns[i]), item.payload[item.bounds[i, 0] : item.bounds[i, 1]].tobytes())
        for item in items
        if isinstance(item, Chunk)
        for i in range(len(item.offsets))
    ]


def said_by_aiokafka(data: bytes, start: int = 0) -> list[tuple[int, int, bytes]]:
    records = fetcher.PartitionRecords(TOP, fetcher.MemoryRecords(data), [], start, None, None, True, 1)
    return [(record.offset, record.timestamp * 1_000_000, record.value or b"") for record in records]


@pytest.mark.parametrize("how", HOWS)
def test_the_self_check_passes_with_this_aiokafka(how: Any) -> None:
    assert self_check(how) == ""


def test_another_aiokafka_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_records.aiokafka, "__version__", "0.15.0")
    assert "0.15.0" in install()
    monkeypatch.undo()
    monkeypatch.setattr(fetcher, "PartitionRecords", object)
    assert "other arguments" in install()


def test_a_connection_buffers_a_whole_answer_where_aiokafka_asks_for_that_and_only_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connection.READER_LIMIT == READER_BYTES, "set by install, at the top"
    monkeypatch.setattr(fetcher, "PartitionRecords", ChunkRecords.__base__)
    monkeypatch.setattr(fetcher, "MemoryRecords", KeptRecords.__base__)
    monkeypatch.setattr(connection, "READER_LIMIT", 5)
    monkeypatch.setattr(connection.AIOKafkaConnection, "connect", lambda self: None)
    assert install() == "" and connection.READER_LIMIT == 5


def test_an_aiokafka_that_does_not_fit_is_read_the_plain_way_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[Any] = []
    told = KafkaSettings("b:1", ("orders",))
    monkeypatch.setattr(kafka_records, "self_check", lambda how: "x" if how == "in_place" else "")
    reading = choose(told, {}, notices.append)
    assert reading is not None and reading.how == "values" and len(notices) == 1
    monkeypatch.setattr(kafka_records, "install", lambda: "another shape")
    assert choose(told, {}, notices.append) is None
    assert [notice.kind for notice in notices] == [NoticeKind.FALLBACK] * 3
    assert "another shape" in notices[-1].detail


def test_a_self_check_that_fails_names_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(*arguments: Any) -> Any:
        records, whole = lay_records(*arguments)
        arguments[-2][:records] += 1
        return records, whole

    monkeypatch.setattr("detector.sources.kafka_chunks.lay_records", shifted)
    assert self_check("in_place") == "none batches from offset 0 are read differently"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("codecs", [(0, 0), (4, 4), (0, 3, 0), (2, 0, 1)])
def test_batches_of_mixed_codecs_join_into_one_chunk(how: Any, codecs: tuple[int, ...]) -> None:
    data = b"".join(batch([b"a%d" % i, None, b""], 3 * i, codec) for i, codec in enumerate(codecs))
    items, position = read(data, how)
    assert len(items) == 1
    assert said(items) == said_by_aiokafka(data)
    assert position == items[0].next_offset == 3 * len(codecs)
    assert len(items[0].payload) >= items[0].bounds.max() + PADDING


@pytest.mark.parametrize("how", HOWS)
def test_a_batch_that_was_cut_off_is_left_for_the_next_fetch(how: Any) -> None:
    first, second = batch([b"a"] * 4), batch([b"b"] * 4, 4)
    for cut in range(1, len(second)):
        items, position = read(first + second[:cut], how)
        assert [value for _, _, value in said(items)] == [b"a"] * 4
        assert position == 4
        assert not any(isinstance(item, Corrupt) for item in items)


@pytest.mark.parametrize("how", HOWS)
def test_any_flipped_bit_is_found_and_the_good_batches_before_it_are_kept(how: Any) -> None:
    good, bad = batch([b"good"] * 3), batch([b"bad!"] * 3, 3)
    after = batch([b"after"] * 3, 6)
    for at in range(layout.CRC_FROM - 4, len(bad)):  # what comes before is not under the checksum
        flipped = bytearray(bad)
        flipped[at] ^= 1 << (at % 8)
        items, position = read(good + bytes(flipped) + after, how)
        assert said(items) == said_by_aiokafka(good)
        assert isinstance(items[-1], Corrupt) and len(items) == 2
        assert (items[-1].offset, items[-1].next_offset, position) == (3, 6, 3)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_bomb_is_corrupt_not_memory(how: Any, codec: int) -> None:
    bomb = batch([bytes(3 << 20)], 0, codec)
    assert len(bomb) < 200_000
    items, position = read(bomb, how, inflated_bytes_max=1 << 20)
    (corrupt,) = items
    assert CODECS[codec] in corrupt.reason
    assert (corrupt.offset, corrupt.next_offset, position) == (0, 1, 0)


@pytest.mark.parametrize("how", HOWS)
def test_a_checksum_does_not_make_a_lie_true(how: Any) -> None:
    built = batch([b"value"] * 3)
    body = layout.HEADER_BYTES
    lies = {
        "more records than there are": (57, struct.pack(">i", 4)),
        "fewer records than there are": (57, struct.pack(">i", 2)),
        "a billion records": (57, struct.pack(">i", 1_000_000_000)),
        "a negative count": (57, struct.pack(">i", -5)),
        "an end before the beginning": (23, struct.pack(">i", -7)),
        "offsets past its end": (23, struct.pack(">i", 1)),
        "a record longer than the batch": (body, b"\xfe"),
        "a number without an end": (body, b"\xff" * 12),
        "a codec nobody knows": (22, b"\x05"),
        "gzip that is none": (22, b"\x01"),
    }
    for name, (at, lie) in lies.items():
        items, position = read(with_right_checksum(built[:at] + lie + built[at + len(lie) :]), how)
        assert [type(item) for item in items] == [Corrupt], name
        assert position == 0


def test_old_message_formats_are_read_by_aiokafka_itself() -> None:
    old = b""
    for magic in (0, 1):
        builder = LegacyRecordBatchBuilder(magic, 0, 1 << 20)
        for i in range(2):
            builder.append(2 * magic + i, 1_700_000_000_000 if magic else None, b"k", b"old%d" % i)
        old += bytes(builder.build())
    data = batch([b"new"], 0)
    items, position = read(old + batch([b"new"] * 2, 4))
    assert [(offset, value) for offset, _, value in said(items)] == list(
        enumerate([b"old0", b"old1", b"old0", b"old1", b"new", b"new"])
    )
    assert position == 6
    torn = bytearray(old)
    torn[-1] ^= 1
    items, position = read(bytes(torn))
    assert len(said(items)) == 3 and isinstance(items[-1], Corrupt) and position == 3
    assert data


@pytest.mark.parametrize("how", HOWS)
def test_times_no_clock_shows_are_unknown(how: Any) -> None:
    for stamp_ms, expected in ((-1, 0), (0, 0), (1, 1_000_000), (2**62, 0)):
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 20)
        builder.append(0, stamp_ms, None, b"v", [])
        assert [ns for _, ns, _ in said(read(bytes(builder.build()), how)[0])] == [expected]


@pytest.mark.parametrize("how", HOWS)
def test_the_brokers_own_time_stands_for_every_record(how: Any) -> None:
    built = bytearray(batch([b"v"] * 3))
    built[22] |= layout.LOG_APPEND_TIME
    built[35:43] = struct.pack(">q", 1_800_000_000_123)
    items, _ = read(with_right_checksum(bytes(built)), how)
    assert [ns for _, ns, _ in said(items)] == [1_800_000_000_123_000_000] * 3


@pytest.mark.parametrize("how", HOWS)
def test_chunks_close_at_their_limits(how: Any) -> None:
    data = b"".join(batch([b"x" * 100] * 5, 5 * i, 4 if i % 2 else 0) for i in range(6))
    by_records, _ = read(data, how, batch_max=10)
    assert [len(item.offsets) for item in by_records] == [10, 10, 10]
    by_bytes, _ = read(data, how, batch_bytes_max=1)
    assert [len(item.offsets) for item in by_bytes] == [5] * 6
    for items in (by_records, by_bytes):
        assert said(items) == said_by_aiokafka(data)


def attributes_of(data: bytes) -> list[int]:
    """The attributes byte of every record of an unpacked batch."""
    found, at = [], layout.HEADER_BYTES
    with contextlib.suppress(ValueError, IndexError):
        while at < len(data):
            length, at = decode_varint(bytearray(data), at)
            if length <= 0:
                break
            found.append(data[at])
            at += length
    return found


values_ = st.lists(st.one_of(st.none(), st.binary(max_size=200)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    batches=st.lists(st.tuples(values_, st.sampled_from(sorted(CODECS)), st.integers(1, 3)), min_size=1, max_size=5),
    start=st.integers(0, 11),
    batch_max=st.integers(1, 20),
)
def test_law_in_place_reads_what_aiokafka_reads(batches: Any, start: int, batch_max: int) -> None:
    data, base = b"", 0
    for values, codec, gaps in batches:
        data += batch(values, base, codec, gaps=gaps)
        base += len(values) * gaps
    start = min(start, (len(batches[0][0]) - 1) * batches[0][2])
    expected = said_by_aiokafka(data, start)
    for how in HOWS:
        items, position = read(data, how, start, batch_max=batch_max)
        assert said(items) == expected
        assert position == base - batches[-1][2] + 1


@settings(max_examples=400, deadline=None)
@given(
    values=values_,
    codec=st.sampled_from([0, 0, 0, ZSTD, LZ4]),
    rubbish=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 30),
)
def test_law_rubbish_with_a_right_checksum_gives_values_or_corrupt(
    values: Any, codec: int, rubbish: Any, cut: int
) -> None:
    built = bytearray(batch(values, 5, codec))
    for at, byte in rubbish:
        place = layout.CRC_FROM + at
        if place < len(built):
            built[place] = byte
    data = with_right_checksum(bytes(built[: max(len(built) - cut, 0)] if cut > 20 else built))
    compiled, position = read(data, "in_place", 5)
    try:
        expected = said_by_aiokafka(data, 5)
    except Exception:
        expected = None
    if expected is not None and compiled and not isinstance(compiled[-1], Corrupt):
        offsets = [offset for offset, _, _ in expected]
        # aiokafka reads a record's attributes as a varint; they are one byte, so it is wrong from 128 on
        if offsets == sorted(set(offsets)) and max(attributes_of(data), default=0) < 128:
            assert [(o, v) for o, _, v in said(compiled)] == [(o, v) for o, _, v in expected]
    for item in compiled:
        if isinstance(item, Chunk):
            assert (np.diff(item.offsets) > 0).all() and (item.offsets >= 5).all()
            assert (item.bounds[:, 0] <= item.bounds[:, 1]).all() and (item.bounds >= 0).all()
            assert item.bounds.max() + PADDING <= len(item.payload)
    assert position >= 5


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.sampled_from([0, 0, 0, ZSTD]), st.booleans()), max_size=9),
    rubbish=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=2),
    start=st.integers(0, 9),
    batch_max=st.integers(1, 12),
)
def test_law_batches_taken_in_together_say_what_they_say_one_by_one(
    sizes: Any, rubbish: Any, start: int, batch_max: int
) -> None:
    data, base = b"", 0
    for count, codec, transactional in sizes:
        more = {"producer_id": 9, "is_transactional": 1} if transactional else {}
        data += batch([b"x" * (10 + base)] * count, base, codec, **more)
        base += count
    built = bytearray(data)
    for at, byte in rubbish:
        if at < len(built):
            built[at] = byte
    together = read(bytes(built), start=start, batch_max=batch_max)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Group, "add_plain", lambda group, table, checked: 0)
        one_by_one = read(bytes(built), start=start, batch_max=batch_max)
    assert together[1] == one_by_one[1] and said(together[0]) == said(one_by_one[0])
    ends = [
        [item if isinstance(item, Corrupt) else item.next_offset for item in items]
        for items in (together[0], one_by_one[0])
    ]
    assert ends[0] == ends[1]


@settings(max_examples=60, deadline=None)
@given(
    values=values_,
    rubbish=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=3),
    minimum=st.integers(0, 6),
)
def test_law_the_compiled_kernels_say_what_python_says(values: Any, rubbish: Any, minimum: int) -> None:
    built = bytearray(batch(values) + batch(values, 20) + b"\0\0\0")
    for at, byte in rubbish:
        if at < len(built):
            built[at] = byte
    payload = np.frombuffer(bytes(built), np.uint8)
    results = []
    ways = (scan_batches, plain_batches, lay_records)
    for scan, take, lay in (ways, map(plain, ways)):
        table = np.zeros((8, layout.COLUMNS), np.int64)
        with np.errstate(over="ignore"):
            rows, at = scan(payload, 0, table)
            batches = table[:rows]
            taken = [
                tuple(map(int, take(payload, batches, minimum, 0, 0, 20, 400, checked))) for checked in (True, False)
            ]
            batches = batches[(batches[:, layout.COUNT] >= 0) & (batches[:, layout.COUNT] < 100)]
            room = int(batches[:, layout.COUNT].sum())
            columns = np.zeros((room, 2), np.int64), np.zeros(room, np.int64), np.zeros(room, np.int64)
            found = lay(payload, batches, minimum, *columns)
        count = found[0]
        results.append((rows, at, table.tolist(), taken, tuple(found), [column[:count].tolist() for column in columns]))
    assert results[0] == results[1]


def test_snappy_comes_bare_and_framed_and_gzip_in_members() -> None:
    room = np.empty(100_000, np.uint8)
    data = bytes(itertools.islice(itertools.cycle(range(7)), 70_000))
    bare = bytes(cramjam.snappy.compress_raw(data))
    assert room[: inflate(SNAPPY, memoryview(bare), room)].tobytes() == data
    import gzip

    members = gzip.compress(data[:10]) + gzip.compress(data[10:])
    assert room[: inflate(GZIP, memoryview(members), room)].tobytes() == data
    framed = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
    for half in (data[:30_000], data[30_000:]):
        block = bytes(cramjam.snappy.compress_raw(half))
        framed += struct.pack(">i", len(block)) + block
    assert room[: inflate(SNAPPY, memoryview(framed), room)].tobytes() == data


@settings(max_examples=200, deadline=None)
@given(codec=st.integers(0, 7), packed=st.binary(max_size=300), framed=st.booleans())
def test_law_rubbish_is_not_inflated_and_nothing_else_happens(codec: int, packed: bytes, framed: bool) -> None:
    room = np.empty(1000, np.uint8)
    if framed:
        packed = b"\x82SNAPPY\0" + bytes(8) + packed
    with contextlib.suppress(NotInflated):
        assert 0 <= inflate(codec, memoryview(packed), room) <= 1000

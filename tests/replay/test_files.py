"""Files: whatever they are packed with and however they are cut, the same records at the same line numbers."""

from __future__ import annotations

import asyncio
import gzip
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.kernels import plain
from detector.kernels.lines import lay_lines, receive_ns
from detector.model.records import PADDING
from detector.sources.file import File, FileReader, open_files
from detector.sources.packed import FileUnreadable

Record = tuple[int, bytes]

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lzma.compress,
}


def write(folder: Path, data: bytes, name: str = "events.ndjson") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def records(reader: FileReader) -> list[Record]:
    """Everything that is left, checked on the way: offsets go on where they stopped, payloads are padded."""
    found: list[Record] = []
    after = reader._next_offset
    while (batch := reader.read()) is not None:
        assert batch.first_offset == after
        assert len(batch) > 0
        assert batch.first_offset <= batch.offsets[0] and batch.offsets[-1] < batch.next_offset
        assert batch.bounds[:, 1].max() + PADDING <= len(batch.payload)
        found += [(int(offset), batch.value(index)) for index, offset in enumerate(batch.offsets)]
        after = batch.next_offset
    assert reader.read() is None, "the end stays the end"
    reader.close()
    return found


def split(data: bytes, line_bytes_max: int) -> list[Record]:
    """What the reader must find, said in the plainest Python."""
    data_lines = data.split(b"\n")
    if data_lines[-1] == b"":
        data_lines.pop()
    found = []
    for number, line in enumerate(data_lines):
        bare = line.removesuffix(b"\r")
        if number == 0:
            bare = bare.removeprefix(b"\xef\xbb\xbf")
        if bare:
            found.append((number, bare[: line_bytes_max + 1]))
    return found


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_file_is_read_whatever_its_name_says(packer: str, tmp_path: Path) -> None:
    data = b"".join(b'{"number":%d}\n' % number for number in range(5_000))
    path = write(tmp_path, PACKERS[packer](data), "events.txt")
    assert records(FileReader(path, batch_bytes_max=4096)) == split(data, 1 << 20)


@pytest.mark.parametrize("packer", ["gzip", "zstd", "xz"])
def test_members_joined_end_to_end_are_one_file(packer: str, tmp_path: Path) -> None:
    pack = PACKERS[packer]
    path = write(tmp_path, pack(b"one\ntw") + pack(b"o\n") + pack(b"") + pack(b"three\n"))
    reader = FileReader(path)
    assert records(reader) == [(0, b"one"), (1, b"two"), (2, b"three")]
    assert reader.damage == ""


@pytest.mark.parametrize("packer", ["gzip", "zstd", "xz"])
def test_a_packed_file_that_breaks_off_gives_what_was_readable_and_says_so(packer: str, tmp_path: Path) -> None:
    lines = [os.urandom(30).hex().encode() for _ in range(20_000)]
    whole = PACKERS[packer](b"\n".join(lines) + b"\n")
    path = write(tmp_path, whole[: len(whole) * 2 // 3])
    reader = FileReader(path)
    found = records(reader)
    assert len(found) > 5_000
    assert [line for _, line in found] == lines[: len(found)], "whole lines only, the half one at the end is no record"
    assert "breaks off" in reader.damage
    assert f"line {len(found) + 1}" in reader.damage


@pytest.mark.parametrize("packer", ["gzip", "xz"])
def test_a_flipped_byte_in_a_packed_file_is_said_and_never_raised(packer: str, tmp_path: Path) -> None:
    whole = bytearray(PACKERS[packer](os.urandom(40_000).hex().encode() + b"\n"))
    whole[len(whole) // 2] ^= 0xFF
    reader = FileReader(write(tmp_path, bytes(whole)))
    records(reader)
    assert reader.damage


def test_rubbish_after_a_packed_file_is_said_after_its_lines_were_read(tmp_path: Path) -> None:
    reader = FileReader(write(tmp_path, gzip.compress(b"one\n") + b"rubbish"))
    assert records(reader) == [(0, b"one")]
    assert reader.damage


def test_padding_after_a_packed_file_is_nothing(tmp_path: Path) -> None:
    reader = FileReader(write(tmp_path, gzip.compress(b"one\n") + bytes(200_000)))
    assert records(reader) == [(0, b"one")]
    assert reader.damage == ""


def test_empty_lines_are_no_records_but_they_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, b"\n\none\r\n\r\n\ntwo\n\n\nthree")
    assert records(FileReader(path)) == [(2, b"one"), (5, b"two"), (8, b"three")]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    for name, data in (("plain", b""), ("gzip", gzip.compress(b"")), ("newlines", b"\n\n\n"), ("short", b"\x1f")):
        reader = FileReader(write(tmp_path, data, name))
        assert [line for _, line in records(reader)] == ([b"\x1f"] if name == "short" else [])


def test_a_line_past_the_limit_is_cut_one_byte_past_it_so_that_the_format_refuses_it(tmp_path: Path) -> None:
    path = write(tmp_path, b"a" * 100 + b"\r\n" + b"b" * 5_000_000 + b"\n" + b"c" * 101 + b"\nlast\n")
    reader = FileReader(path, line_bytes_max=100, batch_bytes_max=4096)
    assert records(reader) == [(0, b"a" * 100), (1, b"b" * 101), (2, b"c" * 101), (3, b"last")]
    assert len(reader._carry) <= 105


def test_a_small_archive_of_one_endless_line_stays_within_its_limits(tmp_path: Path) -> None:
    path = write(tmp_path, zstandard.ZstdCompressor().compress(bytes(64 << 20)))
    assert records(FileReader(path, line_bytes_max=1000)) == [(0, bytes(1001))]


def test_reading_goes_on_at_a_line_number(tmp_path: Path) -> None:
    data = b"".join(b"line %d\n\n" % number for number in range(3_000))
    path = write(tmp_path, gzip.compress(data))
    everything = records(FileReader(path, batch_max=97))
    for first in (0, 1, 2, 999, 5_998, 5_999, 10_000):
        found = records(FileReader(path, first_offset=first, batch_max=97, batch_bytes_max=1000))
        assert found == [record for record in everything if record[0] >= first]


def test_a_batch_is_never_longer_than_batch_max(tmp_path: Path) -> None:
    reader = FileReader(write(tmp_path, b"x\n" * 1_000), batch_max=64)
    lengths = []
    while (batch := reader.read()) is not None:
        lengths.append(len(batch))
    assert max(lengths) == 64 and sum(lengths) == 1_000


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path: Path) -> None:
    reader = FileReader(write(tmp_path, b"\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n"), batch_bytes_max=1)
    assert records(reader) == [(0, b"{}"), (1, b"\xef\xbb\xbf{}")]


@settings(max_examples=150, deadline=None)
@given(
    data=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bc", b"\xef\xbb\xbf", b"x" * 12, b"x" * 13])).map(
        b"".join
    ),
    packer=st.sampled_from(sorted(PACKERS)),
    piece=st.integers(1, 40),
    batch_max=st.integers(1, 5),
    first=st.integers(0, 5),
)
@example(data=b"\xef\xbb\xbf" + b"x" * 12, packer="gzip", piece=1, batch_max=1, first=0)
@example(data=b"x" * 12 + b"\r\n", packer="plain", piece=13, batch_max=1, first=0)
@example(data=b"x" * 13 + b"\r", packer="plain", piece=1, batch_max=1, first=0)
def test_any_cut_gives_the_same_records(data: bytes, packer: str, piece: int, batch_max: int, first: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), PACKERS[packer](data))
        reader = FileReader(path, batch_bytes_max=piece, batch_max=batch_max, line_bytes_max=12, first_offset=first)
        found = records(reader)
    assert found == [record for record in split(data, 12) if record[0] >= first]
    assert reader.damage == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'1723161255030314667 {"e":1}', 1_723_161_255_030_314_667),
        (b"1723161255030314 {}", 1_723_161_255_030_314_000),
        (b"1723161255030 {}", 1_723_161_255_030_000_000),
        (b"1723161255 {}", 1_723_161_255_000_000_000),
        (b'1649023809.313331: {"a":1}', 1_649_023_809_313_331_000),
        (b"1649023809.1234567899: {}", 1_649_023_809_123_456_789),
        (b"1649023809.: {}", 0),
        (b"1649023809.5 {}", 0),
        (b"34200.017459617,5,0,1,2238200,-1", 0),
        (b"12345678901 {}", 0),
        (b"99999999999999999999999 {}", 0),
        (b"9999999999999999999 {}", 0),
        (b"1723161255030314667", 0),
        (b"{}", 0),
        (b"", 0),
    ],
)
def test_a_recorder_s_receive_time_is_read_from_the_front_of_a_line(line: bytes, expected: int) -> None:
    payload = np.frombuffer(line + bytes(PADDING), np.uint8)
    assert int(receive_ns(payload, 0, len(line))) == expected
    assert int(plain(receive_ns)(payload, 0, len(line))) == expected


def test_the_receive_time_stands_in_broker_ns_and_the_line_stays_whole(tmp_path: Path) -> None:
    batch = FileReader(write(tmp_path, b"1723161255030314667 {}\n{}\n")).read()
    assert batch is not None
    assert batch.broker_ns.tolist() == [1_723_161_255_030_314_667, 0]
    assert batch.value(0) == b"1723161255030314667 {}"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([b"", b"\r", b"abc", b"1723161255 x", b"y" * 9, b"\xef\xbb\xbf"]), max_size=12),
    st.integers(0, 2),
)
def test_the_compiled_layout_is_the_plain_one(lines: list[bytes], first_line: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    payload = np.frombuffer(data + bytes(PADDING), np.uint8)
    ends = np.flatnonzero(payload == 10)
    answers = []
    for lay in (lay_lines, plain(lay_lines)):
        bounds, offsets = np.zeros((len(ends), 2), np.int64), np.zeros(len(ends), np.int64)
        broker_ns = np.zeros(len(ends), np.int64)
        count = int(lay(payload, ends, first_line, 8, bounds, offsets, broker_ns))
        answers.append((count, bounds[:count].tolist(), offsets[:count].tolist(), broker_ns[:count].tolist()))
    assert answers[0] == answers[1]


def test_standard_input_is_a_file_and_a_pipe_is_read_as_it_speaks() -> None:
    program = (
        "import sys\n"
        "from detector.sources.file import FileReader\n"
        "reader = FileReader('-')\n"
        "print(reader.partition, reader.bytes_total, flush=True)\n"
        "while (batch := reader.read()) is not None:\n"
        "    print([batch.value(i) for i in range(len(batch))], flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False)
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(b"first line\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"('stdin', 0) None\n"
        assert child.stdout.readline() == b"[b'first line']\n", "said before the pipe was closed"
        child.stdin.write(b"second")
        child.stdin.close()
        assert child.stdout.readline() == b"[b'second']\n"
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_packed_standard_input_is_known_by_its_first_bytes() -> None:
    program = (
        "from detector.sources.file import FileReader\n"
        "reader, found = FileReader('-'), []\n"
        "while (batch := reader.read()) is not None:\n"
        "    found += [batch.value(i) for i in range(len(batch))]\n"
        "print(found)\n"
    )
    for pack in PACKERS.values():
        done = subprocess.run(
            [sys.executable, "-c", program], input=pack(b"one\ntwo\n"), capture_output=True, timeout=60, check=True
        )
        assert done.stdout == b"[b'one', b'two']\n"


def test_files_of_one_name_are_partitions_of_one_topic(tmp_path: Path) -> None:
    paths = []
    for folder in ("monday", "tuesday"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder, folder.encode(), "day.ndjson"))
    paths.append(write(tmp_path, b"x", "other.ndjson"))
    readers = open_files(paths, positions={("day.ndjson", 1): 1})
    assert [reader.partition for reader in readers] == [("day.ndjson", 0), ("day.ndjson", 1), ("other.ndjson", 0)]
    assert [records(reader) for reader in readers] == [[(0, b"monday")], [], [(0, b"x")]]


def test_a_file_that_is_not_there_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match=r"absent\.ndjson: No such file"):
        open_files([write(tmp_path, b""), str(tmp_path / "absent.ndjson")])
    with pytest.raises(FileUnreadable, match="is a directory"):
        FileReader(str(tmp_path))


def test_the_file_source_hands_over_every_file_and_obeys_a_pause(tmp_path: Path) -> None:
    paths = [write(tmp_path, b"1\n2\n3\n", "a"), write(tmp_path, b"4\n5\n", "b")]

    async def story() -> list[tuple[str, bytes]]:
        source = File(paths, batch_max=1)
        await source.start({("b", 0): 1})
        assert await source.partitions() == [("a", 0), ("b", 0)]
        source.pause([("a", 0)])
        first = await source.poll(0)
        assert [batch.topic for batch in first] == ["b"]
        source.pause([])
        found = [("b", first[0].value(0))]
        while await source.partitions():
            found += [(batch.topic, batch.value(0)) for batch in await source.poll(0)]
        await source.close()
        return found

    assert asyncio.run(story()) == [("b", b"5"), ("a", b"1"), ("a", b"2"), ("a", b"3")]

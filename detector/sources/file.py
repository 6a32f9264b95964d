"""Files: recorded lines, plain or packed, as one partition of a log whose offsets are line numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.kernels.lines import lay_lines, line_ends
from detector.model.records import PADDING, RecordBatch
from detector.sources.base import Partition, Source
from detector.sources.packed import DAMAGE, FileUnreadable, Unpacked, legible, open_raw

BATCH_BYTES_MAX = 2 << 20  # more than this falls out of the cache before it is decoded
BATCH_MAX = 65_536
LINE_BYTES_MAX = 8 << 20
SPARSE = 4  # a block is copied to its own size where it fills less than this part of its room

_NEWLINE = 10


class FileReader:
    """One file, read from the front, never more in memory than a batch and the longest line.

    path             a file, or "-" for standard input; gzip, zstd and xz are known by their first bytes, not by name
    number           tells files of the same name apart: the partition is (name without directories, number)
    first_offset     line number (from 0) of the first record wanted; those before it are read and left out
    line_bytes_max   of a longer line one byte more than this is handed over, so that whoever reads it can refuse it

    Empty lines are no records, but they are counted, so that an offset is always the line's number in the file.
    Raises FileUnreadable when it cannot be opened. A file that breaks off is no exception: what was readable is handed
    over, and `damage` says the rest.
    """

    def __init__(
        self,
        path: str,
        *,
        number: int = 0,
        first_offset: int = 0,
        batch_max: int = BATCH_MAX,
        batch_bytes_max: int = BATCH_BYTES_MAX,
        line_bytes_max: int = LINE_BYTES_MAX,
    ) -> None:
        assert first_offset >= 0 and batch_max > 0 and batch_bytes_max > 0 and line_bytes_max > 0
        self.path = path
        self.partition: Partition = (topic_of(path), number)
        self.damage = ""
        self._raw = open_raw(path)
        self._stream = Unpacked(self._raw)
        self._batch_max = batch_max
        self._batch_bytes_max = batch_bytes_max
        self._line_bytes_max = line_bytes_max
        self._first_offset = first_offset
        self._next_offset = first_offset
        self._block = _Block.empty()
        self._taken = 0  # records of the block that were handed over
        self._line = 0  # number of the first line that is in no block yet
        self._carry = b""  # the beginning of that line
        self._long = False  # the carry is all that is kept of that line; its rest is thrown away
        self._ended = False

    @property
    def bytes_done(self) -> int:
        """Bytes of the file (packed, if it is) that were read so far."""
        return self._raw.bytes_done

    @property
    def bytes_total(self) -> int | None:
        """The file's size; None when nobody knows (a pipe)."""
        return self._raw.bytes_total

    def read(self) -> RecordBatch | None:
        """The next records, at most batch_max of them; None at the end. Blocks while a pipe has nothing to say."""
        while self._taken == len(self._block.offsets):
            if self._ended:
                return None
            self._next_block()
        block, first = self._block, self._taken
        last = min(first + self._batch_max, len(block.offsets))
        self._taken = last
        begin = self._next_offset
        self._next_offset = int(block.offsets[last - 1]) + 1
        return RecordBatch(
            topic=self.partition[0],
            partition=self.partition[1],
            first_offset=begin,
            next_offset=self._next_offset,
            payload=block.payload,
            bounds=block.bounds[first:last],
            offsets=block.offsets[first:last],
            broker_ns=block.broker_ns[first:last],
        )

    def close(self) -> None:
        """Give the file back."""
        self._ended = True
        self._raw.close()

    def _next_block(self) -> None:
        """Read on until there is at least one whole line (or the end), and lay out the lines."""
        carried = len(self._carry)
        payload = np.empty(carried + self._batch_bytes_max + 1 + PADDING, np.uint8)
        payload[:carried] = np.frombuffer(self._carry, np.uint8)
        piece = self._read_piece(payload[carried : carried + self._batch_bytes_max])
        used = carried + piece
        if used < len(payload) // SPARSE:  # who keeps a few lines of a pipe shall not keep all the room
            payload = payload[: used + 1 + PADDING].copy()
        payload[used:] = 0
        if not piece:
            self._ended = True
            if not carried or self.damage:  # half a line of a broken file is no record
                self._block, self._taken = _Block.empty(), 0
                return
            payload[used] = _NEWLINE  # the last line may do without
            used += 1
        ends = line_ends(payload, carried, used)
        rest = int(ends[-1]) + 1 if len(ends) else 0
        self._keep(payload[rest:used])
        self._block = _Block.of(payload, ends, self._line, self._line_bytes_max, self._first_offset)
        self._taken = 0
        self._line += len(ends)

    def _read_piece(self, room: npt.NDArray[np.uint8]) -> int:
        """The next bytes to look at, into the front of `room`; how many, 0 at the end. Of a line that is too long
        already, nothing before its newline."""
        while True:
            try:
                size = self._stream.read_into(room.data)
            except DAMAGE as error:
                self.damage = f"{legible(self.path)}: line {self._line + 1}: {error}"
                return 0
            if not size or not self._long:
                return size
            newlines = np.flatnonzero(room[:size] == _NEWLINE)
            if len(newlines):
                self._long = False
                rest = room[newlines[0] : size].copy()
                room[: len(rest)] = rest
                return len(rest)

    def _keep(self, rest: npt.NDArray[np.uint8]) -> None:
        """Carry the unfinished last line over, but no more of it than tells that it is too long: five bytes past the
        limit, since three may be a byte order mark and one the carriage return."""
        kept = self._line_bytes_max + 5
        self._carry = rest[:kept].tobytes()
        self._long = len(rest) > kept


class File(Source):
    """Files as a Source, for a daemon that is to run on recordings: every file a partition, in the order given."""

    name = "file"

    def __init__(self, paths: Sequence[str], *, batch_max: int = BATCH_MAX, batch_bytes_max: int = 1 << 20) -> None:
        self._paths = tuple(paths)
        self._batch_max = batch_max
        self._batch_bytes_max = batch_bytes_max
        self._readers: list[FileReader] = []
        self._paused: frozenset[Partition] = frozenset()

    async def start(self, positions: Mapping[Partition, int]) -> None:
        """Open every file, each at its position. Raises FileUnreadable."""
        self._readers = open_files(
            self._paths, positions=positions, batch_max=self._batch_max, batch_bytes_max=self._batch_bytes_max
        )

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        """One batch of each file that is not paused; empty after `timeout_s` when there is none."""
        batches: list[RecordBatch] = []
        for reader in list(self._readers):
            if reader.partition in self._paused:
                continue
            batch = await asyncio.to_thread(reader.read)
            if batch is not None:
                batches.append(batch)
            else:
                reader.close()
                self._readers.remove(reader)
        if not batches:
            await asyncio.sleep(timeout_s)
        return batches

    async def partitions(self) -> Sequence[Partition]:
        """The files that have not ended."""
        return sorted(reader.partition for reader in self._readers)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Read nothing more of these."""
        self._paused = frozenset(partitions)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Files have nobody to tell."""

    async def close(self) -> None:
        """Close every file."""
        for reader in self._readers:
            reader.close()
        self._readers = []


def open_files(
    paths: Sequence[str],
    *,
    positions: Mapping[Partition, int] | None = None,
    batch_max: int = BATCH_MAX,
    batch_bytes_max: int = BATCH_BYTES_MAX,
    line_bytes_max: int = LINE_BYTES_MAX,
) -> list[FileReader]:
    """A reader for each path; files of the same name in different directories become partitions 0, 1, ... of one topic.
    Raises FileUnreadable for the first that cannot be opened, and leaves none open."""
    readers: list[FileReader] = []
    seen: dict[str, int] = {}
    for path in paths:
        name = topic_of(path)
        number = seen.get(name, 0)
        seen[name] = number + 1
        try:
            reader = FileReader(
                path,
                number=number,
                first_offset=(positions or {}).get((name, number), 0),
                batch_max=batch_max,
                batch_bytes_max=batch_bytes_max,
                line_bytes_max=line_bytes_max,
            )
        except FileUnreadable:
            for opened in readers:
                opened.close()
            raise
        readers.append(reader)
    return readers


def topic_of(path: str) -> str:
    """The topic that a file's records bear: its name without directories.

    >>> topic_of("archive/btc.ndjson.gz"), topic_of("-")
    ('btc.ndjson.gz', 'stdin')
    """
    return "stdin" if path == "-" else legible(Path(path).name)


class _Block:
    """The lines of one piece of the file: payload uint8, bounds int64 (n, 2), offsets and broker_ns int64 (n)."""

    __slots__ = ("bounds", "broker_ns", "offsets", "payload")

    def __init__(
        self,
        payload: npt.NDArray[np.uint8],
        bounds: npt.NDArray[np.int64],
        offsets: npt.NDArray[np.int64],
        broker_ns: npt.NDArray[np.int64],
    ) -> None:
        self.payload = payload
        self.bounds = bounds
        self.offsets = offsets
        self.broker_ns = broker_ns

    @classmethod
    def empty(cls) -> _Block:
        none = np.zeros(0, np.int64)
        return cls(np.zeros(PADDING, np.uint8), none.reshape(0, 2), none, none)

    @classmethod
    def of(
        cls, payload: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], line: int, line_bytes_max: int, wanted: int
    ) -> _Block:
        """Lay out the lines that end at `ends`, the first being number `line`; leave out those before `wanted`."""
        bounds = np.empty((len(ends), 2), np.int64)
        offsets = np.empty(len(ends), np.int64)
        broker_ns = np.empty(len(ends), np.int64)
        count = int(lay_lines(payload, ends, line, line_bytes_max, bounds, offsets, broker_ns))
        first = int(np.searchsorted(offsets[:count], wanted))
        return cls(payload, bounds[first:count], offsets[first:count], broker_ns[first:count])

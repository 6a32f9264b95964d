"""Packed files: what is written in a gzip, zstd or xz file, however it breaks off. A helper of file.py, no plug-in."""

from __future__ import annotations

import lzma
import os
import select
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import zstandard

# What reading and unpacking raise when a file is damaged.
DAMAGE = (OSError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


STANDARD_INPUT = 0  # descriptor
MAGIC_BYTES = 6  # of the longest magic
PARQUET_MAGIC = b"PAR1"


def legible(path: str) -> str:
    """A path in letters: a file's name may be any bytes, and those that are no text become escapes.

    >>> legible("caf\\udce9.jsonl")
    'caf\\\\xe9.jsonl'
    """
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class FileUnreadable(Exception):
    """A file that cannot be opened, or that is in no form this reader knows. The message names it and says why."""


class Stream(Protocol):
    """Bytes from the front."""

    def read_into(self, room: memoryview) -> int:
        """The next bytes into the front of `room`, perhaps fewer than fit; how many, 0 at the end. Raises one of
        DAMAGE."""


class RawFile:
    """The bytes of a file as they lie there, counted."""

    def __init__(self, descriptor: int, bytes_total: int | None, ours: bool) -> None:
        self._descriptor = descriptor
        self._ours = ours
        self._closed = False
        self.bytes_total = bytes_total
        self.bytes_done = 0

    def read_into(self, room: memoryview) -> int:
        """See Stream.read_into; 0 after `close`, too. Raises OSError."""
        if self._closed:
            return 0
        size = os.readv(self._descriptor, [room])
        if self.bytes_total is None:
            # a pipe gives a few pages at a time: take what lies ready, but never wait for more
            while 0 < size < len(room) and select.select([self._descriptor], [], [], 0)[0]:
                more = os.readv(self._descriptor, [room[size:]])
                if not more:
                    break
                size += more
        self.bytes_done += size
        return size

    def close(self) -> None:
        """Give the descriptor back, unless it is standard input's."""
        if self._ours and not self._closed:
            os.close(self._descriptor)
        self._closed = True


class Unpacked:
    """What is written in a file, whatever it is packed with. Looks at its first bytes when the first are asked for."""

    def __init__(self, raw: Stream) -> None:
        self._raw = raw
        self._stream: Stream | None = None

    def read_into(self, room: memoryview) -> int:
        """See Stream.read_into."""
        if self._stream is None:
            head = b""
            while len(head) < MAGIC_BYTES and (more := _some(self._raw, MAGIC_BYTES - len(head))):
                head += more
            self._stream = _Headed(head, self._raw)
            for codec in _CODECS:
                if head.startswith(codec.magic):
                    self._stream = _Packed(self._stream, codec)
        return self._stream.read_into(room)


def _some(stream: Stream, size: int) -> bytes:
    """The next bytes, at most `size`, perhaps fewer; b"" at the end."""
    room = memoryview(bytearray(size))
    return bytes(room[: stream.read_into(room)])


class _Headed:
    """A stream whose first bytes were looked at already."""

    def __init__(self, head: bytes, rest: Stream) -> None:
        self._head = head
        self._rest = rest

    def read_into(self, room: memoryview) -> int:
        if not self._head:
            return self._rest.read_into(room)
        size = min(len(self._head), len(room))
        room[:size], self._head = self._head[:size], self._head[size:]
        return size


class _Unpacker(Protocol):
    """What zlib, lzma and zstandard agree on: one member of a packed file."""

    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class _Packed:
    """The unpacked bytes of a packed file of one or more members.

    Raises ValueError when it breaks off or goes on with something else; the codec's own error when it is damaged.
    """

    def __init__(self, packed: Stream, codec: _Codec) -> None:
        self._packed = packed
        self._codec = codec
        self._member: _Unpacker | None = None
        self._left = b""  # packed bytes that belong to the next member
        self._ready = bytearray()
        self._error: Exception | None = None

    def read_into(self, room: memoryview) -> int:
        # What could be unpacked before an error is handed over first: half an archive is better than none.
        while len(self._ready) < len(room) and self._error is None:
            try:
                if not self._unpack():
                    break
            except DAMAGE as error:
                self._error = error
        if not self._ready and self._error is not None:
            raise self._error
        size = min(len(self._ready), len(room))
        with memoryview(self._ready) as ready:
            room[:size] = ready[:size]
        del self._ready[:size]
        return size

    def _unpack(self) -> bool:
        """Unpack one piece more; False at the end. The piece is small: that is all a bomb has to go off with."""
        piece = self._left or _some(self._packed, self._codec.piece_bytes)
        self._left = b""
        if self._member is None:
            piece = piece.lstrip(b"\0")  # members may be padded
            if not piece:
                # a piece of nothing but padding is not the end
                self._left = _some(self._packed, self._codec.piece_bytes)
                return bool(self._left)
            self._member = self._codec.make()
        elif not piece:
            raise ValueError(f"the {self._codec.name} data breaks off")
        self._ready += self._member.decompress(piece)
        if self._member.eof:
            self._left = self._member.unused_data
            self._member = None
        return True


class _Codec:
    """A kind of packed file: its first bytes, and how many packed bytes unpack to 64 MiB at the very most."""

    def __init__(self, name: str, magic: bytes, piece_bytes: int, make: Callable[[], _Unpacker]) -> None:
        self.name = name
        self.magic = magic
        self.piece_bytes = piece_bytes
        self.make = make


_CODECS = (
    _Codec("gzip", b"\x1f\x8b", 64 << 10, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    _Codec("zstd", b"\x28\xb5\x2f\xfd", 2 << 10, lambda: zstandard.ZstdDecompressor().decompressobj()),
    _Codec("xz", b"\xfd7zXZ\x00", 4 << 10, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20)),
)


def begins_as_parquet(path: str) -> bool:
    """Whether a file begins as Parquet does; False when it cannot be looked at, or is none that can be read twice."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError:
        return False


def open_raw(path: str) -> RawFile:
    """Open a file, or "-" for standard input. Raises FileUnreadable."""
    if path == "-":
        return RawFile(STANDARD_INPUT, None, ours=False)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise FileUnreadable(f"{legible(path)}: {error.strerror}") from None
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        os.close(descriptor)
        raise FileUnreadable(f"{legible(path)}: is a directory; name the files in it")
    return RawFile(descriptor, status.st_size if stat.S_ISREG(status.st_mode) else None, ours=True)

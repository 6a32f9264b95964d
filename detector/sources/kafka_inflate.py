"""Unpacking one record batch into a buffer that it cannot outgrow. A helper of kafka.py, no plug-in."""

from __future__ import annotations

import struct
import threading
import zlib

import cramjam
import numpy as np
import numpy.typing as npt
import zstandard

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS = {0: "none", GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}

# what unpacking raises where a batch is damaged or does not fit
DAMAGE = (zstandard.ZstdError, cramjam.DecompressionError, zlib.error, struct.error, ValueError, OverflowError)

_XERIAL_MAGIC = b"\x82SNAPPY\x00"  # Java's clients frame snappy in blocks; others send one bare block
_XERIAL_HEADER_BYTES = 16
_BLOCK_HEADER_BYTES, _CHECKSUM_BYTES = 3, 4
_RLE = 1  # a block of one byte, many times


class NotInflated(Exception):
    """A batch that cannot be unpacked, or that unpacks to more than the buffer holds."""


def inflate(codec: int, packed: memoryview, room: npt.NDArray[np.uint8]) -> int:
    """Unpack into `room` (uint8) and return how many bytes that gave. Raises NotInflated and nothing else.

    >>> room = np.empty(64, np.uint8)
    >>> room[: inflate(GZIP, memoryview(zlib.compress(b"hello", wbits=31)), room)].tobytes()
    b'hello'
    >>> inflate(ZSTD, memoryview(bytes(cramjam.zstd.compress(bytes(65)))), room)
    Traceback (most recent call last):
    detector.sources.kafka_inflate.NotInflated: zstd: more than the limit
    """
    try:
        if codec == GZIP:
            return _gzip(packed, room)
        if codec == SNAPPY:
            return _snappy(packed, room)
        if codec == LZ4:
            return int(cramjam.lz4.decompress_into(packed, room.data))
        if codec == ZSTD:
            return _zstd(packed, room)
    except DAMAGE as error:
        raise NotInflated(f"{CODECS[codec]}: {error}") from None
    raise NotInflated(f"codec {codec} is unknown")


class _Unpacker(threading.local):
    """A thread's own context: making one anew takes longer than a batch of 16 KiB does to unpack."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


_unpacker = _Unpacker()


def _zstd(packed: memoryview, room: npt.NDArray[np.uint8]) -> int:
    if not _one_whole_frame(packed):  # the stream reader would end there without a word
        return int(cramjam.zstd.decompress_into(packed, room.data))
    with _unpacker.zstd.stream_reader(packed) as reader:
        used = int(reader.readinto(room.data))
        if used == len(room) and reader.read(1):
            raise ValueError("more than the limit")
    return used


def _one_whole_frame(packed: memoryview) -> bool:
    """One zstd frame to its end, and nothing after it (RFC 8878, 3.1.1): nearly every batch is."""
    try:
        parameters = zstandard.get_frame_parameters(packed)
        at = zstandard.frame_header_size(packed)
    except zstandard.ZstdError:
        return False
    while at + _BLOCK_HEADER_BYTES <= len(packed):
        header = int.from_bytes(packed[at : at + _BLOCK_HEADER_BYTES], "little")
        kind, size = (header >> 1) & 3, header >> 3
        at += _BLOCK_HEADER_BYTES + (1 if kind == _RLE else size)
        if header & 1:
            return at + (_CHECKSUM_BYTES if parameters.has_checksum else 0) == len(packed)
    return False


def _gzip(packed: memoryview, room: npt.NDArray[np.uint8]) -> int:
    used = 0
    rest = bytes(packed)
    while rest:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        # one byte more than fits tells a full buffer from an overflowing one
        data = member.decompress(rest, len(room) - used + 1)
        if used + len(data) > len(room):
            raise ValueError("more than the limit")
        if not member.eof:
            raise ValueError("breaks off")
        room[used : used + len(data)] = np.frombuffer(data, np.uint8)
        used += len(data)
        rest = member.unused_data
    return used


def _snappy(packed: memoryview, room: npt.NDArray[np.uint8]) -> int:
    if bytes(packed[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        return _snappy_block(packed, room)
    used, at = 0, _XERIAL_HEADER_BYTES
    while at < len(packed):
        (size,) = struct.unpack_from(">i", packed, at)
        at += 4
        if not 0 < size <= len(packed) - at:
            raise ValueError("a block is longer than the batch")
        used += _snappy_block(packed[at : at + size], room[used:])
        at += size
    return used


def _snappy_block(block: memoryview, room: npt.NDArray[np.uint8]) -> int:
    size = int(cramjam.snappy.decompress_raw_len(block))
    if size > len(room):
        raise ValueError("more than the limit")
    return int(cramjam.snappy.decompress_raw_into(block, room[:size].data)) if size else 0

"""Unpacking zstd batches with a context that is kept, against its plain twin: one that is made for every batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cramjam
import numpy as np
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from detector.sources.kafka_inflate import ZSTD, NotInflated, inflate

ROOM = 4096
EVENT = b'{"type":"order","market":"BTC-PERP"}\n'


def ours(packed: bytes, size: int = ROOM) -> bytes | None:
    """What it unpacks to, None where it does not."""
    room = np.zeros(size, np.uint8)
    try:
        return room[: inflate(ZSTD, memoryview(packed), room)].tobytes()
    except NotInflated:
        return None


def plain(packed: bytes, size: int = ROOM) -> bytes | None:
    """The same by a context of its own."""
    room = np.zeros(size, np.uint8)
    try:
        return room[: int(cramjam.zstd.decompress_into(packed, room.data))].tobytes()
    except cramjam.DecompressionError:
        return None


def frame(data: bytes, *, size: bool = True, checksum: bool = False) -> bytes:
    """One zstd frame."""
    return zstandard.ZstdCompressor(write_content_size=size, write_checksum=checksum).compress(data)


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    """Frames of all kinds: whole, broken off, damaged, several, followed by something else."""
    data = draw(st.binary(max_size=64)) + draw(st.sampled_from((b"", b"x", EVENT))) * draw(st.integers(0, 300))
    packed = frame(data, size=draw(st.booleans()), checksum=draw(st.booleans()))
    how = draw(st.sampled_from(("whole", "broken off", "damaged", "twice", "followed")))
    at = draw(st.integers(0, len(packed) - 1))
    if how == "broken off":
        return packed[:at]
    if how == "damaged":
        return packed[:at] + bytes([packed[at] ^ draw(st.integers(1, 255))]) + packed[at + 1 :]
    return packed + {"twice": packed, "followed": draw(st.binary(min_size=1, max_size=9))}.get(how, b"")


@given(batches())
@example(b"")
@example(b"\x28\xb5\x2f\xfd")
@example(frame(b"") + frame(EVENT))
def test_it_unpacks_what_its_twin_does_and_refuses_what_its_twin_refuses(packed: bytes) -> None:
    assert ours(packed) == plain(packed)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("length", [1, 4096, 300_000])
def test_what_just_fits_is_unpacked_and_one_byte_more_is_refused(length: int, known: bool) -> None:
    packed = frame(bytes(length), size=known)
    assert ours(packed, length) == bytes(length)
    assert ours(packed, length - 1) is None


def test_a_batch_that_failed_leaves_nothing_for_the_next_one() -> None:
    packed = frame(EVENT * 50, checksum=True)
    for damaged in (packed[:-1], packed[:-1] + b"\0", packed[:20] + b"\xff" + packed[21:]):
        assert ours(damaged) is None
        assert ours(packed) == EVENT * 50


def test_threads_do_not_share_a_context() -> None:
    packed = [frame(bytes([k]) * 3000 + EVENT * k) for k in range(30)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ours, packed * 20))
    assert found == [bytes([k]) * 3000 + EVENT * k for k in range(30)] * 20

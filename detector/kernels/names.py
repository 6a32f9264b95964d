"""Names: market names as bytes, found through a keyed digest and numbered in the order they were first seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.kernels import kernel
from detector.kernels.digest import digest_bytes
from detector.kernels.slots import MISSING
from detector.kernels.words import load

NAME_BYTES_MAX = 64
NAMES_FULL = -1  # the name is new, and names_max are held already
NEAR_BITS = 10
_MIX = np.uint64(0x9E3779B97F4A7C15)


@kernel
def name_find(
    payload: Any, start: Any, end: Any, digest: Any, slots: Any, digests: Any, texts: Any, lengths: Any
) -> Any:
    """Slot of the name payload[start:end] (1..NAME_BYTES_MAX bytes), or -1 - (the free slot where it would go).

    digest   of the name, by digest_bytes
    slots    int32 (power of two, at least twice names_max), number of the name, -1 = free
    digests  uint64 (names_max); texts: uint8 (names_max * NAME_BYTES_MAX + 8); lengths: int64 (names_max)
    """
    length = end - start
    mask = len(slots) - 1
    slot = np.int64(digest & np.uint64(mask))
    while slots[slot] >= 0:
        index = np.int64(slots[slot])
        if digests[index] == digest and lengths[index] == length and _same(payload, start, texts, index, length):
            return slot
        slot = (slot + 1) & mask
    return -1 - slot


@kernel
def name_near(payload: Any, start: Any, end: Any, near: Any, texts: Any, lengths: Any) -> Any:
    """(number of the name payload[start:end] or MISSING, its place in `near`): a guess from its first and last bytes,
    compared byte for byte. Who found out otherwise puts the number in its place. No digest is made, so this costs
    little; two names for one place only cost what they would without it.

    near: int32 (1 << NEAR_BITS), numbers of names; texts and lengths as name_find's.
    """
    length = end - start
    first = load(payload, start)
    last = np.uint64(0)
    if length >= 8:
        last = load(payload, end - 8)
    else:
        first = first & ((np.uint64(1) << np.uint64(8 * length)) - np.uint64(1))
    place = np.int64(((first ^ (last * _MIX)) * _MIX) >> np.uint64(64 - NEAR_BITS))
    index = np.int64(near[place])
    if lengths[index] == length and _same(payload, start, texts, index, length):
        return index, place
    return np.int64(MISSING), place


@kernel
def _same(payload: Any, start: Any, texts: Any, index: Any, length: Any) -> Any:
    """Whether payload[start : start + length] is the name `index`, which is as long."""
    held = index * NAME_BYTES_MAX
    at = 0
    while at + 8 <= length:
        if load(payload, start + at) != load(texts, held + at):
            return False
        at += 8
    if at == length:
        return True
    beyond = np.uint64(64 - 8 * (length - at))
    return (load(payload, start + at) << beyond) == (load(texts, held + at) << beyond)


@kernel
def name_add(
    payload: Any,
    start: Any,
    end: Any,
    digest: Any,
    place: Any,
    slots: Any,
    digests: Any,
    texts: Any,
    lengths: Any,
    count: Any,
) -> Any:
    """Number of the new name that `name_find` found `place` (< 0) for; NAMES_FULL at the limit. count: int64 (1)."""
    index = np.int64(count[0])
    if index >= len(digests):
        return np.int64(NAMES_FULL)
    slots[-1 - place] = index
    digests[index] = digest
    lengths[index] = end - start
    for i in range(end - start):
        texts[index * NAME_BYTES_MAX + i] = payload[start + i]
    count[0] = index + 1
    return index


class Names:
    """The table's arrays, and its names as text.

    >>> names = Names(2, (0, 0))
    >>> names.index(b"BTC-PERP"), names.index(b"ETH-PERP"), names.index(b"BTC-PERP"), names.index(b"SOL-PERP")
    (0, 1, 0, -1)
    >>> names.texts()
    ('BTC-PERP', 'ETH-PERP')
    """

    def __init__(self, names_max: int, key: tuple[int, int]) -> None:
        assert names_max > 0, "a table of names holds at least one"
        self.names_max = names_max
        slots = np.full(1 << (2 * names_max - 1).bit_length(), -1, np.int32)
        self.arrays = (
            slots,
            np.zeros(names_max, np.uint64),
            np.zeros(names_max * NAME_BYTES_MAX + 8, np.uint8),
            np.zeros(names_max, np.int64),
            np.zeros(1, np.int64),
            np.zeros(1 << NEAR_BITS, np.int32),
        )
        self.key = (np.uint64(key[0]), np.uint64(key[1]))
        self._texts: tuple[str, ...] = ()
        self._numbers: dict[bytes, int] = {}

    def index(self, name: bytes) -> int:
        """The name's number, given to it when new; NAMES_FULL at the limit. For the paths that are not hot."""
        assert 0 < len(name) <= NAME_BYTES_MAX, "names are checked before they are numbered"
        payload: npt.NDArray[np.uint8] = np.frombuffer(name + bytes(8), np.uint8)
        slots, digests, texts, lengths = self.arrays[:4]
        digest = np.uint64(digest_bytes(payload, 0, len(name), *self.key))
        place = name_find(payload, 0, len(name), digest, slots, digests, texts, lengths)
        if place >= 0:
            return int(slots[place])
        return int(name_add(payload, 0, len(name), digest, place, *self.arrays[:5]))

    def texts(self) -> tuple[str, ...]:
        """All names, in the order of their numbers; the same tuple for as long as none is new."""
        if len(self._texts) != int(self.arrays[4][0]):
            self._texts = tuple(name.decode("ascii") for name in self.numbers())
        return self._texts

    def numbers(self) -> Mapping[bytes, int]:
        """Every name's number."""
        _, _, texts, lengths, count, _ = self.arrays
        for index in range(len(self._numbers), int(count[0])):
            start = index * NAME_BYTES_MAX
            self._numbers[texts[start : start + lengths[index]].tobytes()] = index
        return self._numbers

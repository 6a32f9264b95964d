"""Words: a closed set of short ASCII words, recognised by one multiplication, one look and one comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.kernels import inlined

WORD_BYTES_MAX = 24
_SLOTS = 256
_EIGHT = np.uint64(8)


@inlined
def byte_at(payload: Any, at: Any) -> Any:
    """payload[at], at >= 0. With a signed index every access would first be checked for being below 0."""
    return payload[np.uint64(at)]


@inlined
def load(payload: Any, at: Any) -> Any:
    """uint64: payload[at : at + 8] (uint8), the first byte lowest. May read past a message's end, into its padding."""
    start = np.uint64(at)
    word = np.uint64(payload[start])
    word |= np.uint64(payload[start + np.uint64(1)]) << np.uint64(8)
    word |= np.uint64(payload[start + np.uint64(2)]) << np.uint64(16)
    word |= np.uint64(payload[start + np.uint64(3)]) << np.uint64(24)
    word |= np.uint64(payload[start + np.uint64(4)]) << np.uint64(32)
    word |= np.uint64(payload[start + np.uint64(5)]) << np.uint64(40)
    word |= np.uint64(payload[start + np.uint64(6)]) << np.uint64(48)
    word |= np.uint64(payload[start + np.uint64(7)]) << np.uint64(56)
    return word


@inlined
def _start(payload: Any, at: Any, length: Any) -> Any:
    """The first min(length, 8) bytes of payload[at:], zeros above."""
    word = load(payload, at)
    if length >= 8:
        return word
    return word & ((np.uint64(1) << np.uint64(8 * length)) - np.uint64(1))


@inlined
def word_index(payload: Any, start: Any, end: Any, slots: Any, parts: Any, lengths: Any, magic: Any) -> Any:
    """Index of payload[start:end] among the words; len(words) when it is none of them.

    slots int16 (256); parts uint64 (words + 1, 3); lengths int64 (words + 1); magic uint64: the arrays of a `Words`.
    """
    length = end - start
    none = len(lengths) - 1
    if length <= 0 or length > WORD_BYTES_MAX:
        return none
    first = _start(payload, start, length)
    index = np.int64(slots[np.int64(((first + np.uint64(length)) * magic) >> np.uint64(56))])
    if parts[index, 0] != first or lengths[index] != length:
        return none
    if length > 8:
        if parts[index, 1] != _start(payload, start + 8, length - 8):
            return none
        if length > 16 and parts[index, 2] != _start(payload, start + 16, length - 16):
            return none
    return index


class Words:
    """The table for `word_index`: `arrays` = (slots, parts, lengths, magic). The magic number is searched, not rolled.

    >>> words = Words(["price", "qty"])
    >>> payload = np.frombuffer(b"qtyprice" + bytes(24), np.uint8)
    >>> [int(word_index(payload, *span, *words.arrays)) for span in ((0, 3), (3, 8), (0, 8))]
    [1, 0, 2]
    """

    def __init__(self, words: Sequence[str]) -> None:
        assert len(set(words)) == len(words) <= _SLOTS // 4, "words are different and few"
        coded = [word.encode("ascii") for word in words]
        assert all(0 < len(word) <= WORD_BYTES_MAX for word in coded), "words are short"
        parts = np.zeros((len(words) + 1, 3), np.uint64)
        lengths = np.array([len(word) for word in coded] + [-1], np.int64)
        for index, word in enumerate(coded):
            parts[index] = np.frombuffer(word.ljust(WORD_BYTES_MAX, b"\0"), np.uint64)
        magic = 0
        while True:
            magic = (magic + 0x9E3779B97F4A7C15) % 2**64
            homes = [(((int(parts[i, 0]) + len(word)) * (magic | 1)) % 2**64) >> 56 for i, word in enumerate(coded)]
            if len(set(homes)) == len(homes):
                break
        slots = np.full(_SLOTS, len(words), np.int16)
        slots[homes] = np.arange(len(words))
        self.arrays = (slots, parts, lengths, np.uint64(magic | 1))

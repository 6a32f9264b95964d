"""SipHash-1-3: 64-bit digests of order ids and accounts, keyed, so that nobody can craft collisions.

Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with 1 compression and 3 finalisation rounds.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.kernels.words import load

_M1, _M2, _M3, _M4 = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573


@kernel
def _rotate(value: Any, by: Any) -> Any:
    return (value << np.uint64(by)) | (value >> np.uint64(64 - by))


@kernel
def _round(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    v0 = v0 + v1
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 = v2 + v3
    v3 = _rotate(v3, 16) ^ v2
    v0 = v0 + v3
    v3 = _rotate(v3, 21) ^ v0
    v2 = v2 + v1
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


@kernel
def _finish(v0: Any, v1: Any, v2: Any, v3: Any, last: Any) -> Any:
    v3 = v3 ^ last
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 = v0 ^ last
    v2 = v2 ^ np.uint64(0xFF)
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    digest = v0 ^ v1 ^ v2 ^ v3
    return digest if digest != np.uint64(0) else np.uint64(1)  # 0 is kept for 'none'


@kernel
def digest_bytes(payload: Any, start: Any, end: Any, key0: Any, key1: Any) -> Any:
    """uint64, never 0, of payload[start:end] (uint8), 8 bytes beyond which it may read. key0, key1: uint64."""
    v0 = np.uint64(key0) ^ np.uint64(_M1)
    v1 = np.uint64(key1) ^ np.uint64(_M2)
    v2 = np.uint64(key0) ^ np.uint64(_M3)
    v3 = np.uint64(key1) ^ np.uint64(_M4)
    length = end - start
    at = start
    while end - at >= 8:
        word = load(payload, at)
        v3 = v3 ^ word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 = v0 ^ word
        at += 8
    rest = load(payload, at) & ((np.uint64(1) << np.uint64(8 * (end - at))) - np.uint64(1))
    last = (np.uint64(length & 0xFF) << np.uint64(56)) | rest
    return _finish(v0, v1, v2, v3, last)


@kernel
def digest_word(word: Any, key0: Any, key1: Any) -> Any:
    """uint64, never 0, of one 64-bit number (an integer order id, a table key)."""
    word = np.uint64(word)
    v0 = np.uint64(key0) ^ np.uint64(_M1)
    v1 = np.uint64(key1) ^ np.uint64(_M2)
    v2 = np.uint64(key0) ^ np.uint64(_M3)
    v3 = np.uint64(key1) ^ np.uint64(_M4) ^ word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 = v0 ^ word
    return _finish(v0, v1, v2, v3, np.uint64(8) << np.uint64(56))


def digest(text: bytes, key: tuple[int, int]) -> int:
    """The digest of one byte string, for the paths that are not hot."""
    payload = np.frombuffer(text + bytes(8), np.uint8)
    made = int(digest_bytes(payload, 0, len(text), np.uint64(key[0]), np.uint64(key[1])))
    if isinstance(key, NotingKey):
        key.note(made, text)
    return made


class NotingKey(tuple[int, int]):
    """A key that notes what it was used on, for who must write the ids out again. Keeps at least the last TEXTS_MAX
    texts and at most twice as many.

    >>> key = NotingKey((1, 2))
    >>> key.text(digest(b"alice", key)), key.text(7)
    (b'alice', None)
    """

    TEXTS_MAX = 500_000

    @property
    def halves(self) -> tuple[np.uint64, np.uint64]:
        """As kernels want it."""
        return np.uint64(self[0]), np.uint64(self[1])

    def note(self, made: int, text: bytes) -> None:
        """`text` has the digest `made`."""
        young, old = self._texts
        young[made] = text
        if len(young) >= self.TEXTS_MAX:
            old.clear()
            self._texts = (old, young)

    def text(self, made: int) -> bytes | None:
        """What has the digest; None when it is not remembered."""
        young, old = self._texts
        found = young.get(made)
        return old.get(made) if found is None else found

    @cached_property
    def _texts(self) -> tuple[dict[int, bytes], dict[int, bytes]]:
        return {}, {}

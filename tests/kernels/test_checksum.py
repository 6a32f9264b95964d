"""CRC32C: the instruction, the definition and aiokafka's say the same."""

from __future__ import annotations

import numpy as np
from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]

from detector.kernels import kernel, plain
from detector.kernels.checksum import _bitwise, _eight_bytes, crc32c

SEED = 7


def test_any_bytes_at_any_place_have_the_checksum_that_aiokafka_gives_them() -> None:
    payload = np.random.default_rng(SEED).integers(0, 256, 4096).astype(np.uint8)
    for length in [*range(70), 1000, 4089]:
        start = length % 7
        assert crc32c(payload, start, start + length) == calc_crc32c(payload[start : start + length].tobytes()), SEED


@kernel
def both(state: object, word: object) -> object:
    return _eight_bytes(state, word), _bitwise(state, word)


def test_the_instruction_does_what_the_definition_says() -> None:
    dice = np.random.default_rng(SEED)
    for _ in range(200):
        state, word = np.uint64(dice.integers(2**32)), np.uint64(dice.integers(2**63)) * np.uint64(2)
        instruction, definition = both(state, word)  # type: ignore[misc]
        assert instruction == definition == plain(_bitwise)(state, word), (SEED, state, word)

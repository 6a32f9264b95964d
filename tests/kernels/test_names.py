"""Names guessed from their first and last bytes: whatever shares them, everyone gets his own number."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from detector.kernels import plain
from detector.kernels.names import NAME_BYTES_MAX, Names, name_near

# of all lengths, many with the same eight bytes at both ends, so that they meet in one place of the guesses
NAMES = [b"ABCDEFGHIJ"[:length] for length in range(1, 10)]
NAMES += [b"ABCDEFGH" + b"%d" % number + b"STUVWXYZ" for number in range(120)]
NAMES += [b"ABCDEFGH" + b"x" * length + b"STUVWXYZ" for length in range(NAME_BYTES_MAX - 15)]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_guess_is_right_or_none(compiled: bool) -> None:
    look = name_near if compiled else plain(name_near)
    random = Random(4)
    names = Names(len(NAMES), (1, 2))
    numbers: dict[bytes, int] = {}
    texts, lengths, _, near = names.arrays[2:]
    guessed = 0
    with np.errstate(over="ignore"):  # the product wraps around
        for _ in range(3_000):
            name = random.choice(NAMES)
            payload = np.frombuffer(b"?" + name + b"ABCDEFGH" * 2, np.uint8)
            found, place = look(payload, 1, 1 + len(name), near, texts, lengths)
            assert found in (-1, numbers.get(name)), name
            guessed += found >= 0
            if found < 0:
                numbers.setdefault(name, names.index(name))
                near[place] = numbers[name]
    assert guessed > 100 and numbers == dict(names.numbers())

"""The lowest bit that is set, as the processor tells it and as anybody would count it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.kernels.bits import trailing_zeros


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 63), st.integers(0, 2**64 - 1))
def test_the_lowest_bit_is_found_whatever_lies_above_it(place: int, above: int) -> None:
    word = ((above >> place << 1 | 1) << place) % 2**64
    assert int(trailing_zeros(np.uint64(word))) == place


def test_no_bit_at_all_is_64() -> None:
    assert int(trailing_zeros(np.uint64(0))) == 64

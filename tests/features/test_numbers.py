"""A record's numbers, column by column."""

from __future__ import annotations

import numpy as np
import pytest

from detector.features.base import numbers


@pytest.mark.parametrize("markets", [0, 1, 2, 7])
def test_they_are_the_callers_own_however_few_markets_there_are(markets: int) -> None:
    records = np.zeros(markets, [("a", "<f8"), ("b", "<f8", (2,)), ("c", "<f8")])
    records["b"] = [2.0, 3.0]
    told = numbers(records)
    assert told.shape == (4, markets) and told.flags.c_contiguous
    assert (told == np.array([[0.0], [2.0], [3.0], [0.0]])).all()
    told[:] = 9.0
    assert not (records["a"] == 9.0).any()

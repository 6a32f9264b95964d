"""A stream that was never told of anything is passed over, and nobody can tell: until its first count, and from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.anomaly.baseline import Measure, advance, blank_streams, measures_of
from detector.anomaly.streams import advance_all

MARKETS, LENGTH = 4, 61
MEASURES = [Measure(float(scale), 0.0, 1.0, 1.0, 1.0, 0.2, 600.0, 1.0) for scale in (3, 5)]


class Twin:
    """Two streams and all they know; `windows` of them, each stream by itself or as a detector goes over them."""

    def __init__(self) -> None:
        self.tables = np.stack([blank_streams(MARKETS, one) for one in MEASURES])
        rings = (2 * LENGTH, MARKETS)
        self.past = np.zeros(rings), np.zeros(rings), np.zeros(rings, np.uint8)
        self.measures = measures_of(MEASURES)
        self.at = 0

    def window(self, counts: Any, due: Any, *, together: bool) -> Any:
        self.at += 1
        activities, learn = np.full((2, MARKETS), np.nan), np.ones(MARKETS, np.bool_)
        surprises = np.full((MARKETS, 2), 7.0)
        firsts, lengths = np.array([0, LENGTH]), np.array([LENGTH, LENGTH])
        if together:
            advance_all(
                self.tables, *self.past, firsts, lengths, self.at, self.measures, counts, activities, due, learn,
                surprises,
            )  # fmt: skip
            return surprises
        for s in range(2):
            advance(
                s, self.tables, *self.past, firsts[s], lengths[s], self.at % LENGTH, self.measures, counts, activities,
                due, learn, surprises,
            )  # fmt: skip
        return surprises


@pytest.mark.parametrize("market", range(MARKETS))
def test_a_stream_that_wakes_knows_what_it_would_have_known(market: int) -> None:
    generator = np.random.default_rng(market)
    one, other = Twin(), Twin()
    for number in range(400):
        counts = generator.poisson(2.0, (2, MARKETS)).astype(np.float64)
        awake = 150 <= number < 200 or number >= 300
        counts[1, [m for m in range(MARKETS) if m != market or not awake]] = np.nan
        due = generator.random(MARKETS) < 0.9
        np.testing.assert_array_equal(
            one.window(counts, due, together=True), other.window(counts, due, together=False), f"window {number}"
        )
        for name in one.tables.dtype.names or ():
            np.testing.assert_array_equal(one.tables[name], other.tables[name], f"{name}, window {number}")
        for ours, theirs in zip(one.past, other.past, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert one.tables["windows"][1, market] > 100 and not one.tables["windows"][1, market - 1].any()

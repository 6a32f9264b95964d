"""The loops that a window's verdict is made by say what their numpy twin says, to the last digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.anomaly.baseline import DISPERSION_FLOOR, Measure, blank_streams
from detector.anomaly.budget import BLOCK_WINDOWS, blank_peaks, settle, spreads_above
from detector.anomaly.early import worth_a_look
from detector.anomaly.streams import SCORE_MAX, join_due
from detector.kernels import plain
from tests.anomaly import verdict_twin

MARKETS = 60
BUDGETS = np.array([7.0, 1.0, 0.25])
CLOSE: dict[str, Any] = {"rtol": 1e-13, "atol": 1e-13}


def _drawn(generator: np.random.Generator, shape: Any) -> Any:
    drawn = generator.exponential(1.5, shape)
    drawn[generator.random(shape) < 0.02] = SCORE_MAX + 10.0
    drawn[generator.random(shape) < 0.2] = 0.0
    drawn[generator.random(shape) < 0.3] = np.nan
    return drawn


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("streams", [1, 3, 8])
def test_streams_are_joined_as_their_twin_joins_them(seed: int, streams: int) -> None:
    generator = np.random.default_rng(seed)
    surprises, due = _drawn(generator, (500, streams)), generator.random(500) < 0.8
    weights = generator.choice([0.02, 0.1, 1.0], streams)
    expected = np.where(due, verdict_twin.join(surprises, weights), np.nan)
    for loop in (join_due, plain(join_due)):
        values = np.empty(500)
        loop(surprises, weights, due, values)
        np.testing.assert_allclose(values, expected, **CLOSE)


@pytest.mark.parametrize("seed", range(3))
def test_levels_rarity_and_what_is_learned_are_those_of_the_twin_over_several_blocks(seed: int) -> None:
    generator = np.random.default_rng(seed)
    ours, theirs, slow = (blank_peaks(MARKETS, 1.2, 1.3) for _ in range(3))
    for peaks in (ours, theirs, slow):
        peaks["windows"] = np.arange(MARKETS) * 10 % BLOCK_WINDOWS
        peaks["blocks"] = np.arange(MARKETS) * 40
        peaks["median"] += np.arange(MARKETS) * 0.5  # up to where exp would overflow
        peaks["upper"] += np.arange(MARKETS) * 3.0 % 8.0 + np.arange(MARKETS) * 0.5
        peaks["median"][-1], peaks["upper"][-1] = 299.0, 299.1
    age = np.arange(MARKETS) * 50.0
    above = spreads_above(BUDGETS)
    for _ in range(1500):
        values, learn = _drawn(generator, MARKETS), generator.random(MARKETS) < 0.9
        needed = verdict_twin.levels(theirs, BUDGETS) + 0.7 * np.clip(1.0 - age / 1800.0, 0.0, 1.0)
        every = verdict_twin.every_s(theirs, values, 0.5)
        verdict_twin.learn_peaks(theirs, values, learn & (values < needed[-1]))
        for loop, peaks in ((settle, ours), (plain(settle), slow)):
            made, rare = np.empty((3, MARKETS)), np.empty(MARKETS)
            loop(peaks, above, values, age, 1800.0, 0.7, learn, 0.5, made, rare)
            np.testing.assert_allclose(made, needed, **CLOSE)
            np.testing.assert_allclose(rare, every, rtol=1e-9)
            for name in ("peak", "windows", "blocks", "median", "upper"):
                np.testing.assert_array_equal(peaks[name], theirs[name], err_msg=name)
        age += 1.0
    assert (ours["blocks"] > np.arange(MARKETS) * 40).sum() > MARKETS // 2  # blocks were closed


def test_a_stream_that_expects_less_than_nothing_is_never_looked_at_early() -> None:
    measure = Measure(10.0, 0.0, 1.0, 60.0, 60.0, 0.15 / DISPERSION_FLOOR, 7200.0, 1.0)
    table = blank_streams(3, measure)
    table["windows"] = 1e6
    table["a_sum"] = (-1.0, -0.5, 3.0)
    with np.errstate(all="raise"):
        floors = worth_a_look(table, measure)
    assert np.isinf(floors[0])
    assert np.isfinite(floors[1:]).all()

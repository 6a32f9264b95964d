"""A weighted mean against its own slow mean: what it takes for unusual, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

from detector.anomaly.baseline import Measure, blank_streams, measures_of
from detector.anomaly.mean import advance_mean
from detector.kernels import plain

MEASURE = Measure(10.0, 1.0, 100.0, 0.0, 100.0, 0.06, 7200.0, 1.0, 1.0)
LENGTH = 61


class One:
    """One market's stream, window by window."""

    def __init__(self, measure: Measure = MEASURE, step: object = advance_mean) -> None:
        self.streams = blank_streams(1, measure)[None, :]
        self.stream = self.streams[0]
        self.past = np.zeros((LENGTH, 1)), np.zeros((LENGTH, 1)), np.zeros((LENGTH, 1), np.uint8)
        self.at = 0
        self.measures = measures_of([measure])
        self.step = step

    def after(self, windows: int, value: float, weight: float = 100.0, learn: bool = True) -> float:
        scores, yes = np.zeros((1, 1)), np.ones(1, np.bool_)
        for _ in range(windows):
            self.at += 1
            n, a = np.array([[value * weight]]), np.array([[weight]])
            self.step(  # type: ignore[operator]
                0,
                self.streams,
                *self.past,
                0,
                LENGTH,
                self.at % LENGTH,
                self.measures,
                n,
                a,
                yes,
                np.array([learn]),
                scores,
            )
        return float(scores[0, 0])


def test_a_mean_at_its_usual_place_is_unremarkable_and_one_far_above_is_not() -> None:
    one = One()
    assert one.after(600, 0.01) < 1.0
    assert one.after(10, 0.3) > 6.0


def test_below_its_usual_place_is_no_risk() -> None:
    one = One()
    one.after(600, 0.3)
    assert one.after(10, 0.0) < 0.1


def test_little_weight_says_little() -> None:
    heavy, light = One(), One()
    heavy.after(600, 0.0)
    light.after(600, 0.0)
    assert light.after(10, 0.3, weight=0.2) < 1.0 < heavy.after(10, 0.3)


def test_what_is_unusual_is_not_learned_for_an_hour() -> None:
    one = One()
    one.after(600, 0.0)
    before = one.stream["expected"][0]
    one.after(1000, 0.4)
    assert one.stream["expected"][0] == pytest.approx(before, abs=0.5)


def test_nothing_is_said_of_a_window_that_cannot_say_and_the_rest_is_as_if_it_had_not_been() -> None:
    one = One()
    one.after(600, 0.1)
    assert np.isnan(one.after(1, np.nan))
    assert one.stream["windows"][0] == 600


def test_the_plain_loop_says_the_same() -> None:
    rng = np.random.default_rng(5)
    compiled, interpreted = One(), One(step=plain(advance_mean))
    for value, weight in zip(rng.normal(0.05, 0.03, 300), rng.uniform(0.0, 200.0, 300), strict=True):
        said = compiled.after(1, value, weight), interpreted.after(1, value, weight)
        assert said[0] == said[1] or (np.isnan(said[0]) and np.isnan(said[1]))
    assert np.array_equal(compiled.stream, interpreted.stream, equal_nan=False) or compiled.stream.tobytes() == (
        interpreted.stream.tobytes()
    )

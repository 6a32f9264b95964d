"""The joined score and its exact split; calibration of a tail; levels of a budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import genextreme

from detector.anomaly.baseline import deviance
from detector.anomaly.budget import SHAPE, blank_peaks, learn_peak, settle, spreads_above
from detector.anomaly.streams import join, split, without
from detector.anomaly.tail import EXCESS_PRIOR, TAIL_SCORE, blank_tail, calibrate, learn_tail, normal_surprise

SURPRISES = st.lists(st.floats(0, 40), min_size=1, max_size=6)


@settings(deadline=None)  # the first call may compile
@given(SURPRISES)
def test_the_split_adds_up_to_the_score_and_is_never_negative(surprises: list[float]) -> None:
    parts = split(surprises)
    total = float(join(np.array([surprises]))[0])
    assert abs(sum(parts) - total) < 1e-9
    assert min(parts) >= -1e-12


@settings(deadline=None)  # the first call may compile
@given(SURPRISES)
def test_the_strongest_stream_has_the_largest_share_and_equals_share_equally(surprises: list[float]) -> None:
    parts = split([*surprises, max(surprises)])
    assert parts[-1] >= max(parts) - 1e-9
    assert abs(parts[surprises.index(max(surprises))] - parts[-1]) < 1e-9


@settings(deadline=None)  # the first call may compile
@given(SURPRISES)
def test_without_a_stream_the_score_is_that_of_the_others_beside_something_unremarkable(surprises: list[float]) -> None:
    total = float(join(np.array([surprises]))[0])
    for stream, left in enumerate(without(surprises)):
        others = np.array([[0.0 if s == stream else value for s, value in enumerate(surprises)]])
        assert left == float(join(others)[0])
        assert left <= total
    strongest = surprises.index(max(surprises))
    # of equal ones, which are summed in turn, any may be the least by a rounding
    assert without(surprises)[strongest] == pytest.approx(min(without(surprises)), abs=1e-12)


@settings(deadline=None)  # the first call may compile
@given(SURPRISES, st.lists(st.sampled_from([0.02, 0.1, 1.0]), min_size=6, max_size=6))
def test_with_parts_of_the_budget_the_split_adds_up_too(surprises: list[float], weights: list[float]) -> None:
    weights = weights[: len(surprises)]
    parts = split(surprises, weights)
    total = float(join(np.array([surprises]), np.array(weights))[0])
    assert abs(sum(parts) - total) < 1e-9
    assert min(parts) >= -1e-12
    for stream, left in enumerate(without(surprises, weights)):
        others = [0.0 if s == stream else value for s, value in enumerate(surprises)]
        assert left == pytest.approx(float(join(np.array([others]), np.array(weights))[0]))


@settings(deadline=None)  # the first call may compile
@given(SURPRISES)
def test_the_joined_score_is_the_union_of_the_streams(surprises: list[float]) -> None:
    total = float(join(np.array([surprises]))[0])
    assert max(surprises) - np.log10(len(surprises)) - 1e-9 <= total <= max(surprises) + 1e-9


def test_the_normal_tail_is_right_from_the_middle_to_far_out() -> None:
    for z, exact in ((0.0, 0.30103), (1.6448536, 1.30103), (4.753424, 6.0), (8.5, 17.0231), (20.0, 88.5601)):
        assert abs(normal_surprise(z) - exact) < 2e-3


@settings(deadline=None)  # the first call may compile
@given(st.floats(0.1, 1e4), st.floats(0.02, 3.0))
def test_the_deviance_is_nothing_at_the_mean_and_rises_away_from_it(mean: float, dispersion: float) -> None:
    assert abs(deviance(mean, mean, dispersion)) < 1e-3
    steps = [deviance(mean * factor, mean, dispersion) for factor in (0.2, 0.5, 1.0, 2.0, 5.0)]
    assert steps == sorted(steps)


def test_a_heavier_tail_than_promised_is_learned_and_then_kept_to() -> None:
    generator = np.random.default_rng(9)
    tail = blank_tail((1,))
    draws = generator.exponential(1.0 / np.log(10.0) * 1.6, 200_000)  # surprises 1.6 times as large as they should be
    for draw in draws[:100_000].tolist():
        if calibrate(tail[0], draw) < 5.0:
            learn_tail(tail[0], draw, 1.0, TAIL_SCORE, EXCESS_PRIOR)
    scores = np.array([calibrate(tail[0], draw) for draw in draws[100_000:].tolist()])
    for level in (2.0, 3.0):
        assert 0.6 < (scores >= level).mean() * 10**level < 1.6


def test_a_calm_body_does_not_make_the_tail_lighter() -> None:
    """Or the first busy hour after a quiet night would look impossible."""
    tail = blank_tail((1,))
    for draw in np.random.default_rng(9).exponential(0.1, 20_000).tolist():
        learn_tail(tail[0], draw, 1.0, TAIL_SCORE, EXCESS_PRIOR)
    for surprise in (1.0, 2.0, 5.0):
        assert calibrate(tail[0], surprise) == calibrate(blank_tail((1,))[0], surprise)


def test_levels_of_a_budget_are_exceeded_about_as_often_as_promised() -> None:
    generator = np.random.default_rng(10)
    markets = 200
    peaks = blank_peaks(markets, 2.2, 2.75)
    learn, old = np.ones(markets, np.bool_), np.ones(markets)
    needed, every = np.empty((1, markets)), np.empty(markets)
    law = genextreme(-SHAPE, 2.0, 0.5)  # scipy's sign of the shape is the other one
    for _ in range(1500):  # a score in 600 windows is drawn as the largest of them
        peak = law.rvs(markets, random_state=generator)
        peaks["windows"] = 599
        settle(peaks, np.array([np.inf]), peak, old, 1.0, 0.0, learn, 1.0, needed, every)
    promised = np.array([7.0, 1.0])
    needed = np.empty((2, markets))
    settle(peaks, spreads_above(promised), np.full(markets, np.nan), old, 1.0, 0.0, learn, 1.0, needed, every)
    draws = law.rvs((4000, markets), random_state=generator)
    weekly = (draws[:, None, :] >= needed[None]).mean(axis=(0, 2)) * 1008
    assert np.all((weekly / promised > 0.6) & (weekly / promised < 1.6)), weekly
    settle(peaks, spreads_above(promised), needed[1].copy(), old, 1.0, 0.0, learn, 1.0, needed, every)
    assert np.allclose(every, 7 * 86400, rtol=1e-6)


@pytest.mark.parametrize("peak", [0.1, 3.0])
def test_a_calm_month_does_not_bring_a_level_below_the_least_and_a_wild_one_lifts_it(peak: float) -> None:
    kept, free = (blank_peaks(1, 0.8, 1.22, least) for least in (1.0, 0.0))
    learn, old = np.ones(1, np.bool_), np.ones(1)
    needed, every = np.empty((1, 1)), np.empty(1)

    def level(peaks: Any) -> float:
        settle(peaks, spreads_above(np.array([1.0])), np.array([np.nan]), old, 1.0, 0.0, learn, 1.0, needed, every)
        return float(needed[0, 0])

    shipped = level(kept)
    for peaks in (kept, free):
        for _ in range(4032):
            peaks["windows"] = 599
            settle(peaks, np.array([np.inf]), np.array([peak]), old, 1.0, 0.0, learn, 1.0, needed, every)
    assert level(free) < shipped - 1.0 if peak < 1.0 else level(free) > shipped
    if peak < 1.0:
        assert level(kept) == pytest.approx(shipped)
    else:  # lifted as far as a free one, and as wide as it was shipped
        assert kept["median"] == pytest.approx(free["median"], abs=0.05)
        assert kept["upper"] - kept["median"] == pytest.approx(1.22 - 0.8)


@pytest.mark.parametrize("peak", [0.9, 1.1])
def test_peaks_about_where_they_are_usual_do_not_bring_a_level_down_by_being_alike(peak: float) -> None:
    peaks = blank_peaks(1, 0.8, 1.22, 1.0)
    place = (peaks["median"][0], peaks["upper"][0] - peaks["median"][0])
    for _ in range(4032):
        peaks["windows"] = 599
        learn_peak(peaks[0], peak)
    assert peaks["median"][0] >= place[0]
    assert peaks["upper"][0] - peaks["median"][0] >= place[1] - 1e-9

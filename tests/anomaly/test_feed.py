"""The dead feed: silence against a market's own rate, told from a quiet market and from a silence of the whole source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from detector.anomaly.feed import FIRST_WINDOWS, Feed
from detector.model.score import Score
from detector.model.windows import Feature, Windows
from tests.engine.story import START_NS

EVENTS = (Feature("events", "per window", "messages of any kind"),)
BUDGETS = np.array([0.35, 0.05, 0.005])
SETTLED_S = 3600

Rates = Callable[[int], npt.NDArray[np.float64]]  # second -> events a second, 0 = silent


def window(second: int, counts: npt.NDArray[np.float64], calm: npt.NDArray[np.bool_] | None = None) -> Windows:
    markets = len(counts)
    return Windows(
        close_ns=START_NS + (second + 1) * 10**9,
        width_ns=10**9,
        markets=tuple(f"m{i}" for i in range(markets)),
        features=EVENTS,
        values=counts[:, None],
        calm=np.ones(markets, np.bool_) if calm is None else calm,
        fresh=np.ones(markets, np.bool_),
        idle=not counts.any(),
    )


def told(rates: Rates, seconds: int, *, seed: int = 1, feed: Feed | None = None, calm: Any = None) -> list[Score]:
    """Scores of a stream of Poisson counts whose rates wander."""
    generator = np.random.default_rng(seed)
    made = feed or Feed(Feed.Params(), BUDGETS)
    scores = []
    for second in range(seconds):
        counts = generator.poisson(rates(second) * generator.gamma(8.0, 1 / 8.0)).astype(np.float64)
        one = window(second, counts, calm(second) if calm else None)
        scores.append(made.score(one, one.normal, ()))
    return scores


def paged(scores: list[Score], market: int, level: int = 1) -> list[int]:
    return [second for second, score in enumerate(scores) if score.values[market] >= score.levels[level, market]]


def dying(at_s: int, dead: set[int], rates: tuple[float, ...] = (25.0, 5.0, 2.0)) -> Rates:
    def now(second: int) -> npt.NDArray[np.float64]:
        return np.array([0.0 if second >= at_s and i in dead else rate for i, rate in enumerate(rates)])

    return now


def test_a_feed_that_dies_is_told_within_two_minutes_and_only_where_it_died() -> None:
    scores = told(dying(SETTLED_S, {0}), SETTLED_S + 120)
    first = paged(scores, 0)[0] - SETTLED_S
    assert 44 <= first <= 120
    assert not paged(scores, 1, 0) and not paged(scores, 2, 0)
    (row,) = scores[-1].explain(0)
    assert (row.feature, row.share) == ("silence", 1.0)
    assert 110 <= row.observed <= 120  # only while others are heard
    assert row.expected == pytest.approx(1 / 25.0, rel=0.2)
    assert row.low <= row.expected <= row.high < row.observed


def test_a_slow_market_is_given_the_time_it_needs() -> None:
    scores = told(dying(SETTLED_S, {1}, (25.0, 0.2)), SETTLED_S + 900)
    assert paged(scores, 1)[0] - SETTLED_S > 150


def test_it_is_over_as_soon_as_something_is_heard() -> None:
    rates = dying(SETTLED_S, {0})
    scores = told(lambda second: rates(second if second < SETTLED_S + 200 else 0), SETTLED_S + 260)
    assert paged(scores, 0)[-1] == SETTLED_S + 199
    assert scores[-1].values[0] == 0.0


def test_a_reconnect_is_never_told() -> None:
    rates = dying(SETTLED_S, {0}, (2000.0, 5.0))
    scores = told(lambda second: rates(second if second < SETTLED_S + 44 else 0), SETTLED_S + 100)
    assert not paged(scores, 0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_quiet_night_is_not_told(seed: int) -> None:
    """Down to 15 % of the usual, for two hours, at rates from one event in ten seconds on."""
    rates = np.array([25.0, 2.0, 0.5, 0.1])
    scores = told(lambda second: rates * (0.15 if 7200 <= second < 14400 else 1.0), 16_000, seed=seed)
    assert [paged(scores, market) for market in range(4)] == [[], [], [], []]


def test_a_dead_source_is_one_thing_told_in_every_market_at_once() -> None:
    scores = told(dying(SETTLED_S, {0, 1, 2}), SETTLED_S + 200)
    firsts = {paged(scores, market)[0] for market in range(3)}
    assert len(firsts) == 1
    assert {row.feature for market in range(3) for row in scores[-1].explain(market)} == {"source_silence"}


def test_a_silence_of_all_is_not_held_against_a_market_of_its_own() -> None:
    """The source is silent for 40 s, and one market for 20 s more: neither alone is as long as a reconnect."""

    def rates(second: int) -> npt.NDArray[np.float64]:
        back = second >= SETTLED_S + 60
        return np.array([25.0, 25.0 if second < SETTLED_S or back else 0.0]) * (not 0 <= second - SETTLED_S < 40)

    scores = told(rates, SETTLED_S + 80)
    assert not paged(scores, 0, 0) and not paged(scores, 1, 0)


def test_a_long_silence_that_is_jumped_over_counts_whole() -> None:
    feed = Feed(Feed.Params(), BUDGETS)
    told(dying(SETTLED_S, set(), (1.0,)), SETTLED_S, feed=feed)
    late = window(SETTLED_S + 1000, np.zeros(1))
    score = feed.score(late, late.normal, ())
    assert score.explain(0)[0].observed == pytest.approx(1001.0)


def test_a_halted_market_is_not_dead_and_is_not_known_to_be_alive() -> None:
    def calm(second: int) -> npt.NDArray[np.bool_]:
        return np.array([second < SETTLED_S, True])

    scores = told(dying(SETTLED_S, {0}, (25.0, 5.0)), SETTLED_S + 300, calm=calm)
    assert all(np.isnan(score.values[0]) for score in scores[SETTLED_S:])


def test_a_market_that_closed_for_good_is_given_up() -> None:
    feed = Feed(Feed.Params(give_up_windows=600), BUDGETS)
    scores = told(dying(SETTLED_S, {0}), SETTLED_S + 800, feed=feed)
    assert SETTLED_S + 598 <= paged(scores, 0)[-1] <= SETTLED_S + 620
    assert scores[-1].values[0] == 0.0


def test_a_market_heard_for_less_than_ten_minutes_is_not_judged() -> None:
    scores = told(dying(500, {0}), 700)
    first = int(FIRST_WINDOWS)
    assert all(np.isnan(score.values[0]) for score in scores[:first])
    assert paged(scores, 0)[0] == first


def test_how_rare_a_silence_is_said_to_be_is_how_rare_it_is() -> None:
    """A rate that is drawn anew each time from a Gamma of dispersion d is silent for s as often as the formula says."""
    generator = np.random.default_rng(3)
    d, rate, silent = 0.3, 0.1, 45.0
    rates = generator.gamma(1 / d, d * rate, 400_000)
    exact = np.exp(-rates * silent).mean()
    assert (1 + d * rate * silent) ** (-1 / d) == pytest.approx(exact, rel=0.03)

"""Robots that act as a minute ends: learned within minutes, in those seconds alone, and no burst hides behind them."""

from __future__ import annotations

import numpy as np
import pytest

from detector.anomaly.base import Detector
from detector.anomaly.clock import CLOCK, NEW_WINDOWS, SECOND_NS, Clock, Extra, untold
from detector.model.score import Score
from detector.model.windows import Windows
from tests.anomaly.test_conditioning import FEATURES, NAMES, START_NS, detector

MARKETS, WARNING = 16, 1
USUAL, TOGETHER = 0.6, 12.0  # cancels by others in a usual second, and in a minute's first
UNNAMED = 2  # place of cancels_unnamed among the streams
ACCOUNTS = 8.0  # acting in a usual second


def scored(found: Detector, second: int, values: np.ndarray) -> Score:
    """What the detector says of the window that begins with `second`."""
    names, every = tuple(f"m{i}" for i in range(MARKETS)), np.ones(MARKETS, np.bool_)
    close_ns = START_NS + (second + 1) * SECOND_NS
    return found.score(Windows(close_ns, SECOND_NS, names, FEATURES, values, every, every), every, ())


def told(
    found: Detector, seconds: int, seed: int, first: int = 0, together: float = TOGETHER, **at: float
) -> np.ndarray:
    """bool (W, M): who is at warning. In the first second of a minute robots act as well; at: cancels more, by second."""
    dice = np.random.default_rng(seed)
    at_warning = []
    for second in range(first, first + seconds):
        robots = dice.poisson(together, MARKETS) if second % 60 == 0 else np.zeros(MARKETS)
        values = np.zeros((MARKETS, len(FEATURES)))
        more = at.get(f"s{second}", 0.0)
        values[:, NAMES.index("cancels_by_others")] = dice.poisson(USUAL, MARKETS) + robots + more
        values[:, NAMES.index("cancels")] = 5.0 + robots + more
        values[:, NAMES.index("acting_accounts")] = dice.poisson(ACCOUNTS, MARKETS) + robots
        values[:, NAMES.index("trades")] = 0.0 if second % 7 else 1.0
        score = scored(found, second, values)
        at_warning.append(score.values >= score.levels[WARNING])
    return np.array(at_warning)


def test_what_is_done_as_every_minute_ends_is_learned_within_half_an_hour() -> None:
    found = detector("cancel_burst")
    told(found, 1800, 1)
    assert told(found, 5400, 2, 1800).sum() <= 1


def test_the_first_minutes_of_a_market_with_such_robots_page_nobody_and_a_burst_in_them_is_told() -> None:
    found = detector("cancel_burst")
    assert told(found, 181, 1).sum() == 0
    assert told(found, 59, 2, 181, s200=2.0 * TOGETHER).any(axis=0).mean() > 0.8


def test_what_is_not_told_teaches_nothing() -> None:
    rates = []
    for more in (0.0, TOGETHER):
        found = detector("cancel_burst")
        told(found, 600, 1, together=0.0, **{f"s{60 * minute}": more for minute in range(10)})
        place = [stream.name for stream in found.streams].index("cancels_by_others")  # type: ignore[attr-defined]
        table = np.asarray(found.state()["tables"])[place]
        rates.append(table["learned_n"] / table["learned_a"])
    assert rates[1] == pytest.approx(rates[0], rel=0.02)


def test_as_much_in_another_second_is_told() -> None:
    found = detector("cancel_burst")
    told(found, 3600, 3)
    later = told(found, 60, 4, 3600, s3630=2.0 * TOGETHER)
    assert later[30:33].any(axis=0).mean() > 0.8 and not later[:30].any()


def test_more_robots_as_a_minute_ends_are_more_accounts_though_nobody_trades() -> None:
    found = detector("cancel_burst")
    told(found, 3600, 5)
    assert told(found, 3, 6, 3600, together=2.5 * TOGETHER).any(axis=0).mean() < 0.2


def test_far_more_as_a_minute_ends_is_told() -> None:
    found = detector("cancel_burst")
    told(found, 3600, 5)
    later = told(found, 10, 6, 3600, s3600=12.0 * TOGETHER)
    assert later.any(axis=0).mean() > 0.8


def learned(minutes: int, counts: float, activity: float = 10.0, usual: float = 1.0) -> Clock:
    clock = Clock()
    for second in range(60 * minutes):
        count = np.array([counts if second % 60 == 7 else usual])
        clock.learn((second + 1) * SECOND_NS, SECOND_NS, count, np.array([activity]), np.array([True]))
    return clock


def at(clock: Clock, second: int) -> float:
    return float(clock.factors((second + 1) * SECOND_NS, SECOND_NS, 1)[0])


def test_a_second_has_a_factor_once_it_is_beyond_doubt() -> None:
    assert at(Clock(), 7) == 1.0
    assert at(learned(3, 2.0), 7) == 1.0
    found = learned(60, 6.0)
    assert at(found, 7) == pytest.approx(5.0, rel=0.2)  # of 6 / 1.08, less the doubt
    assert {at(found, second) for second in range(60) if second != 7} == {1.0}


def test_in_a_new_market_the_first_second_of_a_minute_says_nothing() -> None:
    seen = np.array([0.0, NEW_WINDOWS - 1.0, NEW_WINDOWS])
    for second, silent in ((0, [True, True, False]), (1, [False] * 3), (59, [False] * 3)):
        assert untold((60 * 5 + second + 1) * SECOND_NS, SECOND_NS, seen).tolist() == silent


def test_a_second_with_less_than_usual_has_none() -> None:
    assert at(learned(60, 0.0), 7) == 1.0


def test_one_window_teaches_little_however_much_it_is() -> None:
    clock = learned(30, 1.0)
    clock.learn((60 * 30 + 8) * SECOND_NS, SECOND_NS, np.array([1e6]), np.array([10.0]), np.array([True]))
    assert at(clock, 7) == 1.0


def test_nothing_is_learned_where_nothing_is_to_be_learned_or_cannot_be_said() -> None:
    clock = learned(30, 3.0)
    before = clock.known.tobytes()
    for count, activity, learn in ((9.0, 9.0, False), (np.nan, 9.0, True), (9.0, np.nan, True)):
        clock.learn(8 * SECOND_NS, SECOND_NS, np.array([count]), np.array([activity]), np.array([learn]))
    assert clock.known.tobytes() == before


def test_a_window_belongs_to_the_second_it_begins_in() -> None:
    clock = learned(60, 6.0)
    half = SECOND_NS // 2
    assert float(clock.factors(8 * SECOND_NS, half, 1)[0]) > 4.0
    assert float(clock.factors(8 * SECOND_NS + half, half, 1)[0]) == 1.0


def test_it_is_saved_and_a_checkpoint_without_it_is_read() -> None:
    found, again = detector("cancel_burst"), detector("cancel_burst")
    told(found, 600, 7)
    saved = found.state()
    again.restore(saved)
    for name in ("clock", "extra"):
        assert np.array(again.state()[name]).tobytes() == np.array(saved[name]).tobytes()
    again.restore({name: value for name, value in saved.items() if name not in ("clock", "extra")})
    assert np.array_equal(again.state()["clock"], np.zeros(0, CLOCK)) and not len(np.array(again.state()["extra"]))
    assert told(again, 60, 8, 600).shape == (60, MARKETS)


def test_a_look_into_open_windows_knows_the_clock_and_what_is_unsettled() -> None:
    found = detector("cancel_burst")
    told(found, 600, 9)
    windows = Windows(
        START_NS + 601 * SECOND_NS, SECOND_NS, tuple(f"m{i}" for i in range(MARKETS)), FEATURES,
        np.tile(np.where(np.array(NAMES) == "cancels_unsettled", 5.0, 0.0), (MARKETS, 1)),
        np.ones(MARKETS, np.bool_), np.ones(MARKETS, np.bool_),
    )  # fmt: skip
    found.score(windows, np.ones(MARKETS, np.bool_), ())
    rows = np.array([2, 5])
    twin, whole = found.part(rows).state(), found.state()
    for name in ("clock", "unsettled"):
        assert np.array(twin[name]).tobytes() == np.array(whole[name])[rows].tobytes()
    assert np.array(whole["unsettled"])[5] == 5.0
    assert np.array(whole["clock"])["all_counts"][5] > 0.0


def unnamed(
    found: Detector, seconds: int, seed: int, first: int = 0, together: float = TOGETHER, **at: float
) -> np.ndarray:
    """As told, by a feed that names nobody: robots cancel as a minute begins, and neither place nor trade."""
    dice = np.random.default_rng(seed)
    at_warning = []
    for second in range(first, first + seconds):
        robots = dice.poisson(together, MARKETS) if second % 60 == 0 else np.zeros(MARKETS)
        orders = dice.poisson(1.5, MARKETS)
        values = np.zeros((MARKETS, len(FEATURES)))
        for name in ("acting_accounts", "cancels_by_others", "cancels_unsettled", "cancels_relaid", "cancels_moved"):
            values[:, NAMES.index(name)] = np.nan
        values[:, NAMES.index("cancels")] = dice.binomial(orders, 0.9) + robots + at.get(f"s{second}", 0.0)
        values[:, NAMES.index("orders")] = orders
        values[:, NAMES.index("trades")] = 0.0 if second % 7 else 1.0
        score = scored(found, second, values)
        at_warning.append(score.values >= score.levels[WARNING])
        assert second < 3600 or second % 60 or at or score.surprises[:, UNNAMED].max() < 4.5, "robots are foreseen"
    return np.array(at_warning)


def test_where_nobody_is_named_robots_of_the_minute_page_nobody_from_the_first_minute_on() -> None:
    assert unnamed(detector("cancel_burst"), 5400, 1).sum() <= 1


def test_where_nobody_is_named_a_burst_is_told_in_any_second() -> None:
    found = detector("cancel_burst")
    unnamed(found, 3600, 3)
    assert unnamed(found, 60, 4, 3600, s3630=2.0 * TOGETHER)[30:33].any(axis=0).mean() > 0.8
    assert unnamed(found, 3, 5, 3660, s3660=12.0 * TOGETHER).any(axis=0).mean() > 0.8


def test_what_robots_do_on_top_is_told_in_orders_and_in_usual_windows() -> None:
    extra = Extra()
    for second in range(60 * 120):
        count = np.array([22.0 if second % 60 == 7 else 2.0])
        extra.learn((second + 1) * SECOND_NS, SECOND_NS, count, np.array([4.0]), np.array([True]))
    orders, windows = extra.counts(8 * SECOND_NS, SECOND_NS, 1)[:, 0]
    usual = (59 * 2.0 + 22.0) / 60.0
    assert orders == pytest.approx(20.0 * 4.0 / usual, rel=0.1) and windows == pytest.approx(20.0 / usual, rel=0.1)
    assert not extra.counts(9 * SECOND_NS, SECOND_NS, 1).any()
    assert not Extra().counts(8 * SECOND_NS, SECOND_NS, 1).any()


def test_nothing_is_done_on_top_as_long_as_that_may_be_luck_and_one_window_teaches_little() -> None:
    dice, extra = np.random.default_rng(3), Extra()
    for second in range(60 * 60):
        count = np.array([dice.poisson(2.0)]) if second != 1807 else np.array([1e6])
        extra.learn((second + 1) * SECOND_NS, SECOND_NS, count, np.array([4.0]), np.array([True]))
    more = np.array([extra.counts((second + 1) * SECOND_NS, SECOND_NS, 1)[1, 0] for second in range(60)])
    assert np.count_nonzero(more) <= 6 and more.max() < 0.3


def test_a_part_of_the_markets_knows_what_robots_do_there_on_top() -> None:
    found = detector("cancel_burst")
    unnamed(found, 600, 9)
    rows = np.array([2, 5])
    twin, whole = found.part(rows).state(), found.state()
    assert np.array(twin["extra"]).tobytes() == np.array(whole["extra"])[rows].tobytes()
    assert np.array(whole["extra"])["all_counts"][5] > 0.0

"""How far the price went of late, and that quotes leap only when they go further than that."""

from __future__ import annotations

import numpy as np
import pytest

from detector.features.swing import SWING_NS, note_price, swing_bps
from detector.features.tables import Limits, Tables, make
from detector.kernels import plain
from tests.features.quoting import LEVELS, SETTLED_S, Market

SECOND = 10**9


def prices(values: list[float], mark: bool = True, from_s: int = 0) -> Tables:
    """Tables of one market whose price at the end of each second was that; NaN = a side of the book is empty."""
    tables = make(Limits(100, 100, 100, 4), 4, SECOND)
    for second, value in enumerate(values, start=from_s):
        if mark:
            tables.markets[0]["mark"] = value
        else:
            tables.samples[second % 4, 0]["bid"], tables.samples[second % 4, 0]["ask"] = value - 1.0, value + 1.0
        plain(note_price)(tables, 0, second % 4, (second + 1) * SECOND)
    return tables


def swing(tables: Tables) -> float:
    return float(plain(swing_bps)(tables.markets[0]))


@pytest.mark.parametrize("mark", [True, False])
def test_the_swing_is_the_highest_price_against_the_lowest_by_mark_or_else_by_mid(mark: bool) -> None:
    assert swing(prices([100.0, 101.0, 99.0, 100.0], mark)) == pytest.approx((101 / 99 - 1) * 1e4)


def test_where_no_price_is_known_there_is_no_swing() -> None:
    assert swing(prices([])) == 0.0
    assert swing(prices([np.nan, np.nan], mark=False)) == 0.0
    assert swing(prices([100.0, np.nan, 101.0], mark=False)) == pytest.approx(100.0)


def test_the_mark_of_now_counts_before_its_window_ends() -> None:
    tables = prices([100.0] * 5)
    tables.markets[0]["mark"] = 102.0
    assert swing(tables) == pytest.approx(200.0)


@pytest.mark.parametrize("at_s", [0, 7, 14])
def test_a_jump_is_remembered_for_one_turn_at_least_and_two_at_most(at_s: int) -> None:
    turn_s = SWING_NS // SECOND
    jump = 3 * turn_s + at_s
    swings = [swing(prices([100.0] * jump + [101.0] * after)) for after in range(1, 2 * turn_s + 2)]
    kept = sum(one > 0.0 for one in swings)
    assert turn_s <= kept <= 2 * turn_s
    assert all(one == pytest.approx(100.0) for one in swings[:kept])


def test_what_was_before_a_pause_is_forgotten() -> None:
    tables = prices([100.0, 105.0])
    tables.markets[0]["mark"] = 101.0
    plain(note_price)(tables, 0, 0, 3 * SWING_NS)
    assert swing(tables) == 0.0


def regrouped(swing_ticks: int) -> float:
    """Leaps of a book regrouped 40 bps out on both sides, whose mark was so far away for a moment just before."""
    market = Market().ordinary(SETTLED_S)
    market.say(market.second - 0.05, type="mark", price=market.middle + swing_ticks)
    market.ordinary(1)
    market.hole = 40
    market.ordinary(8)
    return sum(market.columns("quotes_leapt", 8))


def test_quotes_leap_when_they_go_further_than_the_price_and_not_otherwise() -> None:
    assert regrouped(0) == 5.0
    assert regrouped(5) == 5.0
    assert regrouped(60) == 0.0


def test_a_price_that_swings_lets_no_two_makers_leap_one_on_each_side() -> None:
    """Quotes at their usual distance from a price that nobody else follows: neither mark nor mid."""
    market = Market().ordinary(SETTLED_S)
    for second in range(60):
        market.say(market.second + 0.95, type="mark", price=market.middle + (second % 5) * 20)
        for maker, away in ((0, -60), (1, 60)):
            held = market.middle
            market.middle = held + away
            level = second % LEVELS + (0 if away < 0 else LEVELS)
            if (second + maker) % 3 == 0:
                market.quote(market.second + 0.3 + 0.1 * maker, maker, level)
            market.middle = held
        market.ordinary(1)
    assert sum(market.columns("quotes_leapt", 60)) == 0.0

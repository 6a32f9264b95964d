"""Makers that take all back and come again: who of them is still a maker, and whose cancels are a stranger's."""

from __future__ import annotations

from tests.features.quoting import LEVELS, SETTLED_S, Market


def _fourth_time(away_s: int = 15, sweeps: int = 1, quotes: int = 2 * LEVELS, besides: int = 0) -> float:
    """cancels_by_others as a slow maker takes back all its `quotes` for the fourth time, which each time it has moved
    `sweeps` times before; and as many orders `besides` that it placed a second ago. It is back after `away_s`."""
    market = Market().ordinary(5)
    for level in range(quotes):
        market.quote(market.second + 0.01 * level, 7, level)
    for _ in range(4):
        market.ordinary(SETTLED_S // 2)
        for _ in range(sweeps):
            for level in range(quotes):
                market.quote(market.second + 0.4 + 0.01 * level, 7, level)
            market.second += 1
        market.ordinary(SETTLED_S // 2)
        for number in range(besides):
            market.quote(market.second + 0.01 * number, 7, 100 + number)
        market.second += 2
        for level in (*range(quotes), *range(100, 100 + besides)):
            market.cancel(market.second + 0.1, 7, level)
        market.ordinary(away_s)
        for level in range(quotes):
            market.quote(market.second + 0.01 * level, 7, level)
        market.second += 1
    return sum(market.columns("cancels_by_others", away_s + 1))


def test_a_slow_maker_that_restarts_now_and_then_stays_one() -> None:
    assert _fourth_time() == 0.0


def test_who_is_away_for_long_or_moves_nothing_or_takes_back_more_than_it_rests_is_none() -> None:
    assert _fourth_time(away_s=60) == 2.0 * LEVELS
    assert _fourth_time(sweeps=0) == 2.0 * LEVELS
    assert _fourth_time(quotes=5, besides=40) == 45.0

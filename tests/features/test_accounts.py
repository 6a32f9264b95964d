"""Who cancels most: of each window by itself, and of each account."""

from __future__ import annotations

import pytest

from tests.features.quoting import Market


def test_what_an_account_cancelled_in_one_window_is_not_counted_in_the_next() -> None:
    market = Market(makers=0)
    made = 0
    for account, number in ((1, 6), (2, 4)):
        for _ in range(number):
            made += 1
            market.quote(0.1, account, made)
    market.say(0.2, type="mark", price=10_000)
    of = {1: list(range(1, 7)), 2: list(range(7, 11))}
    for second, account, count in ((1, 1, 3), (1, 2, 1), (2, 1, 1), (2, 2, 3), (3, 1, 2)):
        for _ in range(count):
            market.cancel(second + 0.5, account, of[account].pop())
    market.second = 4
    assert market.columns("top_canceller", 3) == pytest.approx([0.75, 0.75, 1.0])
    assert market.columns("canceller_concentration", 3) == pytest.approx([0.625, 0.625, 1.0])

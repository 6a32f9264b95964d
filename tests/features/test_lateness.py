"""Messages up to half a second late and in the wrong order: what was moved is not pulled, and what is pulled is told."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.features.quoting import LEVELS, SETTLED_S, START_NS, Market

LATE_S = 0.5


def disordered(market: Market, seed: int) -> Market:
    """From now on every message comes up to LATE_S late."""
    began, dice = START_NS + market.second * 10**9, Random(seed)
    late: dict[int, float] = {}

    def arrival(message: dict[str, Any]) -> float:
        if message["ts"] < began:
            return float(message["ts"])
        return float(message["ts"] + late.setdefault(id(message), dice.random() * LATE_S * 1e9))

    market.arrival = arrival
    return market


def swept(market: Market, seconds: int, apart_s: float = 0.002) -> Market:
    """Each maker takes back and renews its first LEVELS quotes, one after the other, now and then; every maker has some
    that traded and are not renewed."""
    for maker in range(5):
        for level in (7, 8, 9):
            if (maker, level) in market.live:
                market.fill(market.second - 0.05, maker, level)
    for _ in range(seconds):
        for maker in range(5):
            if (market.second + maker) % 2 == 0:
                for level in range(LEVELS):
                    market.quote(market.second + 0.15 * maker + apart_s * level, maker, level)
        market.say(market.second + 0.9, type="mark", price=market.middle)
        market.second += 1
    return market


@pytest.mark.parametrize("apart_s", [0.002, 0.04])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_quotes_moved_while_messages_are_late_are_not_pulled(seed: int, apart_s: float) -> None:
    market = swept(disordered(Market().ordinary(SETTLED_S), seed), 40, apart_s)
    pulled = market.columns("quotes_pulled", 30)
    assert max(pulled) < 0.02, pulled


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_quotes_pulled_while_messages_are_late_are_told(seed: int) -> None:
    market = swept(disordered(Market().ordinary(SETTLED_S), seed), 20)
    for maker in range(5):
        for level in (0, 1, 2):
            market.cancel(market.second, maker, level)
    for _ in range(5):
        market.say(market.second + 0.9, type="mark", price=market.middle)
        market.second += 1
    assert market.column("quotes_pulled") == pytest.approx(3 / 12, abs=0.06)


def test_when_messages_are_in_order_again_what_is_pulled_is_told_at_once() -> None:
    market = swept(disordered(Market().ordinary(SETTLED_S), 1), 20)
    late = market.arrival
    settled_ns = START_NS + market.second * 10**9
    market.arrival = lambda message: late(message) if message["ts"] < settled_ns else float(message["ts"])
    market.ordinary(30)
    for maker in range(5):
        for level in (0, 1, 2):
            market.cancel(market.second + 0.6, maker, level)
    market.second += 1
    assert market.column("quotes_pulled") == pytest.approx(3 / 12, abs=0.06)


def test_one_message_from_a_minute_ago_does_not_keep_what_is_pulled_from_being_told() -> None:
    market = Market().ordinary(SETTLED_S)
    market.say(market.second - 60.0, type="cancel", order_id="never met", account="a0")
    old = market.messages[-1]
    market.arrival = lambda message: message["ts"] + (60e9 if message is old else 0.0)
    for maker in range(5):
        for level in (0, 1, 2):
            market.cancel(market.second + 0.1, maker, level)
    for _ in range(5):
        market.say(market.second + 0.9, type="mark", price=market.middle)
        market.second += 1
    assert market.column("quotes_pulled") == pytest.approx(3 / 12, abs=0.06)


@pytest.mark.parametrize("off_s", [-0.4, 0.4])
def test_a_mark_price_that_lags_or_is_ahead_makes_nothing_late(off_s: float) -> None:
    market = Market().ordinary(SETTLED_S)
    market.arrival = lambda message: float(message["ts"] - (off_s * 1e9 if message["type"] == "mark" else 0.0))
    for _ in range(20):
        for tenth in range(10):
            market.say(market.second + 0.1 * tenth + off_s, type="mark", price=market.middle)
        market.ordinary(1)
    for maker in range(5):
        for level in (0, 1, 2):
            market.cancel(market.second + 0.6, maker, level)
    market.second += 1
    assert market.column("quotes_pulled") == pytest.approx(3 / 12, abs=0.06)

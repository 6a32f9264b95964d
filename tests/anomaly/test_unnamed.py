"""Bursts of cancels on a feed that names nobody: told by how long the orders had rested, where the feed can say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.anomaly.streams import StreamDetector
from detector.model.windows import Feature, Windows
from detector.wiring.build import build_detectors
from detector.wiring.config import of

START_NS = 1_767_225_600_000_000_000
WARNING = 1
FEATURES = tuple(
    Feature(name, "", "")
    for name in ("acting_accounts", "cancels", "orders", "trades", "cancels_by_others", "fleeting_cancels",
                 "young_cancels")
)  # fmt: skip
MAKERS, OTHERS = 30.0, 2.0  # quotes that makers move a second, by rushes; orders that others place
YOUNG, FLEETING = 0.3, 0.1  # of the others' orders, taken back so soon


class Market:
    """One market whose makers move quotes in rushes, through cancel_burst."""

    def __init__(self, *, orders: bool, named: bool = False) -> None:
        self.detector = next(
            d for d in build_detectors(of({})) if isinstance(d, StreamDetector) and d.name == "cancel_burst"
        )
        self.orders, self.named = orders, named
        self.dice = np.random.default_rng(11)
        self.second = 0
        self.score: Any = None

    def see(self, times: float = 1.0, burst: float = 0.0) -> Any:
        """A window in which everybody is `times` as busy, and of `burst` orders that live for half a second. A Score."""
        self.second += 1
        rush = self.dice.gamma(3.0) / 3.0
        moved = float(self.dice.poisson(times * MAKERS * rush))
        placed = float(self.dice.poisson(times * OTHERS))
        young, fleeting = (float(self.dice.binomial(int(placed), share)) for share in (YOUNG, FLEETING))
        extra = float(self.dice.poisson(burst))
        told = {
            "acting_accounts": 10.0 if self.named else np.nan,
            "cancels": moved + placed + extra,
            "orders": moved + placed + extra,
            "trades": float(self.dice.poisson(times)),
            "cancels_by_others": placed + extra if self.named else np.nan,
            "fleeting_cancels": min(young, fleeting) if self.orders else np.nan,
            "young_cancels": young + extra if self.orders else np.nan,
        }
        values = np.array([[told[feature.name] for feature in FEATURES]], np.float64)
        close_ns = START_NS + self.second * 10**9
        windows = Windows(close_ns, 10**9, ("m",), FEATURES, values, np.array([True]), np.array([True]))
        self.score = self.detector.score(windows, np.array([True]), ())
        return self.score

    def surprise(self, stream: str) -> float:
        """Of a stream, in the last window."""
        names = [one.name for one in self.detector.streams]
        return float(self.score.surprises[0, names.index(stream)])


def settled(**how: bool) -> Market:
    market = Market(**how)
    for _ in range(3600):
        market.see()
    return market


def crosses(market: Market, seconds: int, **unlike: float) -> bool:
    """Whether one of so many windows is at warning or above."""
    found = [market.see(**unlike) for _ in range(seconds)]
    return any(score.values[0] >= score.levels[WARNING, 0] for score in found)


def test_a_burst_among_makers_cancels_is_told_by_how_young_its_orders_are() -> None:
    """A burst no larger than a rush of the makers: their number alone says nothing."""
    assert crosses(settled(orders=True), 5, burst=25.0)
    assert not crosses(settled(orders=False), 5, burst=25.0)


def test_a_busy_market_is_no_burst_of_young_orders() -> None:
    market = settled(orders=True)
    for _ in range(60):
        market.see(times=6.0)
        assert market.surprise("young_cancels_unnamed") < 5.0
        assert market.surprise("fleeting_cancels_unnamed") < 5.0


@pytest.mark.parametrize("stream", ["young_cancels_unnamed", "fleeting_cancels_unnamed"])
def test_they_speak_only_where_orders_are_told_and_nobody_is_named(stream: str) -> None:
    for how, silent in (
        ({"orders": True}, False),
        ({"orders": True, "named": True}, True),
        ({"orders": False}, True),
    ):
        market = settled(**how)
        market.see(burst=50.0)
        assert np.isnan(market.surprise(stream)) == silent, how

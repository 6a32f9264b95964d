"""What aggressors take on a feed that names nobody: a share of all that rested, whatever is left of it."""

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
COLUMNS = ("acting_accounts", "taken_by_sellers", "taken_by_buyers", "bid_depth_10_bps", "ask_depth_10_bps")
REST = ("quotes_pulled", "quotes_weight", "quotes_missing", "quotes_usual", "quotes_outward", "quotes_placed",
        "quotes_leapt", "quotes_requoted")  # fmt: skip
FEATURES = tuple(Feature(name, "", "") for name in (*COLUMNS, *REST))
DEPTH = 1e5


class Market:
    """One market of a feed without accounts, its makers unknown."""

    def __init__(self) -> None:
        self.detector = next(
            d for d in build_detectors(of({})) if isinstance(d, StreamDetector) and d.name == "thin_book"
        )
        self.second = 0

    def see(self, sold: float, left: float = DEPTH, bought: float = 0.0) -> Any:
        """One window's Score."""
        self.second += 1
        told = dict(zip(COLUMNS, (np.nan, sold, bought, left, DEPTH), strict=True))
        values = np.array([[told.get(feature.name, np.nan) for feature in FEATURES]], np.float64)
        windows = Windows(
            START_NS + self.second * 10**9, 10**9, ("m",), FEATURES, values, np.array([True]), np.array([True])
        )
        return self.detector.score(windows, np.array([True]), ())


def crossed(market: Market, seed: int, hours: int) -> int:
    """Windows at warning or above in so many hours of trades whose sizes have a heavy tail; now and then one empties
    the book, of which something is back as the window ends."""
    dice = np.random.default_rng(seed)
    found = 0
    for _ in range(hours * 3600):
        sold = 0.0
        if dice.random() < 0.15:
            sold = min(DEPTH, 0.01 * DEPTH * float(np.exp(1.1 * dice.standard_normal())))
        if dice.random() < 1 / 3000:
            sold = DEPTH
        score = market.see(sold, max(DEPTH - sold, 0.001 * DEPTH))
        found += bool(score.values[0] >= score.levels[WARNING, 0])
    return found


def test_a_book_that_is_emptied_now_and_then_pages_nobody() -> None:
    assert crossed(Market(), 3, 6) == 0


def test_what_is_shown_is_a_share_of_all_that_rested() -> None:
    market = Market()
    for _ in range(300):
        market.see(0.004 * DEPTH)
    row = next(row for row in market.see(3 * DEPTH, 0.0).explain(0) if row.feature == "taken")
    assert row.observed == pytest.approx(50.0, abs=1.0)  # over two seconds, in the first of which hardly any was taken
    assert row.expected < 1.0


def test_a_deep_book_that_is_eaten_second_after_second_is_told() -> None:
    market = Market()
    dice = np.random.default_rng(5)
    for _ in range(3600):
        market.see(0.002 * DEPTH * float(dice.exponential()))
    told = [bool((score := market.see(0.97 * DEPTH, 0.03 * DEPTH)).values[0] >= score.levels[0, 0]) for _ in range(10)]
    assert any(told)


def test_where_accounts_are_named_it_says_nothing() -> None:
    market = Market()
    market.see(0.0)
    values = np.array([[3.0, DEPTH, 0.0, 0.0, DEPTH, *([np.nan] * len(REST))]], np.float64)
    windows = Windows(START_NS + 5 * 10**9, 10**9, ("m",), FEATURES, values, np.array([True]), np.array([True]))
    score = market.detector.score(windows, np.array([True]), ())
    assert np.isnan(score.surprises[0][[stream.name for stream in market.detector.streams].index("taken")])

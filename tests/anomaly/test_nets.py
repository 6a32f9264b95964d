"""Nets: streams with a small part of the budget, for what none of the planted classes is and no other stream sees."""

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
QUIET = {
    "cancels": 5.0, "cancels_by_others": 0.7, "acting_accounts": 5.0, "orders": 5.0, "trades": 0.5, "raises": 0.01,
    "cancels_unsettled": 0.0, "cancels_relaid": 0.0, "cancels_moved": 0.0,
    "raised_far": 0.01, "raise_surprise": 0.01, "quotes_pulled": 0.0, "quotes_weight": 100.0, "quotes_missing": 6.0,
    "quotes_usual": 100.0, "quotes_outward": 4.0, "quotes_placed": 4.0, "quotes_requoted": 4.0, "quotes_leapt": 0.0,
}  # fmt: skip
FEATURES = tuple(Feature(name, "", "") for name in (*QUIET, "taken_by_sellers", "taken_by_buyers", "bid_depth_10_bps",
                                                    "ask_depth_10_bps", "fleeting_cancels", "young_cancels"))  # fmt: skip


class Market:
    """One market through one detector, windows drawn around what is usual."""

    def __init__(self, name: str) -> None:
        self.detector = next(d for d in build_detectors(of({})) if isinstance(d, StreamDetector) and d.name == name)
        self.dice = np.random.default_rng(7)
        self.second = 0

    def run(self, seconds: int, **unlike: float) -> Any:
        """So many windows, some columns unlike usual; the last Score."""
        for _ in range(seconds):
            self.second += 1
            row = QUIET | unlike
            counts = {
                name: self.dice.poisson(row[name]) for name in ("cancels", "cancels_by_others", "raises", "raised_far")
            }
            told = row | counts
            values = np.array([[told.get(feature.name, np.nan) for feature in FEATURES]], np.float64)
            close_ns = START_NS + self.second * 10**9
            windows = Windows(close_ns, 10**9, ("m",), FEATURES, values, np.array([True]), np.array([True]))
            score = self.detector.score(windows, np.array([True]), ())
        return score


CASES = {
    "a maker's program runs wild": ("cancel_burst", "cancels", {"cancels": 400.0, "orders": 400.0}, 12),
    "the book is eaten and not refilled": ("thin_book", "quotes_missing", {"quotes_missing": 75.0}, 90),
}


@pytest.mark.parametrize("case", CASES)
def test_what_only_a_net_sees_is_told(case: str) -> None:
    name, stream, unlike, seconds = CASES[case]
    market = Market(name)
    usual = market.run(3600)
    assert usual.values[0] < usual.levels[0, 0]
    score = market.run(seconds, **unlike)
    assert score.values[0] >= score.levels[WARNING, 0], case
    assert score.explain(0)[0].feature == stream


@pytest.mark.parametrize("case", CASES)
def test_a_net_alone_needs_a_rarer_reading_than_the_streams_beside_it(case: str) -> None:
    name, stream, _, _ = CASES[case]
    weights = {one.name: one.weight for one in Market(name).detector.streams}
    assert weights[stream] == {"cancel_burst": 0.005, "leverage_spike": 0.005, "thin_book": 0.001}[name]
    assert max(weights.values()) == 1.0


def test_what_is_evidence_raises_no_score_and_has_no_share() -> None:
    market = Market("leverage_spike")
    market.run(3600)
    score = market.run(3600, raises=0.09, raised_far=0.09)
    rows = {row.feature: row for row in score.explain(0)}
    assert rows["raises"].observed > rows["raises"].high
    assert rows["raises"].share == 0.0
    assert rows["raises"].without == pytest.approx(float(score.values[0]))

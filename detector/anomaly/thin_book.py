"""Thin book: those who usually quote are gone or far out, or more is taken than the book can bear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.anomaly.baseline import Measure
from detector.anomaly.streams import Column, Stream, StreamDetector, unconditioned
from detector.model.windows import Windows


@dataclass(frozen=True, slots=True)
class Params:
    """Scales in windows (1 s by default)."""

    withdrawal_windows: int = 60  # makers leaving
    slow_withdrawal_windows: int = 300  # makers leaving level by level
    taken_windows: int = 2  # the book eaten
    memory_windows: int = 14400  # what is normal half forgets in this long


class ThinBook(StreamDetector):
    """Quotes missing of the market's makers, each against its own habit. On feeds that name nobody: what aggressors
    take in a moment against what rests within 10 bps. Quotes moved outwards are recorded but do not page: harmless
    price motion moves them too, and they await a conditioning on volatility.

    Wrong when makers re-quote in one big sweep of many seconds. Depth, spread and holes alone page hardly anybody
    (detection.md 3.4); they are evidence elsewhere.
    """

    name = "thin_book"
    Params = Params
    PEAK_PRIOR = (1.2, 1.8)

    @staticmethod
    def make(params: Any) -> tuple[Stream, ...]:
        """See StreamDetector.make."""
        fast, slow = float(params.withdrawal_windows), float(params.slow_withdrawal_windows)
        memory = float(params.memory_windows)
        return (
            Stream(
                "quotes_missing", "orders", "orders that the market's makers usually have resting and have not",
                _missing, _usual,
                Measure(fast, 1.0, 1.0, 100.0, 1000.0, 0.15, memory, 1.0),
            ),
            Stream(
                "quotes_missing_long", "orders", "the same over five minutes", _missing, _usual,
                Measure(slow, 1.0, 1.0, 100.0, 1000.0, 0.10, memory, 1.0),
            ),
            Stream(
                "taken", "% of depth", "what aggressors of one side took, against what rests within 10 bps",
                _taken, unconditioned,
                Measure(float(params.taken_windows), 0.0, 1.0, 4.0, 2.0, 3.0, memory, 1.0),
            ),
        )  # fmt: skip


def _missing(windows: Windows) -> Column:
    return windows.column("quotes_missing")


def _usual(windows: Windows) -> Column:
    return windows.column("quotes_usual")


def _taken(windows: Windows) -> Column:
    """Percent of the resting value within 10 bps that one side's aggressors took, where no account is named."""
    sold = windows.column("taken_by_sellers") / np.maximum(windows.column("bid_depth_10_bps"), 1.0)
    bought = windows.column("taken_by_buyers") / np.maximum(windows.column("ask_depth_10_bps"), 1.0)
    taken = 100.0 * np.minimum(np.fmax(sold, bought), 100.0)
    return np.where(np.isnan(windows.column("acting_accounts")), taken, np.nan)

"""Budget: from which score on somebody is told. Thresholds are return levels of a detector's own declustered peaks.

The largest score of each ten minutes is kept as a robust Gumbel fit (median and 80 % quantile, so that incidents do not
poison it), shrunk to a shipped prior. A level for r false pages per market-week is the score that such a ten minutes
exceeds with probability r / 1008.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK_WINDOWS = 600
BLOCKS_PER_WEEK = 1008.0
PRIOR_BLOCKS = 144.0  # a day of a market's own peaks weighs as much as the prior
MEMORY_BLOCKS = 1440.0  # ten days
SPREAD_MIN = 0.35
_MEDIAN_OFFSET = 0.36651292  # -ln(-ln 0.5)
_SPREAD_DIVISOR = 1.13343  # -ln(-ln 0.8) + ln(-ln 0.5)
_DENSITY_50, _DENSITY_80 = 0.34657, 0.17851  # of a Gumbel of spread 1 at those quantiles

PEAKS = np.dtype(
    [("peak", "<f8"), ("windows", "<f8"), ("blocks", "<f8"), ("median", "<f8"), ("upper", "<f8")], align=True
)


def blank_peaks(markets: int, median: float, upper: float) -> Any:
    """PEAKS (markets) at the prior: median and 80 % quantile of a normal ten minutes' largest score."""
    peaks = np.zeros(markets, PEAKS)
    peaks["median"] = median
    peaks["upper"] = upper
    return peaks


def _gumbel(peaks: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    spread = np.maximum(SPREAD_MIN, (peaks["upper"] - peaks["median"]) / _SPREAD_DIVISOR)
    return peaks["median"] - _MEDIAN_OFFSET * spread, spread


def levels(peaks: Any, budgets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64 (len(budgets), M): the scores that are exceeded `budgets` times per market-week in normal times."""
    place, spread = _gumbel(peaks)
    chance = np.clip(budgets / BLOCKS_PER_WEEK, 1e-12, 0.999)
    return place + spread * -np.log(-np.log1p(-chance))[:, None]


def every_s(peaks: Any, scores: npt.NDArray[np.float64], width_s: float) -> npt.NDArray[np.float64]:
    """float64 (M): seconds of market time between two ten minutes whose peak is at least `scores`, in normal times."""
    place, spread = _gumbel(peaks)
    with np.errstate(over="ignore", invalid="ignore"):
        chance = -np.expm1(-np.exp(-(scores - place) / spread))
    return BLOCK_WINDOWS * width_s / np.maximum(chance, 1e-15)


def learn_peaks(peaks: Any, scores: npt.NDArray[np.float64], learn: npt.NDArray[np.bool_]) -> None:
    """One more window: where a market may learn, its score counts towards the largest of the running ten minutes."""
    said = learn & ~np.isnan(scores)
    peaks["peak"] = np.where(said, np.maximum(peaks["peak"], scores), peaks["peak"])
    peaks["windows"] += said
    due = peaks["windows"] >= BLOCK_WINDOWS
    if not due.any():
        return
    full = peaks[due]
    spread = np.maximum(SPREAD_MIN, (full["upper"] - full["median"]) / _SPREAD_DIVISOR)
    gain = spread / (PRIOR_BLOCKS + full["blocks"])
    peak = full["peak"]
    median = full["median"] + gain / _DENSITY_50 * (0.5 - (peak < full["median"]))
    upper = full["upper"] + gain / _DENSITY_80 * (0.8 - (peak < full["upper"]))
    full["median"] = median
    full["upper"] = np.maximum(upper, median + SPREAD_MIN * _SPREAD_DIVISOR * 0.5)
    full["blocks"] = np.minimum(full["blocks"] + 1.0, MEMORY_BLOCKS)
    full["peak"] = 0.0
    full["windows"] = 0.0
    peaks[due] = full

"""What a window's verdict is, written with numpy: the twin that the loops of anomaly/budget.py and streams.py match."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import genextreme

from detector.anomaly import budget
from detector.anomaly.budget import (
    BLOCK_WINDOWS,
    BLOCKS_PER_WEEK,
    MEMORY_BLOCKS,
    PRIOR_BLOCKS,
    RAREST,
    SHAPE,
    SPREAD_MIN,
)
from detector.anomaly.streams import SCORE_MAX

_MEDIAN_OFFSET, _SPREAD_DIVISOR = budget._MEDIAN_OFFSET, budget._SPREAD_DIVISOR
_DENSITY_50, _DENSITY_80 = budget._DENSITY_50, budget._DENSITY_80


def join(surprises: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """See streams.join."""
    said = ~np.isnan(surprises)
    whole = (said * weights).sum(axis=1)
    odds = np.where(said, weights * 10.0 ** np.minimum(np.nan_to_num(surprises), SCORE_MAX), 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, np.log10(odds / whole), np.nan)


def _fitted(peaks: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    spread = np.maximum(SPREAD_MIN, (peaks["upper"] - peaks["median"]) / _SPREAD_DIVISOR)
    return peaks["median"] - _MEDIAN_OFFSET * spread, spread


def levels(peaks: Any, budgets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64 (len(budgets), M): the scores that are exceeded `budgets` times per market-week in normal times."""
    place, spread = _fitted(peaks)
    law = genextreme(-SHAPE)  # scipy's sign of the shape is the other one
    return place + spread * law.isf(np.clip(budgets / BLOCKS_PER_WEEK, 1e-12, 0.999))[:, None]


def every_s(peaks: Any, scores: npt.NDArray[np.float64], width_s: float) -> npt.NDArray[np.float64]:
    """float64 (M): seconds of market time between two ten minutes whose peak is at least `scores`, in normal times."""
    place, spread = _fitted(peaks)
    with np.errstate(over="ignore"):
        chance = genextreme(-SHAPE).sf((scores - place) / spread)
    return BLOCK_WINDOWS * width_s / np.maximum(chance, RAREST)


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

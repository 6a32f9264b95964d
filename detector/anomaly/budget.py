"""Budget: from which score on somebody is told. Thresholds are return levels of a detector's own declustered peaks.

The largest score of each ten minutes is kept as a robust fit of an extreme value law (median and 80 % quantile, so
that incidents do not poison it), shrunk to a shipped prior, with a shipped shape a little below 0: calibrated
scores grow ever more slowly (anomaly/tail.py). A level for r false pages per market-week is the score that such a ten
minutes exceeds with probability r / 1008 (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, 3.3).

A median and an 80 % quantile know nothing of what happens in one ten minutes of three hundred. Where peaks are of two
kinds, hardly anything and now and then a mark by itself, a detector keeps its law from sinking below what was shipped
(`least`): a calm week would else bring its level below what a single such mark comes to.
"""

from __future__ import annotations

from math import exp, expm1, log1p
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.kernels import kernel

BLOCK_WINDOWS = 600
BLOCKS_PER_WEEK = 1008.0
PRIOR_BLOCKS = 144.0  # a day of a market's own peaks weighs as much as the prior
MEMORY_BLOCKS = 1440.0  # ten days
SPREAD_MIN = 0.2
SHAPE = -0.02  # chosen on clean tuning streams: with 0, fewer pages came than promised (replay.laboratory_windows)
RAREST = 1e-9  # chance of a ten minutes: beyond once in 20,000 years of market time nothing is said
_MEDIAN_OFFSET = 0.36651292  # -ln(-ln 0.5)
_SPREAD_DIVISOR = 1.13343  # -ln(-ln 0.8) + ln(-ln 0.5)
_DENSITY_50, _DENSITY_80 = 0.34657, 0.17851  # of a Gumbel of spread 1 at those quantiles

PEAKS = np.dtype(
    [
        ("peak", "<f8"),
        ("windows", "<f8"),
        ("blocks", "<f8"),
        ("median", "<f8"),
        ("upper", "<f8"),
        ("least_median", "<f8"),
        ("least_upper", "<f8"),
    ],
    align=True,
)


def blank_peaks(markets: int, median: float, upper: float, least: float = 0.0) -> Any:
    """PEAKS (markets) at the prior: median and 80 % quantile of a normal ten minutes' largest score; they never sink
    below `least` of it, nor come closer to each other."""
    peaks = np.zeros(markets, PEAKS)
    peaks["median"] = median
    peaks["upper"] = upper
    peaks["least_median"] = least * median
    peaks["least_upper"] = least * upper
    return peaks


def spreads_above(budgets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64 (len(budgets)): how many spreads above the law's place lies what is exceeded `budgets` times a week."""
    chance = np.clip(budgets / BLOCKS_PER_WEEK, 1e-12, 0.999)
    reduced = -np.log(-np.log1p(-chance))
    above: npt.NDArray[np.float64] = np.expm1(SHAPE * reduced) / SHAPE
    return above


@kernel
def settle(
    peaks: Any, above: Any, values: Any, age: Any, young: Any, margin: Any, learn: Any, width_s: Any, needed: Any,
    every: Any,
) -> Any:  # fmt: skip
    """One window over all markets: what is needed to tell, how rare the score is, and then what it teaches.

    peaks PEAKS (M); above float64 (B), from `spreads_above`; values float64 (M), NaN = cannot say; age float64 (M):
    below `young` windows up to `margin` more is needed. learn bool (M). Written: needed float64 (B, M), scores exceeded
    `budgets` times per market-week in normal times; every float64 (M), seconds of market time between two ten minutes
    whose peak is at least `values`.
    """
    last = len(above) - 1
    for m in range(len(values)):
        peak = peaks[m]
        spread = max(SPREAD_MIN, (peak["upper"] - peak["median"]) / _SPREAD_DIVISOR)
        place = peak["median"] - _MEDIAN_OFFSET * spread
        more = margin * min(1.0, max(0.0, 1.0 - age[m] / young))
        for b in range(len(above)):
            needed[b, m] = place + spread * above[b] + more
        every[m] = np.nan
        if np.isnan(values[m]):
            continue
        reduced = (values[m] - place) / spread
        # beyond the law's end nothing is left of it
        reduced = log1p(SHAPE * reduced) / SHAPE if SHAPE * reduced > -1.0 else 700.0
        # far below the place it is certain, and exp would overflow
        chance = -expm1(-exp(min(-reduced, 700.0)))
        every[m] = BLOCK_WINDOWS * width_s / max(chance, RAREST)
        if learn[m] and values[m] < needed[last, m]:
            learn_peak(peak, values[m])


@kernel
def learn_peak(peak: Any, score: Any) -> Any:
    """One more window of one market: its score counts towards the largest of the running ten minutes."""
    peak["peak"] = max(peak["peak"], score)
    peak["windows"] += 1.0
    if peak["windows"] < BLOCK_WINDOWS:
        return
    spread = max(SPREAD_MIN, (peak["upper"] - peak["median"]) / _SPREAD_DIVISOR)
    gain = spread / (PRIOR_BLOCKS + peak["blocks"])
    below_median = 1.0 if peak["peak"] < peak["median"] else 0.0
    below_upper = 1.0 if peak["peak"] < peak["upper"] else 0.0
    median = peak["median"] + gain / _DENSITY_50 * (0.5 - below_median)
    upper = peak["upper"] + gain / _DENSITY_80 * (0.8 - below_upper)
    median = max(median, peak["least_median"])
    peak["median"] = median
    apart = max(SPREAD_MIN * _SPREAD_DIVISOR * 0.5, peak["least_upper"] - peak["least_median"])
    peak["upper"] = max(upper, peak["least_upper"], median + apart)
    peak["blocks"] = min(peak["blocks"] + 1.0, MEMORY_BLOCKS)
    peak["peak"] = 0.0
    peak["windows"] = 0.0

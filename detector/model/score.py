"""Score: how unusual one window was to one detector, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Evidence:
    """One feature's part in a score. `low` and `high` hold 98 % of normal windows; `share` of the detector's score.

    without  what the detector's score would be, had this feature been unremarkable
    level    the score at which it pages (at info: at which it is told at all); 0 = `without` and `level` are not known
    since_ns of a lasting change, when it began; until then `expected` was normal. 0 = no such thing
    """

    market: str
    detector: str
    feature: str
    unit: str
    observed: float
    expected: float
    low: float
    high: float
    share: float
    meaning: str = ""
    without: float = 0.0
    level: float = 0.0
    since_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """One detector over all markets at one close.

    values   float64 (M): -log10 of the calibrated tail probability, >= 0; NaN = cannot say
    levels   float64 (3, M): the value from which on it is info, warning, critical here (return levels of the budgets)
    every_s  float64 (M): seconds of market time between two such peaks in normal times
    warming  bool (M): still learning what is normal here
    surprises float64 (M, S): the same per stream, before they are joined; `streams` names them
    residuals float64 (M, S): signed, about N(0, 1) in normal times; what drift is looked for in
    explain  evidence of market index i, sorted by share, shares adding up to 1; must be asked before the next window
    scales   windows that each stream sums over
    moved    (market index, "detector.stream"): what is normal there has changed and is to be learned anew
    """

    detector: str
    close_ns: int
    markets: tuple[str, ...]
    values: npt.NDArray[np.float64]
    levels: npt.NDArray[np.float64]
    every_s: npt.NDArray[np.float64]
    warming: npt.NDArray[np.bool_]
    surprises: npt.NDArray[np.float64]
    residuals: npt.NDArray[np.float64]
    streams: tuple[str, ...]
    explain: Callable[[int], tuple[Evidence, ...]]
    scales: tuple[float, ...] = ()
    moved: tuple[tuple[int, str], ...] = ()


def strongest(scores: Sequence[Score], market: str, detector: str) -> str:
    """The feature that did most for what `detector` says of a market in the newest window; "" = it says nothing."""
    for score in scores:
        if score.detector == detector and market in score.markets:
            rows = score.explain(score.markets.index(market))
            return rows[0].feature if rows else ""
    return ""

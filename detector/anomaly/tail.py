"""Tail: how rare is this. A normal tail probability, then what this very stream has taught about its own tail.

A raw surprise (-log10 of a model's tail probability) is held against the stream's own past: below its 98 % quantile it
is scaled, above it follows a Pareto tail whose scale is learned and shrunk towards a shipped prior (Siffer et al., KDD
2017, with moments instead of likelihood).

It learns in one direction: a tail may turn out heavier than shipped, never lighter. That the body is calm proves
nothing about the tail, and it was the quiet hours that made the next busy ones look impossible.
"""

from __future__ import annotations

from math import erfc, log, log10, pi, sqrt
from typing import Any

import numpy as np

from detector.kernels import kernel

TAIL_P = 0.02  # above this quantile the tail begins
TAIL_SCORE = 1.6989700043360187  # -log10(TAIL_P)
SHAPE = 0.10  # of the Pareto tail: a score grows with the logarithm of what is beyond belief
EXCESS_PRIOR = 0.4343  # mean excess of a perfectly calibrated surprise: 1 / ln 10
EXCESS_CAP = 2.3  # x the shipped excess: what is further out teaches no more than one this far
QUANTILE_BLOCKS = 200.0  # independent windows that the prior quantile weighs
EXCESS_BLOCKS = 12.0  # exceedances that the prior excess weighs
MEMORY_BLOCKS = 20000.0
LEARN_MAX = 3.5  # a score from here on teaches the tail nothing

TAIL = np.dtype([("quantile", "<f8"), ("excess", "<f8"), ("windows", "<f8"), ("exceedances", "<f8")], align=True)


def blank_tail(shape: tuple[int, ...], quantile: float = TAIL_SCORE, excess: float = EXCESS_PRIOR) -> Any:
    """TAIL (shape), the prior: 98 % quantile and mean excess over it; as they stand, perfectly calibrated."""
    tail = np.zeros(shape, TAIL)
    tail["quantile"] = quantile
    tail["excess"] = excess
    return tail


@kernel
def normal_surprise(z: Any) -> Any:
    """-log10 of P(standard normal > z), for any finite z."""
    if z < 8.0:
        return -log10(0.5 * erfc(z / sqrt(2.0)))
    # Mills ratio, first terms: good to 1e-4 from here on
    return (0.5 * z * z + log(z * sqrt(2.0 * pi)) - log(1.0 - 1.0 / (z * z))) / log(10.0)


@kernel
def calibrate(tail: Any, surprise: Any) -> Any:
    """The calibrated score (-log10 of the stream's own tail probability) of a raw surprise >= 0."""
    if surprise <= tail["quantile"]:
        return surprise * TAIL_SCORE / tail["quantile"]
    return TAIL_SCORE + log10(1.0 + SHAPE * (surprise - tail["quantile"]) / tail["excess"]) / SHAPE


@kernel
def learn_tail(tail: Any, surprise: Any, block: Any, quantile: Any, excess: Any) -> Any:
    """One more normal window. block: windows that are about as good as one, because their sums overlap; quantile,
    excess: as shipped, below which neither falls."""
    tail["windows"] = min(tail["windows"] + 1.0, MEMORY_BLOCKS * block)
    beyond = surprise > tail["quantile"]
    gain = 1.0 / ((QUANTILE_BLOCKS * block + tail["windows"]) * TAIL_P * log(10.0))
    if beyond:
        tail["exceedances"] = min(tail["exceedances"] + 1.0, MEMORY_BLOCKS * block * TAIL_P)
        beyond_by = min(surprise - tail["quantile"], EXCESS_CAP * excess)
        tail["excess"] += (beyond_by - tail["excess"]) / (EXCESS_BLOCKS * block + tail["exceedances"])
        tail["excess"] = max(tail["excess"], excess)
        tail["quantile"] += gain * (1.0 - TAIL_P)
    else:
        tail["quantile"] = max(quantile, tail["quantile"] - gain * TAIL_P)

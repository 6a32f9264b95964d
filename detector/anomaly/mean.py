"""Mean: a weighted mean against its own slow, lagged, winsorised mean. For what is a share or a distance and no count.

A window brings value x weight (n) and weight (a); the mean over `scale` windows is sum n / sum a, shrunk to the slow
mean by `shrink` of weight, so that a handful of values says little. Its deviation from the slow mean is held against
the deviation that this weight should have, times a factor learned for the market and shrunk to a shipped one. Unlike a
count's dispersion the factor may grow far beyond the shipped one: how steady makers are differs from venue to venue.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from detector.anomaly.baseline import (
    BAND,
    DISPERSION_WINDOWS,
    FIRST_WINDOWS,
    LAG_WINDOWS,
    RELEARN_WINDOWS,
    UNUSUAL,
    YOUNG_LAG,
    YOUNG_WINDOWS,
    leave_out,
    take_in,
)
from detector.anomaly.tail import LEARN_MAX, calibrate, learn_tail, normal_surprise
from detector.kernels import kernel

WINSOR = 3.0  # deviations: a window teaches the slow mean at most this much
SPREAD_CEILING = 30.0  # of the shipped variance


@kernel
def _spread2(stream: Any, measure: Any) -> Any:
    prior = DISPERSION_WINDOWS * measure["scale"]
    learned = (measure["dispersion"] * prior + stream["spread_n"]) / (prior + stream["spread_d"])
    return min(max(learned, measure["steadiest"] * measure["dispersion"]), SPREAD_CEILING * measure["dispersion"])


@kernel
def advance_mean(
    s: Any, streams: Any, past_n: Any, past_a: Any, past_ok: Any, first: Any, length: Any, at: Any, measures: Any,
    counts: Any, activities: Any, due: Any, learn: Any, scores: Any,
) -> Any:  # fmt: skip
    """One window of stream `s` over all markets: score first, then learn. Shapes as in baseline.advance.

    A measure's unit: what values are multiplied by to be shown; its dispersion: shipped variance of the mean x the
    weight of one window. counts NaN = cannot say; activities above 0 where a count is a number.
    """
    measure = measures[s]
    scale = np.int64(measure["scale"])
    here, gone = first + at, first + (at - scale) % length
    soon, late = first + (at - YOUNG_LAG) % length, first + (at - LAG_WINDOWS) % length
    keep = 0.5 ** (1.0 / measure["memory"])
    for market in range(len(learn)):
        stream = streams[s, market]
        stream["n_sum"] -= past_n[gone, market]
        stream["a_sum"] -= past_a[gone, market]
        slow = (measure["prior_n"] + stream["learned_n"]) / (measure["prior_a"] + stream["learned_a"])
        spread2 = _spread2(stream, measure)
        old = late if stream["windows"] >= YOUNG_WINDOWS else soon
        if past_ok[old, market] != 0 and past_a[old, market] > 0.0:
            most = WINSOR * sqrt(spread2 * measure["scale"] / past_a[old, market])
            value = past_n[old, market] / past_a[old, market]
            value = min(slow + most, max(slow - most, value))
            stream["learned_n"] = stream["learned_n"] * keep + value * past_a[old, market]
            stream["learned_a"] = stream["learned_a"] * keep + past_a[old, market]
        if not due[market] or np.isnan(counts[s, market]):
            leave_out(stream, past_n, past_a, past_ok, here, market)
            scores[market, s] = np.nan
            continue
        take_in(stream, past_n, past_a, first, length, at, scale, market, counts[s, market], activities[s, market])
        weight = max(0.0, stream["a_sum"]) + measure["shrink"]
        observed = (stream["n_sum"] + measure["shrink"] * slow) / weight
        error2 = (observed - slow) * (observed - slow) * weight / measure["scale"]
        stray = sqrt(spread2 * measure["scale"] / weight)
        stream["residual"] = (observed - slow) / stray
        surprise = normal_surprise(stream["residual"])
        score = calibrate(stream["tail"], surprise)
        scores[market, s] = score if stream["windows"] >= FIRST_WINDOWS else np.nan
        stream["observed"] = observed * measure["unit"]
        stream["expected"] = slow * measure["unit"]
        stream["low"] = (slow - BAND * stray) * measure["unit"]
        stream["high"] = (slow + BAND * stray) * measure["unit"]
        normal = (learn[market] and score < UNUSUAL) or stream["windows"] < YOUNG_WINDOWS
        stream["unusual"] = 0.0 if normal else stream["unusual"] + 1.0
        if stream["unusual"] > RELEARN_WINDOWS:
            normal = True
        past_ok[here, market] = 1 if normal else 0
        if normal:
            stream["spread_n"] = stream["spread_n"] * keep + min(error2, WINSOR * WINSOR * spread2)
            stream["spread_d"] = stream["spread_d"] * keep + 1.0
        if learn[market] and score < LEARN_MAX:
            learn_tail(stream["tail"], surprise, measure["scale"], measure["quantile"], measure["excess"])

"""Baseline: what is normal here. A count is held against a slow, lagged, winsorised rate times what is going on.

Counts are counts (detection.md 3.4): a window sum n is scored by its negative-binomial deviance against
mu = (rate per unit of activity) x activity, with a dispersion learned for the stream. The rate starts as a Gamma prior
that ships with the detector, so a market is judged from its second minute on and better as it learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import Any, NamedTuple

import numpy as np

from detector.anomaly.tail import (
    EXCESS_PRIOR,
    LEARN_MAX,
    TAIL,
    TAIL_SCORE,
    blank_tail,
    calibrate,
    learn_tail,
    normal_surprise,
)
from detector.kernels import kernel

WINSOR = 3.0  # a window teaches at most this many times what was expected, plus as many events
UNUSUAL = 3.0  # from this score on, a window is not learned from ...
RELEARN_WINDOWS = 3600  # ... until it has been so for this long: then it is what is normal here
FIRST_WINDOWS = 60.0  # a stream says nothing before
YOUNG_WINDOWS = 120.0
LAG_WINDOWS = 60  # a window is learned from this much later, so that an onset is not
YOUNG_LAG = 1  # but at first at once: before a busy market's own rate is known, all it does looks unusual
DISPERSION_WINDOWS = 30.0  # independent windows that the prior dispersion weighs
DISPERSION_FLOOR = 0.25  # of the prior: luck does not make a stream regular
DISPERSION_CEILING = 2.0  # of the prior: incidents nobody noticed do not make it wild
BAND = 2.326  # 98 % of normal windows

STREAM = np.dtype(
    [
        ("n_sum", "<f8"),  # over the last `scale` windows
        ("a_sum", "<f8"),
        ("learned_n", "<f8"),  # decayed sums: rate = (prior_n + learned_n) / (prior_a + learned_a)
        ("learned_a", "<f8"),
        ("learned_w", "<f8"),  # the same of windows: learned_a / learned_w is a window's usual activity
        ("spread_n", "<f8"),  # decayed sums: dispersion = spread_n / spread_d, shrunk to the prior
        ("spread_d", "<f8"),
        ("unusual", "<f8"),  # windows in a row it was unusual or learning was off
        ("windows", "<f8"),  # seen with something to say
        ("residual", "<f8"),  # of the last window: signed root of the deviance, about N(0, 1); NaN = cannot say
        ("observed", "<f8"),  # of the last window, for evidence: per second or mean
        ("expected", "<f8"),
        ("low", "<f8"),
        ("high", "<f8"),
        ("tail", TAIL),
    ],
    align=True,
)


class Measure(NamedTuple):
    """What a stream is made of, as numbers a kernel takes."""

    scale: float  # windows summed
    average: float  # 1: the sum is read as a mean (a standing quantity), 0: as a count
    unit: float  # a count is divided by this first: marks of mean square / mean = unit become Poisson-like
    prior_n: float  # shipped: so many counts in prior_a of activity (unconditioned: windows). As much of a market's own
    prior_a: float  # weighs the same as what is shipped: the larger both are, the longer it is believed
    dispersion: float  # shipped: variance = mu + dispersion * mu^2, so near 0 = as even as dice, 1 = in bursts
    memory: float  # windows after which the rate has half forgotten
    per_s: (
        float  # of what observed and expected are shown per, so much is a second: 1 = per second, 1 / 60 = per minute
    )
    shrink: float = 0.0  # above 0 this is no count but a weighted mean (anomaly/mean.py)
    quantile: float = TAIL_SCORE  # shipped: raw surprise that 2 % of normal windows exceed, and the mean excess over it
    excess: float = EXCESS_PRIOR
    floor: float = 0.0  # where less is going on than usual, the part of what lacks that a count does not follow
    steadiest: float = 0.5  # x a mean's shipped variance, below which none is taken to be: luck makes nobody steady


MEASURES = np.dtype([(name, "<f8") for name in Measure._fields])


def measures_of(measures: Sequence[Measure]) -> Any:
    """MEASURES (S): as one array a kernel is handed them at once; a tuple of its own for each took microseconds."""
    return np.array([tuple(measure) for measure in measures], MEASURES)


def blank_streams(markets: int, measure: Measure) -> Any:
    """STREAM (markets), nothing learned."""
    streams = np.zeros(markets, STREAM)
    streams["tail"] = blank_tail((markets,), measure.quantile, measure.excess)
    return streams


def brought_up(saved: Any, measures: Sequence[Measure]) -> Any:
    """STREAM (S, M) of a checkpoint that may be of an older version. Before `learned_w`: it is as if all windows had
    taught. Whose shipped tails were lighter: they are what ships now, for no tail is lighter (anomaly/tail.py)."""
    for stream, measure in zip(saved, measures, strict=True):
        stream["tail"]["quantile"] = np.maximum(stream["tail"]["quantile"], measure.quantile)
        stream["tail"]["excess"] = np.maximum(stream["tail"]["excess"], measure.excess)
    if saved.dtype == STREAM:
        return saved
    streams = np.stack([blank_streams(saved.shape[1], measure) for measure in measures])
    for name in set(saved.dtype.names) & set(STREAM.names or ()):
        streams[name] = saved[name]
    keep = 0.5 ** (1.0 / np.array([[measure.memory] for measure in measures]))
    streams["learned_w"] = (1.0 - keep ** streams["windows"]) / (1.0 - keep)
    return streams


@kernel
def deviance(n: Any, mu: Any, dispersion: Any) -> Any:
    """Signed root of the negative-binomial deviance of n against mean mu > 0 and variance mu + dispersion mu^2."""
    k = 1.0 / dispersion
    d = -2.0 * (n + k) * log((n + k) / (mu + k))
    if n > 0.0:
        d += 2.0 * n * log(n / mu)
    root = sqrt(max(0.0, d))
    return root if n >= mu else -root


@kernel
def _dispersion(stream: Any, mu: Any, measure: Any) -> Any:
    prior = DISPERSION_WINDOWS * measure["scale"] * mu * mu
    learned = (measure["dispersion"] * prior + stream["spread_n"]) / (prior + stream["spread_d"])
    return min(max(learned, DISPERSION_FLOOR * measure["dispersion"]), DISPERSION_CEILING * measure["dispersion"])


@kernel
def take_in(
    stream: Any, past_n: Any, past_a: Any, first: Any, length: Any, at: Any, scale: Any, market: Any, n: Any, a: Any
) -> Any:
    """A window's `n` and `a` of one market into its stream's ring and sums; shapes as in `advance`."""
    past_n[first + at, market] = n
    past_a[first + at, market] = a
    stream["n_sum"] += n
    stream["a_sum"] += a
    if at == 0:  # sums are made anew once a round, or rounding would pile up
        total_n = 0.0
        total_a = 0.0
        for back in range(scale):
            total_n += past_n[first + (at - back) % length, market]
            total_a += past_a[first + (at - back) % length, market]
        stream["n_sum"] = total_n
        stream["a_sum"] = total_a
    stream["windows"] += 1.0


@kernel
def leave_out(stream: Any, past_n: Any, past_a: Any, past_ok: Any, here: Any, market: Any) -> Any:
    """A window of which nothing can be said: nothing of it goes into the ring's row `here`."""
    past_n[here, market] = 0.0
    past_a[here, market] = 0.0
    past_ok[here, market] = 0
    stream["residual"] = np.nan


@kernel
def asleep(s: Any, streams: Any, counts: Any, scores: Any) -> Any:
    """Stream `s` has never had anything to say of any market, nor has it now: then all of `advance` comes to this. A
    feed that names accounts has such streams by the half. Shapes as there."""
    for market in range(counts.shape[1]):
        if streams[s, market]["windows"] > 0.0 or not np.isnan(counts[s, market]):
            return False
    for market in range(counts.shape[1]):
        streams[s, market]["residual"] = np.nan
        scores[market, s] = np.nan
    return True


@kernel
def advance(
    s: Any, streams: Any, past_n: Any, past_a: Any, past_ok: Any, first: Any, length: Any, at: Any, measures: Any,
    counts: Any, activities: Any, due: Any, learn: Any, scores: Any,
) -> Any:  # fmt: skip
    """One window of stream `s` of S over all markets: score first, then learn.

    streams STREAM (S, room); past_n, past_a float64 and past_ok uint8 (all rings, room): this stream's ring of the last
    `length` windows begins at row `first`; length > scale and > LAG_WINDOWS; at: this window's place in it. measures
    MEASURES (S). counts, activities float64 (S, M), NaN = cannot say (an activity: counts are not conditioned). due,
    learn bool (M); what is not due cannot be said. scores float64 (M, S): written, NaN = cannot say.
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
        old = late if stream["windows"] >= YOUNG_WINDOWS else soon
        if past_ok[old, market] != 0:
            rate = (measure["prior_n"] + stream["learned_n"]) / (measure["prior_a"] + stream["learned_a"])
            most = WINSOR * (rate * past_a[old, market] + 1.0)
            stream["learned_n"] = stream["learned_n"] * keep + min(past_n[old, market], most)
            stream["learned_a"] = stream["learned_a"] * keep + past_a[old, market]
            stream["learned_w"] = stream["learned_w"] * keep + 1.0
        if not due[market] or np.isnan(counts[s, market]):
            leave_out(stream, past_n, past_a, past_ok, here, market)
            scores[market, s] = np.nan
            continue
        count = counts[s, market] / measure["unit"]
        activity = 1.0 if np.isnan(activities[s, market]) else activities[s, market]
        take_in(stream, past_n, past_a, first, length, at, scale, market, count, activity)
        spread_over = min(stream["windows"], measure["scale"])
        divide = spread_over if measure["average"] != 0.0 else 1.0
        observed = max(0.0, stream["n_sum"]) / divide
        rate = (measure["prior_n"] + stream["learned_n"]) / (measure["prior_a"] + stream["learned_a"])
        # half an activity more: a lone event in a dead market is a little unusual, not infinitely so
        acting = stream["a_sum"]
        if measure["floor"] > 0.0 and stream["learned_w"] > 0.0:
            usual = stream["learned_a"] / stream["learned_w"] * spread_over
            acting += measure["floor"] * max(0.0, usual - acting)
        mu = max(1e-6, rate * (acting / divide + 0.5))
        dispersion = _dispersion(stream, mu, measure)
        stream["residual"] = deviance(observed, mu, dispersion)
        surprise = normal_surprise(stream["residual"])
        score = calibrate(stream["tail"], surprise)
        scores[market, s] = score if stream["windows"] >= FIRST_WINDOWS else np.nan
        shown = measure["unit"] / (1.0 if measure["average"] != 0.0 else spread_over * measure["per_s"])
        half = BAND * sqrt(mu + dispersion * mu * mu)
        stream["observed"] = observed * shown
        stream["expected"] = mu * shown
        stream["low"] = max(0.0, mu - half) * shown
        stream["high"] = (mu + half) * shown
        # a young stream always learns (winsorised), or a bad start would freeze itself
        normal = (learn[market] and score < UNUSUAL) or stream["windows"] < YOUNG_WINDOWS
        stream["unusual"] = 0.0 if normal else stream["unusual"] + 1.0
        if stream["unusual"] > RELEARN_WINDOWS:
            normal = True
        past_ok[here, market] = 1 if normal else 0
        if normal:
            error = min((observed - mu) * (observed - mu), 9.0 * (mu + dispersion * mu * mu))
            stream["spread_n"] = stream["spread_n"] * keep + (error - mu)
            stream["spread_d"] = stream["spread_d"] * keep + mu * mu
        if learn[market] and score < LEARN_MAX:
            learn_tail(stream["tail"], surprise, measure["scale"], measure["quantile"], measure["excess"])

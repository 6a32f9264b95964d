"""Onset: when a burst of cancels began, within the windows that tell of it."""

from __future__ import annotations

from math import log

import numpy as np
import numpy.typing as npt

from detector.features.cancels import BLOCKS, PEAK_NS

TIMES_MIN = 3.0  # what goes on has to be this much more than what was
CANCELS_MIN = 5  # fewer are no burst
DOUBT = 4.0  # nats: a beginning this much less likely than the likeliest is ruled out


def onset(ring: np.void, at_ns: int) -> tuple[int, int]:
    """Between which instants (ns) the last rise of a market's cancels before `at_ns` began; (0, 0) = cannot be told.

    ring: BEGUN of features/cancels.py. Two Poisson rates, one before and one since, explain the blocks best; every
    block that explains them nearly as well (DOUBT) may be the one it began in.
    """
    newest = min(int(ring["block"]), (at_ns - 1) // PEAK_NS)
    blocks = np.arange(newest - BLOCKS + 1, newest + 1)
    counts = ring["counts"][blocks % BLOCKS].astype(np.float64)
    counts[blocks <= int(ring["block"]) - BLOCKS] = 0.0
    likely = _likelihoods(counts)
    best = float(likely.max(initial=-np.inf))
    if not np.isfinite(best):
        return (0, 0)
    places = np.flatnonzero(likely >= best - DOUBT)
    if places[0] <= 1:
        return (0, 0)  # it may have begun before all that is kept
    return (int(blocks[places[0]]) * PEAK_NS, int(blocks[places[-1]] + 1) * PEAK_NS)


def _likelihoods(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64 (N): log likelihood that the rise began with each of N blocks; -inf where it is no rise."""
    made = np.full(len(counts), -np.inf)
    total = float(counts.sum())
    before = 0.0
    for k in range(1, len(counts)):
        before += float(counts[k - 1])
        was, since = (before + 0.5) / k, (total - before) / (len(counts) - k)
        if total - before >= CANCELS_MIN and since >= TIMES_MIN * was:
            made[k] = before * log(was) + (total - before) * log(since)
    return made

"""Peers: what others would page with, given every column our engine computes, in the same harness.

They see ten-second means of all features (`Run.samples`), our own marks and habits among them, which is generous. Each
threshold is an oracle's: the one at which the peer has as many false pages on the judged streams as we had. The best of
three smoothings counts. Nothing is point-adjusted; a page must begin between the onset and the climax.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.instant import SECOND_NS
from replay.judge import GRACE_NS
from replay.laboratory_judge import real_labels, recall_row, verdicts_of
from replay.laboratory_tally import SAMPLE_WINDOWS, Call, Run

Samples = npt.NDArray[np.float64]  # (samples, M, F)
Scores = npt.NDArray[np.float64]  # (samples, M), NaN = cannot say

LEARN_SAMPLES = 720  # the first two hours: nothing is planted there
HALF_LIFE_SAMPLES = 2160.0  # six hours
SMOOTHINGS = (1.0, 6.0, 30.0)  # samples
JOIN_NS = 600 * SECOND_NS
LOW_IS_RISK = ("depth", "levels")
COUNTS = ("cancels", "fleeting_cancels", "new_cancellers", "orders", "trades", "raises", "raise_surprise")
CHIEF = (*COUNTS, "quotes_missing", "quotes_moved", "spread_bps", "bid_depth_10_bps", "ask_depth_10_bps")
IGNORED = ("mid", "quotes_usual")
ECOD_FIT, ECOD_BATCH = 2000, 500
THRESHOLDS = 400


def prepared(run: Run) -> tuple[Samples, tuple[str, ...]]:
    """Features turned so that more is riskier, gaps filled with the last value; (samples, M, F) and names."""
    keep = [i for i, name in enumerate(run.features) if name not in IGNORED]
    names = tuple(run.features[i] for i in keep)
    values = run.samples[:, :, keep].astype(np.float64)
    for i, name in enumerate(names):
        if any(word in name for word in LOW_IS_RISK):
            values[:, :, i] = -np.log(np.maximum(values[:, :, i], 1.0))
    for at in range(1, len(values)):
        gone = np.isnan(values[at])
        values[at][gone] = values[at - 1][gone]
    return np.nan_to_num(values), names


def static_limits(values: Samples, names: tuple[str, ...]) -> Scores:
    """How far any feature is beyond the largest value of the first two hours, in spreads of those hours."""
    first = values[60:LEARN_SAMPLES]
    top, spread = first.max(axis=0), first.std(axis=0) + 1e-6 + 0.05 * np.abs(first.mean(axis=0))
    return np.asarray(((values - top) / spread).max(axis=2))


def ew_z(values: Samples, names: tuple[str, ...]) -> Scores:
    """Largest z-score against exponentially weighted mean and deviation, half-life six hours."""
    z = _standardised(values)
    return np.asarray(z.max(axis=2))


def poisson_limits(values: Samples, names: tuple[str, ...]) -> Scores:
    """Largest signed Poisson deviance of a count against its own slow mean."""
    chosen = values[:, :, [names.index(name) for name in COUNTS]] * SAMPLE_WINDOWS
    mean = chosen[:LEARN_SAMPLES].mean(axis=0)
    keep = 0.5 ** (1.0 / HALF_LIFE_SAMPLES)
    told = np.full(chosen.shape[:2], np.nan)
    for at in range(LEARN_SAMPLES, len(chosen)):
        n, mu = chosen[at], np.maximum(mean, 0.05)
        deviance = 2.0 * (n * np.log(np.maximum(n, 1e-9) / mu) - (n - mu))
        told[at] = (np.sign(n - mu) * np.sqrt(np.maximum(deviance, 0.0))).max(axis=1)
        mean = keep * mean + (1.0 - keep) * n
    return told


def half_space_trees(values: Samples, names: tuple[str, ...]) -> Scores:
    """River's HalfSpaceTrees, ten trees of height eight, one model a market; features scaled to six deviations."""
    from river import anomaly

    z = np.clip(_standardised(values) / 12.0 + 0.5, 0.0, 1.0)
    chosen = [names.index(name) for name in CHIEF]
    told = np.full(z.shape[:2], np.nan)
    for market in range(z.shape[1]):
        made: Any = anomaly.HalfSpaceTrees
        model = made(n_trees=10, height=8, window_size=250, seed=1)
        rows = z[:, market][:, chosen].tolist()
        for at in range(len(rows)):
            row = dict(zip(CHIEF, rows[at], strict=True))
            if at >= LEARN_SAMPLES:
                told[at, market] = model.score_one(row)
            model.learn_one(row)
    return told


def gaussian_quantile(values: Samples, names: tuple[str, ...]) -> Scores:
    """River's GaussianScorer behind a QuantileFilter on each chief feature; the largest counts."""
    from river import anomaly

    told = np.full(values.shape[:2], np.nan)
    for market in range(values.shape[1]):
        for name in CHIEF:
            made: Any = anomaly.GaussianScorer
            scorer = made(window_size=2160, grace_period=100)
            series = values[:, market, names.index(name)].tolist()
            for at, value in enumerate(series):
                score = _gaussian_score(scorer, value) if at >= 100 else 0.0
                if at >= LEARN_SAMPLES and value > 0 and not told[at, market] >= score:
                    told[at, market] = score
                if at < LEARN_SAMPLES or score < 0.9999:  # the quantile filter's part: what is called is not learned
                    scorer.learn_one(None, value)
    return told


def _gaussian_score(scorer: Any, value: float) -> float:
    """0 where River's rolling variance has fallen below nothing by rounding, and its root is no real number."""
    if isinstance(scorer.gaussian.sigma, complex):
        return 0.0
    return float(scorer.score_one(None, value))


def ecod_rolling(values: Samples, names: tuple[str, ...]) -> Scores:
    """PyOD's ECOD, fitted to the last 2,000 samples, scoring the next 500 in one batch (which it then sees itself)."""
    from pyod.models.ecod import ECOD  # type: ignore[import-untyped]  # it ships no types

    told = np.full(values.shape[:2], np.nan)
    for market in range(values.shape[1]):
        rows = values[:, market]
        for at in range(LEARN_SAMPLES, len(rows), ECOD_BATCH):
            past = rows[max(0, at - ECOD_FIT) : at]
            used = past.std(axis=0) > 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = ECOD()
                model.fit(past[:, used])
                told[at : at + ECOD_BATCH, market] = model.decision_function(rows[at : at + ECOD_BATCH, used])
    return told


def at_random(values: Samples, names: tuple[str, ...]) -> Scores:
    """Dice."""
    told = np.random.default_rng(1).random(values.shape[:2])
    told[:LEARN_SAMPLES] = np.nan
    return told


PEERS: dict[str, Callable[[Samples, tuple[str, ...]], Scores]] = {
    "static limits": static_limits,
    "EW z-score": ew_z,
    "Poisson limit per count": poisson_limits,
    "River HalfSpaceTrees": half_space_trees,
    "River GaussianScorer + quantile": gaussian_quantile,
    "PyOD ECOD rolling": ecod_rolling,
    "random": at_random,
}


def compare(runs: Sequence[Run], false_pages: int) -> list[dict[str, Any]]:
    """One row a peer, at `false_pages` in all over `runs`; the best smoothing of each."""
    inputs = [prepared(run) for run in runs]
    rows = []
    for name, peer in PEERS.items():
        raw = [peer(values, names) for values, names in inputs]
        best: dict[str, Any] | None = None
        for smoothing in SMOOTHINGS:
            row = _matched(runs, [_smoothed(scores, smoothing) for scores in raw], max(1, false_pages))
            row = {"peer": name, "smoothing_s": smoothing * SAMPLE_WINDOWS, **row}
            if best is None or row["early"] > best["early"]:
                best = row
        assert best is not None
        rows.append(best)
    return rows


def _matched(runs: Sequence[Run], scores: Sequence[Scores], false_pages: int) -> dict[str, Any]:
    """Recall at the lowest threshold with at most `false_pages` false pages over all runs."""
    pooled = np.concatenate([one[~np.isnan(one)] for one in scores])
    low = float(np.quantile(pooled, 0.9))
    # dense where it matters: the few highest scores
    ranks = np.unique(np.geomspace(1, max(2, len(pooled) * 0.1), THRESHOLDS).astype(int))
    candidates = np.unique(np.sort(pooled[pooled >= low])[::-1][np.minimum(ranks, (pooled >= low).sum()) - 1])[::-1]
    first, last = 0, len(candidates) - 1
    while first < last:  # the lowest candidate that keeps the count
        middle = (first + last + 1) // 2
        count = sum(_false(run, calls_of(run, one, candidates[middle])) for run, one in zip(runs, scores, strict=True))
        if count <= false_pages:
            first = middle
        else:
            last = middle - 1
    calls = [calls_of(run, one, candidates[first]) for run, one in zip(runs, scores, strict=True)]
    found = [v for run, told in zip(runs, calls, strict=True) for v in verdicts_of(run, told)]
    false = sum(_false(run, told) for run, told in zip(runs, calls, strict=True))
    return {"false_pages": false, **recall_row(found)}


def calls_of(run: Run, scores: Scores, threshold: float) -> list[Call]:
    """Pages of a score: a crossing opens one; it ends ten minutes after the last. Markets of one sample share it."""
    opened: dict[int, list[str]] = {}
    for market, name in enumerate(run.scenario.names):
        last_ns = -JOIN_NS
        with np.errstate(invalid="ignore"):
            crossed = np.flatnonzero(scores[:, market] > threshold)
        for at in crossed.tolist():
            at_ns = int(run.sample_ns[at])
            if at_ns - last_ns > JOIN_NS:
                opened.setdefault(at_ns, []).append(name)
            last_ns = at_ns
    return [Call(at, str(at), True, 2, "", tuple(names), "") for at, names in sorted(opened.items())]


def _false(run: Run, calls: Sequence[Call]) -> int:
    labels = real_labels(run)
    return sum(
        not any(
            label.start_ns <= call.at_ns <= label.end_ns + GRACE_NS and label.touches(call.markets) for label in labels
        )
        for call in calls
    )


def _smoothed(scores: Scores, span: float) -> Scores:
    """Exponentially weighted over `span` samples."""
    if span <= 1.0:
        return scores
    told = scores.copy()
    gain = 1.0 / span
    for at in range(1, len(told)):
        before = np.where(np.isnan(told[at - 1]), told[at], told[at - 1])
        told[at] = before + gain * (told[at] - before)
    return told


def _standardised(values: Samples) -> Samples:
    """z against exponentially weighted mean and deviation, scored before learned; NaN in the first two hours."""
    keep = 0.5 ** (1.0 / HALF_LIFE_SAMPLES)
    first = values[60:LEARN_SAMPLES]
    mean, variance = first.mean(axis=0), first.var(axis=0)
    floor = (0.02 * np.abs(mean)) ** 2 + 1e-6
    z = np.full(values.shape, np.nan)
    for at in range(LEARN_SAMPLES, len(values)):
        step = values[at] - mean
        z[at] = step / np.sqrt(variance + floor)
        step = np.clip(step, -6.0 * np.sqrt(variance + floor), 6.0 * np.sqrt(variance + floor))
        mean = mean + (1.0 - keep) * step
        variance = keep * (variance + (1.0 - keep) * step * step)
    return z

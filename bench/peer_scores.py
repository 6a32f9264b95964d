"""What others would score with, ten-second samples in, one score a market and sample out: the larger, the worse."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.laboratory_tally import SAMPLE_WINDOWS

Samples = npt.NDArray[np.float64]  # (samples, M, F)
Scores = npt.NDArray[np.float64]  # (samples, M), NaN = cannot say

LEARN_SAMPLES = 720  # the first two hours: nothing is planted there
HALF_LIFE_SAMPLES = 2160.0  # six hours
COUNTS = ("cancels", "fleeting_cancels", "new_cancellers", "orders", "trades", "raises", "raised_far", "raise_surprise")
CHIEF = (
    *COUNTS,
    "quotes_missing",
    "quotes_pulled",
    "quotes_leapt",
    "spread_bps",
    "bid_depth_10_bps",
    "ask_depth_10_bps",
)
FIT, BATCH = 2000, 500  # samples that a rolling estimator is fitted to, and scores in one batch


def chief(names: tuple[str, ...]) -> list[int]:
    """Where the features lie that a slow peer is given: CHIEF of the raw ones, all residuals."""
    found = [names.index(name) for name in CHIEF if name in names]
    return found if len(found) == len(CHIEF) else list(range(len(names)))


def static_limits(values: Samples, names: tuple[str, ...]) -> Scores:
    """How far any feature is beyond the largest value of the first two hours, in spreads of those hours."""
    first = values[60:LEARN_SAMPLES]
    top, spread = first.max(axis=0), first.std(axis=0) + 1e-6 + 0.05 * np.abs(first.mean(axis=0))
    told = ((values - top) / spread).max(axis=2)
    told[:LEARN_SAMPLES] = np.nan
    return np.asarray(told)


def ew_z(values: Samples, names: tuple[str, ...]) -> Scores:
    """Largest z-score against exponentially weighted mean and deviation, half-life six hours."""
    z = standardised(values)
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

    z = np.clip(standardised(values) / 12.0 + 0.5, 0.0, 1.0)
    chosen = chief(names)
    told = np.full(z.shape[:2], np.nan)
    for market in range(z.shape[1]):
        made: Any = anomaly.HalfSpaceTrees
        model = made(n_trees=10, height=8, window_size=250, seed=1)
        rows = z[:, market][:, chosen].tolist()
        for at in range(len(rows)):
            row = dict(enumerate(rows[at]))
            if at >= LEARN_SAMPLES:
                told[at, market] = model.score_one(row)
            model.learn_one(row)
    return told


def gaussian_quantile(values: Samples, names: tuple[str, ...]) -> Scores:
    """River's GaussianScorer behind a QuantileFilter on each chief feature; the largest counts."""
    from river import anomaly

    told = np.full(values.shape[:2], np.nan)
    for market in range(values.shape[1]):
        for feature in chief(names):
            made: Any = anomaly.GaussianScorer
            scorer = made(window_size=2160, grace_period=100)
            series = values[:, market, feature].tolist()
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

    return _rolling(values, ECOD, {})


def isolation_forest_rolling(values: Samples, names: tuple[str, ...]) -> Scores:
    """PyOD's isolation forest of 50 trees, fitted and asked in the same way."""
    from pyod.models.iforest import IForest  # type: ignore[import-untyped]

    return _rolling(values, IForest, {"n_estimators": 50, "random_state": 1})


def _rolling(values: Samples, made: Any, settings: dict[str, Any]) -> Scores:
    told = np.full(values.shape[:2], np.nan)
    for market in range(values.shape[1]):
        rows = values[:, market]
        for at in range(LEARN_SAMPLES, len(rows), BATCH):
            past = rows[max(0, at - FIT) : at]
            used = past.std(axis=0) > 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = made(**settings)
                model.fit(past[:, used])
                told[at : at + BATCH, market] = model.decision_function(rows[at : at + BATCH, used])
    return told


def at_random(values: Samples, names: tuple[str, ...]) -> Scores:
    """Dice."""
    told = np.random.default_rng(1).random(values.shape[:2])
    told[:LEARN_SAMPLES] = np.nan
    return told


def standardised(values: Samples) -> Samples:
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

"""PyOD's ECOD as a rolling model of one market: fitted anew every 500 windows to the last 2,000, each window scored
alone.

A run is some twenty windows long, so a market begins with 2,000 made-up ones (Poisson counts, seeded) behind it, and
markets are fitted anew in turns: what a window costs is then what it costs in a long run.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import numpy as np
from pyod.models.ecod import ECOD  # type: ignore[import-untyped]  # it ships no types

from bench.beside_job import NAMES, Scorer, Values

FIT, EVERY = 2000, 500
STRIDE = 7  # windows between the refits of one market and of the next; no divisor of EVERY
_numbers = itertools.count()


def rolling_ecod() -> Scorer:
    """One market's model. A score is turned to 0..1 by the ones it was fitted to: 1 = above all of them."""
    number = next(_numbers)
    dice = np.random.default_rng(number)
    past = deque(dice.poisson(50.0, (FIT, len(NAMES))).astype(float).tolist(), maxlen=FIT)
    model, worst = fitted(past)
    at = number * STRIDE % EVERY

    def score(values: Values) -> float:
        nonlocal model, worst, at
        told = float(model.decision_function(np.array([values]))[0])
        past.append(values)
        at = (at + 1) % EVERY
        if at == 0:
            model, worst = fitted(past)
        return min(1.0, told / worst)

    return score


def fitted(past: deque[Values]) -> tuple[Any, float]:
    """The model, and the largest score among what it was fitted to."""
    model: Any = ECOD()
    model.fit(np.array(past))
    return model, float(model.decision_scores_.max())

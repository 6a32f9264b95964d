"""Poisson: how far the true rate may lie from a small count. Exact, after Garwood (1936); numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_STEPS = 200  # bisections; a double's mantissa is through long before


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high): the means under which `count` or more, and `count` or fewer, have probability (1 - confidence) / 2.

    >>> [round(limit, 3) for limit in poisson_interval(0)], [round(limit, 3) for limit in poisson_interval(10)]
    ([0.0, 3.689], [4.795, 18.39])
    """
    assert count >= 0 and 0 < confidence < 1
    tail = (1 - confidence) / 2
    reach = 12 * math.sqrt(count + 1) + 20  # both limits lie nearer than 12 sigma
    below, above = max(0.0, count - reach), count + reach
    low = 0.0 if count == 0 else _bisect(lambda mean: 1 - _at_most(count - 1, mean) < tail, below, float(count))
    high = _bisect(lambda mean: _at_most(count, mean) > tail, float(count), above)
    return low, high


def _at_most(count: int, mean: float) -> float:
    """P(X <= count) of a Poisson variable whose mean is within 12 sigma of `count`; added up as logarithms."""
    if mean <= 0:
        return 1.0
    # terms more than 60 sigma below are 0 to a double
    first = max(0, int(count - 60 * math.sqrt(count + 1)))
    numbers = np.arange(first, count + 1, dtype=np.float64)
    logs = numbers * math.log(mean) - mean - (math.lgamma(first + 1) + _log_products(first, count))
    top = float(logs.max())
    return min(1.0, math.exp(top) * float(np.exp(logs - top).sum()))


def _log_products(first: int, last: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """float64 (last - first + 1): ln(n! / first!) for n = first .. last."""
    factors = np.arange(first, last + 1, dtype=np.float64)
    factors[0] = 1.0
    return np.cumsum(np.log(factors))


def _bisect(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """The point between `low` and `high` where `is_below` turns from True to False."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if is_below(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2

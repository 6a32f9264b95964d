"""Arrays that grow by doubling, as everything that is kept per market does."""

from __future__ import annotations

from typing import Any

import numpy as np


def widen(array: Any, axis: int, size: int, fill: Any = 0) -> Any:
    """`array` with `axis` grown to `size`; new places hold `fill` (a value, or blank rows from `blank_`)."""
    shape = list(array.shape)
    shape[axis] = size - shape[axis]
    if shape[axis] <= 0:
        return array
    more = np.full(shape, fill, array.dtype) if np.isscalar(fill) and array.dtype.names is None else None
    if more is None:
        more = np.zeros(shape, array.dtype) if np.isscalar(fill) else fill
    return np.concatenate((array, more), axis=axis)

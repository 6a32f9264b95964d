"""The search of a run of levels against the library's own."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.kernels.levels import LEVEL, level_find

KEYS = st.one_of(st.sets(st.integers(-30, 30)), st.sets(st.integers(-(1 << 62), 1 << 62)))


@given(KEYS, st.one_of(st.integers(-32, 32), st.integers(-(1 << 62), 1 << 62)))
@settings(max_examples=300, deadline=None)
def test_a_level_is_found_where_bisection_finds_it(keys: set[int], key: int) -> None:
    run = sorted(keys if key % 2 else {abs(k) for k in keys})
    key = key if key % 2 else abs(key)
    signs = {k > 0 for k in (*run, key)}
    if len(signs) > 1:  # a side's keys are prices or negative prices: never both
        run = [k for k in run if (k > 0) == (key > 0)]
    levels = np.zeros(len(run) + 3, LEVEL)
    levels["key"][3:] = run
    assert int(level_find(levels, 3, len(run), key)) == bisect_left(run, key)

"""Price levels: a sorted run per market and side in one pool, best level last: work near the touch moves little.

A level's key is its price in ticks for bids and its negative for asks: both sides rise towards the touch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import inlined, kernel
from detector.kernels.prefetch import prefetch

LEVEL = np.dtype([("key", "<i8"), ("qty_lots", "<i8")], align=True)
RUN = np.dtype([("start", "<i8"), ("room", "<i8"), ("count", "<i8")], align=True)  # where a side's levels lie

FIRST_ROOM = 16
FULL = -1  # the pool has no room: it must be grown, then the same call repeated
CROWDED = -2  # the side holds levels_max levels already
HEAVY = -3  # the level would hold more than LOTS_MAX
LOTS_MAX = (1 << 62) - 1  # of a level, and of what an account has resting on a side


@kernel
def level_find(levels: Any, start: Any, count: Any, key: Any) -> Any:
    """Index (from `start`) of the first level whose key is >= `key`; `count` when there is none."""
    if count == 0:
        return count
    top = levels[start + count - 1]["key"]
    if key > top:
        return count
    # levels lie a tick apart at least, and near the touch seldom more: this is the first that can hold the key
    low = max(0, count - 1 - (top - key))
    if levels[start + low]["key"] >= key:
        return low
    high = count - 1
    while low < high:
        middle = (low + high) >> 1
        if levels[start + middle]["key"] < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def level_quantity(levels: Any, runs: Any, run: Any, key: Any) -> Any:
    """Resting lots at `key`, 0 when there is no such level."""
    start = runs[run]["start"]
    count = runs[run]["count"]
    index = level_find(levels, start, count, key)
    if index < count and levels[start + index]["key"] == key:
        return levels[start + index]["qty_lots"]
    return np.int64(0)


@kernel
def level_change(
    levels: Any, use: Any, runs: Any, run: Any, key: Any, lots: Any, absolute: Any, levels_max: Any
) -> Any:
    """Add `lots` to the level at `key`, or, when `absolute`, give it that quantity; a level at or below 0 goes.

    Returns the quantity before, or FULL, CROWDED or HEAVY with nothing changed. use: int64 (1), levels of the pool
    handed out.
    """
    start = runs[run]["start"]
    count = runs[run]["count"]
    index = level_find(levels, start, count, key)
    if index < count and levels[start + index]["key"] == key:
        before = levels[start + index]["qty_lots"]
        if not absolute and lots > LOTS_MAX - before:
            return np.int64(HEAVY)
        after = lots if absolute else before + lots
        if after > 0:
            levels[start + index]["qty_lots"] = after
            return before
        for at in range(start + index, start + count - 1):
            levels[at]["key"] = levels[at + 1]["key"]
            levels[at]["qty_lots"] = levels[at + 1]["qty_lots"]
        runs[run]["count"] = count - 1
        return before
    if lots <= 0:
        return np.int64(0)
    if count >= levels_max:
        return np.int64(CROWDED)
    if count == runs[run]["room"]:
        room = max(FIRST_ROOM, 2 * count)
        if use[0] + room > len(levels):
            return np.int64(FULL)
        fresh = use[0]
        use[0] += room
        for at in range(count):
            levels[fresh + at]["key"] = levels[start + at]["key"]
            levels[fresh + at]["qty_lots"] = levels[start + at]["qty_lots"]
        start = fresh
        runs[run]["start"] = fresh
        runs[run]["room"] = room
    at = start + count
    while at > start + index:
        levels[at]["key"] = levels[at - 1]["key"]
        levels[at]["qty_lots"] = levels[at - 1]["qty_lots"]
        at -= 1
    levels[start + index]["key"] = key
    levels[start + index]["qty_lots"] = lots
    runs[run]["count"] = count + 1
    return np.int64(0)


@kernel
def levels_move(source: Any, runs: Any, target: Any) -> Any:
    """Pack every run into `target`, room for as many levels again; returns the pool's use. Runs are rewritten."""
    use = np.int64(0)
    for run in range(len(runs)):
        count = runs[run]["count"]
        start = runs[run]["start"]
        for at in range(count):
            target[use + at]["key"] = source[start + at]["key"]
            target[use + at]["qty_lots"] = source[start + at]["qty_lots"]
        runs[run]["start"] = use
        room = 0 if count == 0 else max(FIRST_ROOM, 2 * count)
        runs[run]["room"] = room
        use += room
    return use


@inlined
def level_fetch(levels: Any, runs: Any, run: Any, key: Any) -> None:
    """Ask for the memory that `level_find` looks at first: where the key would be in a book without holes, and its
    first two steps from there. The run and its best level are near already."""
    start = runs[run]["start"]
    count = runs[run]["count"]
    if count == 0:
        return
    high = start + count - 1
    low = high - min(count - 1, max(0, levels[high]["key"] - key))
    prefetch(levels, low)
    middle = (low + high) >> 1
    prefetch(levels, middle)
    prefetch(levels, (low + middle) >> 1)
    prefetch(levels, (middle + high + 1) >> 1)


@inlined
def best_fetch(levels: Any, runs: Any, market: Any) -> None:
    """Ask for the best levels of both sides of a market."""
    for run in range(2 * market, 2 * market + 2):
        if runs[run]["count"] > 0:
            prefetch(levels, runs[run]["start"] + runs[run]["count"] - 1)

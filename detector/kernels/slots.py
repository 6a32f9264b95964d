"""Slots: where in a dense table something stands. Open addressing, linear probing, no tombstones.

A slot is one word: 0 = empty, else a tag (the upper 32 bits) over the place in the dense table plus one. The tag's low
bits are the slot it belongs in, so a table grows without a look at the rows, and a row is looked at only when its tag
is right. Keys are keyed digests (kernels/digest.py): nobody outside can make them collide.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel

MISSING = -1
_TAG = np.uint64(32)
_PLACE = np.uint64(0xFFFFFFFF)
_EMPTY = np.uint64(0)


@kernel
def tag_of(key: Any, market: Any) -> Any:
    """uint64 below 2**32 of a digest in a market."""
    mixed = (np.uint64(key) ^ (np.uint64(market) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed ^ (mixed >> _TAG)) & _PLACE


@kernel
def slot_home(tag: Any, mask: Any) -> Any:
    """The slot a tag belongs in."""
    return np.int64(tag & np.uint64(mask))


@kernel
def place_near(slots: Any, tag: Any) -> Any:
    """The first place with this tag, MISSING when there is none: nearly always the right one, good enough to fetch."""
    mask = len(slots) - 1
    slot = slot_home(tag, mask)
    while slots[slot] != _EMPTY:
        if slots[slot] >> _TAG == tag:
            return np.int64(slots[slot] & _PLACE) - 1
        slot = (slot + 1) & mask
    return np.int64(MISSING)


@kernel
def slot_put(slots: Any, tag: Any, place: Any) -> Any:
    """Enter a place that is not in it. The table has room: it is at most half full."""
    mask = len(slots) - 1
    slot = slot_home(tag, mask)
    while slots[slot] != _EMPTY:
        slot = (slot + 1) & mask
    slots[slot] = (tag << _TAG) | np.uint64(place + 1)


@kernel
def slot_drop(slots: Any, tag: Any, place: Any) -> Any:
    """Take a place that is in it out, and close the gap, so that every probe still ends where it should."""
    mask = len(slots) - 1
    word = (tag << _TAG) | np.uint64(place + 1)
    hole = slot_home(tag, mask)
    while slots[hole] != word:
        hole = (hole + 1) & mask
    slot = hole
    while True:
        slot = (slot + 1) & mask
        if slots[slot] == _EMPTY:
            break
        home = slot_home(slots[slot] >> _TAG, mask)
        if ((slot - home) & mask) >= ((slot - hole) & mask):
            slots[hole] = slots[slot]
            hole = slot
    slots[hole] = _EMPTY


@kernel
def slots_move(source: Any, target: Any) -> Any:
    """Enter every place of `source` into the (empty, larger) `target`: both are walked from front to back."""
    for slot in range(len(source)):
        if source[slot] != _EMPTY:
            slot_put(target, source[slot] >> _TAG, np.int64(source[slot] & _PLACE) - 1)

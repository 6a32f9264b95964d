"""Participants: what is remembered of an account in a market. A dense table, found through slots of indices.

Each market has its own quota, so what is forgotten depends on that market's events alone, never on its neighbours'.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.kernels.slots import MISSING, slot_drop, slot_put, tag_of

PARTICIPANT = np.dtype(
    [
        ("account", "<u8"),  # digest, 0 = free place
        ("acted_window", "<i8"),  # newest window it acted in
        ("acted_mask", "<u8"),  # bit j: it acted in window acted_window - j
        ("acted_ns", "<i8"),  # the newest of its acts: who is forgotten first
        ("cancel_ns", "<i8"),  # its last cancel, 0 = never
        ("bid_price_sum", "<i8"),  # ticks, over its resting bids
        ("ask_price_sum", "<i8"),
        ("bid_lots", "<i8"),  # resting quantity
        ("ask_lots", "<i8"),
        ("counted_window", "<u4"),  # window that `counted_cancels` belongs to, modulo 2**32
        ("counted_cancels", "<i4"),
        ("taken_back", "<u2"),  # seconds in which it took back orders that had stood, fading: features/seats.py ...
        ("taken_back_s", "<u2"),  # ... as of this one
        ("again", "u1"),  # orders laid anew just now that it may move once more, see features/cancels.py
        ("spare", "u1"),  # orders it laid just now in the place of none it had taken back ...
        ("spare_at", "u2"),  # ... the last of them at this instant, see features/cancels.py
        ("cancels_recent", "<f8"),  # decaying count of cancels, as of cancels_ns
        ("cancels_ns", "<i8"),
        ("raised_recent", "<f8"),  # decaying weight of leverage raises, as of raised_ns
        ("raised_ns", "<i8"),
        ("leverage", "<f8"),  # last known, 0 = unknown
        ("market", "<i4"),
        ("next", "<i4"),  # next participant of this market, -1 = last
        ("bid_orders", "<i4"),
        ("ask_orders", "<i4"),
        ("seat", "<i4"),  # place among the market's makers, -1 = none
        ("cancel_side", "i1"),  # of its last cancel
        ("taken", "u1"),  # orders that had stood, which it took back just now and has not laid anew
        ("raised_to", "u2"),  # hundredths: the highest leverage it raised to lately, see features/leverage.py
    ],
    align=True,
)

VAIN_PART = 16  # of the quota: fewer forgotten than this were not worth the walk
TABLE_FULL = -2  # the dense table or its slots must be grown, then the same call repeated
FORGOT = 5  # written to `need`: places were given back, and events that name them may not be counted yet


@kernel
def _find(slots: Any, participants: Any, account: Any, market: Any) -> Any:
    tag = tag_of(account, market)
    mask = len(slots) - 1
    slot = np.int64(tag & np.uint64(mask))
    while slots[slot] != np.uint64(0):
        if slots[slot] >> np.uint64(32) == tag:
            index = np.int64(slots[slot] & np.uint64(0xFFFFFFFF)) - 1
            if participants[index]["account"] == np.uint64(account) and participants[index]["market"] == market:
                return index
        slot = (slot + 1) & mask
    return np.int64(MISSING)


@kernel
def _prune(slots: Any, participants: Any, use: Any, first: Any, held: Any, need: Any, market: Any) -> Any:
    """Forget the market's idle accounts that acted least recently: those before the mean of their last acts."""
    need[0] = FORGOT
    total = 0.0
    idle = 0
    index = first[market]
    base = participants[index]["acted_ns"]
    while index >= 0:
        if (
            participants[index]["bid_orders"] + participants[index]["ask_orders"] == 0
            and participants[index]["seat"] < 0
        ):
            total += float(participants[index]["acted_ns"] - base)
            idle += 1
        index = participants[index]["next"]
    if idle == 0:
        return
    cut_ns = base + np.int64(total / idle)
    before = np.int64(-1)
    index = first[market]
    while index >= 0:
        following = participants[index]["next"]
        alone = participants[index]["bid_orders"] + participants[index]["ask_orders"] == 0
        if alone and participants[index]["seat"] < 0 and participants[index]["acted_ns"] <= cut_ns:
            slot_drop(slots, tag_of(participants[index]["account"], market), np.int64(index))
            if before < 0:
                first[market] = following
            else:
                participants[before]["next"] = following
            participants[index]["account"] = np.uint64(0)
            participants[index]["next"] = np.int32(use[1])
            use[1] = index
            held[market] -= 1
        else:
            before = np.int64(index)
        index = following


@kernel
def participant_of(
    slots: Any,
    participants: Any,
    use: Any,
    first: Any,
    held: Any,
    vain: Any,
    need: Any,
    account: Any,
    market: Any,
    event_ns: Any,
    quota: Any,
) -> Any:
    """Index of the account in the market, made when new; MISSING when the quota is full of accounts with open orders.

    use: int64 (2): places handed out so far, head of the list of free places (-1 = none). first: int32 (M), head of
    each market's list; held: int64 (M), how many it has. quota: participants_per_market_max. vain: int64 (M), times a
    new account goes unnamed before idle ones are looked for again: a walk through all that found hardly any.

    need: int64 (1), set to FORGOT when idle ones were looked for. A place given back is nobody's until another call, so
    a caller that has all it knows of earlier events counted before that one never counts them for somebody else.
    """
    found = _find(slots, participants, account, market)
    if found >= 0:
        return found
    if held[market] >= quota and vain[market] > 0:
        vain[market] -= 1
        return np.int64(MISSING)
    if use[1] >= 0:
        index = use[1]
        use[1] = np.int64(participants[index]["next"])
    else:
        index = use[0]
        if index >= len(participants) or 2 * index >= len(slots):
            return np.int64(TABLE_FULL)
        use[0] += 1
    place = participants[index]
    if held[market] >= quota:  # its place is taken already: it is none of those given back now
        _prune(slots, participants, use, first, held, need, market)
        if held[market] > quota - quota // VAIN_PART:
            vain[market] = quota // VAIN_PART
        if held[market] >= quota:
            place["next"] = np.int32(use[1])
            use[1] = index
            return np.int64(MISSING)
    place["account"] = np.uint64(account)
    place["acted_window"] = 0
    place["acted_mask"] = np.uint64(0)
    place["acted_ns"] = event_ns
    place["cancel_ns"] = 0
    place["bid_price_sum"] = 0
    place["ask_price_sum"] = 0
    place["bid_lots"] = 0
    place["ask_lots"] = 0
    place["counted_window"] = 0
    place["counted_cancels"] = 0
    place["taken_back"] = 0
    place["taken_back_s"] = 0
    place["cancels_recent"] = 0.0
    place["cancels_ns"] = 0
    place["raised_recent"] = 0.0
    place["raised_ns"] = 0
    place["raised_to"] = 0
    place["taken"] = 0
    place["again"] = 0
    place["spare"] = 0
    place["spare_at"] = 0
    place["leverage"] = 0.0
    place["market"] = market
    place["next"] = first[market]
    place["bid_orders"] = 0
    place["ask_orders"] = 0
    place["seat"] = -1
    place["cancel_side"] = 0
    first[market] = index
    held[market] += 1
    slot_put(slots, tag_of(account, market), np.int64(index))
    return np.int64(index)


@kernel
def participants_enter(participants: Any, count: Any, slots: Any) -> Any:
    """Fill the (empty) `slots` with every participant of the dense table."""
    for index in range(count):
        if participants[index]["account"] != np.uint64(0):
            slot_put(slots, tag_of(participants[index]["account"], participants[index]["market"]), index)


@kernel
def acts(participants: Any, index: Any, window: Any) -> Any:
    """Note that it acted in `window`; True when that is the first time in this window."""
    place = participants[index]
    ahead = window - place["acted_window"]
    if ahead > 0:
        mask = np.uint64(0) if ahead >= 64 else place["acted_mask"] << np.uint64(ahead)
        place["acted_mask"] = mask | np.uint64(1)
        place["acted_window"] = window
        return True
    if ahead <= -64:
        return False
    bit = np.uint64(1) << np.uint64(-ahead)
    if place["acted_mask"] & bit:
        return False
    place["acted_mask"] = place["acted_mask"] | bit
    return True

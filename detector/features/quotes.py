"""Quotes: what became of a seated maker's orders. Told apart: moved, traded away, and taken back for good.

A maker who re-quotes takes an order back and places another at once, or the other way round; one whose order traded
places a new one when it next looks; one who leaves takes orders back and places none. Only the last is a withdrawal: a
book that was merely eaten does not look like one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.distance import quote_distance
from detector.features.ledger import AMENDED, FILLED, LATE
from detector.kernels import inlined
from detector.model.events import Flag, StatusCode

REPLACE_NS = 1_000_000_000  # a quote taken back and placed anew this soon was moved, not pulled
MOVES_MIN, MOVES_TO_LEAVES = 4, 4  # moves seen, and moves for one quote that is taken back for good
MOVES_MEMORY = 4000
PLACED_FIRST = 100  # new quotes before a maker's distance is known
PLACED_MEMORY = 2000
DISTANCE_MAX = 4.0  # x usual: a quote further out teaches no more than one this far (winsorised)
BOTH_NS = 15_000_000_000  # quotes leap when bids and asks do, this close to each other
LEAP = 6.0  # x usual: a quote moved out further than this has left its place
OUTWARD_MAX = 16.0  # x usual: a quote further out counts no more than one this far
_DISTANCE_MIN_BPS = 0.05
_SNAPSHOT = int(Flag.SNAPSHOT)
_HALTED, _AUCTION = int(StatusCode.HALTED), int(StatusCode.AUCTION)


@inlined
def note_quote(tables: Any, event: Any, market: Any, participant: Any, learning: Any) -> None:
    """An applied event changed a seated maker's resting orders, or moved one of them. Counts and distances."""
    place = tables.participants[participant]
    maker = tables.makers[market, place["seat"]]
    count = place["bid_orders"] + place["ask_orders"]
    change = count - maker["count"]
    maker["count"] = count
    if change < 0:
        _gone(tables, maker, event, market, _planned(tables.markets[market], event["event_ns"]))
        return
    known = (event["flags"] & _SNAPSHOT) == 0 and not np.isnan(event["distance_bps"])
    distance = quote_distance(tables, event, market) if known else np.nan
    old = np.nan
    if change > 0:
        old = _came(maker, event, distance)
    elif event["effect"] == AMENDED:
        _moved(maker)
        old = event["previous"]
    if known:
        _requoted(tables, maker, event, market, old, distance)
        _placed(tables, maker, event, market, distance, learning)


@inlined
def _planned(place: Any, event_ns: Any) -> Any:
    """The market is halted or in an auction, or was a moment ago."""
    return place["status"] == _HALTED or place["status"] == _AUCTION or event_ns < place["restless_ns"]


@inlined
def requotes(maker: Any) -> Any:
    """It moves quotes and seldom takes one back for good: that is what makes a maker, not how much it has resting."""
    return maker["moves"] >= MOVES_MIN and maker["moves"] >= MOVES_TO_LEAVES * maker["leaves"]


@inlined
def _moved(maker: Any) -> None:
    maker["moves"] += 1
    if maker["moves"] >= MOVES_MEMORY:
        maker["moves"] //= 2
        maker["leaves"] //= 2


@inlined
def _left(maker: Any) -> None:
    """What was taken back a while ago and has not been replaced."""
    maker["pulled"] += maker["pending"]
    maker["leaves"] += maker["pending"]
    maker["pending"] = 0
    forget_taken(maker)


@inlined
def forget_taken(maker: Any) -> None:
    """Nothing of what was taken back may be replaced any more."""
    for side in range(2):
        maker["taken"][side] = 0
        maker["taken_bps"][side] = 0.0


@inlined
def _requoted(tables: Any, maker: Any, event: Any, market: Any, old_bps: Any, new_bps: Any) -> None:
    """A quote that was placed `old_bps` from the middle was moved to `new_bps`; NaN = not known. Unlike how far out a
    quote is this does not ask which of its maker's quotes it is, and how far the price went meanwhile."""
    if np.isnan(old_bps) or np.isnan(new_bps) or maker["placed"] < PLACED_FIRST or event["window"] == LATE:
        return
    out = tables.outward[event["window"], market]
    out[2] += 1.0
    if new_bps - old_bps <= LEAP * maker["distance_bps"]:
        return
    place = tables.markets[market]
    side = 0 if event["side"] > 0 else 1
    place["leapt_ns"][side] = event["event_ns"]
    # a price that jumps makes the quotes of one side look far out, until mid and mark have followed
    both = abs(event["event_ns"] - place["leapt_ns"][1 - side]) <= BOTH_NS
    # once a maker and window: what one maker renews in one go is moved by one decision
    window = event["event_ns"] // tables.span[1] + 1
    if both and maker["leapt"] != window:
        maker["leapt"] = window
        out[3] += 1.0


@inlined
def _gone(tables: Any, maker: Any, event: Any, market: Any, planned: Any) -> None:
    side = 0 if event["side"] > 0 else 1
    if event["effect"] == FILLED:
        maker["filled"] += 1
        return
    if maker["spare"] > 0 and event["event_ns"] - maker["spare_ns"] <= REPLACE_NS:
        maker["spare"] -= 1  # the new one was placed first; or this is that very one, and nothing was moved
        if maker["lent"] > 0:
            maker["lent"] -= 1
            maker["filled"] += 1
        if event["age_ns"] > REPLACE_NS:
            _moved(maker)
            _requoted(tables, maker, event, market, event["previous"], maker["spare_bps"][side])
            maker["spare_bps"][side] = np.nan
        return
    if planned:  # as if it had traded: who clears the book for a halt has not left, and soon quotes again
        maker["filled"] += 1
        return
    if event["event_ns"] - maker["pending_ns"] > REPLACE_NS:
        _left(maker)
    maker["pending"] += 1
    if not np.isnan(event["previous"]):
        maker["taken"][side] += 1
        maker["taken_bps"][side] += event["previous"]
    maker["pending_ns"] = event["event_ns"]


@inlined
def _came(maker: Any, event: Any, distance: Any) -> Any:
    """It replaces what was just taken back; else what was traded; else what was pulled earlier. How far out was what it
    replaces (NaN = not known): of several taken back on its side it is their mean, which over a sweep comes to the
    same."""
    side = 0 if event["side"] > 0 else 1
    if maker["pending"] > 0 and event["event_ns"] - maker["pending_ns"] <= REPLACE_NS:
        maker["pending"] -= 1
        _moved(maker)
        mean = np.nan
        if maker["taken"][side] > 0:
            mean = maker["taken_bps"][side] / maker["taken"][side]
            maker["taken"][side] -= 1
            maker["taken_bps"][side] -= mean
        if maker["pending"] == 0:
            forget_taken(maker)  # a quote that went to the other side has replaced one of this
        return mean
    _left(maker)
    if event["event_ns"] - maker["spare_ns"] > REPLACE_NS:
        maker["spare"] = 0
        maker["lent"] = 0
        maker["spare_bps"][0] = np.nan
        maker["spare_bps"][1] = np.nan
    owed = maker["filled"] + maker["pulled"] > 0
    if maker["filled"] > 0:
        maker["filled"] -= 1
    elif maker["pulled"] > 0:
        maker["pulled"] -= 1
    if owed or maker["count"] > maker["usual"] + 0.5:  # more than it usually has: it will take another back
        maker["spare"] += 1
        maker["lent"] += 1 if owed else 0
        maker["spare_bps"][side] = np.nan if owed else distance
        maker["spare_ns"] = event["event_ns"]
    return np.nan


@inlined
def _placed(tables: Any, maker: Any, event: Any, market: Any, distance: Any, learning: Any) -> None:
    """How far out a new quote is, against what is usual for its maker."""
    if maker["placed"] >= PLACED_FIRST and event["window"] != LATE:
        out = tables.outward[event["window"], market]
        times = max(0.0, distance / maker["distance_bps"])
        out[0] += min(OUTWARD_MAX, times)
        out[1] += 1.0
    if learning or maker["placed"] < PLACED_FIRST:
        maker["placed"] = min(maker["placed"] + 1, PLACED_MEMORY)
        step = max(0.0, distance) - maker["distance_bps"]
        if maker["placed"] > 1:
            step = min(step, (DISTANCE_MAX - 1.0) * maker["distance_bps"])
        maker["distance_bps"] = max(_DISTANCE_MIN_BPS, maker["distance_bps"] + step / maker["placed"])

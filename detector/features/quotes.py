"""Quotes: what became of a seated maker's orders. Told apart: moved, traded away, and taken back for good.

A maker who re-quotes takes an order back and places another at once, or the other way round; one whose order traded
places a new one when it next looks; one who leaves takes orders back and places none. Only the last is a withdrawal: a
book that was merely eaten does not look like one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.ledger import AMENDED, FILLED, LATE
from detector.kernels import inlined
from detector.model.events import Flag, StatusCode

REPLACE_NS = 1_000_000_000  # a quote taken back and placed anew this soon was moved, not pulled
MOVES_MIN, MOVES_TO_LEAVES = 4, 4  # moves seen, and moves for one quote that is taken back for good
MOVES_MEMORY = 4000
PLACED_FIRST = 100  # new quotes before a maker's distance is known
PLACED_MEMORY = 2000
DISTANCE_MAX = 4.0  # x usual: a quote further out teaches no more than one this far (winsorised)
FAR = 3.0  # x usual: the outermost of evenly spaced quotes lies at twice their mean
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
        _gone(maker, event, _planned(tables.markets[market], event["event_ns"]))
        return
    if change > 0:
        _came(maker, event)
    elif event["effect"] == AMENDED:
        _moved(maker)
    if (event["flags"] & _SNAPSHOT) == 0 and not np.isnan(event["distance_bps"]):
        _placed(tables, maker, event, market, learning)


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


@inlined
def _gone(maker: Any, event: Any, planned: Any) -> None:
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
        return
    if planned:  # as if it had traded: who clears the book for a halt has not left, and soon quotes again
        maker["filled"] += 1
        return
    if event["event_ns"] - maker["pending_ns"] > REPLACE_NS:
        _left(maker)
    maker["pending"] += 1
    maker["pending_ns"] = event["event_ns"]


@inlined
def _came(maker: Any, event: Any) -> None:
    """It replaces what was just taken back; else what was traded; else what was pulled earlier."""
    if maker["pending"] > 0 and event["event_ns"] - maker["pending_ns"] <= REPLACE_NS:
        maker["pending"] -= 1
        _moved(maker)
        return
    _left(maker)
    if event["event_ns"] - maker["spare_ns"] > REPLACE_NS:
        maker["spare"] = 0
        maker["lent"] = 0
    owed = maker["filled"] + maker["pulled"] > 0
    if maker["filled"] > 0:
        maker["filled"] -= 1
    elif maker["pulled"] > 0:
        maker["pulled"] -= 1
    if owed or maker["count"] > maker["usual"] + 0.5:  # more than it usually has: it will take another back
        maker["spare"] += 1
        maker["lent"] += 1 if owed else 0
        maker["spare_ns"] = event["event_ns"]


@inlined
def _placed(tables: Any, maker: Any, event: Any, market: Any, learning: Any) -> None:
    """How far out: from the mid or from the mark, whichever is nearer. A book that lags the price, or a quote held back
    by the other side's stale ones, is far from one of them only."""
    distance = float(event["distance_bps"])
    mark = tables.markets[market]["mark"] * tables.markets[market]["price_scale"]
    if mark > 0.0:
        distance = min(distance, event["side"] * (mark - float(event["price_ticks"])) / mark * 1e4)
    if maker["placed"] >= PLACED_FIRST and event["window"] != LATE:
        out = tables.outward[event["window"], market]
        times = max(0.0, distance / maker["distance_bps"])
        out[0] += min(OUTWARD_MAX, times)
        out[1] += 1.0
        if times > FAR:
            out[2] += 1.0
    if learning or maker["placed"] < PLACED_FIRST:
        maker["placed"] = min(maker["placed"] + 1, PLACED_MEMORY)
        step = max(0.0, distance) - maker["distance_bps"]
        if maker["placed"] > 1:
            step = min(step, (DISTANCE_MAX - 1.0) * maker["distance_bps"])
        maker["distance_bps"] = max(_DISTANCE_MIN_BPS, maker["distance_bps"] + step / maker["placed"])

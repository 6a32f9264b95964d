"""Quotes: what became of a seated maker's orders. Told apart: moved, traded away, and taken back for good.

A maker who re-quotes takes an order back and places another at once; one whose order traded places a new one when it
next looks; one who leaves takes orders back and places none. Only the last is a withdrawal, and a book that was merely
eaten does not look like one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.ledger import FILLED, LATE
from detector.kernels import inlined
from detector.model.events import Flag

REPLACE_NS = 1_000_000_000  # a quote taken back and placed anew this soon was moved, not pulled
PLACED_FIRST = 100  # new quotes before a maker's distance is known
PLACED_MEMORY = 2000
DISTANCE_MAX = 4.0  # x usual: a quote further out teaches no more than one this far (winsorised)
OUTWARD_MAX = 16.0  # x usual: a quote further out counts no more than one this far
_DISTANCE_MIN_BPS = 0.05
_SNAPSHOT = int(Flag.SNAPSHOT)


@inlined
def note_quote(tables: Any, event: Any, market: Any, participant: Any, learning: Any) -> None:
    """An applied event changed a seated maker's resting orders, or moved one of them. Counts and distances."""
    place = tables.participants[participant]
    maker = tables.makers[market, place["seat"]]
    count = place["bid_orders"] + place["ask_orders"]
    change = count - maker["count"]
    maker["count"] = count
    if change < 0:
        _gone(maker, event)
        return
    if change > 0:
        _came(maker, event)
    if (event["flags"] & _SNAPSHOT) == 0 and not np.isnan(event["distance_bps"]):
        _placed(tables, maker, event, market, learning)


@inlined
def _gone(maker: Any, event: Any) -> None:
    if event["effect"] == FILLED:
        maker["filled"] += 1
        return
    if event["event_ns"] - maker["pending_ns"] > REPLACE_NS:
        maker["pulled"] += maker["pending"]
        maker["pending"] = 0
    maker["pending"] += 1
    maker["pending_ns"] = event["event_ns"]


@inlined
def _came(maker: Any, event: Any) -> None:
    """It replaces what was just taken back; else what was traded; else what was pulled earlier."""
    if maker["pending"] > 0 and event["event_ns"] - maker["pending_ns"] <= REPLACE_NS:
        maker["pending"] -= 1
        return
    maker["pulled"] += maker["pending"]
    maker["pending"] = 0
    if maker["filled"] > 0:
        maker["filled"] -= 1
    elif maker["pulled"] > 0:
        maker["pulled"] -= 1


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
        out[0] += min(OUTWARD_MAX, max(0.0, distance / maker["distance_bps"]))
        out[1] += 1.0
    if learning or maker["placed"] < PLACED_FIRST:
        maker["placed"] = min(maker["placed"] + 1, PLACED_MEMORY)
        step = max(0.0, distance) - maker["distance_bps"]
        if maker["placed"] > 1:
            step = min(step, (DISTANCE_MAX - 1.0) * maker["distance_bps"])
        maker["distance_bps"] = max(_DISTANCE_MIN_BPS, maker["distance_bps"] + step / maker["placed"])

"""Told levels: feeds without order ids. A level is absolute, and trades explain why one became smaller."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.tables import CREDITS, HAS_LEVELS, HAS_ORDERS, Count
from detector.kernels import kernel
from detector.kernels.levels import CROWDED, LOTS_MAX, level_change
from detector.model.events import Effect, Flag

TRADE_MEMORY_NS = 1_000_000_000  # a trade and the level decrease it causes are at most this far apart
_PLACED, _CANCELLED = int(Effect.PLACED), int(Effect.CANCELLED)
_FILLED, _REFUSED = int(Effect.FILLED), int(Effect.REFUSED)
_LEVELS_FULL, _SNAPSHOT = int(Count.LEVELS_FULL), int(Flag.SNAPSHOT)


@kernel
def told_level(tables: Any, event: Any, market: Any) -> Any:
    """An absolute level. A decrease that no trade explains is a cancel; what a trade explains is a fill."""
    tables.markets[market]["has"] |= HAS_LEVELS
    side = event["side"]
    run = 2 * market if side > 0 else 2 * market + 1
    before = level_change(
        tables.levels,
        tables.level_use,
        tables.runs,
        run,
        side * event["price_ticks"],
        event["qty_lots"],
        True,
        tables.limits[1],
    )
    if before == CROWDED:
        tables.counts[_LEVELS_FULL] += 1
        event["effect"] = _REFUSED
        return
    change = event["qty_lots"] - before
    if event["flags"] & _SNAPSHOT:
        event["effect"] = _PLACED
        return
    if change >= 0:
        event["effect"] = _PLACED if change > 0 else 0
        event["moved_lots"] = change
        return
    credit = tables.credits[market, event["price_ticks"] % CREDITS]
    traded = np.int64(0)
    if (
        credit["price_ticks"] == event["price_ticks"]
        and credit["side"] == side
        and credit["lots"] > 0
        and abs(event["event_ns"] - credit["at_ns"]) <= TRADE_MEMORY_NS
    ):
        traded = min(-change, credit["lots"])
        credit["lots"] -= traded
    rest = -change - traded
    if rest == 0:
        event["effect"] = _FILLED
        event["moved_lots"] = traded
        return
    event["effect"] = _CANCELLED
    event["moved_lots"] = rest
    if traded == 0:  # the trade that explains it may still be on its way
        credit["price_ticks"] = event["price_ticks"]
        credit["side"] = side
        credit["lots"] = -rest
        credit["at_ns"] = event["event_ns"]


@kernel
def told_trade(tables: Any, event: Any, market: Any) -> Any:
    """A trade on a feed without order ids: it explains a level decrease that came just before or comes just after.

    event["code"] = 1 says: a decrease counted as a cancel a moment ago was this trade.
    """
    event["effect"] = _FILLED
    event["moved_lots"] = event["qty_lots"]
    if tables.markets[market]["has"] & HAS_ORDERS:
        return
    side = -event["side"]  # of the level it took from
    credit = tables.credits[market, event["price_ticks"] % CREDITS]
    same = credit["price_ticks"] == event["price_ticks"] and credit["side"] == side
    if same and abs(event["event_ns"] - credit["at_ns"]) <= TRADE_MEMORY_NS:
        if credit["lots"] < 0 and credit["lots"] + event["qty_lots"] >= 0:
            event["code"] = 1
        room = LOTS_MAX - max(np.int64(0), credit["lots"])
        credit["lots"] += min(room, event["qty_lots"])  # more than can be held explains no more than that
        credit["at_ns"] = event["event_ns"]
        return
    credit["price_ticks"] = event["price_ticks"]
    credit["side"] = side
    credit["lots"] = event["qty_lots"]
    credit["at_ns"] = event["event_ns"]

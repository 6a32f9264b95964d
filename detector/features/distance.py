"""Distance: how far from the middle of the market a maker's quote is placed."""

from __future__ import annotations

from typing import Any

from detector.kernels import inlined


@inlined
def quote_distance(tables: Any, event: Any, market: Any) -> Any:
    """bps, > 0 = away from the touch: from the mid or from the mark, whichever is nearer. There is a mid. A book
    that lags the price, or a quote held back by the other side's stale ones, is far from one of them only."""
    distance = float(event["distance_bps"])
    mark = tables.markets[market]["mark"] * tables.markets[market]["price_scale"]
    if mark > 0.0:
        distance = min(distance, event["side"] * (mark - float(event["price_ticks"])) / mark * 1e4)
    return distance

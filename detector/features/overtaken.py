"""Overtaken: what took an order away before the order itself came. Gateways overtake each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.tables import OVERTAKEN_MAX
from detector.kernels import inlined
from detector.kernels.levels import LOTS_MAX

OVERTAKEN_NS = 1_000_000_000  # an order and what took it away before it came are at most this far apart
PROBES = 4  # places an order may have among its market's; the oldest makes room


@inlined
def _place_of(gone: Any, order: Any) -> Any:
    """Where the order is among its market's `gone`, or where it would be put."""
    found = np.int64(order % np.uint64(OVERTAKEN_MAX))
    oldest = found
    for probe in range(PROBES):
        at = (found + probe) % OVERTAKEN_MAX
        if gone[at]["order"] == order:
            return at
        if gone[at]["at_ns"] < gone[oldest]["at_ns"]:
            oldest = at
    return oldest


@inlined
def overtook(tables: Any, event: Any, market: Any, everything: Any) -> None:
    """A cancel or a fill of an order nobody has heard of: it may be on its way."""
    market_gone = tables.overtaken[market]
    gone = market_gone[_place_of(market_gone, event["order"])]
    if gone["order"] != event["order"] or abs(event["event_ns"] - gone["at_ns"]) > OVERTAKEN_NS:
        gone["order"] = event["order"]
        gone["lots"] = 0
    gone["at_ns"] = event["event_ns"]
    place = tables.markets[market]
    place["overtook_ns"] = max(place["overtook_ns"], event["event_ns"])
    if everything:
        gone["lots"] = -1
    elif gone["lots"] >= 0:
        gone["lots"] += min(event["qty_lots"], LOTS_MAX - gone["lots"])


@inlined
def overtaken(tables: Any, event: Any, market: Any) -> Any:
    """Its own cancel came first, a moment ago: it would rest for ever. Where only a part was taken, the event's
    quantity becomes the rest."""
    if event["event_ns"] - tables.markets[market]["overtook_ns"] > OVERTAKEN_NS:
        return False  # none that it could be: spares a look at memory that nobody else needs
    market_gone = tables.overtaken[market]
    gone = market_gone[_place_of(market_gone, event["order"])]
    if gone["order"] != event["order"] or abs(event["event_ns"] - gone["at_ns"]) > OVERTAKEN_NS:
        return False
    gone["order"] = 0
    gone["at_ns"] = 0
    if gone["lots"] < 0 or gone["lots"] >= event["qty_lots"]:
        return True
    event["qty_lots"] -= gone["lots"]
    return False

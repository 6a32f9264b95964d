"""Overtaken: what took an order away before the order itself came. Gateways overtake each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.tables import OVERTAKEN_MAX
from detector.kernels import inlined

OVERTAKEN_NS = 1_000_000_000  # an order and what took it away before it came are at most this far apart


@inlined
def overtook(tables: Any, event: Any, market: Any, everything: Any) -> None:
    """A cancel or a fill of an order nobody has heard of: it may be on its way."""
    gone = tables.overtaken[market, event["order"] % np.uint64(OVERTAKEN_MAX)]
    gone["order"] = event["order"]
    gone["at_ns"] = event["event_ns"]
    gone["lots"] = np.int64(-1) if everything else event["qty_lots"]


@inlined
def overtaken(tables: Any, event: Any, market: Any) -> Any:
    """Its own cancel came first, a moment ago: gateways overtake each other, and it would rest for ever. Where only a
    part was taken, the event's quantity becomes the rest."""
    gone = tables.overtaken[market, event["order"] % np.uint64(OVERTAKEN_MAX)]
    if gone["order"] != event["order"] or abs(event["event_ns"] - gone["at_ns"]) > OVERTAKEN_NS:
        return False
    gone["order"] = 0
    if gone["lots"] < 0 or gone["lots"] >= event["qty_lots"]:
        return True
    event["qty_lots"] -= gone["lots"]
    return False

"""Open orders: a dense table of rows, found through slots (kernels/slots.py). Rows given back are used again first.

Nothing may depend on which row an order stands in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.kernels.slots import MISSING, slot_drop, slot_put, tag_of

ORDER = np.dtype(
    [
        ("order", "<u8"),  # digest, 0 = free row
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),  # what still rests, > 0
        ("placed_ns", "<i8"),
        ("run", "<i4"),  # of its price levels: twice its market, and one more for a sell
        ("participant", "<i4"),  # -1 = account unknown; of a free row: the next free one, -1 = none
    ],
    align=True,
)
FREE_MARKET = -1

_LIVE, _ROWS, _FREE = 0, 1, 2  # places in `use`


@kernel
def order_find(slots: Any, orders: Any, order: Any, market: Any) -> Any:
    """Row of the order, MISSING when it does not rest."""
    tag = tag_of(order, market)
    mask = len(slots) - 1
    slot = np.int64(tag & np.uint64(mask))
    while slots[slot] != np.uint64(0):
        if slots[slot] >> np.uint64(32) == tag:
            row = np.int64(slots[slot] & np.uint64(0xFFFFFFFF)) - 1
            if orders[row]["order"] == np.uint64(order) and orders[row]["run"] >> 1 == market:
                return row
        slot = (slot + 1) & mask
    return np.int64(MISSING)


@kernel
def order_add(slots: Any, orders: Any, markets: Any, use: Any, order: Any, market: Any, side: Any) -> Any:
    """A row for an order that does not rest yet: its key is written, the rest is the caller's. There is room for it.

    use: int64 (3), orders that rest, rows handed out so far, head of the list of free ones. markets: int32 (rows), so
    that all orders of a market are found without a look at the others.
    """
    row = use[_FREE]
    if row >= 0:
        use[_FREE] = np.int64(orders[row]["participant"])
    else:
        row = use[_ROWS]
        use[_ROWS] += 1
    use[_LIVE] += 1
    orders[row]["order"] = np.uint64(order)
    orders[row]["run"] = 2 * market if side > 0 else 2 * market + 1
    markets[row] = market
    slot_put(slots, tag_of(order, market), row)
    return row


@kernel
def order_remove(slots: Any, orders: Any, markets: Any, use: Any, row: Any) -> Any:
    """Give the row back."""
    slot_drop(slots, tag_of(orders[row]["order"], orders[row]["run"] >> 1), row)
    orders[row]["order"] = np.uint64(0)
    orders[row]["participant"] = np.int32(use[_FREE])
    markets[row] = FREE_MARKET
    use[_FREE] = row
    use[_LIVE] -= 1


@kernel
def orders_enter(slots: Any, orders: Any, markets: Any, rows: Any) -> Any:
    """Fill the (empty) `slots` and `markets` from the first `rows` rows."""
    for row in range(rows):
        if orders[row]["order"] == np.uint64(0):
            markets[row] = FREE_MARKET
            continue
        markets[row] = orders[row]["run"] >> 1
        slot_put(slots, tag_of(orders[row]["order"], orders[row]["run"] >> 1), row)

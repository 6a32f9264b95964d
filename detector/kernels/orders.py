"""The table of open orders: open addressing, linear probing, backward-shift deletion (no tombstones).

Keys are keyed digests (kernels/digest.py), so slots need no second hash. Nothing may depend on slot order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel

ORDER = np.dtype(
    [
        ("order", "<u8"),  # digest, 0 = empty slot
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),  # what still rests, > 0
        ("placed_ns", "<i8"),
        ("market", "<i4"),
        ("participant", "<i4"),  # -1 = account unknown
        ("side", "i1"),
    ],
    align=True,
)


@kernel
def order_home(order: Any, market: Any, mask: Any) -> Any:
    """The slot an order belongs in."""
    mixed = (np.uint64(order) ^ (np.uint64(market) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    return np.int64((mixed >> np.uint64(16)) & np.uint64(mask))


@kernel
def order_find(orders: Any, order: Any, market: Any) -> Any:
    """Slot of the order, or -1 - (the free slot where it would go)."""
    mask = len(orders) - 1
    slot = order_home(order, market, mask)
    while orders[slot]["order"] != np.uint64(0):
        if orders[slot]["order"] == np.uint64(order) and orders[slot]["market"] == market:
            return slot
        slot = (slot + 1) & mask
    return -1 - slot


@kernel
def order_remove(orders: Any, slot: Any) -> Any:
    """Empty `slot` and close the gap, so that every probe still ends where it should."""
    mask = len(orders) - 1
    hole = slot
    at = slot
    while True:
        at = (at + 1) & mask
        if orders[at]["order"] == np.uint64(0):
            break
        home = order_home(orders[at]["order"], orders[at]["market"], mask)
        if ((at - home) & mask) >= ((at - hole) & mask):
            _copy(orders, at, orders, hole)
            hole = at
    orders[hole]["order"] = np.uint64(0)


@kernel
def _copy(source: Any, at: Any, target: Any, to: Any) -> Any:
    target[to]["order"] = source[at]["order"]
    target[to]["price_ticks"] = source[at]["price_ticks"]
    target[to]["qty_lots"] = source[at]["qty_lots"]
    target[to]["placed_ns"] = source[at]["placed_ns"]
    target[to]["market"] = source[at]["market"]
    target[to]["participant"] = source[at]["participant"]
    target[to]["side"] = source[at]["side"]


@kernel
def orders_move(source: Any, target: Any) -> Any:
    """Put every order of `source` into the (empty, larger) `target`."""
    for at in range(len(source)):
        if source[at]["order"] != np.uint64(0):
            slot = -1 - order_find(target, source[at]["order"], source[at]["market"])
            _copy(source, at, target, slot)

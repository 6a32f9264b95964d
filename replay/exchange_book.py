"""The simulated matching engine: dice, a price-time book, due actions, and the EVENT rows they leave. Compiled loops.

The venue is serial: every row moves the market's clock on by 1 to 3 us, so no two rows of a market share a time except
those of one snapshot. `desk` is a replay.exchange_state.Desk; a slot is an index into desk.orders.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detector.kernels import inlined
from detector.model.events import CancelCode, Flag, Kind
from replay.exchange_state import BOOK_TICKS, CANCEL_DUE, ONE, SWEEP_MAX, ZERO

FLOW, SURROUNDINGS = (
    np.int64(0),
    np.int64(1),
)  # the two dice: planting something changes the first only, so the outside price stays the same
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53
_TWO_PI = 2.0 * math.pi

_ORDER, _CANCEL, _FILL, _BOOK = np.int64(Kind.ORDER), np.int64(Kind.CANCEL), np.int64(Kind.FILL), np.int64(Kind.BOOK)
_SNAPSHOT, _ALL, _FORCED = np.int64(Flag.SNAPSHOT), np.int64(Flag.ALL), np.int64(Flag.FORCED)
_SELF_TRADE, _USER = np.int64(CancelCode.SELF_TRADE), np.int64(CancelCode.USER)
_HALF = BOOK_TICKS // 2
_MASK = BOOK_TICKS - 1


@inlined
def mix(word: Any) -> Any:
    """uint64 -> uint64, splitmix64's finaliser (Steele, Lea, Flood 2014)."""
    word = (word ^ (word >> _S30)) * _MIX1
    word = (word ^ (word >> _S27)) * _MIX2
    return word ^ (word >> _S31)


@inlined
def uniform(rng: Any, dice: Any) -> Any:
    """In (0, 1). rng: uint64 (2) states of splitmix64; `dice`: FLOW or SURROUNDINGS."""
    rng[dice] = rng[dice] + _GOLDEN
    return (np.float64(mix(rng[dice]) >> _S11) + 0.5) * _UNIT


@inlined
def normal(rng: Any, dice: Any) -> Any:
    """Standard normal (Box and Muller; the second of the pair is not kept, so that no state hides)."""
    radius = math.sqrt(-2.0 * math.log(uniform(rng, dice)))
    return radius * math.cos(_TWO_PI * uniform(rng, dice))


@inlined
def below(rng: Any, dice: Any, count: Any) -> Any:
    """An integer in 0 .. count - 1."""
    return min(int(uniform(rng, dice) * count), count - 1)


@inlined
def emit(
    desk: Any, kind: Any, order: Any, account: Any, taker: Any, price: Any, qty: Any, side: Any, code: Any, flags: Any
) -> Any:
    """One row at the market's clock; returns its index, or -1 while the feed is lost. price: ticks, qty: lots. Columns
    that no simulated row says stand in desk.out already (empty_events)."""
    m = desk.state[0]
    if (flags & _SNAPSHOT) == 0:
        m["now_ns"] += 1000 + int(mix(np.uint64(m["now_ns"])) & np.uint64(2047))
        m["seq"] += 1
    if m["muted"] != 0:
        return -1
    at = m["rows"]
    row = desk.out[at]
    m["rows"] += 1
    row["event_ns"] = m["now_ns"]
    row["seq"] = m["seq"]
    row["first_seq"] = m["seq"]
    row["order"] = order
    row["account"] = account
    row["taker"] = taker
    row["price_ticks"] = price * m["tick_units"]
    row["qty_lots"] = qty
    row["leverage"] = np.nan
    row["previous"] = np.nan
    row["notional"] = np.nan
    row["margin"] = np.nan
    row["market"] = m["market"]
    row["price_decimals"] = m["price_decimals"] if price != 0 else 0
    row["qty_decimals"] = m["qty_decimals"] if qty != 0 else 0
    row["kind"] = kind
    row["side"] = side
    row["code"] = code
    row["flags"] = flags
    return at


@inlined
def order_number(desk: Any, slot: Any) -> Any:
    """The number the venue gave the order: unique over all markets."""
    m = desk.state[0]
    return desk.orders[slot]["serial"] * m["markets"] + m["market"]


@inlined
def place(desk: Any, side: Any, price: Any, qty: Any, account: Any, maker: Any, level: Any) -> Any:
    """Rest an order, post-only: a price that would cross is moved behind the touch. Slot, or -1 = refused."""
    m = desk.state[0]
    price = min(price, m["best_ask"] - 1) if side > 0 else max(price, m["best_bid"] + 1)
    slot = m["free"]
    if slot < 0 or price <= m["low"] or price >= m["low"] + BOOK_TICKS - 1 or qty < 1:
        m["refused"] += 1
        return -1
    order = desk.orders[slot]
    m["free"] = order["next"]
    m["serial"] += 1
    order["serial"] = m["serial"]
    order["account"] = account
    order["qty_lots"] = qty
    order["price"] = price
    order["side"] = side
    order["maker"] = maker
    order["level"] = level
    order["pool_at"] = -1
    queue = desk.queues[price & _MASK]
    order["next"] = -1
    order["previous"] = queue["tail"]
    if queue["tail"] >= 0:
        desk.orders[queue["tail"]]["next"] = slot
    else:
        queue["head"] = slot
    queue["tail"] = slot
    if side > 0:
        m["best_bid"] = max(m["best_bid"], price)
    else:
        m["best_ask"] = min(m["best_ask"], price)
    if maker >= 0:
        desk.quotes[maker, 0 if side > 0 else 1, level] = slot
    emit(desk, _ORDER, order_number(desk, slot), account, ZERO, price, qty, side, ZERO, ZERO)
    return slot


@inlined
def pool_add(desk: Any, slot: Any) -> None:
    """The order is an ordinary one from now on: anybody's mass cancel may pick it."""
    m = desk.state[0]
    desk.orders[slot]["pool_at"] = m["pool"]
    desk.pool[m["pool"]] = slot
    m["pool"] += 1


@inlined
def unlink(desk: Any, slot: Any) -> None:
    """Take an order off the book without a row."""
    m = desk.state[0]
    order = desk.orders[slot]
    price = order["price"]
    queue = desk.queues[price & _MASK]
    if order["previous"] >= 0:
        desk.orders[order["previous"]]["next"] = order["next"]
    else:
        queue["head"] = order["next"]
    if order["next"] >= 0:
        desk.orders[order["next"]]["previous"] = order["previous"]
    else:
        queue["tail"] = order["previous"]
    if order["maker"] >= 0:
        desk.quotes[order["maker"], 0 if order["side"] > 0 else 1, order["level"]] = -1
    if order["pool_at"] >= 0:
        m["pool"] -= 1
        last = desk.pool[m["pool"]]
        desk.pool[order["pool_at"]] = last
        desk.orders[last]["pool_at"] = order["pool_at"]
        order["pool_at"] = -1
    if queue["head"] < 0:
        if order["side"] > 0 and price == m["best_bid"]:
            while m["best_bid"] >= m["low"] and desk.queues[m["best_bid"] & _MASK]["head"] < 0:
                m["best_bid"] -= 1
        elif order["side"] < 0 and price == m["best_ask"]:
            while m["best_ask"] < m["low"] + BOOK_TICKS and desk.queues[m["best_ask"] & _MASK]["head"] < 0:
                m["best_ask"] += 1
    order["serial"] = 0
    order["next"] = m["free"]
    m["free"] = slot


@inlined
def cancel(desk: Any, slot: Any, code: Any) -> None:
    """Take all of an order away. code: CancelCode."""
    emit(desk, _CANCEL, order_number(desk, slot), desk.orders[slot]["account"], ZERO, ZERO, ZERO, ZERO, code, _ALL)
    unlink(desk, slot)


@inlined
def take(desk: Any, side: Any, qty: Any, limit_ticks: Any, taker: Any, flags: Any) -> Any:
    """Trade up to `qty` lots with the book, `limit_ticks` past the touch and SWEEP_MAX orders at most. Fills made."""
    m = desk.state[0]
    fills = 0
    limit = m["best_ask"] + limit_ticks if side > 0 else m["best_bid"] - limit_ticks
    for _ in range(SWEEP_MAX):
        touch = m["best_ask"] if side > 0 else m["best_bid"]
        none = touch >= m["low"] + BOOK_TICKS or touch < m["low"]
        if qty <= 0 or none or (side > 0 and touch > limit) or (side < 0 and touch < limit):
            break
        slot = np.int64(desk.queues[touch & _MASK]["head"])
        order = desk.orders[slot]
        if order["account"] == taker:
            cancel(desk, slot, _SELF_TRADE)  # the venue never trades an account with itself
            continue
        traded = min(qty, order["qty_lots"])
        emit(desk, _FILL, order_number(desk, slot), order["account"], taker, touch, traded, ZERO, ZERO, flags)
        fills += 1
        qty -= traded
        order["qty_lots"] -= traded
        if order["qty_lots"] <= 0:
            unlink(desk, slot)
    return fills


@inlined
def recentre(desk: Any, centre: Any, code: Any) -> None:
    """Let the window of prices follow the market: orders that fall out of it are cancelled."""
    m = desk.state[0]
    low = centre - _HALF
    while m["low"] < low:  # upwards: the lowest price leaves
        while desk.queues[m["low"] & _MASK]["head"] >= 0:
            cancel(desk, np.int64(desk.queues[m["low"] & _MASK]["head"]), code)
        if m["best_ask"] == m["low"] + BOOK_TICKS:
            m["best_ask"] += 1
        m["low"] += 1
        m["best_bid"] = max(m["best_bid"], m["low"] - 1)
    while m["low"] > low:  # downwards: the highest price leaves
        top = m["low"] + BOOK_TICKS - 1
        while desk.queues[top & _MASK]["head"] >= 0:
            cancel(desk, np.int64(desk.queues[top & _MASK]["head"]), code)
        if m["best_bid"] == m["low"] - 1:
            m["best_bid"] -= 1
        m["low"] -= 1
        m["best_ask"] = min(m["best_ask"], m["low"] + BOOK_TICKS)


@inlined
def snapshot(desk: Any) -> None:
    """A BOOK row and one SNAPSHOT row for every open order, best price first, in queue order, all at one time."""
    m = desk.state[0]
    emit(desk, _BOOK, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    for side in (ONE, -ONE):
        price = m["best_bid"] if side > 0 else m["best_ask"]
        while m["low"] <= price < m["low"] + BOOK_TICKS:
            slot = np.int64(desk.queues[price & _MASK]["head"])
            while slot >= 0:
                order = desk.orders[slot]
                emit(
                    desk,
                    _ORDER,
                    order_number(desk, slot),
                    order["account"],
                    ZERO,
                    price,
                    order["qty_lots"],
                    side,
                    ZERO,
                    _SNAPSHOT,
                )
                slot = order["next"]
            price -= side


@inlined
def schedule(desk: Any, due_ns: Any, action: Any, slot: Any) -> Any:
    """Remember an action (a heap by due_ns, then by serial). False = the heap is full, and the caller acts at once."""
    m = desk.state[0]
    at = m["due"]
    if at >= len(desk.due):
        return False
    m["due"] += 1
    serial = desk.orders[slot]["serial"] if action == CANCEL_DUE else ZERO
    while at > 0:
        parent = (at - 1) >> 1
        if desk.due[parent]["due_ns"] <= due_ns:
            break
        _move(desk.due, parent, at)
        at = parent
    desk.due[at]["due_ns"] = due_ns
    desk.due[at]["action"] = action
    desk.due[at]["slot"] = slot
    desk.due[at]["serial"] = serial
    return True


@inlined
def due_remove(desk: Any) -> None:
    """Drop the action at the heap's root."""
    m = desk.state[0]
    m["due"] -= 1
    last = m["due"]
    due_ns = desk.due[last]["due_ns"]
    at = ZERO
    while True:
        child = 2 * at + 1
        if child >= last:
            break
        if child + 1 < last and desk.due[child + 1]["due_ns"] < desk.due[child]["due_ns"]:
            child += 1
        if desk.due[child]["due_ns"] >= due_ns:
            break
        _move(desk.due, child, at)
        at = child
    _move(desk.due, last, at)


@inlined
def _move(due: Any, source: Any, to: Any) -> None:
    due[to]["due_ns"] = due[source]["due_ns"]
    due[to]["serial"] = due[source]["serial"]
    due[to]["slot"] = due[source]["slot"]
    due[to]["action"] = due[source]["action"]

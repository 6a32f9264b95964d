"""What ordinary accounts of a simulated market do where its scenario says so: shared accounts, robots. Compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detector.kernels import inlined
from replay.exchange_book import FLOW, below, place, schedule, uniform
from replay.exchange_effects import set_leverage
from replay.exchange_state import CANCEL_DUE, GRID_DUE, GRID_ORDERS, NOBODY, ONE, TICK_NS, ZERO, ordinary_account

_TICK_S = TICK_NS * 1e-9
_TOGGLING_S, _TOGGLE_S = 900.0, 10.0  # for so long, so often
_TOGGLE_STEPS = (np.int64(3), np.int64(8))  # of LADDER: 5 and 25 x
_MINUTE_NS, _LATE_NS = np.int64(60_000_000_000), 300e6
_GRID_S, _GRID_STEP = 600.0, np.int64(4)  # it is laid anew so often, on the mean; ticks from order to order


@inlined
def toggle(desk: Any) -> None:
    """Two strategies share an account, and each sets the leverage it wants before it trades."""
    m = desk.state[0]
    if m["now_ns"] >= m["toggled_ns"]:
        if uniform(desk.rng, FLOW) < m["toggle_rate"] * _TICK_S:
            m["toggled_ns"] = m["now_ns"] + 1 + int(-math.log(uniform(desk.rng, FLOW)) * _TOGGLING_S * 1e9)
            m["toggler"] = ordinary_account(below(desk.rng, FLOW, m["accounts"]), m["accounts"])
    elif uniform(desk.rng, FLOW) < _TICK_S / _TOGGLE_S:
        low = np.int64(desk.leverages[m["toggler"] % m["accounts"]]) == _TOGGLE_STEPS[0]
        set_leverage(desk, m["toggler"], _TOGGLE_STEPS[1] if low else _TOGGLE_STEPS[0], m["notional_log"], 0.1)


@inlined
def punctually(desk: Any, due_ns: Any) -> Any:
    """An instant just after the minute has ended: robots look when a candle closes."""
    return (due_ns // _MINUTE_NS + 1) * _MINUTE_NS + int(-math.log(uniform(desk.rng, FLOW)) * _LATE_NS)


@inlined
def begin_grids(desk: Any) -> None:
    """Each robot lays its first grid within the first ten minutes."""
    m = desk.state[0]
    for grid in range(m["grids"]):
        schedule(desk, m["start_ns"] + int(uniform(desk.rng, FLOW) * _GRID_S * 1e9), GRID_DUE, np.int64(grid))


@inlined
def lay_grid(desk: Any, grid: Any) -> None:
    """A robot lays orders at even steps to both sides; a while later it takes all of them back and lays them anew."""
    m = desk.state[0]
    account = ordinary_account(np.int64(grid * 31 + m["market"] * 977), m["accounts"])
    due_ns = m["now_ns"] + int((0.5 + uniform(desk.rng, FLOW)) * _GRID_S * 1e9)
    for i in range(GRID_ORDERS):
        side = ONE if i % 2 == 0 else -ONE
        qty = 1 + int(0.2 * m["qty_scale"])
        slot = place(desk, side, int(m["fair"]) - side * _GRID_STEP * (1 + i // 2), qty, account, NOBODY, ZERO)
        if slot >= 0:
            schedule(desk, due_ns, CANCEL_DUE, np.int64(slot))
    schedule(desk, due_ns + 1, GRID_DUE, grid)

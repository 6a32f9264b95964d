"""Shape: how what rests is spread over prices. Evidence beside the scores; nobody is paged by it (detection.md 3.4)."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.features.base import Group
from detector.features.ledger import mid_ticks
from detector.features.tables import Tables
from detector.kernels import inlined, kernel
from detector.model.arrays import widen
from detector.model.state import State
from detector.model.windows import Feature

EVERY_WINDOWS = 10  # each market is looked at this often, counted from its first window: rows depend on who came first
STEPS = 50  # of 1 bp, on each side
NEAR_STEPS = 10
TRADED = 50_000.0  # quote currency, bought and sold at once
BEYOND_BPS = 100.0  # what rests nowhere within STEPS is paid for at this distance
THIN = 0.1  # a step with less than this part of its usual is thin
USUAL_SAMPLES = 360.0  # an hour: what a step usually holds
SETTLED_SAMPLES = 30.0
WINSOR = 3.0


class Shape(Group):
    """As of each market's last look, up to EVERY_WINDOWS ago; NaN while a side is empty or too little is known.

    Thin is held against what the same distance from the mid usually holds here, so a book with steps wider than 1 bp
    has a habit of holes and is not unusual for them.
    """

    STATE = np.dtype([("none", "u1")])
    FEATURES = (
        Feature("round_trip", "bps", "cost of buying and selling 50,000 at once"),
        Feature("thin_run", "bps", "longest stretch of the book that holds under a tenth of its usual, within 50 bps"),
        Feature("thin_clustering", "", "how far thin price steps lie together, in standard deviations of chance"),
        Feature("level_concentration", "share", "how much of what rests within 10 bps lies on few levels (HHI)"),
    )

    def __init__(self, ring: int) -> None:
        super().__init__(ring)
        self.age: Any = np.zeros(16, np.int64)  # (M): windows read
        self.samples: Any = np.zeros(16)  # (M): looks taken
        self.usual: Any = np.zeros((16, 2 * STEPS))  # (M, bids then asks, outwards): quote currency
        self.last: Any = np.full((16, len(self.FEATURES)), np.nan)
        self._now: Any = np.zeros(2 * STEPS)  # of the market that is being looked at
        self._near: Any = np.zeros(2)

    def make_room(self, markets: int) -> None:
        """See Group.make_room."""
        super().make_room(markets)
        size = self.counts.shape[1]
        self.age = widen(self.age, 0, size)
        self.samples = widen(self.samples, 0, size)
        self.usual = widen(self.usual, 0, size)
        self.last = widen(self.last, 0, size, np.nan)

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """Nothing to count: books are looked at as windows close."""

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read. Books are as of the closing, up to `lateness` after the window's end."""
        look_at(tables, markets, self.age, self.samples, self.usual, self._now, self._near, self.last)
        found: npt.NDArray[np.float64] = self.last[:markets].copy()
        return found

    def state(self) -> State:
        """See Group.state."""
        return {
            **super().state(), "age": self.age, "samples": self.samples, "usual": self.usual, "last": self.last,
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """See Group.restore."""
        super().restore(state)
        self.age = np.array(state["age"])
        self.samples, self.usual = np.array(state["samples"]), np.array(state["usual"])
        self.last = np.array(state["last"])


@inlined
def _walk(tables: Any, market: Any, side: Any, mid: Any, now: Any, near: Any) -> Any:
    """One side outwards from the touch into 1 bp steps; returns what TRADED costs there, in bps from the mid.

    now: float64 (2 STEPS), written; near: float64 (2), added to: sum and sum of squares of levels within NEAR_STEPS.
    """
    run = 2 * market if side > 0 else 2 * market + 1
    place = 0 if side > 0 else STEPS
    start = tables.runs[run]["start"]
    scale = tables.markets[market]["price_scale"] * tables.markets[market]["qty_scale"]
    for step in range(STEPS):
        now[place + step] = 0.0
    wanted = TRADED
    cost = 0.0
    at = start + tables.runs[run]["count"] - 1
    while at >= start:
        price = float(side * tables.levels[at]["key"])
        away_bps = side * (mid - price) / mid * 1e4
        if away_bps >= STEPS:
            break
        away_bps = max(0.0, away_bps)
        notional = price * float(tables.levels[at]["qty_lots"]) / scale
        now[place + int(away_bps)] += notional
        if away_bps < NEAR_STEPS:
            near[0] += notional
            near[1] += notional * notional
        taken = min(wanted, notional)
        cost += taken * away_bps
        wanted -= taken
        at -= 1
    return (cost + wanted * BEYOND_BPS) / TRADED


@kernel
def look_at(tables: Any, markets: Any, age: Any, samples: Any, usual: Any, now: Any, near: Any, found: Any) -> Any:
    """Every market whose turn it is: FEATURES into found (M, F), then learn what is usual."""
    for market in range(markets):
        age[market] += 1
        if age[market] % EVERY_WINDOWS != 1:
            continue
        mid = mid_ticks(tables, market)
        row = found[market]
        for feature in range(len(row)):
            row[feature] = np.nan
        if np.isnan(mid):
            continue
        near[0] = 0.0
        near[1] = 0.0
        row[0] = _walk(tables, market, 1, mid, now, near) + _walk(tables, market, -1, mid, now, near)
        row[3] = near[1] / (near[0] * near[0]) if near[0] > 0.0 else np.nan
        if samples[market] >= SETTLED_SAMPLES:
            row[1] = max(_longest(now, usual[market], 0), _longest(now, usual[market], STEPS))
            row[2] = _clustering(now, usual[market])
        samples[market] += 1.0
        gain = 1.0 / min(samples[market], USUAL_SAMPLES)
        for step in range(2 * STEPS):
            taught = now[step] if samples[market] <= SETTLED_SAMPLES else min(now[step], WINSOR * usual[market, step])
            usual[market, step] += gain * (taught - usual[market, step])


@kernel
def _longest(now: Any, usual: Any, place: Any) -> Any:
    """The longest run of thin steps of one side."""
    longest = 0.0
    run = 0.0
    for step in range(place, place + STEPS):
        run = run + 1.0 if now[step] < THIN * usual[step] else 0.0
        longest = max(longest, run)
    return longest


@kernel
def _clustering(now: Any, usual: Any) -> Any:
    """Joins of thin neighbours against as many thin steps dealt at random (Cliff and Ord's join count), as a z."""
    thin = 0.0
    joins = 0.0
    for step in range(2 * STEPS):
        if now[step] < THIN * usual[step]:
            thin += 1.0
            if step % STEPS > 0 and now[step - 1] < THIN * usual[step - 1]:
                joins += 1.0
    p = thin / (2.0 * STEPS)
    pairs = 2.0 * (STEPS - 1)
    spread = pairs * p * p * (1.0 - p * p) + 4.0 * (STEPS - 2) * (p * p * p - p * p * p * p)
    return (joins - pairs * p * p) / sqrt(spread) if spread > 1e-9 else 0.0

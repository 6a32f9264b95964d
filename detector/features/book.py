"""Book: what rests near the touch. Sampled as each market's windows end: depth, spread, holes, levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.features.base import Group
from detector.features.ledger import best
from detector.features.tables import Tables
from detector.kernels import inlined, kernel
from detector.model.windows import Feature

DEEPEST_BPS = 50.0
HOLE_BPS = 25.0


class Book(Group):
    """Depth is in quote currency; NaN while a side is empty. Thin by itself is rarely an incident (detection.md 3.4):
    what thins first is who quotes, and how far out. Depth is evidence, and the ground of the distance to a cascade."""

    STATE = np.dtype([("none", "u1")])
    FEATURES = (
        Feature("mid", "quote", "middle between best bid and best ask"),
        Feature("spread_bps", "bps", "best ask minus best bid"),
        *(
            Feature(f"{side}_depth_{bps}_bps", "quote", f"value resting within {bps} bps, {side}s")
            for side in ("bid", "ask")
            for bps in (5, 10, 25, 50)
        ),
        Feature("gap_bps", "bps", "widest hole between price levels within 25 bps"),
        Feature("levels", "", "price levels within 25 bps"),
    )

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """Nothing to count: books are sampled as windows end (features/fold.py)."""

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read."""
        values = np.empty((len(self.FEATURES), markets))
        read_book(tables.samples[slot], values)
        return values.T


@kernel
def read_book(samples: Any, values: Any) -> Any:
    """FEATURES of each market from its sample, SAMPLE (M), into values float64 (F, M)."""
    for m in range(values.shape[1]):
        sample = samples[m]
        mid = 0.5 * (sample["bid"] + sample["ask"])
        values[0, m] = mid
        values[1, m] = (sample["ask"] - sample["bid"]) / mid * 1e4 if mid > 0.0 else np.nan
        for d in range(4):
            values[2 + d, m] = sample["bid_depth"][d]
            values[6 + d, m] = sample["ask_depth"][d]
        values[10, m] = sample["gap_bps"]
        values[11, m] = sample["levels"]


@inlined
def _side(tables: Any, market: Any, side: Any, mid: Any, depth: Any, sample: Any) -> Any:
    """Walk one side outwards from the touch: quote currency within 5, 10, 25, 50 bps; the widest hole; levels."""
    run = 2 * market if side > 0 else 2 * market + 1
    start = tables.runs[run]["start"]
    scale = tables.markets[market]["price_scale"] * tables.markets[market]["qty_scale"]
    for d in range(4):
        depth[d] = 0.0
    last_bps = 0.0
    at = start + tables.runs[run]["count"] - 1
    while at >= start:
        price = float(side * tables.levels[at]["key"])
        away_bps = side * (mid - price) / mid * 1e4
        if away_bps > DEEPEST_BPS:
            break
        notional = price * float(tables.levels[at]["qty_lots"]) / scale
        if away_bps <= 5.0:
            depth[0] += notional
        if away_bps <= 10.0:
            depth[1] += notional
        if away_bps <= 25.0:
            depth[2] += notional
            sample["levels"] += 1.0
            sample["gap_bps"] = max(sample["gap_bps"], away_bps - last_bps)
            last_bps = away_bps
        depth[3] += notional
        at -= 1
    sample["gap_bps"] = max(sample["gap_bps"], HOLE_BPS - last_bps) if last_bps == 0.0 else sample["gap_bps"]


@kernel
def sample_book(tables: Any, market: Any, slot: Any) -> Any:
    """Write the book as it stands into samples[slot, market]; NaN prices when a side is empty."""
    sample = tables.samples[slot, market]
    bid = best(tables, market, 1)
    ask = best(tables, market, -1)
    scale = tables.markets[market]["price_scale"]
    sample["bid"] = float(bid) / scale if bid != 0 else np.nan
    sample["ask"] = float(ask) / scale if ask != 0 else np.nan
    sample["levels"] = 0.0
    sample["gap_bps"] = 0.0
    if bid == 0 or ask == 0:
        for d in range(4):
            sample["bid_depth"][d] = 0.0 if bid == 0 else np.nan
            sample["ask_depth"][d] = 0.0 if ask == 0 else np.nan
        return
    mid = 0.5 * (float(bid) + float(ask))
    _side(tables, market, 1, mid, sample["bid_depth"], sample)
    _side(tables, market, -1, mid, sample["ask_depth"], sample)

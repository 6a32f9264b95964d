"""Leverage: accounts raising and cutting it, and how surprising the size at stake is."""

from __future__ import annotations

from collections.abc import Mapping
from math import erfc, log, sqrt
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detector.features.base import Group
from detector.features.ledger import LATE, STALE
from detector.features.tables import HAS_LEVERAGE, Tables
from detector.kernels import kernel
from detector.model.arrays import widen
from detector.model.events import Kind
from detector.model.state import State
from detector.model.windows import Feature

RECENT_NS = 300e9  # decay of an account's own raises, for naming contributors
SURPRISE_FREE = 2.0  # -ln p that every size may have before it adds to the surprise (detection.md 3.4)
SURPRISE_MAX = 40.0
SIZES_MEMORY = 2000.0  # raises after which the size distribution has half forgotten
PRIOR_SIZES = 5.0  # the first sizes of a market are held against this many imagined ones, wide apart
PRIOR_SPREAD = 2.0  # of ln(notional)
STEP_MAX = 3.0  # spreads: a size further out teaches no more than one this far (winsorised)
_LEVERAGE = int(Kind.LEVERAGE)

SIZES = np.dtype([("count", "<f8"), ("mean", "<f8"), ("spread2", "<f8"), ("level", "<f8")], align=True)


class Leverage(Group):
    """Leverage-change events. A raise whose size is far above the market's usual adds its own surprise,
    max(0, -ln p(size) - 2): two whales weigh what a crowd weighs.

    Where `previous` is not said it is what the account had last; a first change of an unknown account counts as a raise
    when it is above the market's usual leverage.
    """

    COUNTS = True
    GROWS: ClassVar[Mapping[str, str]] = {"raises": "raises"}
    STATE = np.dtype([("raises", "<f8"), ("cuts", "<f8"), ("surprise", "<f8"), ("notional", "<f8")], align=True)
    FEATURES = (
        Feature("raises", "per window", "accounts raising their leverage"),
        Feature("cuts", "per window", "accounts lowering their leverage"),
        Feature("raise_surprise", "nats", "how improbably large the positions of raising accounts are"),
        Feature("raised_notional", "quote", "position value of accounts that raised their leverage"),
    )

    def __init__(self, ring: int) -> None:
        super().__init__(ring)
        self.sizes: Any = np.zeros(16, SIZES)

    def make_room(self, markets: int) -> None:
        """See Group.make_room."""
        super().make_room(markets)
        if self.counts.shape[1] > len(self.sizes):
            self.sizes = widen(self.sizes, 0, self.counts.shape[1])

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """See Group.fold; also learns each market's distribution of sizes."""
        fold_leverage(tables.participants, self.sizes, self.counts, events, start, stop)

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read."""
        counts = self.counts[slot, :markets]
        values = np.stack([counts[name] for name in ("raises", "cuts", "surprise", "notional")], axis=1)
        values[(tables.markets["has"][:markets] & HAS_LEVERAGE) == 0] = np.nan
        return values

    def state(self) -> State:
        """See Group.state."""
        return {**super().state(), "sizes": self.sizes}

    def restore(self, state: State) -> None:
        """See Group.restore."""
        super().restore(state)
        self.sizes = np.array(state["sizes"])


@kernel
def size_surprise(sizes: Any, size: Any) -> Any:
    """max(0, -ln P(a normal size is at least this) - 2) under the log-normal learned so far; then learn from it."""
    if not size > 0.0:
        return 0.0
    value = log(size)
    count = sizes["count"]
    if count == 0.0:
        sizes["mean"] = value
        sizes["spread2"] = PRIOR_SPREAD * PRIOR_SPREAD
    weight = count / (count + PRIOR_SIZES)
    spread = sqrt(weight * sizes["spread2"] + (1.0 - weight) * PRIOR_SPREAD * PRIOR_SPREAD)
    z = (value - sizes["mean"]) / spread
    p = 0.5 * erfc(z / sqrt(2.0))
    surprise = min(SURPRISE_MAX, -log(p) - SURPRISE_FREE) if p > 1e-18 else SURPRISE_MAX
    z = min(STEP_MAX, max(-STEP_MAX, z))
    rate = 1.0 / min(count + 1.0, SIZES_MEMORY)
    sizes["mean"] += rate * z * spread
    sizes["spread2"] += rate * (z * z * spread * spread - sizes["spread2"])
    sizes["count"] = min(count + 1.0, SIZES_MEMORY)
    return max(0.0, surprise)


@kernel
def fold_leverage(participants: Any, sizes: Any, counts: Any, events: Any, start: Any, stop: Any) -> Any:
    """One loop over applied events; see Leverage."""
    for i in range(start, stop):
        event = events[i]
        if event["kind"] != _LEVERAGE or event["window"] == LATE or event["effect"] == STALE:
            continue
        now = event["leverage"]
        if not now > 0.0:
            continue
        size = sizes[event["market"]]
        before = event["previous"]
        if not before > 0.0:
            before = size["level"] if size["level"] > 0.0 else now
        count = counts[event["window"], event["market"]]
        if now > before:
            count["raises"] += 1.0
            if event["notional"] > 0.0:
                count["notional"] += event["notional"]
            count["surprise"] += size_surprise(size, event["notional"])
            if event["participant"] >= 0:
                who = participants[event["participant"]]
                gone_ns = max(0.0, float(event["event_ns"] - who["raised_ns"]))
                weight = event["notional"] if event["notional"] > 0.0 else 1.0
                who["raised_recent"] = who["raised_recent"] * np.exp(-gone_ns / RECENT_NS) + weight
                who["raised_ns"] = event["event_ns"]
        elif now < before:
            count["cuts"] += 1.0
        size["level"] = now if size["level"] <= 0.0 else size["level"] + 0.01 * (now - size["level"])

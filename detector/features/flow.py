"""Flow: what was placed and what was taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.features.base import Group, numbers
from detector.features.ledger import AMENDED, LATE, PLACED, STALE
from detector.features.scale import worth
from detector.features.tables import Tables
from detector.kernels import kernel
from detector.model.events import Flag, Kind
from detector.model.windows import Feature

_FILL, _TRADE, _LIQUIDATION = int(Kind.FILL), int(Kind.TRADE), int(Kind.LIQUIDATION)
_SNAPSHOT, _FORCED = int(Flag.SNAPSHOT), int(Flag.FORCED)


class Flow(Group):
    """Orders placed, trades, and what aggressors of each side took."""

    COUNTS = True
    STATE = np.dtype(
        [
            ("orders", "<f8"),
            ("trades", "<f8"),
            ("bought", "<f8"),
            ("sold", "<f8"),
            ("forced", "<f8"),
            ("events", "<f8"),
        ],
        align=True,
    )
    FEATURES = (
        Feature("orders", "per window", "orders placed or changed (levels that grew, on feeds without order ids)"),
        Feature("trades", "per window", "trades"),
        Feature("taken_by_buyers", "quote", "value that aggressive buyers took"),
        Feature("taken_by_sellers", "quote", "value that aggressive sellers took"),
        Feature("forced", "quote", "value traded by liquidations"),
        Feature("events", "per window", "messages of any kind"),
    )

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """See Group.fold."""
        fold_flow(self.counts, events, start, stop)

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read."""
        return numbers(self.counts[slot, :markets]).T


@kernel
def fold_flow(counts: Any, events: Any, start: Any, stop: Any) -> Any:
    """One loop over applied events; see Flow."""
    for i in range(start, stop):
        event = events[i]
        if event["window"] == LATE:
            continue
        count = counts[event["window"], event["market"]]
        count["events"] += 1.0
        if event["effect"] == STALE or (event["flags"] & _SNAPSHOT) != 0:
            continue
        kind = event["kind"]
        if event["effect"] == PLACED or event["effect"] == AMENDED:
            count["orders"] += 1.0
        if kind == _FILL or kind == _TRADE or kind == _LIQUIDATION:
            notional = worth(event, event["qty_lots"])
            if kind != _LIQUIDATION:
                count["trades"] += 1.0
                # a fill's side is the resting order's, a trade's is the aggressor's
                sells = event["side"] > 0 if kind == _FILL else event["side"] < 0
                if sells:
                    count["sold"] += notional
                else:
                    count["bought"] += notional
            if kind == _LIQUIDATION or (event["flags"] & _FORCED) != 0:
                count["forced"] += notional

"""What fills the order table of the live bench: as many as asked, alike in every partition, and out of everybody's way."""

from __future__ import annotations

import numpy as np

from bench.live import homes
from bench.live_deep import ORDERS_PER_ACCOUNT, resting
from detector.model.events import Kind, empty_events

COUNT = 12_000


def test_resting_orders_fill_every_partition_alike_and_stay_far_from_the_touch() -> None:
    markets = [f"M{index}-PERP" for index in range(20)]
    opening = empty_events(40)
    opening["kind"], opening["market"] = Kind.ORDER, np.arange(40) % 20
    opening["price_ticks"], opening["price_decimals"], opening["qty_lots"] = 100_000, 2, 50
    opening["event_ns"] = np.arange(40)
    where = homes(markets)
    assert sorted(market for group in where for market in group) == list(range(20))
    orders = resting(opening, where, COUNT)
    assert [int(np.isin(orders["market"], group).sum()) for group in where] == [COUNT // len(where)] * len(where)
    assert len(np.unique(orders["order"])) == COUNT and set(orders["event_ns"].tolist()) == {39}
    away = -orders["side"] * (orders["price_ticks"] / 100_000 - 1.0)
    assert away.min() >= 0.02 - 1e-9 and away.max() < 0.3
    _, each = np.unique(np.stack((orders["market"], orders["account"])), axis=1, return_counts=True)
    assert each.max() <= ORDERS_PER_ACCOUNT

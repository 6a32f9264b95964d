"""Orders that rest far from the touch, so that the live bench runs on full tables. Synthetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.model.events import EventColumn, Kind, Side, empty_events

FROM_BPS, TO_BPS = 200.0, 3_000.0  # of the market's price: none of them is traded, all of them are in the books
PRICES = 500  # different ones, a side and market
ORDERS_PER_ACCOUNT = 3  # in a market: fewer than make a maker
FIRST_ORDER, FIRST_ACCOUNT = 1 << 40, 1 << 30  # numbers the simulated exchange does not give out


def resting(opening: EventColumn, homes: Sequence[Sequence[int]], count: int) -> EventColumn:
    """`count` ORDER rows as of the last moment of `opening` (EVENT rows of every market), bids and asks alike. homes:
    the markets of each partition. Every partition gets as many: one that has more to read would hold up the others'
    folding beyond the moment at which the clocks begin to run."""
    number = np.arange(count)
    partition, turn = number % len(homes), number // len(homes)
    width = np.array([len(markets) for markets in homes])[partition]
    table = np.full((len(homes), max(map(len, homes))), -1)
    for index, markets in enumerate(homes):
        table[index, : len(markets)] = markets
    market, nth = table[partition, turn % width], turn // width
    orders = empty_events(count)
    orders["kind"] = Kind.ORDER
    orders["event_ns"] = opening["event_ns"].max()
    orders["market"] = market
    orders["order"] = FIRST_ORDER + number
    orders["account"] = FIRST_ACCOUNT + nth // ORDERS_PER_ACCOUNT
    orders["side"] = np.where(nth % 2, Side.SELL, Side.BUY)
    away = (FROM_BPS + (TO_BPS - FROM_BPS) * (nth // 2 % PRICES) / PRICES) / 1e4
    for index in np.unique(market).tolist():
        priced = opening[(opening["market"] == index) & (opening["kind"] == Kind.ORDER)]
        ours = market == index
        middle = float(np.median(priced["price_ticks"]))
        orders["price_ticks"][ours] = np.rint(middle * (1.0 - orders["side"][ours] * away[ours]))
        orders["price_decimals"][ours] = priced["price_decimals"][0]
        orders["qty_lots"][ours] = max(1, int(np.median(priced["qty_lots"])))
        orders["qty_decimals"][ours] = priced["qty_decimals"][0]
    return orders

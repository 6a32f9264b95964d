"""Makers: who quotes, held against each one's own habit. Missing quotes and quotes moved outwards thin a book first.

An account that keeps `SEAT_ORDERS` orders resting gets a seat among its market's makers and keeps it for long:
membership is sticky, or whole accounts would flip in and out of the figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.features.base import Group
from detector.features.ledger import mid_ticks
from detector.features.tables import HAS_ACCOUNTS, Tables
from detector.kernels import inlined, kernel
from detector.model.windows import Feature

SEAT_ORDERS = 4
SETTLED_SAMPLES = 60  # a maker is judged after this many windows of its own
PRESENT_MIN = 0.8  # who quoted in fewer of those is no maker: a burst leaves nobody missing
DISTANCE_SAMPLES = 600  # how far out it quotes is known later than how much: distance follows volatility
LEARN_DISTANCE = 1.0 / 900.0
LEARN_UP = 1.0 / 300.0  # per window: more quotes than usual are soon usual
LEARN_DOWN = 1.0 / 3600.0  # fewer are not: winsorised downwards
GONE_ORDERS = 0.5  # its usual count has decayed to this: the seat is free again
MOVED_MAX = 5.0  # a quote ten times as far out tells no more than one six times


class Makers(Group):
    """Against one's own habit: a market whose makers come and go all day has a habit of that, and is not unusual."""

    STATE = np.dtype([("none", "u1")])
    FEATURES = (
        Feature("quotes_missing", "orders", "orders that the market's makers usually have resting and have not"),
        Feature("quotes_usual", "orders", "orders that the market's makers usually have resting"),
        Feature("quotes_moved", "share", "how much further out makers quote than they usually do"),
    )

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """Nothing to count: makers are sampled as windows end (features/fold.py)."""

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read."""
        sample = tables.samples[slot, :markets]
        values = np.column_stack((sample["quotes_missing"], sample["quotes_usual"], sample["quotes_moved"]))
        blind = (tables.markets["has"][:markets] & HAS_ACCOUNTS) == 0
        values[blind | (sample["quotes_usual"] <= 0)] = np.nan
        return values


@inlined
def wants_seat(tables: Any, participant: Any) -> Any:
    """The participant quotes like a maker and has no seat yet."""
    place = tables.participants[participant]
    return place["seat"] < 0 and place["bid_orders"] + place["ask_orders"] >= SEAT_ORDERS


@kernel
def seat(tables: Any, market: Any, participant: Any) -> Any:
    """Give one that wants a seat a free one, or the weakest maker's if it has twice as much."""
    place = tables.participants[participant]
    count = place["bid_orders"] + place["ask_orders"]
    makers = tables.makers[market]
    weakest = -1
    least = 0.5 * count
    for k in range(len(makers)):
        if makers[k]["participant"] < 0:
            weakest = k
            break
        if makers[k]["usual"] < least:
            least = makers[k]["usual"]
            weakest = k
    if weakest < 0:
        return
    if makers[weakest]["participant"] >= 0:
        tables.participants[makers[weakest]["participant"]]["seat"] = -1
    makers[weakest]["participant"] = participant
    makers[weakest]["usual"] = 0.0
    makers[weakest]["distance_bps"] = 0.0
    makers[weakest]["missing"] = 0.0
    makers[weakest]["samples"] = 0
    makers[weakest]["corrected"] = 0
    makers[weakest]["present"] = 0
    place["seat"] = weakest


@kernel
def sample_makers(tables: Any, market: Any, slot: Any, learning: Any) -> Any:
    """Write quotes_missing, quotes_usual (orders) and quotes_moved (share of usual distance) to samples[slot, market].

    Judged first, learned after; a settled maker learns nothing while `learning` is False.
    """
    sample = tables.samples[slot, market]
    mid = mid_ticks(tables, market)
    missing = 0.0
    usual = 0.0
    moved = 0.0
    moved_by = 0.0
    makers = tables.makers[market]
    for k in range(len(makers)):
        maker = makers[k]
        if maker["participant"] < 0:
            continue
        place = tables.participants[maker["participant"]]
        bids = place["bid_orders"]
        asks = place["ask_orders"]
        count = float(bids + asks)
        distance = np.nan
        if count > 0 and not np.isnan(mid):
            outward = 0.0
            if bids > 0:
                outward += bids * mid - float(place["bid_price_sum"])
            if asks > 0:
                outward += float(place["ask_price_sum"]) - asks * mid
            distance = max(0.0, outward / count / mid * 1e4)
        settled = maker["samples"] >= SETTLED_SAMPLES
        if maker["corrected"] != 0:
            # what a snapshot took away was our mistake, not a withdrawal: its habit was counted from the same mistake
            maker["corrected"] = 0
            maker["usual"] = min(maker["usual"], count + maker["missing"])
        if settled:
            short = max(0.0, maker["usual"] - count)
            maker["missing"] = short
            missing += short
            usual += maker["usual"]
            if maker["samples"] >= DISTANCE_SAMPLES and not np.isnan(distance) and maker["distance_bps"] > 0:
                shift = min(MOVED_MAX, distance / maker["distance_bps"] - 1.0)
                moved += maker["usual"] * shift
                moved_by += maker["usual"]
        if (
            not learning and maker["samples"] >= DISTANCE_SAMPLES
        ):  # a young one always learns, or a bad start would last
            continue
        maker["samples"] += 1
        maker["present"] += 1 if 2.0 * count >= SEAT_ORDERS else 0
        weight = 1.0 / maker["samples"] if not settled else LEARN_UP
        if count < maker["usual"] and settled:
            weight = LEARN_DOWN
        maker["usual"] += weight * (count - maker["usual"])
        if not np.isnan(distance):
            if maker["distance_bps"] <= 0:
                maker["distance_bps"] = distance
            else:
                rate = max(LEARN_DISTANCE, 1.0 / maker["samples"])
                maker["distance_bps"] += rate * (min(distance, 2.0 * maker["distance_bps"]) - maker["distance_bps"])
        passing = maker["samples"] == SETTLED_SAMPLES and maker["present"] < PRESENT_MIN * SETTLED_SAMPLES
        if passing or (settled and maker["usual"] < GONE_ORDERS and count == 0):
            place["seat"] = -1
            maker["participant"] = -1
    sample["quotes_missing"] = missing
    sample["quotes_usual"] = usual
    sample["quotes_moved"] = moved / moved_by if moved_by > 0 else np.nan

"""Makers: who quotes, held against each one's own habit. Missing quotes and quotes moved outwards thin a book first.

Who is watched as one: features/seats.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.features.base import Group
from detector.features.quotes import MOVES_MIN, forget_taken, not_replaced, not_resting, requotes
from detector.features.seats import KNOWN_SAMPLES, LEARN_DOWN, SEAT_ORDERS, held, learn_renewing, moves_quotes
from detector.features.tables import HAS_ACCOUNTS, Tables
from detector.kernels import inlined, kernel
from detector.model.windows import Feature

_ACCOUNTS = int(HAS_ACCOUNTS)
SETTLED_SAMPLES = 60  # a maker is judged after this many windows of its own
PRESENT_MIN = 0.8  # who quoted in fewer of those is no maker: a burst leaves nobody missing
THERE_MIN = 0.95  # of its windows: who quotes in so many goes away seldom, and comes back
LEARN_UP = 1.0 / 300.0  # per window: more quotes than usual are soon usual
LEARN_SPREAD = 1.0 / 7200.0
LEARN_MEAN = 1.0 / 1800.0
LEARN_PULLED = 1.0 / 14400.0
PART_MAX = 5.0  # deviations of its own strays: what one maker pulled beyond that counts no more
DOMINANT = 0.6  # of what all makers usually rest: one with so much is most of the book, and counts in full
STRAY_MAX = 3.0  # deviations: a stray further off teaches no more than one this far
STEADY = 0.4  # of its usual orders: who strays further than this is no measure of anything
BY_CHANCE = 0.25  # x as many as there are, squared, from their mean: placed and taken back at random, it is once
USUAL_MIN = 2.0  # orders
ROUGHNESS2, ROUGHNESS_SHARE = 0.25, 0.03  # orders squared, and of the usual count: luck makes nobody quite regular
GONE_ORDERS = 0.5  # its usual count has decayed to this: the seat is free again


class Makers(Group):
    """Against one's own habit: a market whose makers come and go all day has a habit of that, and is not unusual.

    `quotes_pulled` is the share a of its quotes that every maker would have to have pulled to explain best what all of
    them have: least squares of pulled_i = usual_i a + stray_i, each weighed by how little it strays by itself. One that
    leaves is noise, for makers restart and lose lines; all of them thinning out together is not. So a maker's part ends
    at PART_MAX, and the largest part counts no more than the next one (docs/adr/0041). Not so where one maker is most
    of the book, or all of it.
    """

    STATE = np.dtype([("none", "u1")])
    FEATURES = (
        Feature("quotes_missing", "orders", "orders that the market's makers usually have resting and have not"),
        Feature("quotes_usual", "orders", "orders that the market's makers usually have resting"),
        Feature("quotes_pulled", "share", "share of their usual quotes that makers took back and did not replace"),
        Feature("quotes_weight", "", "how exactly quotes_pulled is known: 1 / its variance"),
        Feature("quotes_outward", "x", "sum of the makers' new quotes' distances, each over its maker's usual one"),
        Feature("quotes_placed", "per window", "new quotes of makers whose usual distance is known"),
        Feature("quotes_requoted", "per window", "quotes moved of which it is known how far out they were and are"),
        Feature(
            "quotes_leapt",
            "per window",
            "makers that moved one out by six times their usual distance and further than the price went, both sides",
        ),
    )

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """Nothing to count: makers are watched by features/quotes.py, and sampled as windows end (features/fold.py)."""

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read."""
        values = np.empty((len(self.FEATURES), markets))
        read_makers(tables.markets, tables.samples[slot], tables.outward[slot], values)
        return values.T


@kernel
def read_makers(markets: Any, samples: Any, outward: Any, values: Any) -> Any:
    """FEATURES of each market from its sample, SAMPLE (M), and outward float64 (M, 4), into values float64 (F, M)."""
    for m in range(values.shape[1]):
        sample = samples[m]
        if (markets[m]["has"] & _ACCOUNTS) == 0 or sample["quotes_usual"] <= 0.0:
            values[:, m] = np.nan
            continue
        values[0, m] = sample["quotes_missing"]
        values[1, m] = sample["quotes_usual"]
        values[2, m] = sample["quotes_pulled"]
        values[3, m] = sample["quotes_weight"]
        for k in range(outward.shape[1]):
            values[4 + k, m] = outward[m, k]


@inlined
def is_maker(maker: Any) -> Any:
    """Whose cancels are a maker's: it moves quotes, or has kept them for minutes and taken none back for good. A slow
    one's first sweep over all its quotes is no burst by a stranger. Who came minutes ago has to have moved quotes that
    had stood for a while: a burst whose orders live less moves none."""
    known = maker["samples"] >= KNOWN_SAMPLES
    if known and (maker["leaves"] == 0 or _comes_back(maker)):
        return True
    return requotes(maker) and (known or maker["stood"] >= MOVES_MIN)


@inlined
def _comes_back(maker: Any) -> Any:
    """It is hardly ever away, and moved quotes a few times for each time it went with all of them: one that restarts
    takes many quotes back for good at once, and was nobody's burst."""
    return maker["present"] >= THERE_MIN * maker["samples"] and moves_quotes(maker)


@kernel
def sample_makers(tables: Any, market: Any, slot: Any, end_ns: Any, learning: Any) -> Any:
    """Write quotes_missing, quotes_usual (orders), quotes_pulled (share) and quotes_weight to samples[slot, market].

    end_ns: of the window. Judged first, learned after; a maker that is known learns nothing while `learning` is False.
    """
    sample = tables.samples[slot, market]
    missing = 0.0
    usual = 0.0
    pulled = 0.0
    weight = 0.0
    largest = 0.0
    next_largest = 0.0
    makers = tables.makers[market]
    lots = 0.0
    for k in range(len(makers)):
        if makers[k]["participant"] >= 0:
            lots += makers[k]["usual_lots"]
    floor = np.inf
    late_ns = tables.markets[market]["late_ns"]
    for k in range(len(makers)):
        maker = makers[k]
        if maker["participant"] < 0:
            floor = 0.0
            continue
        place = tables.participants[maker["participant"]]
        count = float(place["bid_orders"] + place["ask_orders"])
        if maker["corrected"] != 0:
            _corrected(maker, count)
        short = max(0.0, maker["usual"] - count)
        most = not_resting(maker, count)
        maker["pulled"] = min(maker["pulled"], most)
        gone = min(float(min(not_replaced(maker, end_ns, late_ns), most)), maker["usual"])
        if maker["samples"] >= SETTLED_SAMPLES:
            maker["missing"] = short
            missing += short
            usual += maker["usual"]
        rough = maker["pulled_spread2"] + ROUGHNESS2
        steady = rough < (STEADY * maker["usual"]) * (STEADY * maker["usual"])
        steady = steady and maker["spread2"] < BY_CHANCE * maker["usual"]
        known = maker["samples"] >= KNOWN_SAMPLES and requotes(maker)
        if known and maker["usual"] >= USUAL_MIN and steady:
            own = maker["usual"] / (rough + (ROUGHNESS_SHARE * maker["usual"]) * (ROUGHNESS_SHARE * maker["usual"]))
            part = own * (gone - maker["pulled_usual"])
            if maker["usual_lots"] <= DOMINANT * lots:
                part = min(part, own * PART_MAX * np.sqrt(maker["usual"] / own))
                if part > largest:
                    next_largest = largest
                    largest = part
                elif part > next_largest:
                    next_largest = part
            pulled += part
            weight += own * maker["usual"]
        # a young one always learns, or a bad start would last
        if learning or maker["samples"] < KNOWN_SAMPLES:
            _learn(maker, count, float(place["bid_lots"] + place["ask_lots"]), gone)
            learn_renewing(maker, place, end_ns)
            passing = maker["samples"] == SETTLED_SAMPLES and maker["present"] < PRESENT_MIN * SETTLED_SAMPLES
            if passing or (maker["samples"] > SETTLED_SAMPLES and maker["usual"] < GONE_ORDERS and count == 0):
                place["seat"] = -1
                maker["participant"] = -1
                floor = 0.0
        floor = min(floor, held(maker))
    tables.markets[market]["seat_floor"] = floor
    _compare_outward(makers, lots)
    pulled -= largest - next_largest
    sample["quotes_missing"] = missing
    sample["quotes_usual"] = usual
    sample["quotes_pulled"] = pulled / weight if weight > 0.0 else np.nan
    sample["quotes_weight"] = weight if weight > 0.0 else np.nan


@inlined
def _compare_outward(makers: Any, lots: Any) -> None:
    """Tell every maker how far out the others place their quotes lately. Who is most of the book is held against
    nobody, and who has nothing resting tells nobody."""
    furthest = -1
    largest = 0.0
    next_largest = 0.0
    for k in range(len(makers)):
        if makers[k]["participant"] < 0 or makers[k]["count"] <= 0:
            continue
        if makers[k]["outward"] > largest:
            next_largest = largest
            largest = makers[k]["outward"]
            furthest = k
        elif makers[k]["outward"] > next_largest:
            next_largest = makers[k]["outward"]
    for k in range(len(makers)):
        if makers[k]["usual_lots"] > DOMINANT * lots:
            makers[k]["outward_others"] = np.inf
        else:
            makers[k]["outward_others"] = next_largest if k == furthest else largest


@inlined
def _corrected(maker: Any, count: Any) -> None:
    """What a snapshot took away was our mistake, not a withdrawal: its habit was counted from the same mistake."""
    maker["corrected"] = 0
    maker["usual"] = min(maker["usual"], count + maker["missing"])
    maker["count"] = np.int32(count)
    forget_taken(maker)
    maker["pulled"] = 0
    maker["filled"] = 0
    maker["spare"] = 0
    maker["lent"] = 0


@inlined
def _learn(maker: Any, count: Any, lots: Any, gone: Any) -> None:
    settled = maker["samples"] >= SETTLED_SAMPLES
    maker["samples"] += 1
    maker["present"] += 1 if 2.0 * count >= SEAT_ORDERS else 0
    share = 1.0 / maker["samples"]
    weight = LEARN_UP if settled else share
    if count < maker["usual"] and settled:
        weight = LEARN_DOWN
    maker["usual"] += weight * (count - maker["usual"])
    maker["usual_lots"] += weight * (lots - maker["usual_lots"])
    if settled:
        since = 1.0 / (maker["samples"] - SETTLED_SAMPLES)
        off = count - maker["mean"]
        most2 = STRAY_MAX * STRAY_MAX * (maker["spread2"] + ROUGHNESS2)
        maker["spread2"] += max(since, LEARN_SPREAD) * (min(off * off, most2) - maker["spread2"])
        maker["mean"] += max(since, LEARN_MEAN) * off
    else:
        maker["mean"] = count
    stray = gone - maker["pulled_usual"]
    most = STRAY_MAX * np.sqrt(maker["pulled_spread2"] + ROUGHNESS2)
    stray = min(most, max(-most, stray))
    maker["pulled_spread2"] += max(share, LEARN_SPREAD) * (stray * stray - maker["pulled_spread2"])
    maker["pulled_usual"] += max(share, LEARN_PULLED) * stray

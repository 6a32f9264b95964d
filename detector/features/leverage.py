"""Leverage: accounts raising and cutting it, how surprising the size at stake is, and how far it is raised."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, erfc, log, sqrt
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
LAW_MEMORY = 2000.0  # raises after which a market's law has half forgotten
LAW_PRIOR = 5.0  # the first raises of a market are held against this many imagined ones, wide apart
SIZE_SPREAD = 2.0  # of those: of ln(notional), about the first one ...
STEP_MEAN, STEP_SPREAD = 0.6, 0.4  # ... and of ln(new / old leverage)
SPREAD_MIN = 0.15  # of either: where all take the very same step, one that is a little longer is not improbable
TAIL_FROM, TAIL_SHARE, TAIL_EXCESS = 1.2816, 0.1, 0.4735  # spreads: a tenth of a normal law lies beyond, so far
TAIL_PRIOR = 100.0  # raises whose tail is a normal law's
TAIL_MAX = 2.0  # mean excesses: a size further out teaches no more than one this far
OUTLIER = 3.0  # spreads: a raise further out teaches no more than one this far (winsorised)
P_MIN = 1e-18
AGAIN_NS = 3_600_000_000_000  # within so long of its last raise an account that cuts and raises again raises nothing
HEIGHT_MAX = 65535.0  # hundredths
FAR_MAX = 4.0  # a raise weighs no more than so many ordinary ones, however far it goes: one account is no crowd
_LEVERAGE = int(Kind.LEVERAGE)
_HAS = int(HAS_LEVERAGE)

BINS = 8  # of leverage: below 2, 4, 8, ... 128 x, and above
LATELY_NS, DAY_NS = 300e9, 86400e9
SHRINK = 4.0  # changes that the usual distribution weighs against those of lately
FIRST_TIME_NS = 60_000_000_000
TAKEN = np.dtype(
    [
        ("at_ns", "<i8"),
        ("lately", "<f8", (BINS,)),  # decaying counts
        ("usual", "<f8", (BINS,)),
        ("shift", "<f8"),  # KL divergence of the one from the other
        ("changed", "<i8"),  # since `shift` was worked out
    ],
    align=True,
)
LAW = np.dtype([("count", "<f8"), ("mean", "<f8"), ("spread2", "<f8")], align=True)  # normal, of a logarithm
TAIL = np.dtype([("all", "<f8"), ("over", "<f8"), ("excess", "<f8")], align=True)  # decayed: raises, those beyond, sum
USUAL = np.dtype([("size", LAW), ("step", LAW), ("level", "<f8"), ("sizes", TAIL)], align=True)  # of a market's raises


class Leverage(Group):
    """Leverage-change events. A raise whose size is far above the market's usual adds its own surprise,
    max(0, -ln p(size) - 2): two whales weigh what a crowd weighs. How far leverage is raised, ln(new / old), has a law
    of its own, and a raise weighs -ln p(step) by it, 1 on average: a crowd in a hurry takes larger steps than anybody
    does who adjusts a position.

    An account raises as far as it goes beyond the highest it raised to lately: two strategies that share one and switch
    its leverage to and fro are no crowd (docs/adr/0044).

    Where `previous` is not said it is what the account had last; a first change of an unknown account counts as a raise
    when it is above the market's usual leverage.
    """

    COUNTS = True
    GROWS: ClassVar[Mapping[str, str]] = {"raises": "raises", "raised_far": "far"}
    STATE = np.dtype(
        [
            ("raises", "<f8"),
            ("cuts", "<f8"),
            ("surprise", "<f8"),
            ("far", "<f8"),
            ("notional", "<f8"),
            ("raisers", "<f8"),
            ("weight", "<f8"),
            ("change", "<f8"),
            ("level", "<f8"),
            ("above_20", "<f8"),
            ("above_50", "<f8"),
        ],
        align=True,
    )
    FEATURES = (
        Feature("raises", "per window", "accounts raising their leverage"),
        Feature("cuts", "per window", "accounts lowering their leverage"),
        Feature("raise_surprise", "nats", "how improbably large the positions of raising accounts are"),
        Feature("raised_far", "nats", "raises, each weighed by how improbably far it goes"),
        Feature("raised_notional", "quote", "position value of accounts that raised their leverage"),
        Feature("raisers", "accounts", "accounts that raise their leverage for the first time in 60 s"),
        Feature("changed_notional", "quote", "position value of accounts that changed their leverage"),
        Feature("leverage_change", "quote", "the same times the logarithm of new over old leverage"),
        Feature("leverage_level", "quote", "the same times the new leverage"),
        Feature("above_20x", "quote", "the same where the new leverage is 20 or more"),
        Feature("above_50x", "quote", "the same where the new leverage is 50 or more"),
        Feature("leverage_shift", "nats", "how far leverages taken lately differ from those of a day (KL divergence)"),
    )

    def __init__(self, ring: int) -> None:
        super().__init__(ring)
        self.usual: Any = np.zeros(16, USUAL)
        self.taken: Any = np.zeros(16, TAKEN)

    def make_room(self, markets: int) -> None:
        """See Group.make_room."""
        super().make_room(markets)
        if self.counts.shape[1] > len(self.usual):
            self.usual = widen(self.usual, 0, self.counts.shape[1])
            self.taken = widen(self.taken, 0, self.counts.shape[1])

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """See Group.fold; also learns each market's laws."""
        fold_leverage(tables.participants, self.usual, self.taken, self.counts, events, start, stop)

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read."""
        counts = self.counts[slot, :markets].view(np.float64).reshape(markets, len(self.FEATURES) - 1)
        values = np.empty((len(self.FEATURES), markets))
        read_leverage(tables.markets, self.taken, counts, values)
        return values.T

    def state(self) -> State:
        """See Group.state."""
        return {**super().state(), "usual": self.usual, "taken": self.taken}

    def restore(self, state: State) -> None:
        """See Group.restore."""
        super().restore(state)
        self.usual = _brought_up(np.array(state["usual"]))
        self.taken = np.array(state["taken"])


def _brought_up(usual: Any) -> Any:
    """USUAL of a checkpoint that may be of a version before `sizes`: their tail is not known."""
    if usual.dtype == USUAL:
        return usual
    known = np.zeros(usual.shape, USUAL)
    for name in usual.dtype.names:
        known[name] = usual[name]
    return known


@kernel
def read_leverage(markets: Any, taken: Any, counts: Any, values: Any) -> Any:
    """FEATURES of each market: counts float64 (M, F - 1), as they are, and its shift; into values float64 (F, M)."""
    for m in range(values.shape[1]):
        if taken[m]["changed"] != 0:
            taken[m]["shift"] = shift_of(taken[m])
            taken[m]["changed"] = 0
        told = (markets[m]["has"] & _HAS) != 0
        for f in range(counts.shape[1]):
            values[f, m] = counts[m, f] if told else np.nan
        values[counts.shape[1], m] = taken[m]["shift"] if told else np.nan


@kernel
def shift_of(taken: Any) -> Any:
    """KL divergence of what was taken lately from what was taken in a day; few changes are shrunk towards the day's."""
    lately = 0.0
    usual = 0.0
    for place in range(BINS):
        lately += taken["lately"][place]
        usual += taken["usual"][place] + 0.5
    shift = 0.0
    for place in range(BINS):
        q = (taken["usual"][place] + 0.5) / usual
        p = (taken["lately"][place] + SHRINK * q) / (lately + SHRINK)
        shift += p * log(p / q)
    return shift


@kernel
def stray(law: Any, value: Any, prior_mean: Any, prior_spread: Any) -> Any:
    """How many spreads above the mean of the law learned so far; then learn from it. prior_mean: NaN = as the first
    one."""
    count = law["count"]
    if count == 0.0:
        law["mean"] = value if np.isnan(prior_mean) else prior_mean
        law["spread2"] = prior_spread * prior_spread
    weight = count / (count + LAW_PRIOR)
    mean = law["mean"] if np.isnan(prior_mean) else weight * law["mean"] + (1.0 - weight) * prior_mean
    spread = max(SPREAD_MIN, sqrt(weight * law["spread2"] + (1.0 - weight) * prior_spread * prior_spread))
    z = (value - mean) / spread
    taught = min(OUTLIER, max(-OUTLIER, z))
    rate = 1.0 / min(count + 1.0, LAW_MEMORY)
    law["mean"] += rate * (mean + taught * spread - law["mean"])
    law["spread2"] += rate * (taught * taught * spread * spread - law["spread2"])
    law["count"] = min(count + 1.0, LAW_MEMORY)
    return z


@kernel
def unlikely(z: Any) -> Any:
    """-ln P(a standard normal is at least this), at most SURPRISE_MAX."""
    p = 0.5 * erfc(z / sqrt(2.0))
    return min(SURPRISE_MAX, -log(p)) if p > P_MIN else SURPRISE_MAX


@kernel
def unlikely_size(tail: Any, z: Any) -> Any:
    """The same of a size, whose law has a heavier tail wherever positions are of all sizes: exponential beyond
    TAIL_FROM, that is a power law of the size, its share and mean excess (Hill 1975) learned and shrunk to those of a
    normal law."""
    surprise = unlikely(z)
    share = (TAIL_SHARE * TAIL_PRIOR + tail["over"]) / (TAIL_PRIOR + tail["all"])
    excess = TAIL_SHARE * TAIL_PRIOR * TAIL_EXCESS + tail["excess"]
    excess /= TAIL_SHARE * TAIL_PRIOR + tail["over"]
    keep = 1.0 - 1.0 / LAW_MEMORY
    tail["all"] = keep * tail["all"] + 1.0
    tail["over"] *= keep
    tail["excess"] *= keep
    if z > TAIL_FROM:
        surprise = min(surprise, (z - TAIL_FROM) / excess - log(share))
        tail["over"] += 1.0
        tail["excess"] += min(TAIL_MAX * excess, z - TAIL_FROM) / (1.0 - np.exp(-TAIL_MAX))
    return surprise


@kernel
def note_taken(taken: Any, leverage: Any, event_ns: Any) -> Any:
    """One more leverage taken, into both decaying histograms."""
    gone_ns = max(0.0, float(event_ns - taken["at_ns"]))
    lately, usual = np.exp(-gone_ns / LATELY_NS), np.exp(-gone_ns / DAY_NS)
    for place in range(BINS):
        taken["lately"][place] *= lately
        taken["usual"][place] *= usual
    place = 0
    edge = 2.0
    while place < BINS - 1 and leverage >= edge:
        place += 1
        edge *= 2.0
    taken["lately"][place] += 1.0
    taken["usual"][place] += 1.0
    taken["at_ns"] = event_ns
    taken["changed"] = 1


@kernel
def note_raise(who: Any, event: Any, before: Any) -> Any:
    """An account raises its leverage from `before`: from which one on that counts, which is the highest it raised to
    lately if that is more."""
    now = event["leverage"]
    gone_ns = max(0.0, float(event["event_ns"] - who["raised_ns"]))
    height = 0.01 * who["raised_to"] if gone_ns < AGAIN_NS else 0.0
    first = max(before, height)
    weight = 0.0
    if now > first:
        weight = event["notional"] if event["notional"] > 0.0 else 1.0
    who["raised_recent"] = who["raised_recent"] * np.exp(-gone_ns / RECENT_NS) + weight
    who["raised_ns"] = event["event_ns"]
    if now > height:
        who["raised_to"] = np.uint16(min(HEIGHT_MAX, ceil(100.0 * now)))
    return first


@kernel
def fold_leverage(participants: Any, usual: Any, taken: Any, counts: Any, events: Any, start: Any, stop: Any) -> Any:
    """One loop over applied events; see Leverage."""
    for i in range(start, stop):
        event = events[i]
        if event["kind"] != _LEVERAGE or event["window"] == LATE or event["effect"] == STALE:
            continue
        now = event["leverage"]
        if not now > 0.0:
            continue
        mine = usual[event["market"]]
        before = event["previous"]
        if not before > 0.0:
            before = mine["level"] if mine["level"] > 0.0 else now
        count = counts[event["window"], event["market"]]
        note_taken(taken[event["market"]], now, event["event_ns"])
        if event["notional"] > 0.0:
            count["weight"] += event["notional"]
            count["change"] += event["notional"] * log(now / before)
            count["level"] += event["notional"] * now
            count["above_20"] += event["notional"] if now >= 20.0 else 0.0
            count["above_50"] += event["notional"] if now >= 50.0 else 0.0
        if now > before:
            if event["participant"] >= 0:
                who = participants[event["participant"]]
                first = event["event_ns"] - who["raised_ns"] >= FIRST_TIME_NS
                before = note_raise(who, event, before)
                count["raisers"] += 1.0 if first and now > before else 0.0
            if now > before:
                count["raises"] += 1.0
                count["far"] += min(FAR_MAX, unlikely(stray(mine["step"], log(now / before), STEP_MEAN, STEP_SPREAD)))
                if event["notional"] > 0.0:
                    count["notional"] += event["notional"]
                    size = stray(mine["size"], log(event["notional"]), np.nan, SIZE_SPREAD)
                    count["surprise"] += max(0.0, unlikely_size(mine["sizes"], size) - SURPRISE_FREE)
        elif now < before:
            count["cuts"] += 1.0
        mine["level"] = now if mine["level"] <= 0.0 else mine["level"] + 0.01 * (now - mine["level"])

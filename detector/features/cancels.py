"""Cancels: how many, how young the orders were, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detector.features.base import Group
from detector.features.ledger import CANCELLED, LATE, PLACED
from detector.features.scale import worth
from detector.features.tables import HAS_ACCOUNTS, HAS_ORDERS, Tables
from detector.features.venue import by_venue
from detector.kernels import inlined, kernel
from detector.model.arrays import widen
from detector.model.events import Flag, Kind
from detector.model.state import State
from detector.model.windows import Feature

FLEETING_NS = 50_000_000
YOUNG_NS = 1_000_000_000
FIRST_TIME_NS = 10_000_000_000  # an account that has not cancelled for this long cancels for the first time
RELAID_NS = 250_000_000  # an order that had stood, taken back and laid anew so soon, was moved, whoever does it
SWEEP_FROM = 2  # an account that takes back more than so many at once may be about to lay them anew
AT_NS, AT_MAX = 1 << 24, 1 << 16  # instants of orders that replace none yet: their unit, and how many are told apart
AGAIN = 2  # times such an order may be moved once more at once
TAKEN_MAX = 255  # of those an account took back just now: more are strangers' cancels
REPLACED_NS = 100_000_000  # an order so soon after a cancel replaces it
PEAK_NS = 100_000_000
NEAR_BPS = 10.0
LIFE_STEP = 1.05  # the running median moves by this factor towards each new life
RECENT_NS = 10e9  # decay of an account's own count, for naming contributors
_CANCEL, _TRADE, _AFTER_GAP = int(Kind.CANCEL), int(Kind.TRADE), int(Flag.AFTER_GAP)
_ORDERS, _ACCOUNTS = int(HAS_ORDERS), int(HAS_ACCOUNTS)
_BY_MAKER, _MOVED, _SNAPSHOT = int(Flag.BY_MAKER), int(Flag.MOVED), int(Flag.SNAPSHOT)
# the market's last cancel, and the span before the last gap or snapshot in which cancels may have been missed
BLIND = np.dtype(
    [("cancel_ns", "<i8"), ("from_ns", "<i8"), ("to_ns", "<i8"), ("life_ns", "<f8")],  # running median, 0 = none yet
    align=True,
)
# a market's cancels in steps of PEAK_NS: when a burst began
BLOCKS, BLOCK_MAX = 64, 65535
BEGUN = np.dtype([("block", "<i8"), ("counts", "<u2", (BLOCKS,))], align=True)  # the newest, and a ring of counts


class Cancels(Group):
    """Quantity taken off the book without a trade. On feeds without order ids: level decreases that no trade explains.
    Whether an account cancels for the first time in a while is counted without the time in which nothing was heard.

    Wrong when a feed hides trades: then every fill looks like a cancel.
    """

    COUNTS = True
    GROWS: ClassVar[Mapping[str, str]] = {
        "cancels": "cancels",
        "fleeting_cancels": "fleeting",
        "young_cancels": "young",
        "new_cancellers": "new_cancellers",
        "cancels_by_others": "others",
    }
    STATE = np.dtype(
        [
            ("cancels", "<f8"),
            ("fleeting", "<f8"),
            ("new_cancellers", "<f8"),
            ("notional", "<f8"),
            ("near", "<f8"),
            ("bids", "<f8"),
            ("replaced", "<f8"),
            ("peak", "<f8"),
            ("run", "<f8"),  # cancels since run_ns, for `peak`
            ("run_ns", "<i8"),
            ("young", "<f8"),
            ("others", "<f8"),
            ("unsettled", "<f8"),
            ("relaid", "<f8"),
            ("moved", "<f8"),
        ],
        align=True,
    )
    FEATURES = (
        Feature("cancels", "per window", "orders taken back without a trade"),
        Feature("fleeting_cancels", "per window", "orders taken back within 50 ms of being placed"),
        Feature("new_cancellers", "accounts", "accounts that cancel after 10 s or more without a cancel"),
        Feature("cancelled_notional", "quote", "value of what was taken back"),
        Feature("cancelled_near", "quote", "value of what was taken back within 10 bps of the mid"),
        Feature("cancelled_bids", "per window", "orders taken back from the bid side"),
        Feature("replaced", "per window", "orders placed within 100 ms of the same account's cancel on the same side"),
        Feature("cancel_peak", "per 100 ms", "most orders taken back within 100 ms"),
        Feature("cancel_life", "s", "how long orders taken back had rested, median of the last hundred or so"),
        Feature("cancels_by_others", "per window", "orders taken back by accounts that are none of the makers"),
        Feature("young_cancels", "per window", "orders taken back within a second of being placed"),
        Feature(
            "cancels_unsettled",
            "per window",
            "cancels by others as the window ends, of orders that may yet be laid anew: they count in the next one",
        ),
        Feature(
            "cancels_relaid", "per window", "orders laid anew in the place of those taken back in the window before"
        ),
        Feature(
            "cancels_moved", "per window", "orders taken back and laid anew, by accounts that are none of the makers"
        ),
    )

    def __init__(self, ring: int) -> None:
        super().__init__(ring)
        self.blind: Any = np.zeros(16, BLIND)
        self.begun: Any = np.zeros(16, BEGUN)

    def make_room(self, markets: int) -> None:
        """See Group.make_room."""
        super().make_room(markets)
        self.blind = widen(self.blind, 0, self.counts.shape[1])
        self.begun = widen(self.begun, 0, self.counts.shape[1])

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """See Group.fold; also keeps each account's recent cancels."""
        width_ns = tables.span[1]
        fold_cancels(tables.participants, self.blind, self.begun, self.counts, events, start, stop, width_ns)

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read."""
        values = np.empty((len(self.FEATURES), markets))
        read_cancels(tables.markets, self.blind, self.counts[slot], values)
        return values.T

    def state(self) -> State:
        """See Group.state."""
        return {**super().state(), "blind": self.blind, "begun": self.begun}

    def restore(self, state: State) -> None:
        """See Group.restore."""
        super().restore(state)
        self.blind = np.array(state["blind"])
        self.begun = np.array(state["begun"]) if "begun" in state else np.zeros(len(self.blind), BEGUN)


@inlined
def _note_block(ring: Any, block: Any) -> None:
    """One more in its block; what lies a whole ring back is forgotten. A step back in time begins anew."""
    newest = ring["block"]
    if block > newest or block <= newest - BLOCKS:
        first = newest + 1 if newest < block <= newest + BLOCKS else block - BLOCKS + 1
        for passed in range(first, block + 1):
            ring["counts"][passed % BLOCKS] = 0
        ring["block"] = block
    if ring["counts"][block % BLOCKS] < BLOCK_MAX:
        ring["counts"][block % BLOCKS] += 1


@inlined
def _unsettled(event_ns: Any, width_ns: Any) -> Any:
    """So near the end of its window that an order may yet be laid anew in the next one."""
    return event_ns % width_ns >= width_ns - RELAID_NS


@inlined
def _may_move(who: Any, age_ns: Any) -> Any:
    """What was taken back may be laid anew: an order that had stood, or one laid in its place a moment ago, AGAIN times
    for each. Who moves many quotes at once moves some of them twice; who goes on and on bursts."""
    if who["taken"] >= TAKEN_MAX:
        return False
    if age_ns > YOUNG_NS:
        who["again"] = min(who["again"] + AGAIN, TAKEN_MAX)
    elif who["again"] > 0:
        who["again"] -= 1
    else:
        return False
    who["taken"] += 1
    return True


@inlined
def _spare_since(who: Any, event_ns: Any) -> Any:
    """Units of AT_NS since its last spare order; negative where that comes early. What is AT_MAX of them older than it
    is looks new: eighteen minutes, to the quarter of a second."""
    since = (event_ns // AT_NS - np.int64(who["spare_at"])) % AT_MAX
    return since if since < AT_MAX // 2 else since - AT_MAX


@inlined
def _note_spare(who: Any, event_ns: Any) -> None:
    """An order that replaces none: the one it replaces may be taken back a moment later."""
    if abs(_spare_since(who, event_ns)) * AT_NS > RELAID_NS:
        who["spare"] = 0
    who["spare"] = min(who["spare"] + 1, TAKEN_MAX)
    who["spare_at"] = (event_ns // AT_NS) % AT_MAX


@inlined
def _replaced(who: Any, event: Any) -> Any:
    """What was taken back had stood, and the order in its place was laid a moment before."""
    if event["age_ns"] <= YOUNG_NS or who["spare"] == 0:
        return False
    if abs(_spare_since(who, event["event_ns"])) * AT_NS > RELAID_NS:
        return False
    who["spare"] -= 1
    return True


@kernel
def read_cancels(markets: Any, blind: Any, counts: Any, values: Any) -> Any:
    """FEATURES of each market, written to values float64 (F, M)."""
    for m in range(values.shape[1]):
        count = counts[m]
        orders = (markets[m]["has"] & _ORDERS) != 0
        accounts = (markets[m]["has"] & _ACCOUNTS) != 0
        values[0, m] = max(0.0, count["cancels"])
        values[1, m] = count["fleeting"] if orders else np.nan
        values[2, m] = count["new_cancellers"] if accounts else np.nan
        values[3, m] = count["notional"]
        values[4, m] = count["near"]
        values[5, m] = count["bids"]
        values[6, m] = count["replaced"] if accounts else np.nan
        values[7, m] = count["peak"]
        values[8, m] = blind[m]["life_ns"] / 1e9 if blind[m]["life_ns"] > 0.0 else np.nan
        values[9, m] = count["others"] if accounts else np.nan
        values[10, m] = count["young"] if orders else np.nan
        values[11, m] = count["unsettled"] if accounts else np.nan
        values[12, m] = count["relaid"] if accounts else np.nan
        values[13, m] = count["moved"] if accounts else np.nan


@kernel
def fold_cancels(
    participants: Any, blind: Any, begun: Any, counts: Any, events: Any, start: Any, stop: Any, width_ns: Any
) -> Any:
    """One loop over applied events; see Cancels."""
    for i in range(start, stop):
        event = events[i]
        if event["window"] == LATE:
            continue
        unseen = blind[event["market"]]
        if (event["flags"] & _AFTER_GAP) != 0:
            unseen["from_ns"] = unseen["cancel_ns"]
            unseen["to_ns"] = event["event_ns"]
        count = counts[event["window"], event["market"]]
        if event["kind"] == _TRADE and event["code"] == 1:
            count["cancels"] -= 1.0  # the level decrease just before was this trade after all
            continue
        if event["effect"] == PLACED and event["participant"] >= 0:
            who = participants[event["participant"]]
            since_ns = event["event_ns"] - who["cancel_ns"]
            told = (event["flags"] & (_SNAPSHOT | _BY_MAKER)) == 0
            laid = abs(since_ns) <= RELAID_NS and told  # an earlier one comes late
            here = who["cancel_ns"] // width_ns == event["event_ns"] // width_ns
            moved = (laid and here) or (event["flags"] & _MOVED) != 0
            if moved and who["taken"] > 0:  # the cancel just before was half of a move after all
                if count["unsettled"] > 0.0 and _unsettled(who["cancel_ns"], width_ns):
                    count["unsettled"] -= 1.0
                else:
                    count["others"] -= 1.0
                count["moved"] += 1.0
                who["taken"] -= 1
            elif told:
                if laid and event["event_ns"] % width_ns < RELAID_NS:
                    count["relaid"] += 1.0  # of a cancel that the window before cut off, if it did
                _note_spare(who, event["event_ns"])
            if 0 <= since_ns <= REPLACED_NS and who["cancel_side"] == event["side"]:
                count["replaced"] += 1.0
            continue
        if event["effect"] != CANCELLED:
            continue
        unseen["cancel_ns"] = event["event_ns"]
        count["cancels"] += 1.0
        _note_block(begun[event["market"]], event["event_ns"] // PEAK_NS)
        notional = worth(event, event["moved_lots"])
        count["notional"] += notional
        if event["distance_bps"] <= NEAR_BPS:  # NaN is not
            count["near"] += notional
        if event["side"] > 0:
            count["bids"] += 1.0
        if event["event_ns"] - count["run_ns"] >= PEAK_NS:
            count["run_ns"] = event["event_ns"]
            count["run"] = 0.0
        count["run"] += 1.0
        count["peak"] = max(count["peak"], count["run"])
        if event["kind"] == _CANCEL:  # a level says nothing of how long its orders had rested
            age_ns = float(event["age_ns"])
            if age_ns < YOUNG_NS:
                count["young"] += 1.0
                if age_ns < FLEETING_NS:
                    count["fleeting"] += 1.0
            life_ns = unseen["life_ns"]
            if life_ns <= 0.0:
                unseen["life_ns"] = max(1.0, age_ns)
            else:
                unseen["life_ns"] = life_ns * LIFE_STEP if age_ns > life_ns else max(1.0, life_ns / LIFE_STEP)
        if event["participant"] < 0 or by_venue(event):  # what nobody decided on is nobody's burst
            continue
        who = participants[event["participant"]]
        quiet_ns = event["event_ns"] - who["cancel_ns"]
        if (event["flags"] & (_BY_MAKER | _MOVED)) == 0:
            if quiet_ns > RELAID_NS or who["cancel_ns"] // width_ns != event["event_ns"] // width_ns:
                who["taken"] = 0  # what a window cuts in two is counted in each
                who["again"] = 0
            moved = _may_move(who, event["age_ns"])
            if moved and _replaced(who, event):
                count["moved"] += 1.0
                who["taken"] -= 1
            elif moved and who["taken"] > SWEEP_FROM and _unsettled(event["event_ns"], width_ns):
                count["unsettled"] += 1.0
            else:
                count["others"] += 1.0
        if quiet_ns >= FIRST_TIME_NS:
            if unseen["to_ns"] > who["cancel_ns"]:  # it may have cancelled while nothing was heard
                later = who["cancel_ns"] > unseen["from_ns"]
                quiet_ns -= unseen["to_ns"] - (who["cancel_ns"] if later else unseen["from_ns"])
            if quiet_ns >= FIRST_TIME_NS:
                count["new_cancellers"] += 1.0
        who["cancel_ns"] = max(who["cancel_ns"], event["event_ns"])
        who["cancel_side"] = event["side"]
        gone_ns = max(0.0, float(event["event_ns"] - who["cancels_ns"]))
        who["cancels_recent"] = who["cancels_recent"] * np.exp(-gone_ns / RECENT_NS) + 1.0
        who["cancels_ns"] = event["event_ns"]

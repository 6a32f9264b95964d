"""Accounts: how many act, and how much of it is one of them. The activity that every count is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.features.base import Group
from detector.features.ledger import CANCELLED, LATE, STALE
from detector.features.tables import HAS_ACCOUNTS, Tables
from detector.kernels import kernel
from detector.kernels.participants import acts
from detector.model.events import Flag
from detector.model.windows import Feature

_SNAPSHOT = int(Flag.SNAPSHOT)
_ACCOUNTS = int(HAS_ACCOUNTS)


class Accounts(Group):
    """Distinct accounts that acted (who only was filled did not), the largest account's share of the cancels, and the
    largest maker's share of what the makers have resting.

    One account can inflate counts of orders and cancels; it cannot inflate the count of accounts.
    """

    COUNTS = True
    STATE = np.dtype([("accounts", "<f8"), ("cancels", "<f8"), ("most_cancels", "<f8"), ("squares", "<f8")], align=True)
    FEATURES = (
        Feature("acting_accounts", "accounts", "distinct accounts that did something"),
        Feature("top_canceller", "share", "share of the cancels that the account with most of them made"),
        Feature("canceller_concentration", "share", "how much of the cancels few accounts made (HHI)"),
        Feature("top_maker", "share", "share of the makers' resting quantity that the largest of them holds"),
    )

    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """See Group.fold; also notes in which windows each account acted."""
        fold_accounts(tables.participants, tables.span, self.counts, events, start, stop)

    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """See Group.read. The makers' shares are as of the closing, up to `lateness` after the window's end."""
        values = np.full((markets, len(self.FEATURES)), np.nan)
        read_accounts(tables.markets, tables.participants, tables.makers, self.counts[slot], values)
        return values


@kernel
def read_accounts(markets: Any, participants: Any, makers: Any, counts: Any, values: Any) -> Any:
    """FEATURES of each market into values float64 (M, F), which is NaN before."""
    for m in range(len(values)):
        if (markets[m]["has"] & _ACCOUNTS) != 0:
            count = counts[m]
            values[m, 0] = count["accounts"]
            if count["cancels"] > 0.0:
                values[m, 1] = count["most_cancels"] / count["cancels"]
                values[m, 2] = count["squares"] / (count["cancels"] * count["cancels"])
        total = 0.0
        most = 0.0
        for k in range(makers.shape[1]):
            seated = makers[m, k]["participant"]
            if seated >= 0:
                lots = float(participants[seated]["bid_lots"] + participants[seated]["ask_lots"])
                total += lots
                most = max(most, lots)
        if total > 0.0:
            values[m, 3] = most / total


@kernel
def fold_accounts(participants: Any, span: Any, counts: Any, events: Any, start: Any, stop: Any) -> Any:
    """One loop over applied events; see Accounts."""
    for i in range(start, stop):
        event = events[i]
        if event["participant"] < 0 or event["window"] == LATE or event["effect"] == STALE:
            continue
        if (event["flags"] & _SNAPSHOT) != 0:
            continue
        window = event["event_ns"] // span[1]
        count = counts[event["window"], event["market"]]
        if acts(participants, event["participant"], window):
            count["accounts"] += 1.0
        if event["effect"] == CANCELLED:
            who = participants[event["participant"]]
            if who["counted_window"] != np.uint32(window):
                who["counted_window"] = np.uint32(window)
                who["counted_cancels"] = 0
            who["counted_cancels"] += 1
            count["cancels"] += 1.0
            count["squares"] += 2.0 * float(who["counted_cancels"]) - 1.0
            count["most_cancels"] = max(count["most_cancels"], float(who["counted_cancels"]))

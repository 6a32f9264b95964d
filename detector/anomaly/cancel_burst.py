"""Cancel burst: quotes are pulled faster than what goes on explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from detector.anomaly.baseline import Measure
from detector.anomaly.clock import CLOCK, EXTRA, Clock, Extra, untold
from detector.anomaly.streams import Column, Stream, StreamDetector
from detector.kernels import kernel
from detector.model.arrays import widen
from detector.model.score import Score
from detector.model.state import State
from detector.model.windows import Windows

NET = 0.005  # part of the budget: makers re-quoting in a rush cancel a lot, and seldom does it matter (docs/adr/0020)
ACCOUNTS_PER_TRADE = 8.0  # per window; benign rushes of the simulated exchange stay below it
BEARING_WINDOWS = 30.0  # trades come in clumps: a moment without any does not make a busy market a hollow one
BRISK_WINDOWS, USUAL_WINDOWS = 5.0, 7200.0  # trading now, against what a market is used to
BRISK_FROM = 1.0 / 3.0  # trades a window that both have on top: one trade in a market that hardly has any is no rush
ORDERS, BRISK = (
    "cancels_relaid",
    "cancels_unsettled",
)  # columns that feeds which name nobody have not: a place for others
TRADING = np.dtype(
    [
        ("told", "?"),  # this feed tells of trades
        ("bearing", "<f8"),  # trades a window, fading within BEARING_WINDOWS ...
        ("now", "<f8"),  # ... and BRISK_WINDOWS
        ("usual", "<f8"),  # their mean where there was something to learn ...
        ("seen", "<f8"),  # ... over so many windows, at most USUAL_WINDOWS
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Params:
    """Scales in windows (1 s by default)."""

    burst_windows: int = 10  # bursts are summed over this long
    sudden_windows: int = 3  # the same of those who are no makers, whose bursts stand out sooner
    unnamed_windows: int = 2  # the same on feeds that name no accounts
    fleeting_windows: int = 5  # and there, of orders that hardly rested
    memory_windows: int = 7200  # what is normal half forgets in this long


class CancelBurst(StreamDetector):
    """Cancels by accounts that are no makers, and with a small part of the budget all cancels, against the accounts
    acting now: news brings cancels and accounts, a burst brings cancels.

    Accounts count as far as trading bears them out: hundreds that place and pull together and hardly trade are no busy
    market. On a feed that has never told of a trade all of them count. Where robots act as a minute ends, accounts
    count for more in those seconds (anomaly/clock.py, docs/adr/0047).

    A feed that names nobody does not tell makers from others. Where it tells orders by id, how long they rested does: a
    maker's quotes stand for seconds, the orders of a burst do not; cancels of young ones are held against the orders
    placed (docs/adr/0038) and how brisk trading is, and so are all cancels; net of what is placed, cancels are held
    against the orders alone (docs/adr/0040).

    Wrong when a feed tells price levels alone, and not of trades: then cancels are held against their own recent past,
    and a busy second looks like a burst.
    """

    Params = Params
    BEHIND = "cancels"
    SHARE = 1.0
    GROWS = ("cancels", "cancels_by_others")
    PEAK_PRIOR = (1.72, 1.97)
    PEAK_PRIOR_UNNAMED = (2.2, 2.6)

    def __init__(self, params: Any, budgets: npt.NDArray[np.float64]) -> None:
        super().__init__(params, budgets)
        self._trading: Any = np.zeros(0, TRADING)  # (room)
        self._clock = Clock()
        self._extra = Extra()
        self._unsettled = np.zeros(0)  # (room), of the window before

    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        """See Detector.score."""
        trades, accounts = windows.column("trades"), windows.column("acting_accounts")
        self._trading = widen(self._trading, 0, len(trades))
        brisk = np.empty(len(trades))
        note_trades(trades, learn, self._trading, brisk)
        factors = self._clock.factors(windows.close_ns, windows.width_ns, len(trades))
        active = self._borne_out(accounts, trades, factors)
        late = self._late(windows)
        others = windows.column("cancels_by_others") + late
        self._clock.learn(windows.close_ns, windows.width_ns, others, active, learn)
        silent = untold(windows.close_ns, windows.width_ns, self._trading["seen"][: len(trades)])
        unnamed = np.isnan(accounts)
        if np.count_nonzero(unnamed):  # where they are named no stream reads these
            windows = self._unnamed_extra(windows.with_column("trades", brisk), learn)
        cancels = np.where(unnamed, np.where(silent, np.nan, windows.column("cancels")), self._for_good(windows, late))
        others = np.where(silent, np.nan, others)
        windows = windows.with_column("cancels", cancels).with_column("cancels_by_others", others)
        return super().score(windows.with_column("acting_accounts", active * factors), learn, before)

    def _unnamed_extra(self, windows: Windows, learn: npt.NDArray[np.bool_]) -> Windows:
        """Feeds that name nobody: orders, and how brisk trading is (in the place of trades), each with as much more as
        robots' cancels account for in that second of the minute, in the places of columns that such feeds have not."""
        cancels, orders = windows.column("cancels"), windows.column("orders")
        more = self._extra.counts(windows.close_ns, windows.width_ns, len(orders))
        unnamed = np.where(np.isnan(windows.column("acting_accounts")), cancels, np.nan)
        self._extra.learn(windows.close_ns, windows.width_ns, unnamed, orders, learn)
        return windows.with_column(ORDERS, orders + more[0]).with_column(BRISK, windows.column("trades") + more[1])

    def _late(self, windows: Windows) -> Column:
        """Cancels by others that the window before held back: what was taken back as it ended is one of this window's,
        less what was laid anew since."""
        before = self._unsettled = widen(self._unsettled, 0, len(windows.values))
        late: Column = np.maximum(before[: len(windows.values)] - windows.column("cancels_relaid"), 0.0)
        before[: len(late)] = np.nan_to_num(windows.column("cancels_unsettled"))
        return late

    def _for_good(self, windows: Windows, late: Column) -> Column:
        """All cancels but for moves of accounts that are no makers: grids that are laid anew are no rush."""
        return windows.column("cancels") - windows.column("cancels_moved") - windows.column("cancels_unsettled") + late

    def _borne_out(self, accounts: Column, trades: Column, factors: Column) -> Column:
        """Acting accounts, as far as trading bears them out, or that second of the minute."""
        known = slice(0, len(trades))
        bearing = factors * ACCOUNTS_PER_TRADE * (np.maximum(trades, self._trading["bearing"][known]) + 1.0)
        return np.minimum(accounts, np.where(self._trading["told"][known], bearing, np.inf))

    def part(self, rows: npt.NDArray[np.int64]) -> Self:
        """See StreamDetector.part."""
        twin = super().part(rows)
        twin._trading = self._trading[rows]
        twin._clock = Clock()
        twin._clock.known = self._clock.known[rows]
        twin._extra = Extra()
        twin._extra.known = widen(self._extra.known, 0, len(self._trading))[rows]
        twin._unsettled = self._unsettled[rows]
        return twin

    def foreseen(self, windows: Windows, passed: float) -> Windows:
        """See StreamDetector.foreseen. The trades that would bear the accounts out may be still to come; and what had
        stood and was taken back may yet be laid anew (docs/adr/0046), so that only what had not counts."""
        trades = windows.column("trades")
        factors = self._clock.factors(windows.close_ns, windows.width_ns, len(trades))
        borne_out = self._borne_out(windows.column("acting_accounts"), trades, factors)
        seen = super().foreseen(windows.with_column("acting_accounts", borne_out), passed)
        bearing = np.maximum(trades, seen.column("acting_accounts") / ACCOUNTS_PER_TRADE)
        cancels, others = windows.column("cancels"), windows.column("cancels_by_others")
        open_ = np.minimum(others, cancels - windows.column("young_cancels"))
        told = seen.with_column("trades", np.where(self._trading["told"], bearing, trades))
        return told.with_column("cancels_by_others", others - open_).with_column("cancels", cancels - open_)

    def state(self) -> State:
        """See Detector.state."""
        clocks = {"clock": self._clock.known, "extra": self._extra.known}
        return {**super().state(), "trading": self._trading, "unsettled": self._unsettled, **clocks}

    def restore(self, state: State) -> None:
        """See Detector.restore. An older version knew of trades what bears accounts out; the usual is learned anew."""
        super().restore(state)
        self._clock.known = np.array(state["clock"]) if "clock" in state else np.zeros(0, CLOCK)
        self._extra.known = np.array(state["extra"]) if "extra" in state else np.zeros(0, EXTRA)
        self._unsettled = np.array(state.get("unsettled", np.zeros(0)))
        if "trades" not in state:
            self._trading = np.array(state["trading"])
            return
        told = np.array(state["trades"], np.bool_)
        self._trading = np.zeros(len(told), TRADING)
        self._trading["told"], self._trading["bearing"] = told, np.array(state.get("trading", np.zeros(len(told))))

    @staticmethod
    def make(params: Any) -> tuple[Stream, ...]:
        """See StreamDetector.make."""
        ten, memory = float(params.burst_windows), float(params.memory_windows)
        return (
            Stream(
                "cancels", "1/s", "orders taken back for good, or moved by makers", _named("cancels"), _accounts,
                Measure(ten, 0.0, 1.0, 60.0, 60.0, 0.15, memory, 1.0, excess=0.8), NET,
            ),
            Stream(
                "cancels_by_others", "1/s", "orders taken back by accounts that are none of the market's makers",
                _column("cancels_by_others"), _accounts,
                Measure(float(params.sudden_windows), 0.0, 1.0, 12.0, 60.0, 0.15, memory, 1.0),
            ),
            Stream(
                "cancels_unnamed", "1/s", "orders or levels taken back without a trade, on a feed that names nobody",
                _unnamed("cancels"), _brisk_robots,
                Measure(float(params.unnamed_windows), 0.0, 1.0, 100.0, 2.0, 0.5, memory, 1.0),
            ),
            Stream(
                "cancels_net", "1/s", "levels taken back against levels that grew, on a feed that names nobody",
                _unnamed("cancels"), _orders,
                Measure(float(params.unnamed_windows), 0.0, 1.0, 50.0, 50.0, 0.04, memory, 1.0),
            ),
            Stream(
                "fleeting_cancels_unnamed", "1/s", "orders taken back within 50 ms, on a feed that names nobody",
                _unnamed("fleeting_cancels"), _brisk_orders,
                Measure(float(params.fleeting_windows), 0.0, 1.0, 5.0, 50.0, 0.1, memory, 1.0),
            ),
            Stream(
                "young_cancels_unnamed", "1/s", "orders taken back within a second, on a feed that names nobody",
                _unnamed("young_cancels"), _brisk_orders,
                Measure(float(params.sudden_windows), 0.0, 1.0, 10.0, 50.0, 0.02, memory, 1.0),
            ),
        )  # fmt: skip


def _accounts(windows: Windows) -> Column:
    return windows.column("acting_accounts")


def _orders(windows: Windows) -> Column:
    """Orders placed, and as many more as robots account for: `score` puts it in this place."""
    return windows.column(ORDERS)


def _brisk_robots(windows: Windows) -> Column:
    """How brisk trading is, and as much more as robots account for."""
    return windows.column(BRISK)


def _brisk_orders(windows: Windows) -> Column:
    """Orders placed, times how brisk trading is."""
    return windows.column("orders") * _brisk(windows)


def _brisk(windows: Windows) -> Column:
    """How brisk trading is, 1 = as usual: where nobody is named `score` puts it in this place."""
    return windows.column("trades")


def _column(name: str) -> Any:
    return lambda windows: windows.column(name)


def _named(name: str) -> Any:
    """The column where the feed names accounts."""
    return lambda windows: np.where(np.isnan(windows.column("acting_accounts")), np.nan, windows.column(name))


def _unnamed(name: str) -> Any:
    """The column where the feed names no accounts."""
    return lambda windows: np.where(np.isnan(windows.column("acting_accounts")), windows.column(name), np.nan)


@kernel
def note_trades(trades: Any, learn: Any, trading: Any, brisk: Any) -> Any:
    """A window's trades, float64 (M), NaN = cannot say, into TRADING (room). brisk float64 (M), written: the square
    root of how many times the usual is traded, at least 1."""
    for m in range(len(trades)):
        known = trading[m]
        if trades[m] > 0.0:
            known["told"] = True
        fresh = 0.0 if np.isnan(trades[m]) else trades[m]
        known["bearing"] += (fresh - known["bearing"]) / BEARING_WINDOWS
        known["now"] += (fresh - known["now"]) / BRISK_WINDOWS
        if learn[m]:
            known["seen"] = min(known["seen"] + 1.0, USUAL_WINDOWS)
            known["usual"] += (fresh - known["usual"]) / known["seen"]
        # a rush begins with a window, and its mean follows
        now = max(known["now"], 0.5 * fresh)
        brisk[m] = sqrt(max(1.0, (now + BRISK_FROM) / (known["usual"] + BRISK_FROM)))

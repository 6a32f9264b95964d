"""Circumstances: what else was unusual when an incident was told. Evidence without a share: nobody is paged by it.

Most features of a market page nobody (detection.md 3.4), but tell a person what kind of burst it is: how long the
orders lived, whether one account or hundreds, how near the touch, what it does to the book. Each is held against the
market's own slow mean and deviation; ratios have a pseudo-count of its own typical count, so that small ones are calm.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, isnan, sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detector.kernels import kernel
from detector.model.arrays import widen
from detector.model.incident import Circumstance
from detector.model.state import State
from detector.model.windows import Windows

EVERY_WINDOWS = 10  # neighbouring windows say nearly the same
NOTES_MIN = 30.0  # five minutes, before anything is called unusual
NOTES_MEMORY = 1440.0  # four hours
WINSOR = 4.0  # deviations: what is further out teaches no more
STANDS_OUT = 4.0
DEVIATION_MIN = 0.05  # on the scale that is compared: a steady market is not unusual for a twentieth
BURST, CALM, SLOW = 10.0, 60.0, 300.0  # windows that sums fade with
EATEN = 0.2  # of the depth within 10 bps, taken in one window: how it comes back is watched
BACK_WINDOWS = 5
BACK_MEMORY = 20.0  # such trades

Column = npt.NDArray[np.float64]
Track = tuple[str, float]


class Look(NamedTuple):
    """Decaying means (M) of columns, now and usually; what follows a market from window to window."""

    now: dict[Track, Column]
    usual: dict[Track, Column]
    market: Any  # MARKET (M)


class Aspect(NamedTuple):
    """One number that may stand out. link: on what scale: "log", "count" (root), "share" (arcsine) or "plain"."""

    name: str
    unit: str
    meaning: str
    link: str
    value: Callable[[Look], Column]


def ratio(top: str, bottom: str, windows: float) -> Callable[[Look], Column]:
    """(top + usual top) / (bottom + usual bottom): a typical count of the market's own is added to what is seen."""

    def value(look: Look) -> Column:
        above, below = (top, windows), (bottom, windows)
        return (look.now[above] + look.usual[above]) / (look.now[below] + look.usual[below])

    value.tracks = ((top, windows), (bottom, windows))  # type: ignore[attr-defined]
    return value


def direct(column: str, windows: float = 1.0, *, per: float = 1.0) -> Callable[[Look], Column]:
    """A decaying mean as it is, times `per`."""

    def value(look: Look) -> Column:
        return look.now[column, windows] * per

    value.tracks = ((column, windows),)  # type: ignore[attr-defined]
    return value


def _growth(look: Look) -> Column:
    change, weight = ("leverage_change", SLOW), ("changed_notional", SLOW)
    return np.exp((look.now[change] + look.usual[change]) / (look.now[weight] + look.usual[weight]))


def _net(look: Look) -> Column:
    raises, cuts = ("raises", SLOW), ("cuts", SLOW)
    up, down = (look.now[track] + look.usual[track] for track in (raises, cuts))
    return up / (up + down)


def _imbalance(look: Look) -> Column:
    bids, asks = look.now["bid_depth_10_bps", 1.0], look.now["ask_depth_10_bps", 1.0]
    imbalance: Column = (bids - asks) / (bids + asks)
    return imbalance


def _slope(look: Look) -> Column:
    deep = look.now["bid_depth_50_bps", 1.0] + look.now["ask_depth_50_bps", 1.0]
    near = look.now["bid_depth_5_bps", 1.0] + look.now["ask_depth_5_bps", 1.0]
    usual = look.usual["bid_depth_5_bps", 1.0] + look.usual["ask_depth_5_bps", 1.0]
    slope: Column = np.log((deep + usual) / (near + usual)) / np.log(10.0)
    return slope


def _life(look: Look) -> Column:
    bought, sold = (look.now[name, CALM] + 0.5 * look.usual[name, CALM] for name in TAKEN)
    seconds: Column = look.market["depth"] / (bought + sold)
    return seconds


def _hazard(look: Look) -> Column:
    track = ("cancelled_near", BURST)
    hazard: Column = (look.now[track] + look.usual[track]) / np.maximum(look.market["depth"], 1.0)
    return hazard


TAKEN = ("taken_by_buyers", "taken_by_sellers")
DEPTHS = tuple((f"{side}_depth_{bps}_bps", 1.0) for side in ("bid", "ask") for bps in (5, 10, 50))
ASPECTS = (
    Aspect("fleeting_share", "share", "cancels within 50 ms of placing, of all cancels", "share",
           ratio("fleeting_cancels", "cancels", BURST)),
    Aspect("cancel_life", "s", "life of cancelled orders (median)", "log", direct("cancel_life")),
    Aspect("cancel_peak", "per 100 ms", "most cancels within 100 ms", "count", direct("cancel_peak")),
    Aspect("canceller_concentration", "share", "chance that two cancels are of one account", "log",
           direct("canceller_concentration", BURST)),
    Aspect("top_canceller", "share", "cancels by the account with most of them", "share",
           direct("top_canceller", BURST)),
    Aspect("cancelled_bids", "share", "cancels on the bid side", "share", ratio("cancelled_bids", "cancels", BURST)),
    Aspect("near_share", "share", "cancelled value within 10 bps of the mid", "share",
           ratio("cancelled_near", "cancelled_notional", BURST)),
    Aspect("cancel_hazard", "share", "of the depth within 10 bps cancelled each second", "log", _hazard),
    Aspect("replaced", "1/s", "cancels replaced within 100 ms by the same account", "count", direct("replaced", BURST)),
    Aspect("cancels_per_order", "", "cancels for each new order", "log", ratio("cancels", "orders", BURST)),
    Aspect("orders_per_trade", "", "new orders for each trade", "log", ratio("orders", "trades", CALM)),
    Aspect("net_raises", "share", "leverage changes that are raises", "share", _net),
    Aspect("raisers", "1/min", "accounts that raise for the first time in a minute", "count",
           direct("raisers", SLOW, per=60)),
    Aspect("leverage_growth", "x", "new leverage over old (weighted by position)", "log", _growth),
    Aspect("leverage_level", "x", "leverage taken (weighted by position)", "log",
           ratio("leverage_level", "changed_notional", SLOW)),
    Aspect("above_20x", "share", "leverage of 20 or more among changes (by position)", "share",
           ratio("above_20x", "changed_notional", SLOW)),
    Aspect("above_50x", "share", "leverage of 50 or more among changes (by position)", "share",
           ratio("above_50x", "changed_notional", SLOW)),
    Aspect("leverage_shift", "nats", "shift of the leverages taken from those of a day", "count",
           direct("leverage_shift")),
    Aspect("spread", "bps", "spread", "log", direct("spread_bps")),
    Aspect("round_trip", "bps", "cost of buying and selling 50,000", "log", direct("round_trip")),
    Aspect("slope", "", "growth of depth from 5 to 50 bps (1 = even)", "plain", _slope),
    Aspect("gap", "bps", "widest hole within 25 bps", "log", direct("gap_bps")),
    Aspect("thin_run", "bps", "longest thin stretch of the book", "count", direct("thin_run")),
    Aspect("thin_clustering", "", "clustering of thin price steps (0 = chance)", "plain", direct("thin_clustering")),
    Aspect("level_concentration", "share", "chance that two units of depth lie at one price", "log",
           direct("level_concentration")),
    Aspect("top_maker", "share", "of the makers' quotes by the largest maker", "share", direct("top_maker")),
    Aspect("depth_imbalance", "", "depth on the bid side less that on the ask side", "plain", _imbalance),
    Aspect("draw_down", "share", "depth within 10 bps, of its best in 5 min", "share",
           lambda look: look.market["depth"] / look.market["best"]),
    Aspect("resilience", "share", "depth that came back 5 s after a large trade", "log",
           lambda look: look.market["back"]),
    Aspect("seconds_of_life", "s", "time that trading needs to eat the depth within 10 bps", "log", _life),
)  # fmt: skip
TRACKS: tuple[Track, ...] = tuple(
    dict.fromkeys(
        (
            *(track for aspect in ASPECTS for track in getattr(aspect.value, "tracks", ())),
            *DEPTHS,
            *((name, SLOW) for name in ("raises", "cuts", "leverage_change", "changed_notional")),
            *((name, CALM) for name in TAKEN),
            ("cancelled_near", BURST),
        )
    )
)  # fmt: skip
MARKET = np.dtype(
    [
        ("depth", "<f8"),  # within 10 bps, both sides
        ("best", "<f8"),  # its largest of the last minutes, fading
        ("before", "<f8"),  # as it was when a large trade ate into it, 0 = none is watched
        ("since", "<f8"),  # windows since then
        ("back", "<f8"),  # decaying mean of what came back, NaN = nothing yet
    ],
    align=True,
)


class Circumstances:
    """Holds, per market, decaying means of the tracked columns, and each aspect's slow mean and deviation.

    rows_max: rows told of one incident.
    """

    def __init__(self, rows_max: int = 6) -> None:
        self.rows_max = rows_max
        self._now: Any = np.zeros((0, len(TRACKS)))
        self._usual: Any = np.zeros((0, len(TRACKS)))
        self._markets: Any = np.zeros(0, MARKET)
        self._mean: Any = np.zeros((0, len(ASPECTS)))
        self._spread: Any = np.zeros((0, len(ASPECTS)))  # mean square from the mean
        self._notes: Any = np.zeros((0, len(ASPECTS)))
        self._windows = 0
        self._columns: Any = np.zeros(0, np.int64)
        self._fades = np.array([windows for _, windows in TRACKS])
        self._last: tuple[str, ...] = ()

    def see(self, windows: Windows) -> None:
        """One more window, whatever it shows."""
        count = len(windows.markets)
        if count > len(self._now):
            size = max(16, count, 2 * len(self._now))
            for name in ("_now", "_usual"):
                setattr(self, name, widen(getattr(self, name), 0, size, np.nan))
            for name in ("_mean", "_spread", "_notes"):
                setattr(self, name, widen(getattr(self, name), 0, size))
            fresh = np.zeros(size - len(self._markets), MARKET)
            fresh["back"] = np.nan
            self._markets = np.concatenate((self._markets, fresh))
        if len(self._columns) == 0:
            names = [feature.name for feature in windows.features]
            own = ("bid_depth_10_bps", "ask_depth_10_bps", *TAKEN)
            self._columns = np.array([names.index(name) for name in (*own, *(name for name, _ in TRACKS))])
        self._last = windows.markets
        if not windows.idle:
            see_all(windows.values, self._columns, self._fades, self._now, self._markets)

    def tell(self, market: int) -> tuple[Circumstance, ...]:
        """What stands out in market row `market` as of the last window seen, furthest from its usual first."""
        with np.errstate(all="ignore"):
            values = self._values(slice(market, market + 1))[:, 0]
            deviation = np.maximum(np.sqrt(self._spread[market]), DEVIATION_MIN)
            z = (values - self._mean[market]) / deviation
        z[self._notes[market] < NOTES_MIN] = np.nan
        found = [a for a in np.argsort(-np.nan_to_num(np.abs(z)), kind="stable").tolist() if abs(z[a]) >= STANDS_OUT]
        return tuple(
            Circumstance(
                market=self._last[market],
                feature=ASPECTS[a].name,
                unit=ASPECTS[a].unit,
                meaning=ASPECTS[a].meaning,
                observed=_unlinked(float(values[a]), ASPECTS[a].link),
                usual=_unlinked(float(self._mean[market, a]), ASPECTS[a].link),
                deviations=float(z[a]),
            )
            for a in found[: self.rows_max]
        )

    def learn(self, learn: npt.NDArray[np.bool_]) -> None:
        """The window just seen, where a market is in its normal state; every tenth is kept."""
        self._windows += 1
        if self._windows % EVERY_WINDOWS or not len(learn):
            return
        count = len(learn)
        with np.errstate(all="ignore"):
            values = self._values(slice(0, count))
        learn_all(values, learn, self._mean, self._spread, self._notes, self._now, self._usual)

    def _values(self, rows: slice) -> npt.NDArray[np.float64]:
        """float64 (aspects, rows) on the scales that are compared; NaN = cannot say."""
        now, usual = (np.ascontiguousarray(part[rows].T) for part in (self._now, self._usual))
        look = Look(dict(zip(TRACKS, now, strict=True)), dict(zip(TRACKS, usual, strict=True)), self._markets[rows])
        return np.stack([_linked(aspect.value(look), aspect.link) for aspect in ASPECTS])

    def state(self) -> State:
        """For a checkpoint."""
        return {
            "aspects": [aspect.name for aspect in ASPECTS],
            "now": self._now, "usual": self._usual, "markets": self._markets, "mean": self._mean,
            "spread": self._spread, "notes": self._notes, "windows": self._windows, "last": list(self._last),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """From a checkpoint. Where the aspects changed, they are learned anew."""
        if state["aspects"] != [aspect.name for aspect in ASPECTS]:
            return
        last = state["last"]
        assert isinstance(last, list)
        self._now, self._usual = np.array(state["now"]), np.array(state["usual"])
        self._markets = np.array(state["markets"])
        self._mean, self._spread = np.array(state["mean"]), np.array(state["spread"])
        self._notes = np.array(state["notes"])
        self._windows = int(str(state["windows"]))
        self._last = tuple(str(market) for market in last)


def _linked(values: Column, link: str) -> Column:
    if link == "log":
        return np.log(values + 1e-6)
    if link == "count":
        return np.sqrt(values)
    if link == "share":
        return np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0)))  # unlike the log odds, finite at 0 and 1
    return values


def _unlinked(value: float, link: str) -> float:
    if link == "log":
        return max(0.0, float(np.exp(value)) - 1e-6)
    if link == "count":
        return value * value
    return float(np.sin(value) ** 2) if link == "share" else value


@kernel
def learn_all(values: Any, learn: Any, mean: Any, spread: Any, notes: Any, now: Any, usual: Any) -> Any:
    """One note of every market that learns. values float64 (A, M), NaN = cannot say; learn bool (M).

    mean, spread, notes float64 (room, A); now, usual float64 (room, T): what is typical of the sums themselves, which
    is the ratios' pseudo-counts.
    """
    for m in range(len(learn)):
        if not learn[m]:
            continue
        for a in range(len(values)):
            if not isfinite(values[a, m]):
                continue
            gain = 1.0 / min(notes[m, a] + 1.0, NOTES_MEMORY)
            error = values[a, m] - mean[m, a]
            if notes[m, a] >= NOTES_MIN:
                most = WINSOR * max(sqrt(spread[m, a]), DEVIATION_MIN)
                error = min(most, max(-most, error))
            mean[m, a] += gain * error
            spread[m, a] += gain * (error * error * (1.0 - gain) - spread[m, a])
            notes[m, a] += 1.0
        for t in range(now.shape[1]):
            if not isnan(now[m, t]):
                known = usual[m, t]
                usual[m, t] = now[m, t] if isnan(known) else known + (now[m, t] - known) / NOTES_MEMORY**0.5


@kernel
def see_all(values: Any, columns: Any, fades: Any, now: Any, markets: Any) -> Any:
    """One window into the decaying means. values float64 (M, F); columns int64 (4 + T): bid and ask depth, taken by
    buyers and sellers, then each track's; fades float64 (T); now float64 (room, T), NaN = nothing yet; markets MARKET.
    """
    for m in range(len(values)):
        for t in range(len(fades)):
            x = values[m, columns[4 + t]]
            if np.isnan(x):
                continue
            before = now[m, t]
            now[m, t] = x if np.isnan(before) or fades[t] <= 1.0 else before + (x - before) / fades[t]
        place = markets[m]
        depth = values[m, columns[0]] + values[m, columns[1]]
        if np.isnan(depth):
            continue
        taken = values[m, columns[2]] + values[m, columns[3]]
        if place["before"] > 0.0:
            place["since"] += 1.0
            if place["since"] >= BACK_WINDOWS:
                back = min(2.0, depth / place["before"])
                known = place["back"]
                place["back"] = back if np.isnan(known) else known + (back - known) / BACK_MEMORY
                place["before"] = 0.0
        elif place["depth"] > 0.0 and taken > EATEN * place["depth"]:
            place["before"] = place["depth"]
            place["since"] = 0.0
        place["best"] = max(depth, place["best"] * (1.0 - 1.0 / SLOW))
        place["depth"] = depth

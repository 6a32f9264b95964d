"""Drift: what is normal has moved. A note for working hours, never a page: drift is a signal, not noise.

A few slow quantities (anomaly/watches.py) are kept in steps of five minutes over a day and of an hour over ten days. In
each the cut that parts what is kept best is found; the means of its sides are held against an error that knows how
steps hang together: the variance of the means of whole blocks, at several lengths, or that of an AR(1), whichever is
larger, of what is left once each side's own mean is taken (else a change would pass for a long memory). An open
incident freezes nothing here: who leaves over hours is told while the page is open, and a burst is one step of many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector
from detector.anomaly.watches import COLUMNS, WATCHES, Minute
from detector.kernels import inlined, kernel
from detector.model.arrays import widen
from detector.model.score import Evidence, Score
from detector.model.state import State
from detector.model.windows import Windows

MINUTES = 5  # in a step
STEPS = (288, 240)  # that are kept: a day of five minutes, ten days of hours
HOUR_STEPS = 12
SAID_MIN = 30  # windows of a minute, or it says nothing
PACED_MARKETS = 8  # fewer have no middle to go by
BEFORE_STEPS = 12  # kept before a cut, at least
SINCE_STEPS = 3  # since, at least
SINCE_MAX = 72  # since, at most
BLOCKS = (6, 12, 24, 48)  # steps: blocks whose means say how long the memory is
BLOCKS_MIN = 5  # of a length, or their variance is not known
RHO_MAX = 0.95
REST_MINUTES = 120  # what was told of a market is not told again for this long
SHARED_STEPS = 48.0  # that the middle market's variance weighs
YOUNG_STEPS = 12.0  # as many kept: the variance counts twice, because a short past shows little of a long memory
ALONE = 1.2  # x the error, where there is no middle market
CUT = np.dtype([(name, "<f8") for name in ("at", "was", "now", "variance", "thin", "n")])
SHOWN_SCORE = 3.0  # of a note: drift has no tail of its own


@dataclass(frozen=True, slots=True)
class Params:
    """When a change counts."""

    errors: float = 1.0  # x the standard errors that each watch asks for between the means before and since
    least: float = 1.0  # x the change of each watch that is worth a note (anomaly/watches.py)


@dataclass(frozen=True, slots=True)
class Change:
    """What moved: a watch's place, its mean value before and since, and the instant since when."""

    watch: int
    was: float
    now: float
    since_ns: int


class Drift(Detector):
    """Changes of what is normal in a market: its pace, its makers' re-quoting and resting quotes, its depth, and how
    often leverage is raised. Its level is info and nothing above; what moved is learned anew four times as fast, unless
    an incident is open there.

    Wrong where a venue's day has hours of its own and fewer than eight markets show them: it will tell of the evening.
    """

    Params = Params
    PAGES = False
    BEHIND = "cancels"
    SHARE = 1.0  # of nothing, as it never pages

    def __init__(self, params: Any, budgets: npt.NDArray[np.float64]) -> None:
        self.params = params
        self._sums: Any = np.zeros((0, len(COLUMNS)))  # of the minute so far
        self._said: Any = np.zeros(0)
        self._step: Any = np.zeros((0, len(WATCHES), MINUTES))  # the step's minutes so far
        self._kept: list[Any] = [np.zeros((0, len(WATCHES), steps)) for steps in STEPS]  # newest last, NaN = nothing
        self._ends = [np.zeros(steps, np.int64) for steps in STEPS]  # event time of each step's end
        self._rest: Any = np.zeros((0, len(WATCHES)))  # minutes
        self._paces: Any = np.zeros(len(WATCHES))  # the middle market's value of the last minute
        self._windows = 0
        self._told: dict[int, tuple[Change, ...]] = {}

    def _make_room(self, markets: int) -> None:
        if markets <= len(self._said):
            return
        size = max(16, markets, 2 * len(self._said))
        self._sums, self._said = widen(self._sums, 0, size), widen(self._said, 0, size)
        self._step, self._rest = widen(self._step, 0, size, np.nan), widen(self._rest, 0, size)
        self._kept = [widen(kept, 0, size, np.nan) for kept in self._kept]

    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        """See Detector.score."""
        count = len(windows.markets)
        self._make_room(count)
        self._told = {}
        if not windows.idle:
            normal = windows.normal
            for of_all, name in zip(self._sums[:count].T, COLUMNS, strict=True):
                np.add(of_all, windows.column(name), out=of_all, where=normal)
            self._said[:count] += normal
            self._windows += 1
            if self._windows % 60 == 0:
                self._close_minute(count, windows.close_ns)
        values = np.full(count, np.nan)
        values[list(self._told)] = SHOWN_SCORE
        levels = np.full((3, count), np.inf)
        levels[0] = SHOWN_SCORE

        def explain(market: int) -> tuple[Evidence, ...]:
            return self._evidence(windows.markets[market], self._told.get(market, ()))

        return Score(
            detector=self.name,
            close_ns=windows.close_ns,
            markets=windows.markets,
            values=values,
            levels=levels,
            every_s=np.full(count, 7 * 86400.0),
            warming=np.zeros(count, np.bool_),
            surprises=np.zeros((count, 0)),
            residuals=np.zeros((count, 0)),
            streams=(),
            explain=explain,
            moved=tuple(
                (market, stream)
                for market, told in self._told.items() if learn[market]
                for one in told for stream in WATCHES[one.watch].relearn
            ),
        )  # fmt: skip

    def _evidence(self, market: str, told: tuple[Change, ...]) -> tuple[Evidence, ...]:
        """Each watch that moved, what moved furthest first: how far, and since when."""
        weights = [abs(one.now - one.was) / WATCHES[one.watch].least for one in told]
        rows = []
        for one, weight in sorted(zip(told, weights, strict=True), key=lambda pair: (-pair[1], pair[0].watch)):
            watch, pace = WATCHES[one.watch], float(self._paces[one.watch])
            was, now = watch.shown(one.was + pace), watch.shown(one.now + pace)
            least = watch.least * self.params.least
            rows.append(
                Evidence(
                    market, self.name, watch.name, watch.unit, now, was, watch.shown(one.was + pace - least),
                    watch.shown(one.was + pace + least), weight / sum(weights), watch.meaning, since_ns=one.since_ns,
                )
            )  # fmt: skip
        return tuple(rows)

    def _close_minute(self, count: int, close_ns: int) -> None:
        minute = Minute(self._sums[:count], np.where(self._said[:count] >= SAID_MIN, self._said[:count], np.nan))
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.column_stack([watch.value(minute) for watch in WATCHES])
        values[np.isnan(minute.windows)] = np.nan
        for w, watch in enumerate(WATCHES):
            if watch.paced and (~np.isnan(values[:, w])).sum() >= PACED_MARKETS:
                self._paces[w] = np.nanmedian(values[:, w])
                values[:, w] -= self._paces[w]
        number = self._windows // 60
        self._step[:count, :, number % MINUTES] = values
        self._sums[:] = 0.0
        self._said[:] = 0.0
        self._rest = np.maximum(0.0, self._rest - 1.0)
        if number == 1:
            self._changes(0, count)  # finds nothing, but its loop is compiled: who warms an engine closes one minute
        if number % MINUTES:
            return
        self._keep(0, _middle(self._step), close_ns)
        found = self._changes(0, count)
        if number % (MINUTES * HOUR_STEPS) == 0:
            hour = self._kept[0][:, :, -HOUR_STEPS:]
            said = (~np.isnan(hour)).sum(axis=2)
            total = np.nansum(hour, axis=2)
            self._keep(1, np.where(2 * said >= HOUR_STEPS, total / np.maximum(said, 1), np.nan), close_ns)
            found += self._changes(1, count)
        for market, one in found:
            if self._rest[market, one.watch] == 0.0:
                self._told[market] = (*self._told.get(market, ()), one)
                self._rest[market, one.watch] = REST_MINUTES
                for kept, ends in zip(self._kept, self._ends, strict=True):
                    kept[market, one.watch, ends <= one.since_ns] = np.nan  # told, and no longer what is normal

    def _keep(self, ring: int, values: npt.NDArray[np.float64], close_ns: int) -> None:
        kept, ends = self._kept[ring], self._ends[ring]
        kept[:, :, :-1] = kept[:, :, 1:]
        kept[:, :, -1] = values
        ends[:-1] = ends[1:]
        ends[-1] = close_ns

    def _changes(self, ring: int, count: int) -> list[tuple[int, Change]]:
        """Of every market, by row: watches whose best cut parts them far enough."""
        kept = self._kept[ring][:count]
        found = np.full((count, len(WATCHES)), np.nan, CUT)
        scratch = np.empty((2, kept.shape[2]))
        best_cuts(kept, scratch[0], scratch[1], found)
        least = np.array([watch.least for watch in WATCHES]) * self.params.least
        errors = np.array([watch.errors for watch in WATCHES]) * self.params.errors
        apart = np.abs(found["now"] - found["was"])
        far = (apart >= least) & (apart >= errors * _error(found)) & (found["at"] > 0)
        return [
            (market, Change(w, float(cut["was"]), float(cut["now"]), int(self._ends[ring][int(cut["at"]) - 1])))
            for market, w in np.argwhere(far).tolist()
            for cut in (found[market, w],)
        ]

    def state(self) -> State:
        """See Detector.state."""
        return {
            "watches": [watch.name for watch in WATCHES],
            "sums": self._sums,
            "said": self._said,
            "step": self._step,
            "kept": list(self._kept),
            "ends": list(self._ends),
            "rest": self._rest,
            "paces": self._paces,
            "windows": self._windows,
        }

    def restore(self, state: State) -> None:
        """See Detector.restore. The state of other watches is left."""
        if state.get("watches") != [watch.name for watch in WATCHES]:
            return
        kept, ends = state["kept"], state["ends"]
        assert isinstance(kept, list) and isinstance(ends, list)
        self._sums, self._said = np.array(state["sums"]), np.array(state["said"])
        self._step, self._rest, self._paces = (np.array(state[name]) for name in ("step", "rest", "paces"))
        self._kept = [np.array(one) for one in kept]
        self._ends = [np.array(one, np.int64) for one in ends]
        self._windows = int(str(state["windows"]))


def _error(found: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """float64 (M, W): of the difference of a cut's means. Each market's variance is shrunk to the middle one's where
    there are enough markets to have one: a short past that happens to be even makes nobody steady."""
    own: npt.NDArray[np.float64] = found["variance"]
    thin = found["thin"] * (1.0 + YOUNG_STEPS / found["n"])
    error: npt.NDArray[np.float64] = ALONE * np.sqrt(own * thin)
    for w in np.flatnonzero((~np.isnan(own)).sum(axis=0) >= PACED_MARKETS):
        n, middle = found["n"][:, w], np.nanmedian(own[:, w])
        error[:, w] = np.sqrt((n * own[:, w] + SHARED_STEPS * middle) / (n + SHARED_STEPS) * thin[:, w])
    return error


def _middle(step: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64 (M, W) of a step's minutes (M, W, MINUTES): the middle one, or the mean where they are counted; NaN where
    fewer than half of them say anything."""
    said = (~np.isnan(step)).sum(axis=2)
    made: npt.NDArray[np.float64] = np.nansum(step, axis=2) / np.maximum(said, 1)
    for w, watch in enumerate(WATCHES):
        if not watch.counted:
            ordered = np.sort(step[:, w], axis=1)  # NaN last
            low, high = np.maximum(said[:, w] - 1, 0) // 2, said[:, w] // 2
            rows = np.arange(len(step))
            made[:, w] = 0.5 * (ordered[rows, low] + ordered[rows, np.minimum(high, MINUTES - 1)])
    made[2 * said < MINUTES] = np.nan
    return made


@kernel
def best_cuts(kept: Any, values: Any, places: Any, found: Any) -> Any:
    """Of each row the cut with the largest sum of squares between its two sides.

    kept float64 (M, W, N), newest last, NaN = nothing to say; values, places float64 (N): scratch; found CUT (M, W):
    written, untouched where too little is kept.
    """
    for market in range(len(kept)):
        for w in range(kept.shape[1]):
            n = 0
            total = 0.0
            for i in range(kept.shape[2]):
                if not np.isnan(kept[market, w, i]):
                    values[n] = kept[market, w, i]
                    places[n] = i
                    total += values[n]
                    n += 1
            if n < BEFORE_STEPS + SINCE_STEPS:
                continue
            best = -1.0
            cut = 0
            later = 0.0
            for since in range(1, min(n - BEFORE_STEPS, SINCE_MAX) + 1):
                later += values[n - since]
                if since < SINCE_STEPS:
                    continue
                apart = later / since - (total - later) / (n - since)
                between = apart * apart * since * (n - since) / n
                if between > best:
                    best = between
                    cut = n - since
            was = 0.0
            for i in range(cut):
                was += values[i]
            now = (total - was) / (n - cut)
            was /= cut
            for i in range(n):
                values[i] -= was if i < cut else now
            found[market, w]["at"] = places[cut]
            found[market, w]["was"] = was
            found[market, w]["now"] = now
            found[market, w]["variance"] = _variance(values, n)
            found[market, w]["thin"] = 1.0 / cut + 1.0 / (n - cut)
            found[market, w]["n"] = n


@inlined
def _variance(left: Any, n: Any) -> Any:
    """Of what is left, float64 (n) of mean 0, as long means see it: times n that of a mean of n."""
    energy = 0.0
    along = 0.0
    before = 0.0
    for i in range(n):
        energy += left[i] * left[i]
        along += left[i] * before
        before = left[i]
    if energy <= 0.0:
        return 0.0
    rho = min(RHO_MAX, max(0.0, along / energy))
    variance = energy / (n - 2) * (1.0 + rho) / (1.0 - rho)
    for length in BLOCKS:
        count = n // length
        if count < BLOCKS_MIN:
            break
        total = 0.0
        for block in range(count):
            mean = 0.0
            for i in range(n - (block + 1) * length, n - block * length):
                mean += left[i]
            total += mean * mean / length
        variance = max(variance, total / count)
    return variance

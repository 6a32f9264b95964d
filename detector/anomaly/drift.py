"""Drift: what is normal has moved. A note for working hours, never a page: drift is a signal, not noise.

In the minute means of each stream's residuals over the last four hours, winsorised, the cut that parts them best is
found; the means of its sides are held against an error that knows how the minutes hang together (the variance of the
mean of an AR(1), of what is left once each side's own mean is taken: else a step would pass for autocorrelation). Where
they lie far apart, ADWIN (Bifet and Gavalda, SDM 2007; River's) has the last word, on the whitened minutes: unwhitened
it takes autocorrelation for drift (measured: 1,070 false drifts in 100,000 values of an AR(1) of 0.95). All state is in
arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector
from detector.kernels import kernel
from detector.model.arrays import widen
from detector.model.score import Evidence, Score
from detector.model.state import State
from detector.model.windows import Windows

MINUTES = 240
RESIDUAL_MAX = 4.0
BEFORE_MINUTES = 40  # of residuals before anything can be said to have changed
BEFORE_CUT_MINUTES, SINCE_MINUTES = 20, 10  # on either side of a change, at least
REST_MINUTES = 120  # a market whose drift was told is not told again for this long, nor of what is older
ERRORS_MIN = 6.0  # standard errors between the means: of 240 x 15 cuts none comes to this by chance
RHO_MAX = 0.95
SHOWN_SCORE = 3.0  # of a note: drift has no tail of its own


@dataclass(frozen=True, slots=True)
class Params:
    """When the change of a mean counts."""

    every_minutes: int = 5  # each market is looked at this often
    delta: float = 1e-5  # ADWIN's confidence: smaller needs more evidence
    shift_min: float = 0.7  # a smaller change of the mean residual (sigmas) is nobody's business


@dataclass(frozen=True, slots=True)
class Change:
    """What moved: a stream's place, its mean residual before and since, and the minute (of MINUTES) it began in."""

    stream: int
    was: float
    now: float
    minute: int


class Drift(Detector):
    """Reads the residuals of the detectors ahead of it. Its level is info and nothing above; what moved is learned anew
    four times as fast.

    Says nothing of streams that sum over an hour and more. Wrong where a venue's day has hours of its own: it will
    tell of the evening.
    """

    name = "drift"
    Params = Params
    PAGES = False

    def __init__(self, params: Any, budgets: npt.NDArray[np.float64]) -> None:
        self.params = params
        self._names: tuple[str, ...] = ()
        self._sums_min: Any = np.zeros(0)  # minutes that each stream sums over, at least 1
        self._sums: Any = np.zeros((0, 0))
        self._counts: Any = np.zeros((0, 0))
        self._minutes: Any = np.zeros((0, 0, MINUTES))  # newest last, NaN = nothing to say
        self._rest: Any = np.zeros(0)
        self._windows = 0
        self._ends = np.zeros(MINUTES, np.int64)  # event time of each minute's end
        self._told: dict[int, tuple[Change, ...]] = {}

    def _make_room(self, markets: int, before: Sequence[Score]) -> None:
        names = tuple(f"{score.detector}.{stream}" for score in before for stream in score.streams)
        have = len(self._rest)
        if names != self._names or len(self._sums_min) != len(names):  # not kept in a checkpoint
            scales = [scale for score in before for scale in score.scales or (1.0,) * len(score.streams)]
            self._sums_min = np.maximum(1.0, np.array(scales) / 60.0)
        if names != self._names:
            self._names = names
            self._sums = np.zeros((have, len(names)))
            self._counts = np.zeros((have, len(names)))
            self._minutes = np.full((have, len(names), MINUTES), np.nan)
        if markets > have:
            size = max(16, markets, 2 * have)
            self._sums = widen(self._sums, 0, size)
            self._counts = widen(self._counts, 0, size)
            self._minutes = widen(self._minutes, 0, size, np.nan)
            self._rest = widen(self._rest, 0, size)

    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        """See Detector.score."""
        count = len(windows.markets)
        self._make_room(count, before)
        self._told = {}
        if not windows.idle and self._names:
            residuals = np.concatenate([score.residuals for score in before], axis=1)
            said = ~np.isnan(residuals) & learn[:, None]
            self._sums[:count] += np.where(said, np.clip(residuals, -RESIDUAL_MAX, RESIDUAL_MAX), 0.0)
            self._counts[:count] += said
            self._windows += 1
            if self._windows % 60 == 0:
                self._close_minute(count, windows.close_ns)
        values = np.full(count, np.nan)
        for market in self._told:
            values[market] = SHOWN_SCORE
        levels = np.full((3, count), np.inf)
        levels[0] = SHOWN_SCORE

        def explain(market: int) -> tuple[Evidence, ...]:
            return self._evidence(windows.markets[market], self._told[market])

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
            moved=tuple((market, self._names[one.stream]) for market, told in self._told.items() for one in told),
        )

    def _evidence(self, market: str, told: tuple[Change, ...]) -> tuple[Evidence, ...]:
        """Each stream that moved, what moved furthest first: how far, and since when."""
        total = sum(abs(one.now - one.was) for one in told)
        rows = []
        for one in told:
            since = datetime.fromtimestamp(int(self._ends[one.minute - 1]) // 10**9, UTC)
            meaning = f"mean residual of this stream before and since {since:%Y-%m-%d %H:%M} UTC, in sigmas"
            rows.append(
                Evidence(
                    market, self.name, self._names[one.stream], "sigma", one.now, one.was, one.was - 1.0, one.was + 1.0,
                    abs(one.now - one.was) / total, meaning,
                )
            )  # fmt: skip
        return tuple(rows)

    def _close_minute(self, count: int, close_ns: int) -> None:
        self._ends[:-1] = self._ends[1:]
        self._ends[-1] = close_ns
        self._minutes[:, :, :-1] = self._minutes[:, :, 1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            self._minutes[:, :, -1] = np.where(self._counts >= 30, self._sums / self._counts, np.nan)
        self._sums[:] = 0.0
        self._counts[:] = 0.0
        self._rest = np.maximum(0.0, self._rest - 1.0)
        minute = self._windows // 60
        for market in range(minute % self.params.every_minutes, count, self.params.every_minutes):
            if self._rest[market] > 0:
                continue
            found = [one for one in self._changes(self._minutes[market]) if self._confirmed(market, one.stream)]
            if found:
                self._told[market] = tuple(sorted(found, key=lambda one: (-abs(one.now - one.was), one.stream)))
                self._rest[market] = REST_MINUTES
            for one in found:  # what was before is told, and no longer what is normal
                self._minutes[market, one.stream, : one.minute] = np.nan

    def _changes(self, minutes: npt.NDArray[np.float64]) -> list[Change]:
        """Of one market, float64 (S, MINUTES): streams whose best cut parts them far enough."""
        found = np.zeros((len(minutes), 3))
        _best_cuts(minutes, self._sums_min, self.params.shift_min, np.empty(MINUTES), np.empty(MINUTES), found)
        return [Change(s, was, now, int(at)) for s, (at, was, now) in enumerate(found.tolist()) if at > 0]

    def _confirmed(self, market: int, stream: int) -> bool:
        """ADWIN says so too."""
        return adwin_detects(self._minutes[market, stream], self.params.delta)

    def state(self) -> State:
        """See Detector.state."""
        return {
            "names": list(self._names),
            "sums": self._sums,
            "counts": self._counts,
            "minutes": self._minutes,
            "ends": self._ends,
            "rest": self._rest,
            "windows": self._windows,
        }

    def restore(self, state: State) -> None:
        """See Detector.restore. A state that does not say when its minutes ended is left: a note says since when."""
        names = state["names"]
        assert isinstance(names, list)
        if "ends" not in state:
            return
        self._names = tuple(str(name) for name in names)
        self._sums, self._counts = np.array(state["sums"]), np.array(state["counts"])
        self._minutes, self._rest = np.array(state["minutes"]), np.array(state["rest"])
        self._ends = np.array(state["ends"], np.int64)
        self._windows = int(str(state["windows"]))


def adwin_detects(minutes: npt.NDArray[np.float64], delta: float) -> bool:
    """Whether River's ADWIN finds a change in a stream's minutes (MINUTES; NaN = nothing to say), whitened."""
    from river import drift

    found, said = np.zeros((1, 3)), np.empty((2, MINUTES))
    rho = _best_cuts(minutes[None, :], np.ones(1), 0.0, said[0], said[1], found)
    values = minutes[~np.isnan(minutes)]
    white = (values[1:] - rho * values[:-1]) / (1.0 - rho)
    made: Any = drift.ADWIN
    adwin = made(delta=delta, clock=1, grace_period=20)
    for value in white.tolist():
        adwin.update(value)
        if adwin.drift_detected:
            return True
    return False


@kernel
def _best_cuts(minutes: Any, sums_min: Any, shift: Any, values: Any, places: Any, found: Any) -> Any:
    """Of each stream the cut with the largest sum of squares between its two sides, where their means lie `shift` and
    ERRORS_MIN standard errors apart. Returns the last stream's autocorrelation within the sides.

    minutes float64 (S, MINUTES), NaN = nothing to say; sums_min float64 (S), minutes that a stream sums over: its means
    hang together at least that long, and each side is to hold two of them; values, places float64 (MINUTES): scratch;
    found float64 (S, 3): written, (minute the change began in, mean before, mean since), untouched where none is.
    """
    rho = 0.0
    for s in range(len(minutes)):
        n = 0
        total = 0.0
        for i in range(minutes.shape[1]):
            if not np.isnan(minutes[s, i]):
                values[n] = minutes[s, i]
                places[n] = i
                total += minutes[s, i]
                n += 1
        if n < BEFORE_MINUTES:
            continue
        least = max(SINCE_MINUTES, int(2.0 * sums_min[s]))
        best = -1.0
        cut = 0
        later = 0.0
        for since in range(1, min(n - max(BEFORE_CUT_MINUTES, least), REST_MINUTES) + 1):
            later += values[n - since]
            if since < least:
                continue
            apart = later / since - (total - later) / (n - since)
            between = apart * apart * since * (n - since) / n
            if between > best:
                best = between
                cut = n - since
        if cut == 0:
            continue
        was = 0.0
        for i in range(cut):
            was += values[i]
        now = (total - was) / (n - cut)
        was /= cut
        energy = 0.0
        along = 0.0
        before = 0.0
        for i in range(n):
            left = values[i] - (was if i < cut else now)
            energy += left * left
            along += left * before
            before = left
        rho = min(RHO_MAX, max(0.0, along / energy)) if energy > 0.0 else 0.0
        together = max(sums_min[s], (1.0 + rho) / (1.0 - rho))
        error = sqrt(energy / (n - 2) * (1.0 / cut + 1.0 / (n - cut)) * together)
        if abs(now - was) >= shift and abs(now - was) >= ERRORS_MIN * error and places[cut] > 0.0:
            found[s, 0] = places[cut]
            found[s, 1] = was
            found[s, 2] = now
    return rho

"""Drift: what is normal has moved. A note for working hours, never a page: drift is a signal, not noise.

ADWIN (Bifet and Gavaldà, SDM 2007; River's) looks for a change of mean in the minute means of each stream's residuals,
winsorised and whitened, because it takes autocorrelation for drift (measured: 1,070 false drifts in 100,000 values of
an AR(1) of 0.95). It is run anew over the last four hours now and then, so that all state is in arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector
from detector.model.arrays import widen
from detector.model.score import Evidence, Score
from detector.model.state import State
from detector.model.windows import Windows

MINUTES = 240
RESIDUAL_MAX = 4.0
BEFORE_MINUTES = 40  # of residuals before anything can be said to have changed
REST_MINUTES = 120  # a market whose drift was told is not told again for this long
SHOWN_SCORE = 3.0  # of a note: drift has no tail of its own


@dataclass(frozen=True, slots=True)
class Params:
    """When the change of a mean counts."""

    every_minutes: int = 5  # each market is looked at this often
    delta: float = 1e-5  # ADWIN's confidence: smaller needs more evidence
    shift_min: float = 0.7  # a smaller change of the mean residual (sigmas) is nobody's business


class Drift(Detector):
    """Reads the residuals of the detectors ahead of it. Its level is info and nothing above.

    Wrong on streams that sum over many minutes (their residuals hang together); those are left out by whitening only.
    """

    name = "drift"
    Params = Params
    PAGES = False

    def __init__(self, params: Any, budgets: npt.NDArray[np.float64]) -> None:
        self.params = params
        self._names: tuple[str, ...] = ()
        self._sums: Any = np.zeros((0, 0))
        self._counts: Any = np.zeros((0, 0))
        self._minutes: Any = np.zeros((0, 0, MINUTES))  # newest last, NaN = nothing to say
        self._rest: Any = np.zeros(0)
        self._windows = 0
        self._told: dict[int, tuple[str, float, float]] = {}

    def _make_room(self, markets: int, before: Sequence[Score]) -> None:
        names = tuple(f"{score.detector}.{stream}" for score in before for stream in score.streams)
        have = len(self._rest)
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
                self._close_minute(count)
        values = np.full(count, np.nan)
        for market in self._told:
            values[market] = SHOWN_SCORE
        levels = np.full((3, count), np.inf)
        levels[0] = SHOWN_SCORE

        def explain(market: int) -> tuple[Evidence, ...]:
            stream, was, now = self._told[market]
            meaning = "mean residual of this stream before and since its change, in sigmas"
            name = windows.markets[market]
            return (Evidence(name, self.name, stream, "sigma", now, was, was - 1.0, was + 1.0, 1.0, meaning),)

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
        )

    def _close_minute(self, count: int) -> None:
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
            found = [(s, self._changed(self._minutes[market, s])) for s in range(len(self._names))]
            moved = [(abs(f[1] - f[0]), -s, f) for s, f in found if f is not None]
            if moved:
                _, s, (was, now) = max(moved)
                self._told[market] = (self._names[-s], was, now)
                self._rest[market] = REST_MINUTES

    def _changed(self, minutes: npt.NDArray[np.float64]) -> tuple[float, float] | None:
        """(mean before, mean since) when the newest minutes differ from those before for good, else None."""
        from river import drift

        values = minutes[~np.isnan(minutes)]
        if len(values) < BEFORE_MINUTES:
            return None
        centred = values - values.mean()
        energy = float(centred @ centred)
        rho = min(0.95, max(0.0, float(centred[1:] @ centred[:-1]) / energy)) if energy > 0 else 0.0
        white = values[1:] - rho * values[:-1]
        made: Any = drift.ADWIN
        adwin = made(delta=self.params.delta, clock=1, grace_period=20)
        at = 0
        for number, value in enumerate(white.tolist()):
            adwin.update(value)
            if adwin.drift_detected:
                at = number
        if at < len(white) - self.params.every_minutes:
            return None  # nothing new since the last look
        since = max(1, int(adwin.width))
        was, now = float(values[:-since].mean()) if since < len(values) else 0.0, float(values[-since:].mean())
        return (was, now) if abs(now - was) >= self.params.shift_min else None

    def state(self) -> State:
        """See Detector.state."""
        return {
            "names": list(self._names),
            "sums": self._sums,
            "counts": self._counts,
            "minutes": self._minutes,
            "rest": self._rest,
            "windows": self._windows,
        }

    def restore(self, state: State) -> None:
        """See Detector.restore."""
        names = state["names"]
        assert isinstance(names, list)
        self._names = tuple(str(name) for name in names)
        self._sums, self._counts = np.array(state["sums"]), np.array(state["counts"])
        self._minutes, self._rest = np.array(state["minutes"]), np.array(state["rest"])
        self._windows = int(str(state["windows"]))

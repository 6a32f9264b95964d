"""Joint: several weak streams rising together. For severity, ranking and the story; it pages seldom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector
from detector.anomaly.budget import blank_peaks, settle, spreads_above
from detector.anomaly.tail import blank_tail, calibrate, learn_tail
from detector.kernels import kernel
from detector.model.arrays import widen
from detector.model.score import Evidence, Score
from detector.model.state import State
from detector.model.windows import Windows

FREE_NATS = 3.0  # what every stream may have before it adds (detection.md 3.3, L3a)
FIRST_WINDOWS = 300.0
WARMING_WINDOWS = 3600.0
PEAK_PRIOR = (0.5, 0.96)
TAIL_PRIOR = (2.0, 1.1)  # nats: 98 % quantile of the sums of normal windows, mean excess over it
WARMING_MARGIN = 2.5  # its tail is that of a sum nobody has seen yet: at first only the outrageous counts


@dataclass(frozen=True, slots=True)
class Params:
    """Scales in windows (1 s by default)."""

    decay_windows: int = 60  # a stream's excess fades with this


class Joint(Detector):
    """Tail sum over all streams of all detectors ahead of it, A = sum of EW[max(0, -ln p - 3)], against its own tail.

    Linear, so its split is exact. Wrong alone: most incidents move one or two streams, and the others' noise is added.
    """

    SHARE = 0.1  # it seldom hears of what no detector says by itself
    Params = Params
    BEHIND = "cancels"

    def __init__(self, params: Any, budgets: npt.NDArray[np.float64]) -> None:
        self.params = params
        self.budgets = budgets
        self._above = spreads_above(budgets)
        self._names: tuple[tuple[str, str], ...] = ()
        self._excess: Any = np.zeros((0, 0))  # (M, all streams), decaying
        self._tail: Any = blank_tail((0,), *TAIL_PRIOR)
        self._peaks: Any = blank_peaks(0, *PEAK_PRIOR)
        self._age: Any = np.zeros(0)

    def _make_room(self, markets: int, before: Sequence[Score]) -> None:
        names = tuple((score.detector, stream) for score in before for stream in score.streams)
        have = len(self._age)
        if names != self._names:
            self._names = names
            self._excess = np.zeros((have, len(names)))
        if markets > have:
            size = max(16, markets, 2 * have)
            self._excess = widen(self._excess, 0, size)
            self._tail = np.concatenate((self._tail, blank_tail((size - have,), *TAIL_PRIOR)))
            self._peaks = np.concatenate((self._peaks, blank_peaks(size - have, *PEAK_PRIOR)))
            self._age = widen(self._age, 0, size)

    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        """See Detector.score."""
        count = len(windows.markets)
        self._make_room(count, before)
        excess, age, tail = self._excess[:count], self._age[:count], self._tail
        values = np.full(count, np.nan)
        if not windows.idle and before:
            first = 0
            for score in before:
                if score.streams:
                    _fade_in(excess, first, score.surprises, float(self.params.decay_windows))
                first += len(score.streams)
            age += windows.fresh
            _tail_scores(excess.sum(axis=1), tail, learn, float(self.params.decay_windows), values)
        values[(age < FIRST_WINDOWS) | ~(windows.fresh & windows.calm)] = np.nan
        every, needed = np.empty(count), np.empty((len(self._above), count))
        width_s = windows.width_ns / 1e9
        settle(self._peaks, self._above, values, age, WARMING_WINDOWS, WARMING_MARGIN, learn, width_s, needed, every)

        def explain(market: int) -> tuple[Evidence, ...]:
            return self._evidence(windows.markets[market], excess[market], tail[market])

        return Score(
            detector=self.name,
            close_ns=windows.close_ns,
            markets=windows.markets,
            values=values,
            levels=needed,
            every_s=every,
            warming=age < WARMING_WINDOWS,
            surprises=np.zeros((count, 0)),
            residuals=np.zeros((count, 0)),
            streams=(),
            explain=explain,
        )

    def _evidence(self, market: str, excess: npt.NDArray[np.float64], tail: Any) -> tuple[Evidence, ...]:
        total = float(excess.sum())
        rows = [
            Evidence(
                market=market,
                detector=self.name,
                feature=f"{detector}.{stream}",
                unit="nats",
                observed=float(part),
                expected=0.0,
                low=0.0,
                high=1.0,
                share=float(part) / total,
                meaning="excess surprise of a stream over the last minute",
                without=float(calibrate(tail, total - float(part))),
            )
            for (detector, stream), part in zip(self._names, excess, strict=True)
            if part > 0 and total > 0
        ]
        return tuple(sorted(rows, key=lambda row: -row.share))

    def state(self) -> State:
        """See Detector.state."""
        return {
            "names": [f"{detector}.{stream}" for detector, stream in self._names],
            "excess": self._excess,
            "tail": self._tail,
            "peaks": self._peaks,
            "age": self._age,
        }

    def restore(self, state: State) -> None:
        """See Detector.restore."""
        names = state["names"]
        assert isinstance(names, list)
        pairs = [str(name).partition(".") for name in names]
        self._names = tuple((detector, stream) for detector, _, stream in pairs)
        self._excess = np.array(state["excess"])
        self._tail = np.array(state["tail"])
        self._peaks = np.array(state["peaks"])
        self._age = np.array(state["age"])


@kernel
def _fade_in(excess: Any, first: Any, surprises: Any, decay: Any) -> Any:
    """One detector's surprises, float64 (M, S), into the decaying excess of its streams, those from `first` on."""
    for market in range(len(surprises)):
        for s in range(surprises.shape[1]):
            surprise = surprises[market, s]
            fresh = 0.0 if np.isnan(surprise) else max(0.0, surprise * log(10.0) - FREE_NATS)
            excess[market, first + s] += (fresh - excess[market, first + s]) / decay


@kernel
def _tail_scores(sums: Any, tail: Any, learn: Any, block: Any, values: Any) -> Any:
    """Calibrated score of each market's tail sum; the sum plays the raw surprise's part, in units of its own tail."""
    for market in range(len(sums)):
        score = calibrate(tail[market], sums[market])
        values[market] = score
        if learn[market] and score < 4.0:
            learn_tail(tail[market], sums[market], block, *TAIL_PRIOR)

"""Streams: a few strong counts, each at the scale of its physics, joined into one score that splits exactly.

A detector's score is -log10 of the weighted harmonic mean of its streams' tail probabilities (Wilson, PNAS 2019; the
mean of e-values, Vovk and Wang 2021): in the tail it is the union of the streams, each with its part of the detector's
budget, whatever their dependence. Its split over the streams is the Shapley value of that score, a stream outside a
coalition counting as unremarkable (p = 1): non-negative, and adding up to the score exactly.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import combinations
from math import comb, exp, log, log10
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from detector.anomaly import early
from detector.anomaly.base import Detector
from detector.anomaly.baseline import (
    LAG_WINDOWS,
    Measure,
    advance,
    asleep,
    blank_streams,
    brought_up,
    measures_of,
)
from detector.anomaly.budget import blank_peaks, settle, spreads_above
from detector.anomaly.mean import advance_mean
from detector.kernels import kernel
from detector.model.arrays import widen
from detector.model.score import Evidence, Score
from detector.model.state import State
from detector.model.windows import Windows

Column = npt.NDArray[np.float64]
SCORE_MAX = 300.0
LN_10 = log(10.0)
RELEARN_KEEP = 0.25  # of what was learned, once it has drifted
WARMING_WINDOWS = 1800.0  # younger ones are flagged, and need more to be told
WARMING_MARGIN = 0.35  # more score at first, falling to nothing as the market warms


@dataclass(frozen=True, slots=True)
class Stream:
    """One count. `count` and `activity` read columns (M) from a window; NaN count = this market's feed cannot say,
    NaN activity = not conditioned. `name`, `unit`, `meaning` are what an alert shows."""

    name: str
    unit: str
    meaning: str
    count: Callable[[Windows], Column]
    activity: Callable[[Windows], Column]
    measure: Measure
    weight: float = 1.0  # its part of the detector's budget, against the others'; 0 = evidence, it raises no score


def unconditioned(windows: Windows) -> Column:
    """No activity to hold a count against: every window is alike."""
    return np.full(len(windows.markets), np.nan)


def join(surprises: npt.NDArray[np.float64], weights: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """float64 (M) from float64 (M, S): -log10 of the harmonic mean p; NaN streams are left out, NaN when none is left.
    weights float64 (S), default all alike.

    >>> join(np.array([[8.0, 0.0], [2.0, np.nan], [np.nan, np.nan]])).round(3).tolist()
    [7.699, 2.0, nan]
    """
    values = np.empty(len(surprises))
    weights = np.ones(surprises.shape[1]) if weights is None else weights
    join_due(np.ascontiguousarray(surprises), weights, np.ones(len(surprises), np.bool_), values)
    return values


def split(surprises: Sequence[float], weights: Sequence[float] = ()) -> tuple[float, ...]:
    """Shapley values of `join` over one market's streams (none NaN): they add up to the joined score.

    >>> parts = split([8.0, 4.0, 0.0])
    >>> abs(sum(parts) - float(join(np.array([[8.0, 4.0, 0.0]]))[0])) < 1e-12
    True
    """
    count = len(surprises)
    parts_of = list(weights) or [1.0] * count
    odds = [weight * 10.0 ** min(s, SCORE_MAX) for s, weight in zip(surprises, parts_of, strict=True)]
    whole = sum(parts_of)

    def worth(coalition: tuple[int, ...]) -> float:
        quiet = whole - sum(parts_of[i] for i in coalition) if coalition else whole
        return float(np.log10((sum(odds[i] for i in coalition) + max(0.0, quiet)) / whole))

    parts = []
    for player in range(count):
        others = [i for i in range(count) if i != player]
        part = 0.0
        for size in range(count):
            weight = 1.0 / (count * comb(count - 1, size))
            for coalition in combinations(others, size):
                part += weight * (worth((*coalition, player)) - worth(coalition))
        parts.append(part)
    return tuple(parts)


def without(surprises: Sequence[float], weights: Sequence[float] = ()) -> tuple[float, ...]:
    """`join` of one market's streams (none NaN) with each of them in turn unremarkable (p = 1).

    >>> [round(score, 3) for score in without([8.0, 4.0])]
    [3.699, 7.699]
    """
    rows = np.where(np.eye(len(surprises), dtype=np.bool_), 0.0, np.asarray(surprises, np.float64)[None, :])
    return tuple(join(rows, np.array(weights) if len(weights) else None).tolist())


class StreamDetector(Detector):
    """Everything a detector made of streams needs; a subclass says which streams (`make`) and what is normal at first.

    budgets: float64 (3), false pages per market-week this detector may spend on info, warning, critical.
    """

    PEAK_PRIOR: ClassVar[tuple[float, float]] = (
        2.2,
        2.75,
    )  # median and 80 % quantile of a normal ten minutes' top score

    PEAK_LEAST: ClassVar[float] = 0.0  # of PEAK_PRIOR, below which a market's own peaks do not bring it

    # the same where nobody is named: sums over two windows, of which ten minutes hold so many that they peak higher
    PEAK_PRIOR_UNNAMED: ClassVar[tuple[float, float]] = (2.6, 3.1)

    def __init__(self, params: Any, budgets: npt.NDArray[np.float64]) -> None:
        self.params = params
        self.budgets = budgets
        self._above = spreads_above(budgets)
        self.streams = self.make(params)
        assert 1 <= len(self.streams) <= 8, "the exact split is over at most 8 streams"
        self._weights = np.array([stream.weight for stream in self.streams])
        self._measures = measures_of([stream.measure for stream in self.streams])
        self._lengths = np.array([_length(stream) for stream in self.streams])
        self._firsts = np.concatenate(([0], np.cumsum(self._lengths)[:-1]))
        rings = int(self._lengths.sum())
        self._room = 0
        self._at = 0
        self._tables: Any = np.stack([blank_streams(0, stream.measure) for stream in self.streams])
        # (rings, room): the streams' last windows one ring after the other; anomaly/baseline.py
        self._past: tuple[Any, Any, Any] = (np.zeros((rings, 0)), np.zeros((rings, 0)), np.zeros((rings, 0), np.uint8))
        self._age: Any = np.zeros(0)
        self._peaks: Any = blank_peaks(0, *self.PEAK_PRIOR, self.PEAK_LEAST)
        self._make_room(16)

    @staticmethod
    @abstractmethod
    def make(params: Any) -> tuple[Stream, ...]:
        """The streams, strongest first."""

    def _make_room(self, markets: int) -> None:
        if markets <= self._room:
            return
        size = max(markets, 2 * self._room)
        more = np.stack([blank_streams(size - self._room, stream.measure) for stream in self.streams])
        self._tables = np.concatenate((self._tables, more), axis=1)
        n, a, ok = self._past
        self._past = (widen(n, 1, size), widen(a, 1, size), widen(ok, 1, size))
        self._age = widen(self._age, 0, size)
        more = blank_peaks(size - self._room, *self.PEAK_PRIOR, self.PEAK_LEAST)
        self._peaks = np.concatenate((self._peaks, more))
        self._room = size

    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        """See Detector.score."""
        count = len(windows.markets)
        self._make_room(count)
        surprises = np.full((count, len(self.streams)), np.nan)
        due = windows.fresh & windows.calm
        if not windows.idle:
            self._advance(windows, due, learn, surprises)
        age, width_s = self._age[:count], windows.width_ns / 1e9
        values, every, needed = np.empty(count), np.empty(count), np.empty((len(self._above), count))
        join_due(surprises, self._weights, due, values)
        settle(self._peaks, self._above, values, age, WARMING_WINDOWS, WARMING_MARGIN, learn, width_s, needed, every)

        def explain(market: int) -> tuple[Evidence, ...]:
            return self.evidence(windows.markets[market], market, surprises[market])

        return Score(
            detector=self.name,
            close_ns=windows.close_ns,
            markets=windows.markets,
            values=values,
            levels=needed,
            every_s=every,
            warming=age < WARMING_WINDOWS,
            surprises=surprises,
            residuals=self._tables["residual"][:, :count].T.copy(),
            streams=tuple(stream.name for stream in self.streams),
            explain=explain,
            scales=tuple(stream.measure.scale for stream in self.streams),
        )

    def _advance(
        self,
        windows: Windows,
        due: npt.NDArray[np.bool_],
        learn: npt.NDArray[np.bool_],
        surprises: npt.NDArray[np.float64],
    ) -> None:
        self._at += 1
        age = self._age[: len(windows.markets)]
        born = windows.fresh & (age == 0.0)
        if np.count_nonzero(born):
            unnamed = born & np.isnan(windows.column("acting_accounts"))
            self._peaks[: len(age)][unnamed] = blank_peaks(1, *self.PEAK_PRIOR_UNNAMED)[0]
        age += windows.fresh
        counts, activities = np.empty((2, len(self.streams), len(age)))
        for s, stream in enumerate(self.streams):
            counts[s], activities[s] = stream.count(windows), stream.activity(windows)
        # what happens in a halt or an auction is no part of any sum: makers are gone then by rule
        advance_all(
            self._tables, *self._past, self._firsts, self._lengths, self._at, self._measures, counts, activities, due,
            learn, surprises,
        )  # fmt: skip

    def relearn(self, market: int, stream: str) -> None:
        """See Detector.relearn: the past weighs RELEARN_KEEP, so the rate follows as much faster."""
        for s, one in enumerate(self.streams):
            if one.name == stream:
                for learned in ("learned_n", "learned_a", "learned_w"):
                    self._tables[learned][s, market] *= RELEARN_KEEP

    def part(self, rows: npt.NDArray[np.int64]) -> Self:
        """A detector of its own that knows of these market rows alone, and of them all that this one knows."""
        twin = copy(self)
        twin._tables = np.ascontiguousarray(self._tables[:, rows])
        n, a, ok = self._past
        # laid out as they are here, or a look's first would wait for another compilation of the same loop
        twin._past = (
            np.ascontiguousarray(n[:, rows]), np.ascontiguousarray(a[:, rows]), np.ascontiguousarray(ok[:, rows]),
        )  # fmt: skip
        twin._age, twin._peaks = self._age[rows], self._peaks[rows]
        twin._room = len(rows)
        return twin

    def early_from(self, markets: int) -> npt.NDArray[np.float64]:
        """See Detector.early_from. GROWS names the first streams, in their order."""
        floors = np.full((len(self.GROWS), markets), np.inf)
        known = min(markets, self._room)
        for row, (table, stream) in enumerate(zip(self._tables[: len(floors)], self.streams, strict=False)):
            floors[row, :known] = early.worth_a_look(table[:known], stream.measure)
        return floors

    def early(
        self, windows: Sequence[Windows], passed: Sequence[float], rows: npt.NDArray[np.int64]
    ) -> tuple[Score, ...]:
        """See Detector.early."""
        return early.scores(self.part(rows), windows, passed, rows)

    def foreseen(self, windows: Windows, passed: float) -> Windows:
        """An open window's counts with the activity it may yet come to. Of a detector that `early` has made."""
        table, measure = self._tables[0], self.streams[0].measure
        return early.busier(windows, passed, table["a_sum"] / np.clip(table["windows"], 1.0, measure.scale))

    def evidence(self, market: str, index: int, surprises: npt.NDArray[np.float64]) -> tuple[Evidence, ...]:
        """What each stream saw in the last window of market row `index`, sorted by its share of the score."""
        said = [s for s in range(len(self.streams)) if not np.isnan(surprises[s])]
        weights = self._weights[said].tolist()
        parts = split([float(surprises[s]) for s in said], weights)
        total = sum(parts)
        score = float(join(surprises[None, :], self._weights)[0]) if said else 0.0
        assert abs(total - score) <= 1e-9 * max(1.0, score), f"shares of {self.name} add up to {total}, not {score}"
        rows = []
        for s, part, left in zip(said, parts, without(surprises[said].tolist(), weights), strict=True):
            stream, seen = self.streams[s], self._tables[s, index]
            rows.append(
                Evidence(
                    market=market,
                    detector=self.name,
                    feature=stream.name,
                    unit=stream.unit,
                    observed=float(seen["observed"]),
                    expected=float(seen["expected"]),
                    low=float(seen["low"]),
                    high=float(seen["high"]),
                    share=part / total if total > 0 else 1.0 / len(said),
                    meaning=stream.meaning,
                    without=left,
                )
            )
        return tuple(sorted(rows, key=lambda row: -row.share))

    def state(self) -> State:
        """See Detector.state."""
        return {
            "at": self._at,
            "age": self._age,
            "peaks": self._peaks,
            "names": [stream.name for stream in self.streams],
            "scales": np.array([stream.measure.scale for stream in self.streams]),
            "tables": self._tables,
            "past": list(self._past),
        }

    def restore(self, state: State) -> None:
        """See Detector.restore. A detector whose streams or their scales changed starts anew, warming."""
        past = state["past"]
        assert isinstance(past, list)
        rings = [np.array(ring) for ring in past]
        if state["names"] != [stream.name for stream in self.streams]:
            return
        if [ring.shape[:1] for ring in rings] != [ring.shape[:1] for ring in self._past]:
            return
        scales = [stream.measure.scale for stream in self.streams]
        if "scales" in state and np.array(state["scales"]).tolist() != scales:  # an older version did not say
            return
        self._at = int(str(state["at"]))
        self._age = np.array(state["age"])
        self._peaks = np.array(state["peaks"])
        self._tables = brought_up(np.array(state["tables"]), [stream.measure for stream in self.streams])
        self._past = (rings[0], rings[1], rings[2])
        self._room = len(self._age)


def _length(stream: Stream) -> int:
    """Windows of the past that it needs."""
    return int(max(stream.measure.scale, LAG_WINDOWS)) + 1


@kernel
def advance_all(
    tables: Any, past_n: Any, past_a: Any, past_ok: Any, firsts: Any, lengths: Any, window: Any, measures: Any,
    counts: Any, activities: Any, due: Any, learn: Any, surprises: Any,
) -> Any:  # fmt: skip
    """The `window`th window of every stream; firsts, lengths int64 (S): where each one's ring lies, else as in
    baseline.advance."""
    for s in range(len(measures)):
        if asleep(s, tables, counts, surprises):
            continue
        first, length = firsts[s], lengths[s]
        if measures[s]["shrink"] > 0.0:
            advance_mean(
                s, tables, past_n, past_a, past_ok, first, length, window % length, measures, counts, activities, due,
                learn, surprises,
            )  # fmt: skip
        else:
            advance(
                s, tables, past_n, past_a, past_ok, first, length, window % length, measures, counts, activities, due,
                learn, surprises,
            )  # fmt: skip


@kernel
def join_due(surprises: Any, weights: Any, due: Any, values: Any) -> Any:
    """See `join`. weights float64 (S); due bool (M): the others are NaN. values float64 (M): written."""
    for m in range(len(surprises)):
        odds = 0.0
        whole = 0.0
        for s in range(surprises.shape[1]):
            if not np.isnan(surprises[m, s]):
                odds += weights[s] * exp(LN_10 * min(surprises[m, s], SCORE_MAX))
                whole += weights[s]
        values[m] = log10(odds / whole) if whole > 0.0 and due[m] else np.nan

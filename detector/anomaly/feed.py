"""Feed: a market, or the whole source, that should have spoken and has not. A dead feed, told from a quiet market."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector
from detector.kernels import kernel
from detector.model.score import Evidence, Score
from detector.model.state import State
from detector.model.windows import Windows

FIRST_WINDOWS = 600.0  # heard for this long before its silence means anything
BLOCK_WINDOWS = 60.0  # how unsteady a rate is, is learned from sums over this many
WINSOR = 3.0  # a window, and a block's error in standard deviations, teaches at most this many times what is usual
DISPERSION = 0.3  # shipped; variance = mean + dispersion * mean^2
DISPERSION_BLOCKS = 30.0  # blocks that it weighs
DISPERSION_MIN, DISPERSION_MAX = 0.2, 2.0  # nights are quieter than any hour before them
WEEK_S = 604_800.0

FEED = np.dtype(
    [
        ("rate", "<f8"),  # events per window, usually
        ("age", "<f8"),  # windows learned from
        ("block", "<f8"),  # events of the running block
        ("block_windows", "<f8"),
        ("spread_n", "<f8"),  # decayed sums: dispersion = spread_n / spread_d, shrunk to the shipped one
        ("spread_d", "<f8"),
        ("silent", "<f8"),  # windows since it was heard, while others were
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Params:
    """Scales in windows (1 s by default)."""

    reconnect_windows: int = 45  # a shorter silence is a reconnect, whatever the rate
    give_up_windows: int = 3600  # silent this long, it has closed for good: the incident ends
    memory_windows: int = 14400  # the usual rate half forgets in this long


class Feed(Detector):
    """Silence against the market's own rate: P(no event in s) = (1 + d r s)^(-1/d) for a rate r whose dispersion d is
    learned, so an unsteady market may be silent for longer. Only silence while other markets were heard is its own;
    what is silent together is the source's, and then every market tells of that.

    Wrong when a market is closed without a `status` and without an entry in the calendar: it is told, and given up
    after an hour. Blind to silences shorter than a reconnect.
    """

    Params = Params
    SHARE = 0.05  # silence is rarely a matter of degree

    def __init__(self, params: Any, budgets: npt.NDArray[np.float64]) -> None:
        self.params = params
        self.budgets = budgets
        self._markets: Any = np.zeros(0, FEED)
        self._source: Any = np.zeros(1, FEED)
        self._closed_ns = 0

    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        """See Detector.score. Idle windows count: they are what a dead source looks like."""
        count = len(windows.markets)
        if count > len(self._markets):
            size = max(16, count, 2 * len(self._markets))
            self._markets = np.concatenate((self._markets, np.zeros(size - len(self._markets), FEED)))
        feeds, source = self._markets[:count], self._source
        events = np.ascontiguousarray(windows.column("events"))
        passed = 1.0
        if self._closed_ns and windows.close_ns > self._closed_ns:
            passed = (windows.close_ns - self._closed_ns) / windows.width_ns  # a long silence is jumped over
        self._closed_ns = windows.close_ns
        due = windows.calm & windows.fresh
        listen(feeds, source, events, due, passed)
        whole = source[0]["silent"] >= self.params.reconnect_windows and source[0]["age"] >= FIRST_WINDOWS
        values, per_week, every = np.empty(count), np.empty(count), np.empty(count)
        width_s = windows.width_ns / 1e9
        shortest, longest = float(self.params.reconnect_windows), float(self.params.give_up_windows)
        judge(feeds, source, whole, due, shortest, longest, width_s, values, per_week, every)
        if not windows.idle:
            learn_rates(feeds, source, events, learn, float(self.params.memory_windows))

        def explain(market: int) -> tuple[Evidence, ...]:
            feed = source[0] if whole else feeds[market]
            return (self._evidence(windows.markets[market], feed, width_s, whole=whole),)

        return Score(
            detector=self.name,
            close_ns=windows.close_ns,
            markets=windows.markets,
            values=values,
            levels=np.log10(per_week)[None, :] - np.log10(self.budgets)[:, None],
            every_s=every,
            warming=feeds["age"] < FIRST_WINDOWS,
            surprises=np.zeros((count, 0)),
            residuals=np.zeros((count, 0)),
            streams=(),
            explain=explain,
        )

    def _evidence(self, market: str, feed: Any, width_s: float, *, whole: bool) -> Evidence:
        rate = max(float(feed["rate"]), 1e-9)
        d = float(dispersion(feed))
        return Evidence(
            market=market,
            detector=self.name,
            feature="source_silence" if whole else "silence",
            unit="s",
            observed=float(feed["silent"]) * width_s,
            expected=width_s / rate,
            low=0.0,
            high=(0.02**-d - 1.0) / (d * rate) * width_s,
            share=1.0,
            meaning="time since any market was heard" if whole else "time since it was heard, while others were",
        )

    def state(self) -> State:
        """See Detector.state."""
        return {"markets": self._markets, "source": self._source, "closed_ns": self._closed_ns}

    def restore(self, state: State) -> None:
        """See Detector.restore."""
        self._markets, self._source = np.array(state["markets"]), np.array(state["source"])
        self._closed_ns = int(str(state["closed_ns"]))


@kernel
def dispersion(feed: Any) -> Any:
    """Of the rate: what was learned of blocks, shrunk to what is shipped."""
    mean = BLOCK_WINDOWS * feed["rate"]
    prior = DISPERSION_BLOCKS * mean * mean
    weight = prior + feed["spread_d"]
    learned = (DISPERSION * prior + feed["spread_n"]) / weight if weight > 0.0 else DISPERSION
    return min(max(learned, DISPERSION_MIN), DISPERSION_MAX)


@kernel
def surprise(feed: Any, shortest: Any, longest: Any) -> Any:
    """-log10 of the chance of so long a silence; 0 where it is short, or so long that it was given up."""
    if feed["silent"] < shortest or feed["silent"] >= longest or feed["age"] < FIRST_WINDOWS:
        return 0.0
    d = dispersion(feed)
    return log10(1.0 + d * feed["rate"] * feed["silent"]) / d


@kernel
def judge(
    feeds: Any,
    source: Any,
    whole: Any,
    due: Any,
    shortest: Any,
    longest: Any,
    width_s: Any,
    values: Any,
    per_week: Any,
    every: Any,
) -> Any:
    """float64 (M), written: the score (NaN = cannot say), how many silences begin in a week, seconds between two such.
    whole: the source is silent, and every market tells of that."""
    together = surprise(source[0], shortest, longest)
    for m in range(len(feeds)):
        rate = source[0]["rate"] if whole else feeds[m]["rate"]
        per_week[m] = max(1.0, rate * WEEK_S / width_s)
        known = due[m] and feeds[m]["age"] >= FIRST_WINDOWS
        values[m] = np.nan
        every[m] = 0.0
        if known:
            values[m] = together if whole else surprise(feeds[m], shortest, longest)
            every[m] = WEEK_S / per_week[m] * 10.0 ** min(values[m], 300.0)


@kernel
def listen(feeds: Any, source: Any, events: Any, due: Any, passed: Any) -> Any:
    """Who was heard in this window. feeds FEED (M), source FEED (1); events float64 (M), NaN = none; due bool (M);
    passed: windows since the last one."""
    anybody = False
    anybody_due = False
    for m in range(len(feeds)):
        anybody = anybody or events[m] > 0.0
        anybody_due = anybody_due or due[m]
    for m in range(len(feeds)):
        if events[m] > 0.0 or not due[m]:
            feeds[m]["silent"] = 0.0
        elif anybody:
            feeds[m]["silent"] += 1.0
    source[0]["silent"] = 0.0 if anybody or not anybody_due else source[0]["silent"] + passed


@kernel
def learn_rates(feeds: Any, source: Any, events: Any, learn: Any, memory: Any) -> Any:
    """One more window of those that may learn (learn bool (M)); of the source, what those said together."""
    together = 0.0
    anybody = False
    for m in range(len(feeds)):
        if learn[m]:
            count = events[m] if events[m] > 0.0 else 0.0
            together += count
            anybody = True
            _learn(feeds[m], count, memory)
    if anybody:
        _learn(source[0], together, memory)


@kernel
def _learn(feed: Any, count: Any, memory: Any) -> Any:
    """The rate at once, its dispersion a block at a time."""
    taught = count if feed["age"] < FIRST_WINDOWS else min(count, WINSOR * (feed["rate"] + 1.0))
    gain = max(1.0 - 0.5 ** (1.0 / memory), 1.0 / (feed["age"] + 1.0))
    feed["rate"] += gain * (taught - feed["rate"])
    feed["age"] += 1.0
    feed["block"] += count
    feed["block_windows"] += 1.0
    if feed["block_windows"] < BLOCK_WINDOWS:
        return
    mean = BLOCK_WINDOWS * feed["rate"]
    d = dispersion(feed)
    error = min((feed["block"] - mean) * (feed["block"] - mean), WINSOR * WINSOR * (mean + d * mean * mean))
    keep = 0.5 ** (BLOCK_WINDOWS / memory)
    feed["spread_n"] = keep * feed["spread_n"] + error - mean
    feed["spread_d"] = keep * feed["spread_d"] + mean * mean
    feed["block"] = 0.0
    feed["block_windows"] = 0.0

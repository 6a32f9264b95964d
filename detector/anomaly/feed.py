"""Feed: a market, or the whole source, that should have spoken and has not. A dead feed, told from a quiet market."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector
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

    name = "feed"
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
        events = np.nan_to_num(windows.column("events"))
        heard = events > 0
        passed = 1.0
        if self._closed_ns and windows.close_ns > self._closed_ns:
            passed = (windows.close_ns - self._closed_ns) / windows.width_ns  # a long silence is jumped over
        self._closed_ns = windows.close_ns
        due = windows.calm & windows.fresh
        feeds["silent"] = np.where(heard | ~due, 0.0, feeds["silent"] + bool(heard.any()))
        source["silent"] = 0.0 if heard.any() or not due.any() else source["silent"] + passed
        silence, source_silence = self._surprise(feeds), self._surprise(source)
        whole = bool(source_silence[0] > 0.0)
        told = source if whole else feeds
        values = np.where(due & (feeds["age"] >= FIRST_WINDOWS), source_silence if whole else silence, np.nan)
        if not windows.idle:
            _learn(feeds, events, learn, self.params.memory_windows)
            together = np.array([events[learn].sum()])
            _learn(source, together, np.array([bool(learn.any())]), self.params.memory_windows)
        width_s = windows.width_ns / 1e9
        per_week = np.broadcast_to(np.maximum(told["rate"] * WEEK_S / width_s, 1.0), count)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            every = np.where(per_week > 0, WEEK_S / per_week * 10.0 ** np.minimum(np.nan_to_num(values), 300.0), 0.0)

        def explain(market: int) -> tuple[Evidence, ...]:
            return (self._evidence(windows.markets[market], source[0] if whole else feeds[market], width_s, whole),)

        return Score(
            detector=self.name,
            close_ns=windows.close_ns,
            markets=windows.markets,
            values=values,
            levels=np.log10(per_week[None, :] / self.budgets[:, None]),
            every_s=every,
            warming=feeds["age"] < FIRST_WINDOWS,
            surprises=np.zeros((count, 0)),
            residuals=np.zeros((count, 0)),
            streams=(),
            explain=explain,
        )

    def _surprise(self, feeds: Any) -> npt.NDArray[np.float64]:
        """-log10 of the chance of so long a silence; 0 where it is short, or so long that it was given up."""
        silent = feeds["silent"]
        counts = (silent >= self.params.reconnect_windows) & (silent < self.params.give_up_windows)
        d = _dispersion(feeds)
        return np.where(counts & (feeds["age"] >= FIRST_WINDOWS), np.log10(1.0 + d * feeds["rate"] * silent) / d, 0.0)

    def _evidence(self, market: str, feed: Any, width_s: float, whole: bool) -> Evidence:
        rate = max(float(feed["rate"]), 1e-9)
        d = float(_dispersion(feed))
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


def _dispersion(feeds: Any) -> Any:
    prior = DISPERSION_BLOCKS * (BLOCK_WINDOWS * feeds["rate"]) ** 2
    learned = (DISPERSION * prior + feeds["spread_n"]) / np.maximum(prior + feeds["spread_d"], 1e-12)
    return np.clip(learned, DISPERSION_MIN, DISPERSION_MAX)


def _learn(feeds: Any, events: npt.NDArray[np.float64], learn: npt.NDArray[np.bool_], memory: int) -> None:
    """One more window of those that may learn: the rate at once, its dispersion a block at a time."""
    taught = np.minimum(events, WINSOR * (feeds["rate"] + 1.0))
    young = feeds["age"] < FIRST_WINDOWS
    gain = np.maximum(1.0 - 0.5 ** (1.0 / memory), 1.0 / (feeds["age"] + 1.0))
    feeds["rate"] += np.where(learn, gain * (np.where(young, events, taught) - feeds["rate"]), 0.0)
    feeds["age"] += learn
    feeds["block"] += np.where(learn, events, 0.0)
    feeds["block_windows"] += learn
    due = feeds["block_windows"] >= BLOCK_WINDOWS
    if not due.any():
        return
    keep = 0.5 ** (BLOCK_WINDOWS / memory)
    mean = BLOCK_WINDOWS * feeds["rate"]
    most = WINSOR**2 * (mean + _dispersion(feeds) * mean**2)
    error = np.minimum((feeds["block"] - mean) ** 2, most) - mean
    feeds["spread_n"] = np.where(due, keep * feeds["spread_n"] + error, feeds["spread_n"])
    feeds["spread_d"] = np.where(due, keep * feeds["spread_d"] + mean**2, feeds["spread_d"])
    feeds["block"] = np.where(due, 0.0, feeds["block"])
    feeds["block_windows"] = np.where(due, 0.0, feeds["block_windows"])

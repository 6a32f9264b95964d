"""Clock: how many times the usual is done in this second of a minute. Robots look when a candle closes.

A market's counts by second of the minute, against what its activity accounts for over all of them; a second has a
factor of its own once it is beyond doubt that it has one (two deviations), and never one below 1. Of a market that was
heard for minutes only that is not known yet, and the first second of a minute says nothing there (`untold`).
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.kernels import inlined, kernel
from detector.model.arrays import widen

SECONDS = 60
SECOND_NS = 1_000_000_000
MEMORY_MINUTES = 240.0  # after which what a second of the minute has seen has half forgotten
PRIOR = 5.0  # counts of every second that are as usual
DOUBT = 2.0  # deviations of a Poisson count
WINSOR = 3.0  # a window teaches at most this many times what was expected, and as many counts more
NEW_WINDOWS = 1800.0  # a market that was learned from for fewer may have robots that nobody knows of
_KEEP = 0.5 ** (1.0 / MEMORY_MINUTES)
_KEEP_ALL = 0.5 ** (1.0 / (MEMORY_MINUTES * SECONDS))

CLOCK = np.dtype(
    [
        ("counts", "<f8", (SECONDS,)),  # decayed sums, by second of the minute
        ("activity", "<f8", (SECONDS,)),
        ("all_counts", "<f8"),  # the same of all of them
        ("all_activity", "<f8"),
    ],
    align=True,
)


EXTRA = np.dtype(
    [
        ("counts", "<f8", (SECONDS,)),  # decayed sums, by second of the minute
        ("activity", "<f8", (SECONDS,)),
        ("windows", "<f8", (SECONDS,)),
        ("all_counts", "<f8"),  # the same of all of them
        ("all_activity", "<f8"),
        ("all_windows", "<f8"),
    ],
    align=True,
)


class Clock:
    """What a stream of counts does by second of the minute, market by market."""

    def __init__(self) -> None:
        self.known: Any = np.zeros(0, CLOCK)  # (room)

    def factors(self, close_ns: int, width_ns: int, markets: int) -> npt.NDArray[np.float64]:
        """float64 (M), at least 1: how many times the usual the second is in which the window begins."""
        self.known = widen(self.known, 0, markets)
        factors = np.ones(markets)
        read_clock(self.known, _second(close_ns, width_ns), factors)
        return factors

    def learn(self, close_ns: int, width_ns: int, counts: Any, activity: Any, learn: npt.NDArray[np.bool_]) -> None:
        """One window: counts and activity float64 (M), NaN = cannot say."""
        self.known = widen(self.known, 0, len(counts))
        learn_clock(self.known, _second(close_ns, width_ns), counts, activity, learn)


class Extra:
    """What a stream of counts does on top by second of the minute, market by market, where what it is held against
    tells nothing of the robots: on a feed that names nobody they cancel, and neither place nor trade."""

    def __init__(self) -> None:
        self.known: Any = np.zeros(0, EXTRA)  # (room)

    def counts(self, close_ns: int, width_ns: int, markets: int) -> npt.NDArray[np.float64]:
        """float64 (2, M): how many more are usual in the second in which the window begins, told in the activity that
        usually brings as many, and in usual windows."""
        self.known = widen(self.known, 0, markets)
        found = np.zeros((2, markets))
        read_extra(self.known, _second(close_ns, width_ns), found)
        return found

    def learn(self, close_ns: int, width_ns: int, counts: Any, activity: Any, learn: npt.NDArray[np.bool_]) -> None:
        """As Clock.learn."""
        self.known = widen(self.known, 0, len(counts))
        learn_extra(self.known, _second(close_ns, width_ns), counts, activity, learn)


def untold(close_ns: int, width_ns: int, seen: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """bool (M): the window begins with a minute, and the market was learned from in so few windows, float64 (M), that
    what robots do there is not known."""
    return (seen < NEW_WINDOWS) & (_second(close_ns, width_ns) == 0)


def _second(close_ns: int, width_ns: int) -> int:
    return (close_ns - width_ns) // SECOND_NS % SECONDS


@kernel
def factor_of(clock: Any, second: Any) -> Any:
    """How many times the usual this second is, as far as that is beyond doubt."""
    if clock["all_activity"] <= 0.0:
        return 1.0
    rate = clock["all_counts"] / clock["all_activity"]
    least = clock["counts"][second] - DOUBT * sqrt(clock["counts"][second] + 1.0)
    return max(1.0, (least + PRIOR) / (rate * clock["activity"][second] + PRIOR))


@kernel
def read_clock(known: Any, second: Any, factors: Any) -> Any:
    """CLOCK (room) -> float64 (M), written."""
    for m in range(len(factors)):
        factors[m] = factor_of(known[m], second)


@inlined
def _add(known: Any, second: Any, count: Any, activity: Any) -> None:
    """One window's to the sums of its second and of all, which fade."""
    known["counts"][second] = _KEEP * known["counts"][second] + count
    known["activity"][second] = _KEEP * known["activity"][second] + activity
    known["all_counts"] = _KEEP_ALL * known["all_counts"] + count
    known["all_activity"] = _KEEP_ALL * known["all_activity"] + activity


@kernel
def learn_clock(known: Any, second: Any, counts: Any, activity: Any, learn: Any) -> Any:
    """One window's counts and activity, float64 (M), into CLOCK (room)."""
    for m in range(len(counts)):
        if not learn[m] or np.isnan(counts[m]) or np.isnan(activity[m]):
            continue
        clock = known[m]
        rate = clock["all_counts"] / clock["all_activity"] if clock["all_activity"] > 0.0 else 0.0
        expected = rate * activity[m] * factor_of(clock, second)
        count = min(counts[m], WINSOR * (expected + 1.0))
        _add(clock, second, count, activity[m])


@kernel
def extra_of(extra: Any, second: Any) -> Any:
    """How many more than usual this second holds, as far as that is beyond doubt."""
    if extra["all_activity"] <= 0.0:
        return 0.0
    rate = extra["all_counts"] / extra["all_activity"]
    least = extra["counts"][second] - DOUBT * sqrt(extra["counts"][second] + 1.0)
    return max(0.0, least - rate * extra["activity"][second]) / (extra["windows"][second] + 1.0)


@kernel
def read_extra(known: Any, second: Any, found: Any) -> Any:
    """EXTRA (room) -> float64 (2, M), written."""
    for m in range(found.shape[1]):
        extra = known[m]
        if extra["all_counts"] <= 0.0:
            continue
        more = extra_of(extra, second)
        found[0, m] = more * extra["all_activity"] / extra["all_counts"]
        found[1, m] = more * extra["all_windows"] / extra["all_counts"]


@kernel
def learn_extra(known: Any, second: Any, counts: Any, activity: Any, learn: Any) -> Any:
    """One window's counts and activity, float64 (M), into EXTRA (room)."""
    for m in range(len(counts)):
        if not learn[m] or np.isnan(counts[m]) or np.isnan(activity[m]):
            continue
        extra = known[m]
        rate = extra["all_counts"] / extra["all_activity"] if extra["all_activity"] > 0.0 else 0.0
        count = min(counts[m], WINSOR * (rate * activity[m] + extra_of(extra, second) + 1.0))
        _add(extra, second, count, activity[m])
        extra["windows"][second] = _KEEP * extra["windows"][second] + 1.0
        extra["all_windows"] = _KEEP_ALL * extra["all_windows"] + 1.0

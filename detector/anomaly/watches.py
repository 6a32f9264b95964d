"""Watches: the few slow quantities of a market whose lasting change is worth a note, each free of what comes and goes.

A watch turns the sums of one minute into a number whose steps are what a person would call a change: the logarithm of a
rate, a ratio or a standing quantity. Ratios are against what other accounts do in the same minute, so that a busy hour
moves nothing; the pace of a market is against that of the middle market, so that the venue's evening moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, expm1
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Column: TypeAlias = npt.NDArray[np.float64]
PSEUDO = 2.0  # actions: a minute of few says little
COLUMNS = (
    "events", "cancels", "cancels_by_others", "trades", "quotes_usual", "quotes_missing", "bid_depth_25_bps",
    "ask_depth_25_bps", "raises",
)  # fmt: skip


class Minute:
    """One minute of every market. sums float64 (M, len(COLUMNS)), NaN = cannot say; windows float64 (M): how many."""

    def __init__(self, sums: npt.NDArray[np.float64], windows: Column) -> None:
        self.windows = windows
        self._sums = sums

    def __getitem__(self, column: str) -> Column:
        return self._sums[:, COLUMNS.index(column)]

    def each(self, column: str) -> Column:
        """Its mean over the minute's windows."""
        return self[column] / self.windows


@dataclass(frozen=True, slots=True)
class Watch:
    """`value` of a minute float64 (M), NaN = cannot say; `shown` what it is in `unit`; `meaning` for a tired person.

    least: of the value, the smallest change worth a note; errors: so many standard errors it must be
    counted: so rare that minutes are averaged, elsewhere the middle one of five stands for them
    paced: held against the middle market's
    relearn: detector.stream that follows when it has changed
    """

    name: str
    unit: str
    meaning: str
    value: Callable[[Minute], Column]
    least: float
    errors: float
    shown: Callable[[float], float] = exp
    counted: bool = False
    paced: bool = False
    relearn: tuple[str, ...] = ()


def _activity(minute: Minute) -> Column:
    return np.log((minute["events"] + PSEUDO) / minute.windows)


def _requotes(minute: Minute) -> Column:
    """On a feed that names nobody all cancels, against trades."""
    others = np.nan_to_num(minute["cancels_by_others"])
    return np.log((minute["cancels"] - others + PSEUDO) / (others + minute["trades"] + PSEUDO))


def _quotes(minute: Minute) -> Column:
    return np.log(np.maximum(minute.each("quotes_usual") - minute.each("quotes_missing"), 0.5))


def _depth(minute: Minute) -> Column:
    return np.log(np.maximum(minute.each("bid_depth_25_bps") + minute.each("ask_depth_25_bps"), 1.0))


def _raises(minute: Minute) -> Column:
    return np.log1p(minute["raises"])


WATCHES = (
    Watch("activity", "1/s", "messages", _activity, 0.4, 4.2, paced=True, relearn=("cancel_burst.cancels_unnamed",)),
    Watch(
        "requoting", "x", "cancels by makers for each thing that others do", _requotes, 0.15, 4.2,
        relearn=("cancel_burst.cancels",),
    ),
    Watch(
        "quotes_resting", "orders", "orders that the market's makers have resting", _quotes, 0.06, 5.6,
        relearn=("thin_book.quotes_missing",),
    ),
    Watch("depth", "quote", "value resting within 25 bps", _depth, 0.5, 7.0),
    Watch(
        "leverage_raises", "1/min", "accounts raising their leverage", _raises, 0.1, 5.8, shown=expm1, counted=True,
        relearn=("leverage_spike.raised_far", "leverage_spike.raises"),
    ),
)  # fmt: skip

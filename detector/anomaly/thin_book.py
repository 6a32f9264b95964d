"""Thin book: those who usually quote are gone or far out, or more is taken than the book can bear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.anomaly.baseline import Measure
from detector.anomaly.streams import Column, Stream, StreamDetector, unconditioned
from detector.anomaly.tail import EXCESS_PRIOR, TAIL_SCORE
from detector.model.windows import Windows

NET = 0.001  # part of the budget of what is eaten and not refilled (docs/adr/0020)
MOVED = 0.006  # and of quotes placed further out: what of it is no leap is mostly a volatile hour (docs/adr/0025)
SWEEP = 20.0  # % of the depth: sweeps come in such pieces (mean square over mean), so many of them are counted
UNSTEADY = 2.5  # x the tail of a calibrated stream: only what is far out of its own spread counts (docs/adr/0041)
LEAPT = 0.2  # and of leaps: a fifth of what is left to quotes pulled, which say least in normal times (docs/adr/0032)


@dataclass(frozen=True, slots=True)
class Params:
    """Scales in windows (1 s by default)."""

    pulled_windows: int = 10  # makers taking quotes back for good
    withdrawal_windows: int = 60  # quotes missing for whatever reason
    outward_windows: int = 90  # makers quoting further out
    leapt_windows: int = 30  # quotes moved far out at once
    taken_windows: int = 2  # the book eaten
    memory_windows: int = 14400  # what is normal half forgets in this long
    slow_memory_windows: int = 43200  # the same of quotes taken back: who leaves over hours is not soon normal


class ThinBook(StreamDetector):
    """Quotes of the market's makers, each maker against its own habit: taken back and not replaced, moved far out all
    at once; with a small part of the budget, placed further out or missing for whatever reason. On feeds that name
    nobody: what aggressors take in a moment against what rests within 10 bps.

    Wrong when makers re-quote in one big sweep of many seconds, and when two that are not most of the book restart at
    once. One alone is no page (docs/adr/0041). Depth, spread and holes alone page hardly anybody (detection.md 3.4);
    they are evidence elsewhere.
    """

    Params = Params
    BEHIND = "quotes"
    SHARE = 0.4  # what it says stands out by far, or is nothing: a larger share finds no more
    PEAK_PRIOR = (0.33, 0.69)
    PEAK_LEAST = 1.0  # a maker that leaps is nothing for days, and then a mark by itself: its peaks do not foretell it

    @staticmethod
    def make(params: Any) -> tuple[Stream, ...]:
        """See StreamDetector.make."""
        memory, slow = float(params.memory_windows), float(params.slow_memory_windows)
        return (
            Stream(
                "quotes_pulled", "%", "of the makers' usual quotes, taken back and not replaced",
                _pulled, _weight,
                Measure(
                    float(params.pulled_windows), 1.0, 100.0, 0.0, 1e6, 0.3, slow, 1.0, 1.0,
                    UNSTEADY * TAIL_SCORE, UNSTEADY * EXCESS_PRIOR, steadiest=0.15,
                ),
            ),
            Stream(
                "quotes_missing", "orders", "orders that the market's makers usually have resting and have not",
                _missing, _usual,
                Measure(
                    float(params.withdrawal_windows), 1.0, 1.0, 100.0, 1000.0, 0.15, memory, 1.0,
                    quantile=UNSTEADY * TAIL_SCORE, excess=UNSTEADY * 0.6,
                ),
                NET,
            ),
            Stream(
                "quotes_moved", "x", "how far from the middle makers place quotes, against their usual distance",
                _outward, _placed,
                Measure(float(params.outward_windows), 1.0, 1.0, 20.0, 20.0, 0.0225, memory, 1.0, 10.0, 2.3, 1.3),
                MOVED,
            ),
            Stream(
                "quotes_leapt", "1/min",
                "makers that moved quotes out by six times their usual distance and further than the price, both sides",
                _leapt, _requoted,
                Measure(float(params.leapt_windows), 0.0, 1.0, 0.15, 10_000.0, 1.0, memory, 1.0 / 60.0, excess=0.6),
                LEAPT,
            ),
            Stream(
                "taken", "% of depth", "what aggressors of one side took of all that rested within 10 bps",
                _taken, unconditioned,
                Measure(float(params.taken_windows), 0.0, SWEEP, 1.5, 60.0, 10.0, memory, 1.0),
            ),
        )  # fmt: skip


def _pulled(windows: Windows) -> Column:
    return windows.column("quotes_pulled") * windows.column("quotes_weight")


def _weight(windows: Windows) -> Column:
    return windows.column("quotes_weight")


def _outward(windows: Windows) -> Column:
    """A window in which quotes were placed weighs 1, however many: they come in batches that are alike."""
    return windows.column("quotes_outward") / np.maximum(windows.column("quotes_placed"), 1.0)


def _leapt(windows: Windows) -> Column:
    return windows.column("quotes_leapt")


def _requoted(windows: Windows) -> Column:
    return windows.column("quotes_requoted")


def _placed(windows: Windows) -> Column:
    return np.minimum(windows.column("quotes_placed"), 1.0)


def _missing(windows: Windows) -> Column:
    return windows.column("quotes_missing")


def _usual(windows: Windows) -> Column:
    return windows.column("quotes_usual")


def _taken(windows: Windows) -> Column:
    """Percent of the resting value within 10 bps that one side's aggressors took, where no account is named: of what is
    left and what was taken, for a book that was emptied holds next to nothing (docs/adr/0036)."""
    unnamed = np.isnan(windows.column("acting_accounts"))
    if not np.count_nonzero(unnamed):
        return np.full(len(unnamed), np.nan)
    sold = _of_all(windows.column("taken_by_sellers"), windows.column("bid_depth_10_bps"))
    bought = _of_all(windows.column("taken_by_buyers"), windows.column("ask_depth_10_bps"))
    return np.where(unnamed, 100.0 * np.fmax(sold, bought), np.nan)


def _of_all(taken: Column, left: Column) -> Column:
    """Share; 0 where nothing was taken, NaN where one of them is not known."""
    share: Column = taken / np.maximum(taken + left, 1.0)
    return share

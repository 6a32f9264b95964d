"""Leverage spike: more accounts raise their leverage, and further, than usual; or a few far larger ones do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from detector.anomaly.baseline import Measure
from detector.anomaly.streams import Column, Stream, StreamDetector
from detector.model.windows import Windows

WHALES = 0.3  # part of the budget: what a few large accounts do stands out by far, or is nothing
LULL = 1.0  # leverage is changed in a lull as often as ever (docs/adr/0039)
NOTHING = 0.0  # evidence: each raise counts in raised_far already (docs/adr/0024)


@dataclass(frozen=True, slots=True)
class Params:
    """Scales in windows (1 s by default)."""

    crowd_windows: int = 300  # a crowd gathers over minutes
    whale_windows: int = 900  # large accounts need not hurry
    memory_windows: int = 43200  # what is normal half forgets in this long


class LeverageSpike(StreamDetector):
    """Raises weighed by how improbably far they go, against the accounts acting now (a crowd), and raises weighed by
    how improbably large the positions are (whales). How many there are is evidence. Where fewer act than usual they are
    held against the usual.

    Wrong when a venue changes its leverage limits: everybody adjusts at once, and it will say so.
    """

    Params = Params
    BEHIND = "raises"
    GROWS = ("raised_far",)
    SHARE = 2.0  # sparse streams: the same share buys more here than elsewhere
    PEAK_PRIOR = (0.65, 1.15)

    @staticmethod
    def make(params: Any) -> tuple[Stream, ...]:
        """See StreamDetector.make."""
        crowd, whale = float(params.crowd_windows), float(params.whale_windows)
        measure = partial(Measure, average=0.0, memory=float(params.memory_windows), per_s=1.0 / 60.0, floor=LULL)
        return (
            Stream(
                "raised_far", "nats/min", "raises of leverage, each weighed by how improbably far it goes",
                _far, _accounts, measure(scale=crowd, unit=2.0, prior_n=4.0, prior_a=6000.0, dispersion=0.1),
            ),
            Stream(
                "raises", "1/min", "accounts raising their leverage",
                _raises, _accounts, measure(scale=crowd, unit=1.0, prior_n=8.0, prior_a=6000.0, dispersion=0.15),
                NOTHING,
            ),
            Stream(
                "raise_surprise", "nats/min", "raises weighed by how improbably large the positions are",
                _surprise, _accounts, measure(scale=whale, unit=2.0, prior_n=2.0, prior_a=12000.0, dispersion=0.5),
                WHALES,
            ),
        )  # fmt: skip


def _far(windows: Windows) -> Column:
    return windows.column("raised_far")


def _raises(windows: Windows) -> Column:
    return windows.column("raises")


def _surprise(windows: Windows) -> Column:
    return windows.column("raise_surprise")


def _accounts(windows: Windows) -> Column:
    return windows.column("acting_accounts")

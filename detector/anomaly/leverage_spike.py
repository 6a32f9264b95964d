"""Leverage spike: more accounts raise their leverage than usual, or a few far larger ones do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detector.anomaly.baseline import Measure
from detector.anomaly.streams import Column, Stream, StreamDetector
from detector.model.windows import Windows

WHALES = 0.3  # part of the budget: what a few large accounts do stands out by far, or is nothing
NOTHING = 0.0  # evidence, and for the drift notes: a creep over hours pages nobody (docs/adr/0020)


@dataclass(frozen=True, slots=True)
class Params:
    """Scales in windows (1 s by default)."""

    crowd_windows: int = 300  # a crowd gathers over minutes
    drift_windows: int = 3600  # or over hours
    whale_windows: int = 900  # large accounts need not hurry
    memory_windows: int = 43200  # what is normal half forgets in this long


class LeverageSpike(StreamDetector):
    """Raises against the accounts acting now (a crowd), and raises weighed by how improbably large they are (whales).
    Raises over an hour are evidence.

    Wrong when a venue changes its leverage limits: everybody adjusts at once, and it will say so.
    """

    name = "leverage_spike"
    Params = Params
    GROWS = ("raises",)
    SHARE = 1.5  # sparse streams: the same share buys more here than elsewhere
    PEAK_PRIOR = (0.76, 1.2)

    @staticmethod
    def make(params: Any) -> tuple[Stream, ...]:
        """See StreamDetector.make."""
        crowd, whale, memory = float(params.crowd_windows), float(params.whale_windows), float(params.memory_windows)
        return (
            Stream(
                "raises", "1/min", "accounts raising their leverage", _raises, _accounts,
                Measure(crowd, 0.0, 1.0, 8.0, 6000.0, 0.15, memory, 1.0 / 60.0),
            ),
            Stream(
                "raises_long", "1/min", "the same over an hour", _raises, _accounts,
                Measure(float(params.drift_windows), 0.0, 1.0, 8.0, 6000.0, 0.05, memory, 1.0 / 60.0), NOTHING,
            ),
            Stream(
                "raise_surprise", "nats/min", "raises weighed by how improbably large the positions are",
                _surprise, _accounts,
                Measure(whale, 0.0, 2.0, 2.0, 12000.0, 0.5, memory, 1.0 / 60.0), WHALES,
            ),
        )  # fmt: skip


def _raises(windows: Windows) -> Column:
    return windows.column("raises")


def _surprise(windows: Windows) -> Column:
    return windows.column("raise_surprise")


def _accounts(windows: Windows) -> Column:
    return windows.column("acting_accounts")

"""Restarts: what a market keeps of having begun anew, until it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.model.restart import Anew, Restart

TELL_EVERY_NS = 600_000_000_000  # a market that begins anew again and again is told of at most this often

RESTART = np.dtype(
    [
        ("times", "<i4"),  # since it was last told
        ("at_ns", "<i8"),  # event time of the latest
        ("told_ns", "<i8"),  # end of the window with which it was last told
    ],
    align=True,
)


@kernel
def note_restart(restart: Any, event_ns: Any) -> None:
    """One more, to be told as its window closes. restart: RESTART, one row."""
    restart["times"] += 1
    restart["at_ns"] = event_ns


def restarts(markets: Any, names: Sequence[str], close_ns: int) -> list[Restart]:
    """What is to be told as a window closes; it is told then. markets: MARKET (M or more); `names` are in use."""
    found = []
    rows = markets[: len(names)]
    for index in np.flatnonzero(rows["renumbered"]["times"]).tolist():
        place = rows[index]
        told = _taken(place["renumbered"], close_ns)
        if told:
            found.append(Restart(names[index], Anew.NUMBERS, *told, str(place["before_seq"]), str(place["last_seq"])))
    return found


def _taken(restart: Any, close_ns: int) -> tuple[int, int] | None:
    """(at_ns, times) of what is due to be told; None = one was told a moment ago."""
    if restart["told_ns"] and close_ns - restart["told_ns"] < TELL_EVERY_NS:
        return None
    told = int(restart["at_ns"]), int(restart["times"])
    restart["told_ns"] = close_ns
    restart["times"] = 0
    return told

"""What a feature group is: it counts events of each open window and reads the counts out when the window closes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detector.features.tables import Tables
from detector.model.arrays import widen
from detector.model.state import State
from detector.model.windows import Feature


def numbers(records: Any) -> npt.NDArray[np.float64]:
    """float64 (fields, M) of records (M) whose fields are all of eight bytes; those that are int64 mean nothing in it.

    >>> numbers(np.array([(1.0, 2.0), (3.0, 4.0)], [("a", "<f8"), ("b", "<f8")])).tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    flat = records.view(np.float64).reshape(len(records), records.dtype.itemsize // 8)
    return np.array(flat.T, order="C")  # a copy of one market, too: the caller writes into it


class Group(ABC):
    """One file a group: STATE (dtype of one market's counts), FEATURES, `fold` and `read`.

    `self.counts` is STATE (R, M): R open windows in a ring, M room for markets. A fold is a kernel over arrays and adds
    only to counts[event["window"], event["market"]]; late events (window == LATE_WINDOW) it leaves alone.
    """

    STATE: ClassVar[np.dtype[np.void]]
    FEATURES: ClassVar[tuple[Feature, ...]]
    COUNTS: ClassVar[bool] = False  # what it says of an open window is what it has counted so far: `read` may be asked
    GROWS: ClassVar[Mapping[str, str]] = {}  # features that only grow in a window, and their column (engine/early.py)

    def __init__(self, ring: int) -> None:
        self.counts: Any = np.zeros((ring, 16), self.STATE)

    def make_room(self, markets: int) -> None:
        """Room for at least `markets` markets."""
        if markets > self.counts.shape[1]:
            self.counts = widen(self.counts, 1, max(markets, 2 * self.counts.shape[1]))

    @abstractmethod
    def fold(self, tables: Tables, events: Any, start: int, stop: int) -> None:
        """Count events[start:stop], which the ledger has applied."""

    @abstractmethod
    def read(self, tables: Tables, slot: int, markets: int) -> npt.NDArray[np.float64]:
        """float64 (markets, len(FEATURES)) of the window in ring slot `slot`; NaN = cannot say."""

    def clear(self, slot: int) -> None:
        """The window in `slot` is closed: its place is for another."""
        self.counts[slot].view(np.uint8)[:] = 0  # as bytes: a record at a time takes fifty times as long

    def state(self) -> State:
        """For a checkpoint."""
        return {"counts": self.counts}

    def restore(self, state: State) -> None:
        """From a checkpoint."""
        saved = np.array(state["counts"])
        known = set(saved.dtype.names or ()) <= set(self.STATE.names or ())
        assert known, f"{type(self).__name__}: saved counts are of another version"
        self.counts = np.zeros(saved.shape, self.STATE)
        for name in saved.dtype.names or ():
            self.counts[name] = saved[name]  # of an older version: what it did not count in the open windows is 0

"""Spans: which offsets each window's fold took, and which markets each partition carries: where an incident stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.engine.lane import Lane
from detector.kernels.clocks import meet
from detector.model.arrays import widen
from detector.model.events import EventBatch
from detector.model.incident import Position
from detector.model.state import State, Tree

Partition = tuple[str, int]
_NONE: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)


class Spans:
    """width_ns of a window; memory: windows that are remembered."""

    def __init__(self, width_ns: int, memory: int) -> None:
        self._width_ns = width_ns
        self._memory = memory
        self._carried: dict[Partition, set[str]] = {}  # markets each lane has brought
        self._met: dict[Partition, npt.NDArray[np.uint8]] = {}  # the same since the start, by the decoder's numbers
        self._taken: dict[tuple[int, Partition], tuple[int, int]] = {}  # oldest window first

    def brought(self, key: Partition, batch: EventBatch) -> None:
        """A batch came: its markets live in that partition."""
        met = self._met[key] = widen(self._met.get(key, _NONE), 0, len(batch.markets))
        if meet(batch.events, met):
            names = (batch.markets[market] for market in np.flatnonzero(met).tolist())
            self._carried.setdefault(key, set()).update(names)

    def note(self, window: int, lane: Lane, offsets: Any, start: int, stop: int) -> None:
        """Rows [start, stop) of a batch are folded while `window` is the oldest that is open."""
        key = (window, (lane.topic, lane.partition))
        first, last = int(offsets[start]), int(offsets[stop - 1])
        self._taken[key] = (self._taken[key][0] if key in self._taken else first, last)

    def forget(self, window: int) -> None:
        """`window` is closed: what lies further back than `memory` goes."""
        while self._taken and (oldest := next(iter(self._taken)))[0] < window - self._memory:
            del self._taken[oldest]

    def positions(self, markets: tuple[str, ...], from_ns: int, to_ns: int) -> tuple[Position, ...]:
        """Offsets of the partitions that carry `markets`, over the windows that start in [from_ns, to_ns]."""
        wanted = set(markets)
        found: dict[Partition, tuple[int, int]] = {}
        for (window, key), (first, last) in self._taken.items():
            start_ns = window * self._width_ns
            if start_ns < from_ns - self._width_ns or start_ns > to_ns or not wanted & self._carried[key]:
                continue
            low, high = found.get(key, (first, last))
            found[key] = (min(low, first), max(high, last))
        return tuple(Position(topic, partition, *found[topic, partition]) for topic, partition in sorted(found))

    def state(self) -> State:
        """For a checkpoint."""
        return {
            "carried": [[*key, *sorted(markets)] for key, markets in sorted(self._carried.items())],
            "spans": [[window, *key, first, last] for (window, key), (first, last) in self._taken.items()],
        }

    def restore(self, state: State) -> None:
        """Go on from a checkpoint."""
        carried, spans = state["carried"], state["spans"]
        assert isinstance(carried, list) and isinstance(spans, list)
        for row in carried:
            assert isinstance(row, list)
            self._carried[(str(row[0]), int(str(row[1])))] = {str(market) for market in row[2:]}
        self._taken = dict(_span(row) for row in spans)


def _span(row: Tree) -> tuple[tuple[int, Partition], tuple[int, int]]:
    assert isinstance(row, list)
    return (int(str(row[0])), (str(row[1]), int(str(row[2])))), (int(str(row[3])), int(str(row[4])))

"""Intake: what inputs hand over becomes events, and markets of records and of ready rows get one numbering."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from detector.formats.base import Format
from detector.model.events import EventBatch
from detector.model.records import RecordBatch


class Intake:
    """Records go through `decoder`; rows come as they are. As soon as a run has both, a market's number is that of the
    names of both together, in the order they came."""

    def __init__(self, decoder: Format) -> None:
        self._decoder = decoder
        self._names: tuple[str, ...] = ()
        self._index: dict[str, int] = {}
        self._numbers: dict[bool, npt.NDArray[np.int32]] = {
            ready: np.zeros(0, np.int32) for ready in (False, True)
        }  # by "came as rows": that side's number of a market -> ours

    def taken(self, handed: RecordBatch | EventBatch | None) -> EventBatch | None:
        """The events; None of None."""
        if handed is None:
            return None
        ready = isinstance(handed, EventBatch)
        batch = handed if isinstance(handed, EventBatch) else self._decoder.decode(handed)
        numbers = self._learnt(ready, batch.markets)
        if not np.array_equal(numbers, np.arange(len(numbers))):
            batch.events["market"] = numbers[batch.events["market"]]
        return replace(batch, markets=self._names)

    def _learnt(self, ready: bool, markets: tuple[str, ...]) -> npt.NDArray[np.int32]:
        """That side's numbers, after all of `markets` have one."""
        numbers = self._numbers[ready]
        if len(markets) > len(numbers):
            for name in markets[len(numbers) :]:
                if name not in self._index:
                    self._index[name] = len(self._index)
            self._names = tuple(self._index)
            numbers = self._numbers[ready] = np.array([self._index[name] for name in markets], np.int32)
        return numbers

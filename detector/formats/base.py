"""What a format is: the language of a feed. `decode` turns a batch of bytes into columns; bad input never raises."""

from __future__ import annotations

from abc import ABC, abstractmethod

from detector.model.events import EventBatch
from detector.model.records import RecordBatch
from detector.model.state import State


class Format(ABC):
    """One per run. Holds the table of market names, which grows, and where a feed leaves no other way (a snapshot that
    does not name its market) a bounded memory per partition, which `state` saves with the partition's position.

    A record that says nothing readable becomes a Reject; one of no interest is counted in `skipped`.
    `key` seeds the digests of order ids and accounts (kernels/digest.py), the same for a state file's whole life.
    """

    def __init__(self, key: tuple[int, int] = (0, 0), markets_max: int = 4096) -> None:
        self.key = key
        self.markets_max = markets_max

    @abstractmethod
    def decode(self, batch: RecordBatch) -> EventBatch:
        """All rows of all records, in log order. Raises nothing, whatever the bytes."""

    def state(self) -> State:
        """What earlier records left behind that changes what later ones mean; for most formats nothing.

        Kept per partition: {"partitions": [{"topic": ..., "partition": ..., ...}, ...]}, so that each can be saved as
        it was at its own position.
        """
        return {}

    def restore(self, state: State) -> None:
        """Go on from `state`. Raises ValueError with a sentence when it does not fit."""
        del state

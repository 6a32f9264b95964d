"""What a format is: the language of a feed. `decode` turns a batch of bytes into columns; it never raises on bad input."""

from __future__ import annotations

from abc import ABC, abstractmethod

from detector.model.events import EventBatch
from detector.model.records import RecordBatch


class Format(ABC):
    """One per run. Holds nothing that changes what a record means: only the table of market names, which grows.

    A record that says nothing readable becomes a Reject; one of no interest is counted in `skipped`.
    `key` seeds the digests of order ids and accounts (kernels/digest.py), the same for a state file's whole life.
    """

    name: str = ""

    def __init__(self, key: tuple[int, int] = (0, 0), markets_max: int = 4096) -> None:
        self.key = key
        self.markets_max = markets_max

    @abstractmethod
    def decode(self, batch: RecordBatch) -> EventBatch:
        """All rows of all records, in log order. Raises nothing, whatever the bytes."""

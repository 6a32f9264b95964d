"""Simulated: the simulated exchange as an input of a replay, its planted incidents as labels. All of it synthetic."""

from __future__ import annotations

from detector.model.records import RecordBatch
from replay.exchange import Exchange
from replay.feed import batches
from replay.labels import Label


class SimulatedInput:
    """A run of an exchange from where it stands, native JSON in one partition. `bytes` are those of its messages."""

    damage = ""
    bytes_total = None

    def __init__(self, exchange: Exchange, *, chunk_s: float = 1.0) -> None:
        self.partition = ("simulated", 0)
        self.bytes_done = 0
        self._batches = batches(exchange, self.partition[0], seconds_per_chunk=chunk_s)

    def read(self) -> RecordBatch | None:
        """The next `chunk_s` of event time."""
        batch = next(self._batches, None)
        if batch is not None and len(batch):
            self.bytes_done += int(batch.bounds[-1, 1])
        return batch

    def close(self) -> None:
        """Stop the exchange."""
        self._batches = iter(())


def labels_of(exchange: Exchange) -> tuple[Label, ...]:
    """What is planted, confounders too."""
    return tuple(
        Label(row["start"], row["end"], tuple(row["markets"]), row["kind"], row["name"]) for row in exchange.labels()
    )

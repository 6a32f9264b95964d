"""Reading: inputs to batches of events, some rounds before the engine takes them.

A round is a batch of every input that is to be read from. Rounds are asked for ROUNDS before they are taken, with and
without threads, so that inputs are read and markets numbered in the same order however many workers there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from detector.formats.base import Format
from detector.model.events import EventBatch
from detector.model.records import RecordBatch
from detector.model.state import State
from replay.intake import Intake

Partition: TypeAlias = tuple[str, int]

ROUNDS = 4  # a row group of a columnar file is read at once and handed over in about twice as many batches


class Input(Protocol):
    """A log with an end: a FileReader, or a range of a topic."""

    @property
    def partition(self) -> Partition:
        """Topic and number; no two inputs of a run share them."""

    @property
    def damage(self) -> str:
        """Why it ended before its end, "" = it did not."""

    @property
    def bytes_done(self) -> int:
        """For the progress bar."""

    @property
    def bytes_total(self) -> int | None:
        """None = nobody knows."""

    def read(self) -> RecordBatch | EventBatch | None:
        """The next records, or the rows of a file that holds rows; None at the end."""

    def close(self) -> None:
        """Give it back."""


@dataclass(frozen=True, slots=True, eq=False)
class Handed:
    """What an input handed over: a batch and what the decoder held before it; None = it has ended."""

    source: Input
    decoder: State
    batch: EventBatch | None


Round: TypeAlias = Sequence[Handed]
Ahead: TypeAlias = Callable[[Callable[[], Round]], Callable[[], Round]]


class Reading:
    """begin: how work is begun (replay/workers.py). wanted: what of a batch goes on, None = its input is done; called
    where the reading is done, in the order of the rounds."""

    def __init__(self, decoder: Format, wanted: Callable[[EventBatch], EventBatch | None], begin: Ahead) -> None:
        self._decoder = decoder
        self._intake = Intake(decoder)
        self._wanted = wanted
        self._begin = begin
        self._ended: set[Partition] = set()
        self._asked: deque[Callable[[], Round]] = deque()

    @property
    def wants(self) -> bool:
        """Another round should be asked for before one is taken."""
        return len(self._asked) < ROUNDS

    def ask(self, inputs: Sequence[Input]) -> None:
        """A round of these."""
        self._asked.append(
            self._begin(lambda: [self._read(each) for each in inputs if each.partition not in self._ended])
        )

    def take(self) -> Round:
        """The oldest round that was asked for. Inputs whose end was handed over are closed, and in no later round."""
        return self._asked.popleft()()

    def _read(self, each: Input) -> Handed:
        state = self._decoder.state()
        batch = self._intake.taken(each.read())
        if batch is not None:
            batch = self._wanted(batch)
        if batch is None:
            self._ended.add(each.partition)
            each.close()
        return Handed(each, state, batch)

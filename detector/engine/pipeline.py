"""Pipeline: the engine. bytes -> events -> windows -> scores -> incidents -> alerts, a pure function of what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detector.engine.step import Step
from detector.model.records import RecordBatch
from detector.model.state import State

Partition = tuple[str, int]


class Pipeline:
    """SKETCH of the doors, to be filled: others may already build against these names."""

    def assign(self, partitions: Sequence[Partition]) -> None:
        """The partitions whose progress the watermark waits for. Without it: every partition seen so far."""
        raise NotImplementedError

    def step(self, batches: Sequence[RecordBatch]) -> Step:
        """Take what came, fold what can be folded, close what is due."""
        raise NotImplementedError

    def finish(self) -> Step:
        """The log ends here (files): close every window that began."""
        raise NotImplementedError

    def ahead(self) -> tuple[Partition, ...]:
        """Partitions read so far beyond the others that they should be paused."""
        raise NotImplementedError

    def positions(self) -> Mapping[Partition, int]:
        """Next offset per partition that `state()` has not folded yet."""
        raise NotImplementedError

    @property
    def watermark_ns(self) -> int:
        """Event time up to which every window is closed; 0 before the first event."""
        raise NotImplementedError

    def state(self) -> State:
        """Everything that matters, at `positions()`."""
        raise NotImplementedError

    def restore(self, state: State) -> None:
        """Go on from `state`. Raises ValueError with a sentence when it does not fit this configuration."""
        raise NotImplementedError

"""What a source is: transport. It hands over batches of bytes with their positions and knows nothing of meaning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from detector.model.records import RecordBatch

Partition = tuple[str, int]  # (topic, partition)


class Source(ABC):
    """Order is kept inside a partition; a batch is bounded (`batch_max` records, `batch_bytes_max`); after a start at
    a position the next record is the first at or after it. A bad world (broker away) is waited for in here."""

    name: str = ""

    @abstractmethod
    async def start(self, positions: Mapping[Partition, int]) -> None:
        """Open. `positions`: where to go on, per partition; those not named start as the configuration says."""

    def expect(self, logs: Mapping[Partition, str]) -> None:  # noqa: B027  most sources cannot tell
        """Before `start`: which logs its positions are of, as `logs` said when they were saved."""

    @property
    def logs(self) -> Mapping[Partition, str]:
        """What tells the log that a partition is read from apart from others of its name; none = cannot say."""
        return {}

    @abstractmethod
    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        """What came, at most `timeout_s` later; empty when nothing did. Idle statements when live and quiet."""

    @abstractmethod
    async def partitions(self) -> Sequence[Partition]:
        """Those assigned now, sorted."""

    @abstractmethod
    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hand over nothing more of these until the next call: the engine is far ahead there. Replaces the last set."""

    @abstractmethod
    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the broker how far the durable state is. For lag tools only; never read back as the truth."""

    @abstractmethod
    async def close(self) -> None:
        """Leave, promptly and cleanly."""

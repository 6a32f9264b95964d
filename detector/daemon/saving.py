"""Saving: a checkpoint now and then, beside the stream, for no more than its part of a core."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from detector.daemon.ledger import Ledger
from detector.daemon.telemetry import Telemetry
from detector.model.state import State
from detector.sources.base import Partition
from detector.store import snapshot
from detector.store.store import Store

PATIENCE = 12  # one that fails is tried again after up to this many times `every_s`

Copied = tuple[snapshot.Frozen | int, float]


class Kept(Protocol):
    """What is saved: the engine's doors that are used here."""

    def positions(self) -> Mapping[Partition, int]: ...
    @property
    def watermark_ns(self) -> int: ...
    def state(self) -> State: ...


@dataclass(frozen=True, slots=True)
class SavingSettings:
    """See ServiceSettings: snapshot_every_s, save_share, config_rev."""

    every_s: float
    share: float
    config_rev: str


class Saving:
    """`begin` a checkpoint when it is due, between two steps: the state is copied, and encoded and written beside them.

    in_engine: runs a piece of work in the engine's thread. durable: told of positions that are on disk now, and whether
    an urgent alert became so with them. failed: told of a mistake of ours. logs: of Source.logs, now.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        telemetry: Telemetry,
        settings: SavingSettings,
        *,
        in_engine: Callable[[Callable[[], Copied]], Awaitable[Copied]],
        durable: Callable[[Mapping[Partition, int], bool], Awaitable[None]],
        failed: Callable[[BaseException], None],
        logs: Callable[[], Mapping[Partition, str]] = dict,
    ) -> None:
        self.due_s = 0.0  # monotonic: when the next one is
        self.cpu_s = 0.0  # processor time that all of them took so far
        self._store = store
        self._ledger = ledger
        self._telemetry = telemetry
        self._settings = settings
        self._in_engine = in_engine
        self._durable = durable
        self._failed = failed
        self._logs = logs
        self._arena = snapshot.Arena()
        self._task: asyncio.Task[None] | None = None
        self._saved: tuple[Mapping[Partition, int], int] | None = None
        self._failures = 0

    def prepare(self, state: State) -> None:
        """Take the memory that copies of such a state, between two steps, go into. The first is due from now on."""
        self._arena.reserve(snapshot.size_of(state))
        self.wait()

    def wait(self) -> None:
        """The next one is due a whole period from now."""
        self.due_s = time.monotonic() + self._settings.every_s

    @property
    def busy(self) -> bool:
        """One is under way."""
        return self._task is not None

    async def begin(self, engine: Kept, elsewhere: Mapping[Partition, int], *, last: bool = False) -> None:
        """Copy the state and go on with it beside. elsewhere: offsets that stand in it though their partitions are read
        by others now. last: the stream has ended, so it may wait for memory."""
        positions, watermark_ns = dict(engine.positions()), engine.watermark_ns
        logs = dict(self._logs())
        self.wait()
        if self._saved == (positions, watermark_ns):
            return

        def copied() -> Copied:
            began_s = time.thread_time()
            tree = engine.state()
            size = snapshot.size_of(tree)
            found = self._arena.freeze(tree) if last or size <= self._arena.room else size
            return found, time.thread_time() - began_s

        state, cpu_s = await self._in_engine(copied)
        if isinstance(state, int):  # to be given memory takes far longer than to copy, and nothing is folded meanwhile
            work = self._make_room(state)
        else:
            work = self._save(state, positions, watermark_ns, {**elsewhere, **positions}, logs, cpu_s)
        self._task = asyncio.create_task(work, name="save")
        self._task.add_done_callback(self._ended)

    async def ended(self) -> None:
        """Until what is under way is over."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    async def _make_room(self, size: int) -> None:
        """For a copy of a state that has grown beyond the room there is; then it is saved at once."""
        cpu_s = await asyncio.to_thread(_cpu_of, partial(self._arena.reserve, size))
        self._took(cpu_s)
        self.due_s = time.monotonic()

    async def _save(
        self,
        state: snapshot.Frozen,
        positions: Mapping[Partition, int],
        watermark_ns: int,
        every: Mapping[Partition, int],
        logs: Mapping[Partition, str],
        cpu_s: float,
    ) -> None:
        """cpu_s: processor time that the copy took. The next one is due when all that this one takes is no more than
        `share` of the time since."""
        about = {"config_rev": self._settings.config_rev}
        blob = b""

        def encoded() -> None:
            nonlocal blob
            blob = snapshot.encode(state, about=about)

        cpu_s += await asyncio.to_thread(_cpu_of, encoded)
        cpu_s += await asyncio.to_thread(_cpu_of, partial(self._arena.reserve, len(state.body)))
        urgent = self._ledger.urgent
        stored_s = self._store.cpu_s
        saved = await self._ledger.checkpoint(blob, every, logs, self._settings.config_rev)
        cpu_s += self._store.cpu_s - stored_s
        self._took(cpu_s)
        self.due_s += max(0.0, cpu_s / self._settings.share - self._settings.every_s)
        if not saved:
            self._failures += 1
            patience = min(PATIENCE, 2**self._failures)
            self.due_s = max(self.due_s, time.monotonic() + patience * self._settings.every_s)
            return
        self._failures = 0
        self._saved = (positions, watermark_ns)
        await self._durable(positions, urgent)

    def _took(self, cpu_s: float) -> None:
        self.cpu_s += cpu_s
        self._telemetry.saving.inc(cpu_s)


def _cpu_of(work: Callable[[], None]) -> float:
    """Do it; the processor time that took this thread, seconds."""
    began_s = time.thread_time()
    work()
    return time.thread_time() - began_s

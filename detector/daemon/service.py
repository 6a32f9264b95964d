"""Service: poll, step, commit. It drives the pure engine from a source and makes durable what the engine says."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from detector.daemon.delivery import Delivery
from detector.daemon.health import Check, Health
from detector.daemon.ledger import Ledger, letters, undurable
from detector.daemon.saving import Saving, SavingSettings
from detector.daemon.telemetry import Telemetry
from detector.daemon.watch import Watch, WatchSettings
from detector.engine.step import Step
from detector.model.records import RecordBatch, portions
from detector.model.state import State
from detector.sources.base import Partition, Source
from detector.store import snapshot
from detector.store.store import Store

STEP_RECORDS = 65_536  # the engine is handed about so many at once: more fall out of the cache, and hold up what is due
BROKEN_EVERY_S = 1.0  # how often a disk that takes nothing is asked again

T = TypeVar("T")
log = structlog.get_logger()


class Engine(Protocol):
    """The doors of engine.Pipeline that are used here."""

    def assign(self, partitions: Sequence[Partition]) -> None: ...
    def step(self, batches: Sequence[RecordBatch]) -> Step: ...
    def ahead(self) -> tuple[Partition, ...]: ...
    def positions(self) -> Mapping[Partition, int]: ...
    @property
    def watermark_ns(self) -> int: ...
    def state(self) -> State: ...
    def restore(self, state: State) -> None: ...
    def go_on(self, positions: Mapping[Partition, int]) -> None: ...


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Durations in seconds."""

    config_rev: str = ""
    poll_s: float = 0.25  # a signal is seen this late at most
    read_ahead: bool = False  # poll while the engine steps: on a second core reading then takes no time of its own
    commit_every_s: float = 0.1  # rejects; alerts do not wait
    snapshot_every_s: float = 5.0  # what a restart reads again, at most ...
    save_share: float = 0.05  # ... unless more than this part of a core would be spent on saving
    save_waits_s: float = 1.0  # a checkpoint that is due begins where a window closes, or this much later anywhere
    snapshot_s_max: float = 30.0  # the last checkpoint at stop
    drain_s: float = 10.0
    stalled_after_s: float = 30.0  # not a record and no word that there is none: the source is stalled
    hung_after_s: float = 60.0  # a turn that takes longer is a hang: not live, and the watchdog is not fed
    heartbeat_every_s: float = 60.0


class Service:
    """`run` until a signal or `stop`; returns the exit code. `store` is open; `pipeline` makes a fresh engine, so that
    one a state did not fit into is thrown away whole. heartbeats: destinations that expect one every minute. later:
    done once, in a thread, when records are being read; a mistake in it ends the daemon. unusable: why a configuration
    cannot be started with, as its file is now, '' = it can; asked at SIGHUP."""

    def __init__(
        self,
        source: Source,
        pipeline: Callable[[], Engine],
        store: Store,
        delivery: Delivery,
        ledger: Ledger,
        telemetry: Telemetry,
        settings: ServiceSettings | None = None,
        *,
        heartbeats: Sequence[str] = (),
        later: Callable[[], object] | None = None,
        unusable: Callable[[], str] = lambda: "",
        exit_now: Callable[[int], object] = os._exit,
    ) -> None:
        self.settings = settings or ServiceSettings()
        self.source = source
        self.store = store
        self.delivery = delivery
        self.ledger = ledger
        self.telemetry = telemetry
        self.engine: Engine | None = None
        told = self.settings
        self.watch = Watch(
            self, WatchSettings(told.stalled_after_s, told.hung_after_s, told.heartbeat_every_s, tuple(heartbeats))
        )
        self._pipeline = pipeline
        self._later = later
        self._unusable = unusable
        self._exit_now = exit_now
        self._code = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._stopping = asyncio.Event()
        self._assigned: tuple[Partition, ...] = ()
        self._known: dict[Partition, int] = {}  # offsets of partitions that are elsewhere now stay in the checkpoint
        self._read: dict[Partition, int] = {}  # next offset of what was polled, given to the engine or not
        self._reading: asyncio.Task[Sequence[RecordBatch]] | None = None  # a poll that was begun during a step
        self.saving = Saving(
            store,
            ledger,
            telemetry,
            SavingSettings(told.snapshot_every_s, told.save_share, told.config_rev),
            in_engine=self._in_engine,
            durable=self._durable,
            failed=self._save_failed,
            logs=lambda: source.logs,
        )
        self._committed = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._signals: tuple[signal.Signals, ...] = ()

    async def run(self, *, signals: bool = True) -> int:
        """0 when it was asked to stop, 129 when it is to be started again (SIGHUP). Raises StoreUnusable, and whatever
        mistake of ours ended it."""
        if signals:
            # under nohup SIGHUP is ignored, and that is meant
            hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
            self._signals = (signal.SIGTERM, signal.SIGINT, *hangup)
            for number in self._signals:
                asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)
        drain_s = 0.0  # a mistake of ours: what was durable stays so, and the next start goes on from there
        try:
            await self._open()
            while not self._stopping.is_set():
                await self._turn()
            self.watch.stopping()
            try:
                async with asyncio.timeout(self.settings.snapshot_s_max):
                    await self._save_last()
            except TimeoutError:
                log.error("the last checkpoint took too long; the next start reads again what it would have held")
            drain_s = self.settings.drain_s
        finally:
            await self._close(drain_s)
        return self._code

    def stop(self) -> None:
        """Stop polling, finish the step, commit, drain, leave."""
        self._stopping.set()

    def health(self) -> Health:
        """As it stands now."""
        return self.watch.health()

    def partitions(self) -> tuple[Partition, ...]:
        """Assigned now."""
        return self._assigned

    async def positions_of(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Where a source goes on with partitions that came to it: behind what the engine still holds of them, or else
        where their part of the state stands. Those not named start as the configuration says."""
        places = {**self._known, **self._read}
        return {partition: places[partition] for partition in partitions if partition in places}

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Beside the loop; awaited at the end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def checks(self) -> tuple[Check, ...]:
        """What the loop itself knows about being ready."""
        return (
            Check("partitions", bool(self._assigned), "no partition is assigned yet"),
            Check("store", not self.ledger.broken, self.ledger.broken),
            Check("trouble", not (trouble := str(getattr(self.source, "trouble", ""))), trouble),
            Check("held", not (held := getattr(self.source, "held", ())), f"partitions not read until decided: {held}"),
        )

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._stopping.is_set():
                return
            if why := self._unusable():
                log.error("SIGHUP: the new configuration cannot be used, so the old one stays at work", why=why)
                return
            self._code = 128 + number  # not 0: it wants to be started again
        elif self._stopping.is_set():
            self._exit_now(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        self.stop()

    async def _open(self) -> None:
        if self.store.opened.moved_aside:
            log.error("the state file was damaged", moved_to=self.store.opened.moved_aside, why=self.store.opened.why)
            self.watch.damaged(self.store.opened.moved_aside, self.store.opened.why)
        await self.ledger.start()
        self.engine, positions, logs, found = await self._restored()
        self._known = dict(positions)
        self.telemetry.restarts.labels(found).inc()
        log.info("starting", state=found, partitions=len(positions))
        self.saving.prepare(self.engine.state())
        self.watch.troubles.recall(await self.store.told_troubles())
        await self.delivery.start(self.watch.troubles.destinations())
        self.delivery.wake()
        self.source.expect(logs)
        await self.source.start(positions)
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process: never look at it again
        self.saving.wait()
        self.watch.started()
        if self._later is not None:
            self.spawn(self._do_later(self._later))

    async def _do_later(self, work: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(work)
        except Exception as error:
            self.delivery.failure = self.delivery.failure or error
        gc.freeze()  # what it made stays, too; no collection before it, which would hold up the stream

    async def _restored(self) -> tuple[Engine, Mapping[Partition, int], Mapping[Partition, str], str]:
        """The engine, where to go on in which logs, and what was found: nothing, newest, previous, or cold: a state
        that cannot be used. Then the offsets still hold: nothing is skipped, but the detectors learn anew."""
        newest = await self.store.load()
        if newest is None:
            return self._pipeline(), {}, {}, "nothing"
        for older, found in ((0, "newest"), (1, "previous")):
            checkpoint = await self.store.load(older)
            if checkpoint is None:
                break
            assert checkpoint.state is not None
            engine = self._pipeline()
            try:
                engine.restore(await asyncio.to_thread(snapshot.decode, checkpoint.state))
            except snapshot.SnapshotError as error:
                log.error("a saved state cannot be read", which=found, why=str(error))
            except Exception as error:  # whatever a state of another version trips over: it does not fit
                log.error("a saved state does not fit", which=found, why=f"{type(error).__name__}: {error}")
            else:
                engine.go_on(checkpoint.positions)
                return engine, checkpoint.positions, checkpoint.logs, found
        self.watch.cold(await self.store.keep_aside())
        return self._pipeline(), newest.positions, newest.logs, "cold"

    async def _turn(self) -> None:
        reading, self._reading = self._reading, None
        batches = await (reading or self._poll())
        engine = await self._assign(batches)
        closed_ns = engine.watermark_ns
        if batches:
            for batch in batches:
                self.telemetry.records(batch.topic, len(batch))
            if self.settings.read_ahead:
                self._reading = asyncio.create_task(self._poll(), name="read-ahead")
            for portion in portions(batches, STEP_RECORDS):
                with self.telemetry.step.time():
                    step = await self._in_engine(partial(engine.step, portion))
                self.ledger.take(step)
                self.watch.read(sum(map(len, portion)), step.rejects)
            self.watch.heard()
            ahead = engine.ahead()
            self.source.pause(ahead)
            self.telemetry.paused.set(len(ahead))
        now = time.monotonic()
        every_s = BROKEN_EVERY_S if self.ledger.broken else 0.0 if self.ledger.urgent else self.settings.commit_every_s
        if self.ledger.waiting and now - self._committed >= every_s:
            await self._commit()
            self._committed = time.monotonic()
        # the copy holds the stream up for a moment: just after a close, when the next is furthest, no page waits for it
        waits_s = self.settings.save_waits_s if engine.watermark_ns == closed_ns else 0.0
        if now >= self.saving.due_s + waits_s and not self.saving.busy:
            await self.saving.begin(engine, self._known)
        self.watch.turned()
        self.delivery.check()

    async def _poll(self) -> Sequence[RecordBatch]:
        """What came. `_read` moves with it at once, before the engine has it: what is polled is stepped, unless its
        partition is taken from us before, and one that leaves and comes back during a step is not read twice. Offsets
        that are saved or committed are the engine's own, of what is folded."""
        batches = await self.source.poll(self.settings.poll_s)
        for batch in batches:
            self._read[batch.topic, batch.partition] = batch.next_offset
        return batches

    async def _assign(self, batches: Sequence[RecordBatch]) -> Engine:
        assert self.engine is not None
        assigned = tuple(await self.source.partitions())
        # no partition at all is a moment of a rebalance: telling the engine would throw away what it holds
        if assigned and assigned != self._assigned:
            if self._assigned:
                self.telemetry.rebalances.inc()
                self._known.update(self.engine.positions())
            for gone in set(self._assigned) - set(assigned):
                self._read.pop(gone, None)
            self.engine.assign(assigned)
            self._assigned = assigned
            # saved, too: who restarts before a record came must not begin where the log ends by then
            self._known = {**getattr(self.source, "begun", {}), **self._known}
            self.telemetry.partitions.set(len(assigned))
            log.info("partitions assigned", partitions=len(assigned))
        return self.engine

    async def _commit(self) -> None:
        urgent = self.ledger.urgent
        if await self.ledger.commit():
            if urgent:
                self.delivery.wake()
            return
        for held in self.ledger.told_directly():
            for letter in letters(held.alert, held.destinations):
                self.spawn(self.delivery.send_now(undurable(letter), [letter.destination]))

    async def _durable(self, positions: Mapping[Partition, int], urgent: bool) -> None:
        self.watch.saved()
        if urgent:
            self.delivery.wake()
        await self.source.commit(positions)

    def _save_failed(self, error: BaseException) -> None:
        self.delivery.failure = self.delivery.failure or _as_exception(error)

    async def _save_last(self) -> None:
        await self.saving.ended()
        if self.engine is not None:
            await self.saving.begin(self.engine, self._known, last=True)
        await self.saving.ended()
        if self.ledger.waiting:
            await self.ledger.commit()
        self.delivery.check()

    async def _close(self, drain_s: float) -> None:
        """Every step, whatever became of the one before."""
        self.watch.end()
        last_tasks = [*self._tasks, *([self._reading] if self._reading is not None else [])]
        for task in last_tasks:  # what was read ahead is read again by the next start
            task.cancel()
        await asyncio.gather(*last_tasks, return_exceptions=True)
        async with contextlib.AsyncExitStack() as last:
            last.push_async_callback(self.store.close)
            last.push_async_callback(self.source.close)
            await self.saving.ended()
            drained = await self.delivery.stop(drain_s)
            log.info("stopped", outbox_drained=drained)
        for number in self._signals:
            asyncio.get_running_loop().remove_signal_handler(number)
        self._thread.shutdown(wait=False)

    async def _in_engine(self, work: Callable[[], T]) -> T:
        """In the engine's one thread: kernels let go of the lock, and the loop goes on answering meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(str(error))

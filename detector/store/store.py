"""Store: the one state file, behind one writer thread. Everything it is asked is one transaction, awaited."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from detector.store import outbox, tables
from detector.store.database import Database
from detector.store.rows import (
    Checkpoint,
    DeadLetter,
    Entry,
    GivenUp,
    Identity,
    IncidentRow,
    Letter,
    Opened,
    OutboxCount,
    Partition,
    StoreError,
    StoreFull,
)

FILE_NAME = "state.db"
ASIDE_S = 7 * 86_400.0  # so long a copy of a state that could not be used is not written over
TROUBLES = "troubles"  # its name in the table of what is remembered
FOLD_PIECES = 2  # of a state: folded into the file so often, or one fold of all would hold up every commit's sync
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What happens at each limit stands in outbox.tidy and tables.py."""

    ballast_bytes: int = 32 << 20  # kept beside the file, given up when the disk is full
    dead_letters_max: int = 10_000
    incidents_max: int = 10_000
    outbox_max: int = 100_000  # pending letters of one destination
    finished_max: int = 100_000  # delivered and dead letters kept
    finished_keep_s: float = 7 * 86_400.0
    letter_ttl_s: float = 86_400.0  # pending this long: dead


class Store:
    """`await Store.open(directory)`, then ask; `close` at the end. Raises StoreFull and StoreError, both worth a retry
    later, and StoreUnusable, which is not."""

    def __init__(self, database: Database, settings: StoreSettings, writer: ThreadPoolExecutor) -> None:
        self._database = database
        self._settings = settings
        self._writer = writer
        self.ballast_spent = False  # the disk was full, and the space kept for that is in use
        self._tidier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-tidier")
        self._writer_s = self._tidier_s = 0.0  # processor time of those threads so far

    @classmethod
    async def open(cls, directory: Path, settings: StoreSettings | None = None, *, owner: bool = True) -> Store:
        """owner=False: beside a running daemon, for the helper commands: repairs and migrates nothing."""
        settings = settings or StoreSettings()
        writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        ballast_bytes = settings.ballast_bytes if owner else 0
        try:
            database = await asyncio.get_running_loop().run_in_executor(
                writer, lambda: Database(directory / FILE_NAME, owner=owner, ballast_bytes=ballast_bytes)
            )
        except BaseException:
            writer.shutdown(wait=False)
            raise
        return cls(database, settings, writer)

    @property
    def opened(self) -> Opened:
        """What was found at start: a damaged file moved aside, a new one made."""
        return self._database.opened

    @property
    def cpu_s(self) -> float:
        """Processor time that all it was asked took so far, seconds."""
        return self._writer_s + self._tidier_s

    async def identity(self) -> Identity:
        return await self._run(tables.identity)

    async def commit(self, checkpoint: Checkpoint) -> int:
        """All of it or nothing, on disk when this returns. How many letters were new. A state is written in pieces that
        nobody sees before the last transaction: alerts find their turn between them."""
        if checkpoint.state is None:
            return await self._run(lambda connection: self._write(connection, checkpoint))
        generation = await self._run(lambda connection: tables.begin_state(connection, checkpoint))
        state = memoryview(checkpoint.state)
        for number, start in enumerate(range(0, len(state), tables.CHUNK_BYTES)):
            piece = state[start : start + tables.CHUNK_BYTES]
            await self._run(partial(tables.write_piece, generation=generation, number=number, piece=piece))
            if number % FOLD_PIECES == FOLD_PIECES - 1:
                await self._fold_in()

        def end(connection: sqlite3.Connection) -> int:
            tables.end_state(connection, generation, checkpoint)
            return self._write(connection, checkpoint)

        added = await self._run(end)
        with suppress(StoreError):  # what is left over goes with the next one
            while await self._run(tables.forget_piece):
                pass
        await self._fold_in()
        return added

    async def _fold_in(self) -> None:
        """Beside the writer's thread. Where it fails, the log waits for the next time."""
        with suppress(StoreError):
            await asyncio.get_running_loop().run_in_executor(self._tidier, self._folded_in)

    def _folded_in(self) -> None:
        try:
            self._database.fold_in()
        finally:
            self._tidier_s = time.thread_time()

    def _write(self, connection: sqlite3.Connection, checkpoint: Checkpoint) -> int:
        """Small rows."""
        if checkpoint.incidents:
            tables.write_incidents(connection, checkpoint.incidents, checkpoint.at_s, self._settings.incidents_max)
        if checkpoint.rejects:
            tables.write_rejects(connection, checkpoint.rejects, checkpoint.at_s, self._settings.dead_letters_max)
        return outbox.add(connection, checkpoint.letters, checkpoint.at_s) if checkpoint.letters else 0

    async def load(self, older: int = 0) -> Checkpoint | None:
        """The newest state with its offsets; older = 1: the one before it. None where there is none."""
        return await self._run(lambda connection: tables.read_state(connection, older))

    async def keep_aside(self) -> str:
        """A copy of the file beside it, before a cold start writes over what cannot be used: its name. One that was
        made within ASIDE_S stays, as who puts the old configuration back starts cold once more; then a second one is
        made anew. '' = it could not be made."""
        first = self._database.path.with_name(f"{FILE_NAME}.before-cold")
        unfinished = first.with_name(f"{first.name}.part")

        def copy() -> str:
            unfinished.unlink(missing_ok=True)
            self._database.copy_to(unfinished)
            unfinished.chmod(0o600)
            fresh = first.exists() and time.time() - first.stat().st_mtime < ASIDE_S
            path = first.with_name(f"{first.name}-2") if fresh else first
            unfinished.replace(path)
            return path.name

        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, copy)
        except (OSError, StoreError):
            unfinished.unlink(missing_ok=True)
            return ""

    async def positions(self) -> tuple[float, dict[Partition, int]]:
        """When the newest state was saved (seconds, 0 = never), and where it goes on."""
        return await self._run(tables.read_positions)

    async def place(self, partition: Partition, offset: int | None) -> bool:
        """The newest state goes on there; None: as with a partition that was never read. False: there is no state."""
        return await self._run(lambda connection: tables.write_position(connection, partition, offset))

    async def incidents(self, limit: int = 1_000) -> list[IncidentRow]:
        return await self._run(lambda connection: tables.read_incidents(connection, limit))

    async def incident(self, incident_id: str) -> IncidentRow | None:
        return await self._run(lambda connection: tables.read_incident(connection, incident_id))

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return await self._run(lambda connection: tables.read_rejects(connection, limit))

    async def dead_letter_counts(self) -> tuple[int, int]:
        """(kept, dropped to make room)."""
        return await self._run(tables.count_rejects)

    async def put(self, letters: Sequence[Letter], at_s: float, *, troubles: bytes | None = None) -> int:
        """Letters that belong to no step of the engine (a test, a word about the daemon itself). How many were new.
        troubles: what the daemon has said of itself by now, for the next process (`told_troubles`)."""

        def put(connection: sqlite3.Connection) -> int:
            if troubles is not None:
                tables.remember(connection, TROUBLES, troubles)
            return outbox.add(connection, letters, at_s)

        return await self._run(put)

    async def pending(self, destination: str, limit: int, now_s: float) -> list[Entry]:
        """What may be sent now, in order: see outbox.pending."""
        return await self._run(lambda connection: outbox.pending(connection, destination, limit, now_s))

    async def next_due_s(self, destination: str) -> float | None:
        return await self._run(lambda connection: outbox.next_due_s(connection, destination))

    async def mark_delivered(self, destination: str, key: str, at_s: float) -> None:
        await self._run(lambda connection: outbox.delivered(connection, destination, key, at_s))

    async def mark_retry(self, destination: str, key: str, due_s: float, why: str) -> None:
        await self._run(lambda connection: outbox.retry_at(connection, destination, key, due_s, why))

    async def mark_dead(self, destination: str, key: str, at_s: float, why: str) -> None:
        await self._run(lambda connection: outbox.dead(connection, destination, key, at_s, why))

    async def clock_set(self, now_s: float, step_s: float) -> None:
        """The clock was set, ahead (positive) or back: letters are as old as they were, and what waits is due."""
        await self._run(lambda connection: outbox.clock_set(connection, now_s, step_s))

    async def tidy(self, now_s: float) -> list[GivenUp]:
        """Expire, bound and forget (once a minute). The pending letters that were given up."""
        settings = self._settings
        return await self._run(
            lambda connection: outbox.tidy(
                connection,
                now_s,
                ttl_s=settings.letter_ttl_s,
                keep_s=settings.finished_keep_s,
                pending_max=settings.outbox_max,
                finished_max=settings.finished_max,
            )
        )

    async def outbox_counts(self) -> dict[str, OutboxCount]:
        return await self._run(outbox.counts)

    async def outbox_list(self, statuses: Sequence[str] = ("pending", "dead"), limit: int = 100) -> list[Entry]:
        """`foreshock outbox ls`."""
        return await self._run(lambda connection: outbox.listed(connection, statuses, limit))

    async def outbox_retry(self, now_s: float, key: str = "", destination: str = "") -> tuple[int, int]:
        """`foreshock outbox retry`: dead letters pending again, waiting ones due now. How many, and how many were left
        because a later word of their incident has arrived."""
        ttl_s = self._settings.letter_ttl_s
        return await self._run(lambda connection: outbox.revived(connection, key, destination, now_s, ttl_s))

    async def outbox_move(self, now_s: float, old: str, new: str) -> int:
        """`foreshock outbox move`: what waits for a destination of one name waits for another. How many."""
        return await self._run(lambda connection: outbox.moved(connection, old, new, now_s))

    async def told_troubles(self) -> bytes:
        """What `put` was last given to remember, b"" = nothing."""
        return await self._run(lambda connection: tables.remembered(connection, TROUBLES))

    async def outbox_drop(self, now_s: float, key: str, destination: str = "") -> int:
        """`foreshock outbox drop`: pending letters given up. How many."""
        return await self._run(lambda connection: outbox.dropped(connection, key, destination, now_s))

    async def close(self) -> None:
        """Waits for what was asked before."""
        await asyncio.to_thread(self._tidier.shutdown)  # it may be at work
        await asyncio.get_running_loop().run_in_executor(self._writer, self._database.close)
        self._writer.shutdown()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # shielded: a cancelled asker must not leave the next one to find half of a transaction's answer
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work))

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._database.transaction() as connection:
                return work(connection)
        except StoreFull:
            if not self._database.give_up_ballast():
                raise
            self.ballast_spent = True
        finally:
            self._writer_s = time.thread_time()
        with self._database.transaction() as connection:
            return work(connection)

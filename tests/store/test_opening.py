"""The state file as it is found at a start, and the logs that its positions are of."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path

from detector.store import tables
from detector.store.rows import Checkpoint
from detector.store.store import ASIDE_S, FILE_NAME, Store, StoreSettings
from tests.store.test_store import SMALL, letter, store

__all__ = ["store"]


async def test_a_directory_of_ours_that_a_group_can_write_is_closed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o2770)  # as a volume's fsGroup leaves it
    opened = await Store.open(tmp_path / "state", SMALL)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) & 0o077 == 0
    await opened.close()


async def test_a_file_that_was_emptied_is_no_first_start(tmp_path: Path) -> None:
    kept = StoreSettings(ballast_bytes=4096)
    first = await Store.open(tmp_path, kept)
    assert first.opened.created and not first.opened.moved_aside
    await first.close()
    (tmp_path / FILE_NAME).write_bytes(b"")
    again = await Store.open(tmp_path, kept)
    assert again.opened.moved_aside == f"{FILE_NAME}.corrupt-1" and again.opened.why == "it is empty"
    await again.close()


async def test_the_logs_that_positions_are_of_are_theirs_alone(store: Store) -> None:
    places, logs = {("orders", 0): 7, ("orders", 1): 9}, {("orders", 0): "x", ("orders", 1): "y"}
    await store.commit(Checkpoint(1.0, b"state", places, logs=logs))
    await store.commit(Checkpoint(2.0, letters=(letter(),)))
    back = await store.load()
    assert back is not None and dict(back.logs) == logs
    await store.place(("orders", 0), 3)
    back = await store.load()
    assert back is not None and dict(back.logs) == {("orders", 1): "y"}
    await store.commit(Checkpoint(3.0, b"state", places))
    back = await store.load()
    assert back is not None and dict(back.logs) == {}


async def test_logs_that_an_older_program_did_not_keep_up_are_not_believed(store: Store) -> None:
    places = {("orders", 0): 7}
    await store.commit(Checkpoint(1.0, b"state", places, logs={("orders", 0): "x"}))

    def older(connection: sqlite3.Connection) -> None:
        told = connection.execute("SELECT value FROM meta WHERE name = 'logs'").fetchone()
        generation = tables.begin_state(connection, Checkpoint(2.0, b"state", places))
        tables.end_state(connection, generation, Checkpoint(2.0, b"state", places))
        connection.execute("UPDATE meta SET value = ? WHERE name = 'logs'", told)

    await store._run(older)
    for back in (await store.load(), await store.load(1)):
        assert back is not None and dict(back.positions) == places and dict(back.logs) == {}


async def test_a_copy_of_what_could_not_be_used_outlives_the_next_cold_start(store: Store) -> None:
    """Who mistyped and puts the old configuration back starts cold a second time, from the state of the mistake."""
    directory = store._database.path.parent
    await store.commit(Checkpoint(1.0, b"learned", {("orders", 0): 7}))
    assert await store.keep_aside() == f"{FILE_NAME}.before-cold"
    await store.commit(Checkpoint(2.0, b"mistake", {("orders", 0): 8}))
    for _ in range(2):
        assert await store.keep_aside() == f"{FILE_NAME}.before-cold-2"

    def newest(name: str) -> bytes:
        copy = sqlite3.connect(directory / name)
        try:
            (found,) = copy.execute("SELECT bytes FROM chunks ORDER BY generation DESC LIMIT 1").fetchone()
        finally:
            copy.close()
        return bytes(found)

    assert newest(f"{FILE_NAME}.before-cold") == b"learned" and newest(f"{FILE_NAME}.before-cold-2") == b"mistake"
    long_ago = time.time() - ASIDE_S - 60.0
    os.utime(directory / f"{FILE_NAME}.before-cold", (long_ago, long_ago))
    assert await store.keep_aside() == f"{FILE_NAME}.before-cold"
    assert newest(f"{FILE_NAME}.before-cold") == b"mistake" and not list(directory.glob("*.part"))

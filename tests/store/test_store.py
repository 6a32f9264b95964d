"""The state file: what was committed is there, what was not is not, and damage is told, not hidden."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from detector.model.events import Reject
from detector.store import tables
from detector.store.rows import Checkpoint, GivenUp, IncidentRow, Letter, StoreError, StoreFull, StoreUnusable
from detector.store.schema import VERSION
from detector.store.store import FILE_NAME, FOLD_PIECES, Store, StoreSettings

SMALL = StoreSettings(ballast_bytes=0, dead_letters_max=10, incidents_max=5, outbox_max=6, finished_max=4)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "state", SMALL)
    yield opened
    await opened.close()


def letter(
    incident: str = "inc_a", seq: int = 1, severity: str = "warning", destination: str = "oncall", body: bytes = b"{}"
) -> Letter:
    return Letter(f"{incident}_{seq}", destination, incident, seq, severity, body)


def incident(name: str = "inc_a", seq: int = 1, status: str = "firing") -> IncidentRow:
    return IncidentRow(name, seq, status, "warning", b'{"seq": %d}' % seq)


async def test_state_and_offsets_come_back_together(store: Store) -> None:
    assert await store.load() is None
    blob = os.urandom(3 * tables.CHUNK_BYTES + 17)
    await store.commit(Checkpoint(1.0, blob, {("orders", 0): 7, ("orders", 1): 9}, "rev"))
    back = await store.load()
    assert back is not None
    assert (back.state, dict(back.positions), back.config_rev) == (blob, {("orders", 0): 7, ("orders", 1): 9}, "rev")


async def test_the_checkpoint_before_the_newest_is_kept_and_no_more(store: Store) -> None:
    for number in range(5):
        await store.commit(Checkpoint(float(number), bytes([number]), {("orders", 0): number}))
    newest, before, none = [await store.load(older) for older in range(3)]
    assert newest is not None and before is not None and none is None
    assert (newest.state, before.state) == (b"\x04", b"\x03")


async def test_an_alert_does_not_wait_for_a_checkpoint_that_is_being_written(store: Store) -> None:
    large = Checkpoint(1.0, os.urandom(20 * tables.CHUNK_BYTES), {("orders", 0): 7})
    saving = asyncio.create_task(store.commit(large))
    while not await store._run(tables.under_way):  # noqa: ASYNC110  the file is asked, there is no event
        await asyncio.sleep(0)
    await store.commit(Checkpoint(1.0, letters=(letter(),)))
    assert not saving.done()
    assert len(await store.pending("oncall", 9, 9.0)) == 1
    await saving
    back = await store.load()
    assert back is not None and dict(back.positions) == {("orders", 0): 7}


async def test_a_large_checkpoint_is_folded_in_as_it_is_written(store: Store, tmp_path: Path) -> None:
    """A log as long as the state would be folded in at one go, and every commit's sync would wait for it."""
    pieces = 24
    await store.commit(Checkpoint(1.0, os.urandom(pieces * tables.CHUNK_BYTES), {("orders", 0): 7}))
    log = tmp_path / "state" / (FILE_NAME + "-wal")
    assert 0 < log.stat().st_size < 2 * FOLD_PIECES * tables.CHUNK_BYTES


async def test_a_checkpoint_that_a_crash_left_half_written_is_never_read_and_goes(store: Store) -> None:
    await store.commit(Checkpoint(1.0, b"whole", {("orders", 0): 7}))
    half = Checkpoint(2.0, b"half", {("orders", 0): 9})
    generation = await store._run(lambda connection: tables.begin_state(connection, half))
    await store._run(lambda connection: tables.write_piece(connection, generation, 0, memoryview(b"ha")))
    newest = await store.load()
    assert newest is not None and (newest.state, dict(newest.positions)) == (b"whole", {("orders", 0): 7})
    await store.commit(Checkpoint(3.0, b"next", {("orders", 0): 11}))
    assert [kept.state for older in (0, 1) if (kept := await store.load(older)) is not None] == [b"next", b"whole"]
    assert not await store._run(tables.under_way)


async def test_offsets_without_their_state_are_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        Checkpoint(1.0, None, {("orders", 0): 7})


async def test_a_key_made_again_is_ignored_even_after_it_was_delivered(store: Store) -> None:
    assert await store.commit(Checkpoint(1.0, letters=(letter(),))) == 1
    await store.mark_delivered("oncall", "inc_a_1", 2.0)
    assert await store.commit(Checkpoint(3.0, letters=(letter(), letter(destination="log")))) == 1
    assert await store.pending("oncall", 10, 9.0) == []
    assert [entry.key for entry in await store.pending("log", 10, 9.0)] == ["inc_a_1"]


async def test_an_older_transition_does_not_undo_a_newer_one(store: Store) -> None:
    await store.commit(Checkpoint(1.0, incidents=(incident(seq=1), incident(seq=2, status="resolved"))))
    await store.commit(Checkpoint(2.0, incidents=(incident(seq=1),)))
    assert [(row.seq, row.status) for row in await store.incidents()] == [(2, "resolved")]


async def test_critical_goes_first_but_an_incidents_order_stays(store: Store) -> None:
    await store.commit(Checkpoint(1.0, letters=(letter("inc_mild", 1, "info"),)))
    await store.commit(Checkpoint(2.0, letters=(letter("inc_grows", 1, "warning"),)))
    await store.commit(Checkpoint(3.0, letters=(letter("inc_grows", 2, "critical"), letter("inc_w", 1, "warning"))))
    assert [entry.key for entry in await store.pending("oncall", 10, 9.0)] == ["inc_grows_1", "inc_w_1", "inc_mild_1"]
    await store.mark_delivered("oncall", "inc_grows_1", 9.0)
    assert (await store.pending("oncall", 1, 9.0))[0].key == "inc_grows_2"


async def test_a_waiting_head_holds_back_its_own_incident_only(store: Store) -> None:
    await store.commit(Checkpoint(1.0, letters=(letter(seq=1), letter(seq=2), letter("inc_b", 1))))
    await store.mark_retry("oncall", "inc_a_1", 60.0, "503")
    assert [entry.key for entry in await store.pending("oncall", 10, 9.0)] == ["inc_b_1"]
    await store.mark_delivered("oncall", "inc_b_1", 9.0)
    assert await store.next_due_s("oncall") == 1.0  # of inc_a_2, which waits for its head all the same
    (head,) = await store.pending("oncall", 10, 60.0)
    assert (head.key, head.attempts, head.why) == ("inc_a_1", 1, "503")
    await store.mark_dead("oncall", "inc_a_1", 61.0, "404")
    assert [entry.key for entry in await store.pending("oncall", 10, 61.0)] == ["inc_a_2"]


async def test_a_letter_due_absurdly_late_is_due_now_because_the_clock_was_set_back(store: Store) -> None:
    await store.commit(Checkpoint(1e9, letters=(letter(),)))
    assert await store.pending("oncall", 10, 1e9 - 60) == []
    assert len(await store.pending("oncall", 10, 1e9 - 86_400)) == 1


async def test_old_letters_expire_and_the_outbox_stays_within_its_bound(store: Store) -> None:
    await store.commit(Checkpoint(1.0, letters=(letter("inc_old"),)))
    many = [letter(f"inc_{number}", 1, "critical" if number == 0 else "info") for number in range(8)]
    await store.commit(Checkpoint(90_000.0, letters=tuple(many)))
    given_up = await store.tidy(90_001.0)  # the expired one and two past outbox_max
    assert [one.why.partition(":")[0] for one in given_up] == ["expired", "outbox full", "outbox full"]
    assert given_up[0] == GivenUp("oncall", "inc_old", "warning", "expired: ")
    kept = {entry.key for entry in await store.outbox_list(("pending",))}
    assert len(kept) == SMALL.outbox_max and "inc_0_1" in kept
    why = {entry.key: entry.why for entry in await store.outbox_list(("dead",))}
    assert why.pop("inc_old_1").startswith("expired") and set(why.values()) == {"outbox full"}
    assert (await store.outbox_counts())["oncall"].oldest_s == 90_000.0


async def test_a_full_queue_costs_no_other_destination_its_letters(store: Store) -> None:
    waiting = [letter(f"inc_{number}", 1, "critical", "archive") for number in range(SMALL.outbox_max + 2)]
    await store.commit(Checkpoint(1.0, letters=(letter("inc_mild", 1, "info", "chat"), *waiting)))
    assert {one.destination for one in await store.tidy(2.0)} == {"archive"}
    counts = await store.outbox_counts()
    assert (counts["archive"].pending, counts["chat"].pending) == (SMALL.outbox_max, 1)


async def test_finished_letters_are_forgotten_in_time_and_number(store: Store) -> None:
    await store.commit(Checkpoint(1.0, letters=tuple(letter(f"inc_{number}") for number in range(6))))
    for number in range(6):
        await store.mark_delivered("oncall", f"inc_{number}_1", 2.0 + number)
    await store.tidy(10.0)
    assert (await store.outbox_counts())["oncall"].delivered == SMALL.finished_max
    await store.tidy(10.0 + SMALL.finished_keep_s)
    assert await store.outbox_counts() == {}


async def test_dead_letters_of_the_outbox_can_be_retried_and_waiting_ones_dropped(store: Store) -> None:
    await store.commit(Checkpoint(1.0, letters=(letter(), letter("inc_b"))))
    await store.mark_dead("oncall", "inc_a_1", 2.0, "401")
    assert await store.outbox_retry(100_000.0, key="inc_a_1") == (1, 0)
    assert await store.outbox_drop(100_001.0, "inc_b_1") == 1
    assert await store.tidy(100_002.0) == []  # tried again by hand: it has an hour ...
    (entry,) = await store.pending("oncall", 9, 100_002.0)
    assert (entry.key, entry.created_s) == ("inc_a_1", 100_000.0 - SMALL.letter_ttl_s + 3_600.0)
    assert len(await store.tidy(100_000.0 + 3_601.0)) == 1  # ... and says by then how late it is


async def test_an_alert_that_something_later_has_overtaken_is_not_tried_again(store: Store) -> None:
    await store.commit(Checkpoint(1.0, letters=(*(letter(seq=seq) for seq in (1, 2, 3)), letter("inc_b"))))
    for key in ("inc_a_1", "inc_a_3", "inc_b_1"):
        await store.mark_dead("oncall", key, 2.0, "404")
    await store.mark_delivered("oncall", "inc_a_2", 3.0)
    assert await store.outbox_retry(4.0) == (2, 1)
    assert [entry.key for entry in await store.outbox_list(("dead",))] == ["inc_a_1"]
    for key in ("inc_a_3", "inc_b_1"):
        await store.mark_dead("oncall", key, 4.5, "404")
    await store.put([letter("inc_b", 2)], 4.6)
    await store.mark_dead("oncall", "inc_b_2", 4.7, "404")
    assert await store.outbox_retry(4.8) == (3, 1), "what is dead itself overtakes nothing"
    assert {entry.key: entry.created_s for entry in await store.outbox_list(("pending",))} == {
        "inc_a_3": 1.0, "inc_b_1": 1.0, "inc_b_2": 4.6,
    }  # fmt: skip
    assert await store.outbox_retry(5.0, key="inc_a_1") == (0, 1)
    assert await store.outbox_retry(5.0, destination="chat") == (0, 0)


async def test_what_waits_for_one_destination_is_moved_to_another(store: Store) -> None:
    await store.commit(Checkpoint(1.0, letters=(letter(), letter("inc_b"), letter("inc_b", destination="chat"))))
    await store.mark_delivered("chat", "inc_b_1", 2.0)
    assert await store.outbox_move(3.0, "oncall", "chat") == 1
    assert [entry.key for entry in await store.pending("chat", 9, 3.0)] == ["inc_a_1"]
    assert [entry.key for entry in await store.pending("oncall", 9, 3.0)] == ["inc_b_1"], "the other knows it already"


async def test_what_the_daemon_said_of_itself_is_kept_with_the_words(store: Store) -> None:
    assert await store.told_troubles() == b""
    await store.put([letter()], 1.0, troubles=b"[1]")
    await store.put([letter("inc_b")], 1.0)
    assert await store.told_troubles() == b"[1]"


async def test_rejects_are_kept_once_bounded_and_the_oldest_make_room(store: Store) -> None:
    rejects = tuple(Reject("orders", 0, offset, "not JSON", b"x" * 9000) for offset in range(14))
    await store.commit(Checkpoint(1.0, rejects=rejects[:8]))
    await store.commit(Checkpoint(2.0, rejects=rejects[4:]))  # four of them again, as after a crash
    kept = await store.dead_letters()
    assert [item.reject.offset for item in kept] == list(range(13, 3, -1))
    assert all(len(item.reject.sample) == 4096 for item in kept)
    assert await store.dead_letter_counts() == (10, 4)


async def test_incidents_are_bounded(store: Store) -> None:
    for number in range(8):
        await store.commit(Checkpoint(float(number), incidents=(incident(f"inc_{number}"),)))
    assert [row.incident_id for row in await store.incidents()] == [f"inc_{number}" for number in (7, 6, 5, 4, 3)]
    assert await store.incident("inc_0") is None


async def test_the_identity_is_made_once(tmp_path: Path) -> None:
    first = await Store.open(tmp_path / "a", SMALL)
    identity = await first.identity()
    await first.close()
    again = await Store.open(tmp_path / "a", SMALL)
    other = await Store.open(tmp_path / "b", SMALL)
    assert await again.identity() == identity != await other.identity()
    assert len(identity.pseudonym_key) == 32 and identity.pseudonym_key.hex() not in repr(identity)
    await again.close()
    await other.close()


async def test_only_its_owner_can_read_the_state(store: Store, tmp_path: Path) -> None:
    await store.commit(Checkpoint(1.0, letters=(letter(),)))
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert FILE_NAME + "-wal" in modes and set(modes.values()) == {0o600}


async def test_a_second_daemon_is_refused_and_a_helper_is_not(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="another foreshock"):
        await Store.open(tmp_path / "state", SMALL)
    await store.commit(Checkpoint(1.0, letters=(letter(),)))
    helper = await Store.open(tmp_path / "state", SMALL, owner=False)
    assert await helper.outbox_drop(2.0, "inc_a_1") == 1
    await helper.close()
    assert await store.pending("oncall", 9, 9.0) == []


async def test_a_helper_makes_no_state_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="not there"):
        await Store.open(tmp_path / "none", SMALL, owner=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["header", "pages", "text"])
async def test_a_damaged_file_is_moved_aside_and_told(tmp_path: Path, damage: str) -> None:
    for expected in (f"{FILE_NAME}.corrupt-1", f"{FILE_NAME}.corrupt-2"):
        store = await Store.open(tmp_path, SMALL)
        await store.commit(Checkpoint(1.0, os.urandom(200_000), {("orders", 0): 1}))
        await store.close()
        spoiled = bytearray((tmp_path / FILE_NAME).read_bytes())
        if damage == "header":
            spoiled[:16] = bytes(16)
        elif damage == "pages":
            spoiled[4096 : 4096 * 20] = os.urandom(4096 * 19)
        else:
            spoiled = bytearray(b"this is no database\n" * 500)
        (tmp_path / FILE_NAME).write_bytes(spoiled)
        store = await Store.open(tmp_path, SMALL)
        assert store.opened.moved_aside == expected and store.opened.why and store.opened.created
        assert (tmp_path / expected).read_bytes() == spoiled
        assert await store.load() is None
        await store.close()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    await (await Store.open(tmp_path, SMALL)).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StoreUnusable, match="run the newer one"):
        await Store.open(tmp_path, SMALL)
    assert (tmp_path / FILE_NAME).read_bytes() == before and not list(tmp_path.glob("*corrupt*"))


async def test_a_directory_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StoreUnusable, match="0700"):
        await Store.open(tmp_path, SMALL)


async def test_a_full_disk_undoes_the_transaction_and_heals(store: Store) -> None:
    await store.commit(Checkpoint(1.0, b"small", {("orders", 0): 1}, letters=(letter(),)))
    await limit_pages(store, extra=4)
    big = Checkpoint(2.0, os.urandom(400_000), {("orders", 0): 2}, letters=(letter("inc_b"),))
    for _ in range(2):
        with pytest.raises(StoreFull):
            await store.commit(big)
    kept = await store.load()
    assert kept is not None and kept.state == b"small"
    assert [entry.key for entry in await store.pending("oncall", 9, 9.0)] == ["inc_a_1"]
    await limit_pages(store, extra=10_000)
    assert await store.commit(big) == 1
    healed = await store.load()
    assert healed is not None and healed.state == big.state


async def test_the_ballast_is_given_up_once_when_the_disk_is_full(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, StoreSettings(ballast_bytes=1 << 20))
    assert (tmp_path / "ballast").stat().st_size == 1 << 20
    await limit_pages(store, extra=2)
    with pytest.raises(StoreFull):
        await store.commit(Checkpoint(1.0, os.urandom(400_000), {}))
    assert not (tmp_path / "ballast").exists()
    await store.close()
    await (await Store.open(tmp_path, StoreSettings(ballast_bytes=1 << 20))).close()
    assert (tmp_path / "ballast").exists()


async def test_a_file_held_by_somebody_else_is_a_store_error_and_not_a_crash(store: Store, tmp_path: Path) -> None:
    await store._run(lambda connection: connection.execute("SELECT 1").fetchone())
    await asyncio.get_running_loop().run_in_executor(
        store._writer, lambda: store._database.connection.execute("PRAGMA busy_timeout = 10")
    )
    other = sqlite3.connect(tmp_path / "state" / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        await store.commit(Checkpoint(1.0, letters=(letter(),)))
    other.execute("ROLLBACK")
    other.close()
    assert await store.commit(Checkpoint(1.0, letters=(letter(),))) == 1


async def limit_pages(store: Store, extra: int) -> None:
    """Make the disk as small as what is used now and `extra` pages."""

    def limit() -> None:
        connection = store._database.connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + extra}")

    await asyncio.get_running_loop().run_in_executor(store._writer, limit)

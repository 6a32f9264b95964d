"""The daemon's loop: what it makes durable, where it goes on, how it stops, and what it does when the disk is full."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from detector.daemon import service
from detector.daemon.service import ServiceSettings
from detector.model.state import State
from detector.sources.positions import Notice, NoticeKind
from detector.store import snapshot
from detector.store.rows import Checkpoint
from detector.store.store import FILE_NAME, Store
from tests.daemon.house import House, until
from tests.daemon.story import CountingEngine, ListSource, Remembering, data_of, expected_keys


@pytest.mark.parametrize("at_once", [service.STEP_RECORDS, 3, 1])
async def test_every_alert_is_delivered_once_and_the_state_stands_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(service, "STEP_RECORDS", at_once)
    sink = Remembering("oncall")
    house = House(tmp_path, ListSource(200, partitions=2), sink)
    await house.open()
    expected = expected_keys(200, 2)
    assert await house.run_until(lambda: len(sink.got) == len(expected)) == 0
    assert set(sink.got) == expected and len(sink.got) == len(expected)
    assert house.source.closed and sink.closed
    store = await Store.open(tmp_path)
    checkpoint = await store.load()
    assert checkpoint is not None and checkpoint.state is not None
    assert dict(checkpoint.positions) == {("orders", 0): 200, ("orders", 1): 200} == house.source.committed
    assert snapshot.decode(checkpoint.state)["sum"] == 2 * sum(range(200))
    assert snapshot.inspect(checkpoint.state).about == {"config_rev": "r1"} and checkpoint.config_rev == "r1"
    assert (await store.dead_letter_counts())[0] == 80
    assert {row.status for row in await store.incidents()} <= {"firing", "resolved"}
    await store.close()
    assert house.value("foreshock_dead_letters_total", reason="each fifth") == 80
    assert house.value("foreshock_records_total", topic="orders") == 400


async def test_a_restart_goes_on_where_the_state_stood(tmp_path: Path) -> None:
    first = House(tmp_path, ListSource(40), Remembering("oncall"))
    await first.open()
    first.source.kept = {("orders", 0): "made in May"}
    await first.run_until(lambda: first.source.next["orders", 0] == 40)
    second = House(tmp_path, ListSource(100), Remembering("oncall"))
    await second.open()
    await second.run_until(lambda: second.source.next["orders", 0] == 100)
    assert second.source.started_at == {("orders", 0): 40}
    assert second.source.expected == first.source.kept
    assert second.engines[-1].sum == sum(range(100))
    sinks = [first.sinks[0], second.sinks[0]]
    got = [key for sink in sinks if isinstance(sink, Remembering) for key in sink.got]
    assert sorted(got) == sorted(expected_keys(100))
    assert second.value("foreshock_restores_total", found="newest") == 1


@pytest.mark.parametrize(("decided", "begun"), [(25, {("orders", 0): 25}), (None, {})])
async def test_a_restart_goes_on_where_an_operator_decided_and_saves_that(
    tmp_path: Path, decided: int | None, begun: dict[tuple[str, int], int]
) -> None:
    first = House(tmp_path, ListSource(40), Remembering("oncall"))
    await first.open()
    first.source.kept = {("orders", 0): "made in May", ("orders", 1): "elsewhere now"}
    await first.run_until(lambda: first.source.next["orders", 0] == 40)
    store = await Store.open(tmp_path)
    assert await store.place(("orders", 0), decided)
    await store.close()
    idle = House(tmp_path, ListSource(0), Remembering("oncall"))  # stopped before a record came
    await idle.open()
    await idle.run_until(lambda: True)
    assert idle.source.started_at == begun
    assert idle.source.expected == {("orders", 1): "elsewhere now"}, "it is a position of what is there"
    second = House(tmp_path, ListSource(41), Remembering("oncall"))
    await second.open()
    await second.run_until(lambda: second.source.next["orders", 0] == 41)
    assert second.source.started_at == begun
    assert second.engines[-1].sum == sum(range(40)) + sum(range(decided or 0, 41))


async def test_who_restarts_before_a_record_came_goes_on_where_it_began(tmp_path: Path) -> None:
    class Latest(ListSource):
        begun = {("orders", 0): 0}  # noqa: RUF012

    for _ in range(2):
        house = House(tmp_path, Latest(0), Remembering("oncall"))
        await house.open()
        await house.run_until(lambda at=house: bool(at.service.partitions()))
    assert house.source.started_at == {("orders", 0): 0}
    read = House(tmp_path, ListSource(40), Remembering("oncall"))
    await read.open()
    await read.run_until(lambda: read.source.next["orders", 0] == 40)
    again = House(tmp_path, Latest(0), Remembering("oncall"))
    await again.open()
    await again.run_until(lambda at=again: bool(at.service.partitions()))
    assert again.source.started_at == {("orders", 0): 40}, "what was read counts for more"


async def test_an_unreadable_state_falls_back_to_the_one_before_and_tells_nothing_twice(tmp_path: Path) -> None:
    first = House(tmp_path, ListSource(50), Remembering("oncall"))
    await first.open()
    await first.run_until(lambda: first.source.next["orders", 0] == 50)
    store = await Store.open(tmp_path)
    await store.commit(Checkpoint(1.0, b"rubbish", {("orders", 0): 9999}))
    await store.close()
    second = House(tmp_path, ListSource(60), Remembering("oncall"))
    await second.open()
    await second.run_until(lambda: second.source.next["orders", 0] == 60)
    assert second.source.started_at == {("orders", 0): 50}
    assert second.value("foreshock_restores_total", found="previous") == 1
    assert second.engines[-1].sum == sum(range(60))


async def test_a_state_that_does_not_fit_starts_cold_at_its_offsets_and_says_so(tmp_path: Path) -> None:
    class Other(CountingEngine):
        def restore(self, state: State) -> None:
            self.sum = -1  # half restored when it finds out
            raise ValueError("made with another width_ns")

        def step(self, batches: Any) -> Any:
            for batch in batches:
                self.at.setdefault((batch.topic, batch.partition), batch.first_offset)
            return super().step(batches)

    first = House(tmp_path, ListSource(50), Remembering("oncall"))
    await first.open()
    await first.run_until(lambda: first.source.next["orders", 0] == 50)
    sink = Remembering("oncall")
    second = House(tmp_path, ListSource(60), sink)
    await second.open(Other)
    await second.run_until(lambda: any("degraded_state" in key for key in sink.got))
    assert second.source.started_at == {("orders", 0): 50}
    assert second.engines[-1].sum >= 0, "a half restored engine went on"
    (told,) = [
        data_of(parcel)
        for parcel in sink.attempts
        if parcel.key.startswith("degraded_state") and parcel.key.endswith("_1")
    ]
    assert "cold" in str(told["summary"]) and "state.db.before-cold" in str(told["summary"])
    kept = sqlite3.connect(tmp_path / "state.db.before-cold")
    assert kept.execute("SELECT count(*) FROM checkpoints").fetchone()[0] > 0
    kept.close()
    assert "close them by hand: inc_0x7" in str(told["summary"]), "record 49 opened it, and the state knew of it"


async def test_alerts_do_not_wait_for_a_checkpoint(tmp_path: Path) -> None:
    sink = Remembering("oncall")
    slow = ServiceSettings(poll_s=0.02, snapshot_every_s=3600.0)
    house = House(tmp_path, ListSource(20), sink, settings=slow)
    await house.open()
    seen: list[Checkpoint | None] = []
    running = asyncio.create_task(house.service.run(signals=False))
    await until(lambda: len(sink.got) == len(expected_keys(20)))
    seen.append(await house.store.load())
    house.service.stop()
    await running
    assert seen == [None]


async def test_a_full_disk_sends_alerts_directly_and_heals_without_losing_one(tmp_path: Path) -> None:
    sink = Remembering("oncall")
    house = House(tmp_path, ListSource(200, pause_s=0.02), sink)
    await house.open()
    running = asyncio.create_task(house.service.run(signals=False))
    await until(lambda: len(sink.got) > 3)
    blocker = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, check_same_thread=False)
    await in_store(house.store, "PRAGMA busy_timeout = 1")
    await asyncio.to_thread(hold, blocker)
    await until(lambda: any(data_of(parcel).get("durability") == "degraded" for parcel in sink.attempts))
    assert not next(check for check in house.service.health().checks if check.name == "store").ok
    blocker.execute("ROLLBACK")
    blocker.close()
    await until(lambda: not house.ledger.broken and house.source.next["orders", 0] == 200 and not house.ledger.waiting)
    house.service.stop()
    assert await running == 0
    assert incidents(sink.got) == expected_keys(200)
    assert house.value("foreshock_store_errors_total") > 0
    store = await Store.open(tmp_path)
    assert incidents(entry.key for entry in await store.outbox_list(("delivered",), 1000)) == expected_keys(200)
    await store.close()


async def test_sigterm_stops_in_order_and_a_second_one_at_once(tmp_path: Path) -> None:
    sink = Remembering("oncall", pause_s=0.05)
    house = House(tmp_path, ListSource(100_000, pause_s=0.001), sink)
    await house.open()
    running = asyncio.create_task(house.service.run())
    await until(lambda: len(sink.got) > 5)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.01)
    assert house.exited == [128 + signal.SIGINT]
    assert await running == 0  # the fake exit returned, so the orderly way went on
    store = await Store.open(tmp_path)
    checkpoint = await store.load()
    assert checkpoint is not None and checkpoint.state is not None
    rows: Any = snapshot.decode(checkpoint.state)["at"]
    reached = rows[0][2]
    assert checkpoint.positions["orders", 0] == reached == house.source.next["orders", 0]
    known = {entry.key for entry in await store.outbox_list(("pending", "delivered"), 100_000)}
    assert known == expected_keys(reached), "alerts of the last step are durable, and nothing else is"
    await store.close()


async def test_sighup_stops_in_order_to_be_started_again_unless_the_new_configuration_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # under nohup it is ignored, and so may these tests be run
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)
    sink = Remembering("oncall")
    house = House(tmp_path, ListSource(100_000, pause_s=0.001), sink)
    refusals = ["", "windows.width: not a duration"]
    await house.open(unusable=refusals.pop)
    running = asyncio.create_task(house.service.run())
    await until(lambda: len(sink.got) > 5)
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: refusals == [""])
    await asyncio.sleep(0.05)
    assert not running.done() and house.service.health().ready
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: not refusals)
    os.kill(os.getpid(), signal.SIGHUP)  # a terminal that is closed sends more than one
    assert await running == 128 + signal.SIGHUP and house.exited == []
    store = await Store.open(tmp_path)
    checkpoint = await store.load()
    assert checkpoint is not None and checkpoint.positions["orders", 0] == house.source.next["orders", 0]
    assert {entry.status for entry in await store.outbox_list(("pending", "delivered"), 100_000)} == {"delivered"}
    await store.close()


async def test_our_own_mistake_ends_the_daemon_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    class Broken(CountingEngine):
        def step(self, batches: Any) -> Any:
            assert self.sum < 500, "the sum is too large"
            return super().step(batches)

    house = House(tmp_path, ListSource(200, pause_s=0.02), Remembering("oncall"))
    await house.open(Broken)
    with pytest.raises(AssertionError, match="too large"):
        await house.service.run(signals=False)
    assert house.source.closed
    again = House(tmp_path, ListSource(200), Remembering("oncall"))
    await again.open()
    await again.run_until(lambda: again.source.next["orders", 0] == 200)
    assert again.engines[-1].sum == sum(range(200))


async def test_health_says_what_is_not_well(tmp_path: Path) -> None:
    settings = ServiceSettings(poll_s=0.02, snapshot_every_s=0.05, stalled_after_s=0.2)
    house = House(tmp_path, ListSource(10), Remembering("oncall"), settings=settings)
    service = await house.open()
    assert not service.health().ready and not service.health().started
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: service.health().ready)
    assert service.health().live and service.health().progress["partitions"] == 1
    await until(lambda: not service.health().ready)
    (why,) = [check.why for check in service.health().checks if not check.ok]
    assert why.startswith("the source has said nothing for")
    service.stop()
    await running


async def test_a_stalled_source_is_told_to_oncall(tmp_path: Path) -> None:
    sink = Remembering("oncall")
    settings = ServiceSettings(poll_s=0.02, stalled_after_s=0.2)
    house = House(tmp_path, ListSource(10), sink, settings=settings)
    await house.open()
    await house.run_until(lambda: any(parcel.key.startswith("degraded_source") for parcel in sink.attempts))


async def test_a_heartbeat_is_sent_after_progress_and_withheld_without(tmp_path: Path) -> None:
    beats = Remembering("switch")
    settings = ServiceSettings(poll_s=0.02, heartbeat_every_s=0.5)
    house = House(tmp_path, ListSource(10), Remembering("oncall"), beats, settings=settings)
    await house.open(heartbeats=["switch"])
    house.ledger.route = lambda alert: ["oncall"]
    running = asyncio.create_task(house.service.run(signals=False))
    await until(lambda: len(beats.got) == 1)
    await asyncio.sleep(2.2)
    assert len(beats.got) == 1, "nothing came meanwhile, and yet it said that it is well"
    house.source.records = 20
    await until(lambda: len(beats.got) == 2)
    house.service.stop()
    await running


async def test_a_rebalance_keeps_the_offsets_of_partitions_that_went_elsewhere(tmp_path: Path) -> None:
    house = House(tmp_path, ListSource(30, partitions=2), Remembering("oncall"))
    await house.open()
    running = asyncio.create_task(house.service.run(signals=False))
    # stepped, not only read: it reads ahead
    await until(lambda: any(sorted(engine.at.values()) == [30, 30] for engine in house.engines))
    del house.source.next["orders", 1]
    await until(lambda: house.service.partitions() == (("orders", 0),))
    del house.engines[-1].at["orders", 1]  # what the true engine does when a partition goes
    house.source.records = 60
    await until(lambda: house.source.next["orders", 0] == 60)
    house.service.stop()
    await running
    store = await Store.open(tmp_path)
    checkpoint = await store.load()
    assert checkpoint is not None and dict(checkpoint.positions) == {("orders", 0): 60, ("orders", 1): 30}
    await store.close()


async def test_a_partition_that_comes_back_goes_on_where_its_state_stands(tmp_path: Path) -> None:
    house = House(tmp_path, ListSource(30, partitions=2), Remembering("oncall"))
    service = await house.open()
    running = asyncio.create_task(service.run(signals=False))
    both = [("orders", 0), ("orders", 1), ("orders", 7)]
    await until(lambda: bool(house.engines) and sum(house.engines[-1].at.values()) == 60)
    assert await service.positions_of(both) == {("orders", 0): 30, ("orders", 1): 30}
    house.engines[-1].at["orders", 1] = 25  # five records are staged, not folded
    del house.source.next["orders", 1]
    await until(lambda: service.partitions() == (("orders", 0),))
    assert await service.positions_of(both) == {("orders", 0): 30, ("orders", 1): 25}
    service.stop()
    await running


async def test_what_the_source_lost_is_told_to_oncall_once(tmp_path: Path) -> None:
    class Lossy(ListSource):
        def take_notices(self) -> tuple[Notice, ...]:
            held = Notice(NoticeKind.TRUNCATED, "orders", 1, 5, 9, "the log ends at 5")
            return (Notice(NoticeKind.GAP, "orders", 0, 7, 9, "records 7 to 8 are gone: retention was faster"), held)

        def lag(self) -> dict[tuple[str, int], int]:
            return {("orders", 0): 12}

    sink = Remembering("oncall")
    house = House(tmp_path, Lossy(10), sink)
    await house.open()
    running = asyncio.create_task(house.service.run(signals=False))
    await until(lambda: house.value("foreshock_source_notices_total", kind="gap") >= 2)
    await until(lambda: sum(parcel.key.startswith(("degraded_gap", "degraded_trun")) for parcel in sink.attempts) >= 4)
    house.service.stop()
    await running
    told = [data_of(parcel) for parcel in sink.attempts if parcel.key.startswith("degraded_gap")]
    assert [one["status"] for one in told] == ["firing", "resolved"], "an end that nothing began would be dropped"
    held = [data_of(parcel) for parcel in sink.attempts if parcel.key.startswith("degraded_truncated")]
    assert all(one["momentary"] for one in told + held)
    assert {one["severity"] for one in told} == {"warning"} and {one["severity"] for one in held} == {"critical"}
    assert "7 to 8 are gone" in str(told[0]["summary"]) and told[0]["incident_id"] == told[1]["incident_id"]
    assert house.value("foreshock_consumer_lag_records", topic="orders", partition="0") == 12


def incidents(keys: Iterable[str]) -> set[str]:
    """Without the daemon's words about itself."""
    return {key for key in keys if not key.startswith("degraded_")}


async def in_store(store: Store, statement: str) -> None:
    work = lambda: store._database.connection.execute(statement).fetchall()  # noqa: E731
    await asyncio.get_running_loop().run_in_executor(store._writer, work)


def hold(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("BEGIN IMMEDIATE")


async def test_what_is_done_later_holds_up_no_page(tmp_path: Path) -> None:
    sink, go_on = Remembering("oncall"), threading.Event()
    house = House(tmp_path, ListSource(200), sink)
    begun: list[bool] = []

    def later() -> None:
        begun.append(bool(house.engines))
        assert go_on.wait(10.0)

    await house.open(later=later)
    expected = expected_keys(200, 1)
    running = asyncio.create_task(house.run_until(lambda: set(sink.got) == expected and go_on.is_set()))
    await until(lambda: set(sink.got) == expected, 10.0)
    assert begun == [True], "once, in a thread, after the engine was there"
    go_on.set()
    assert await running == 0


async def test_a_mistake_in_what_is_done_later_ends_the_daemon(tmp_path: Path) -> None:
    house = House(tmp_path, ListSource(5), Remembering("oncall"))

    def later() -> None:
        raise ImportError("not installed as it should be")

    service = await house.open(later=later)
    with pytest.raises(ImportError, match="as it should be"):
        await service.run(signals=False)

"""Watch: what on-call is told of the daemon itself, and that the last word is a true one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from detector.daemon import troubles, watch
from detector.daemon.delivery import DeliverySettings
from detector.daemon.service import ServiceSettings
from detector.engine.step import Step
from detector.model.events import Reject
from detector.model.records import RecordBatch
from detector.sinks.base import Delivery, Outcome
from detector.store.rows import GivenUp, StoreFull
from detector.store.store import FILE_NAME
from tests.daemon.house import House, until
from tests.daemon.story import CountingEngine, ListSource, Remembering, data_of


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(troubles, "NOTICE_EVERY_S", 1.5)  # troubles are named by the second they began in


def titles(sink: Remembering) -> list[str]:
    told = [data_of(parcel) for parcel in sink.attempts if parcel.key.startswith("degraded_")]
    return [str(data["title"]).removeprefix("foreshock: ") for data in told]


async def test_a_trouble_that_comes_back_for_good_in_its_quiet_time_is_told_when_that_ends(tmp_path: Path) -> None:
    oncall = Remembering("oncall")
    house = House(tmp_path, ListSource(10), oncall)
    service = await house.open()
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: house.delivery.trouble is not None)
    ill, well = "destination pager in trouble", "destination pager well again"
    for why in ("503", "", "503", "", "503"):
        service.watch.troubles.destination("pager", why)
    await until(lambda: titles(oncall)[1:] != [])
    await asyncio.sleep(0.1)
    assert titles(oncall) == [ill, well], "told five times within a moment"
    await until(lambda: len(titles(oncall)) == 3)
    assert titles(oncall) == [ill, well, ill]
    service.watch.troubles.destination("pager", "")
    service.watch.troubles.destination("pager", "503")
    service.watch.troubles.destination("pager", "")
    await asyncio.sleep(2.0)
    assert titles(oncall) == [ill, well, ill, well], "what is over when the quiet time ends is not told"
    service.stop()
    assert await running == 0


async def test_a_full_disk_is_told_past_the_outbox_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(troubles, "PUT_AGAIN_S", 0.05)
    answers = [Outcome(Delivery.RETRY, "503")]
    oncall = Remembering("oncall", lambda parcel: answers.pop() if answers else Outcome(Delivery.DELIVERED))
    house = House(tmp_path, ListSource(0), oncall)
    service = await house.open()
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: service.health().ready)

    def full(_work: object) -> None:
        raise StoreFull("no space left")

    with monkeypatch.context() as disk:
        disk.setattr(house.store, "_transact", full)
        await until(lambda: len(oncall.got) == 1)
        await asyncio.sleep(0.2)
        assert titles(oncall) == ["store in trouble"] * 2 and len(oncall.got) == 1, "tried again until it arrived"
        assert data_of(oncall.attempts[-1])["durability"] == "degraded"
    await until(lambda: len(oncall.got) == 2)
    assert titles(oncall)[-1] == "store well again" and "durability" not in data_of(oncall.attempts[-1])
    service.stop()
    assert await running == 0


async def test_alerts_that_were_given_up_are_told_by_name_and_as_urgently_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(troubles, "LOST_EVERY_S", 0.3)
    oncall = Remembering("oncall")
    house = House(tmp_path, ListSource(0), oncall)
    service = await house.open()
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: house.delivery.lost is not None)
    many = [GivenUp("chat", f"inc_{number}", "info", "answered 400") for number in range(12)]
    house.delivery.give_up("chat", many)
    await until(lambda: len(titles(oncall)) == 1)
    house.delivery.give_up("chat", [GivenUp("chat", "inc_x", "critical", "expired: 503")])
    house.delivery.give_up("chat", [GivenUp("chat", "inc_y", "warning", "outbox full")])
    await until(lambda: len(oncall.got) == 4)
    mild, grave, *over = [data_of(parcel) for parcel in oncall.attempts]
    assert (mild["severity"], grave["severity"], mild["status"]) == ("warning", "critical", "firing")
    assert mild["title"] == "foreshock: alerts for chat were given up"
    assert "12 alerts will not reach it (answered 400)" in str(mild["summary"])
    assert "inc_9 and 2 more" in str(mild["summary"]) and "inc_10" not in str(mild["summary"])
    assert "2 alerts" in str(grave["summary"]) and "inc_x, inc_y" in str(grave["summary"])
    assert [(one["incident_id"], one["status"], one["seq"]) for one in over] == [
        (mild["incident_id"], "resolved", 2), (grave["incident_id"], "resolved", 2),
    ]  # fmt: skip
    service.stop()
    assert await running == 0


async def test_a_trouble_goes_on_under_its_name_after_a_restart(tmp_path: Path) -> None:
    """Nobody hears of the same outage twice, and everybody hears that it is over."""

    class Silent(ListSource):
        async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
            await asyncio.sleep(timeout_s)
            return []

    dead = ServiceSettings(poll_s=0.02, drain_s=5.0, stalled_after_s=0.1)
    told = []
    for source in (Silent(0), Silent(0), ListSource(40)):
        oncall = Remembering("oncall")
        house = House(tmp_path, source, oncall, settings=dead)
        service = await house.open()
        running = asyncio.create_task(service.run(signals=False))
        expected = not told or (isinstance(source, ListSource) and not isinstance(source, Silent))
        await (until(lambda at=oncall: titles(at) != []) if expected else asyncio.sleep(0.5))
        service.stop()
        assert await running == 0
        told += [data_of(parcel) for parcel in oncall.attempts if parcel.key.startswith("degraded_source")]
    assert [(one["status"], one["seq"]) for one in told] == [("firing", 1), ("resolved", 2)]
    assert told[0]["incident_id"] == told[1]["incident_id"]


@pytest.mark.parametrize(
    ("least", "told"), [("info", "warning"), ("warning", "warning"), ("critical", "critical"), (None, "warning")]
)
async def test_the_loss_of_a_destination_is_as_urgent_as_what_it_is_there_for(
    tmp_path: Path, least: str | None, told: str
) -> None:
    order = ("info", "warning", "critical")
    oncall = Remembering("oncall")
    house = House(tmp_path, ListSource(0), oncall)
    service = await house.open()
    house.ledger.route = lambda alert: [
        "oncall",
        *(["pager"] if least and order.index(str(alert.data["severity"])) >= order.index(least) else []),
    ]
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: house.delivery.trouble is not None)
    service.watch.troubles.destination("pager", "answered 503")
    await until(lambda: len(oncall.got) == 1)
    assert data_of(oncall.attempts[0])["severity"] == told
    service.stop()
    assert await running == 0


async def test_a_destination_that_was_in_trouble_before_a_restart_is_well_again_with_its_next_letter(
    tmp_path: Path,
) -> None:
    refused = Outcome(Delivery.RETRY, "503")
    told = []
    for answer in (refused, Outcome(Delivery.DELIVERED)):
        oncall, pager = Remembering("oncall"), Remembering("pager", lambda _, answer=answer: answer)
        house = House(tmp_path, ListSource(10), oncall, pager)
        service = await house.open()
        house.delivery._settings = DeliverySettings(look_every_s=0.02, backoff_min_s=0.01, backoff_max_s=0.02)
        for route in house.delivery._routes.values():
            route._settings = house.delivery._settings
            route._circuit._max_s = 0.02
        running = asyncio.create_task(service.run(signals=False))
        await until(lambda at=oncall: titles(at) != [])
        service.stop()
        assert await running == 0
        told += [data_of(parcel) for parcel in oncall.attempts if parcel.key.startswith("degraded_destination")]
    assert [(one["title"], one["seq"]) for one in told] == [
        ("foreshock: destination pager in trouble", 1), ("foreshock: destination pager well again", 2),
    ]  # fmt: skip
    assert told[0]["incident_id"] == told[1]["incident_id"]


async def test_a_state_that_could_not_be_used_is_over_with_the_next_one_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the process that said so did not live to save one."""
    monkeypatch.setattr(watch, "WARM_S", 0.0)
    oncall = Remembering("oncall")
    house = House(tmp_path, ListSource(40), oncall)
    service = await house.open()
    firing = {"state": ("", "starting cold", 1_796_000_000, "warning", "")}
    await house.store.put([], 0.0, troubles=msgspec.json.encode(firing))
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: titles(oncall) == ["state well again"])
    assert data_of(oncall.attempts[-1])["incident_id"] == "degraded_state_1796000000"
    service.stop()
    assert await running == 0


class Deaf(CountingEngine):
    """Can read nothing, until told otherwise."""

    deaf = True

    def step(self, batches: Sequence[RecordBatch]) -> Step:
        step = super().step(batches)
        every = (
            Reject(one.topic, one.partition, int(at), "missing_field: qty", b"{}")
            for one in batches
            for at in one.offsets
        )
        return replace(step, alerts=(), rejects=tuple(every)) if self.deaf else step


async def test_a_feed_of_which_nothing_can_be_read_is_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records come, its fetches are fresh, and nobody watches anything."""
    monkeypatch.setattr(Deaf, "deaf", True)
    oncall = Remembering("oncall")
    settings = ServiceSettings(poll_s=0.02, commit_every_s=0.01, drain_s=5.0, stalled_after_s=0.3)
    house = House(tmp_path, ListSource(10**9, pause_s=0.02), oncall, settings=settings)
    service = await house.open(Deaf)
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: titles(oncall) == ["feed in trouble"])
    told = data_of(next(parcel for parcel in oncall.attempts if parcel.key.startswith("degraded_")))
    assert told["severity"] == "critical" and "missing_field" in str(told["summary"]) and "qty" not in str(told)
    (check,) = (check for check in service.health().checks if check.name == "readable")
    assert not check.ok and not service.health().ready
    monkeypatch.setattr(Deaf, "deaf", False)
    await until(lambda: titles(oncall) == ["feed in trouble", "feed well again"])
    assert next(check for check in service.health().checks if check.name == "readable").ok
    service.stop()
    assert await running == 0


async def test_a_damaged_state_file_is_told_as_gravely_as_what_may_be_lost_with_it(tmp_path: Path) -> None:
    first = House(tmp_path, ListSource(40), Remembering("oncall"))
    await first.open()
    await first.run_until(lambda: first.source.next["orders", 0] == 40)
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    oncall = Remembering("oncall")
    house = House(tmp_path, ListSource(0), oncall)
    service = await house.open()
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: titles(oncall) == ["state file in trouble"])
    told = data_of(oncall.attempts[0])
    assert told["severity"] == "critical" and f"{FILE_NAME}.corrupt-1" in str(told["summary"])
    await asyncio.sleep(0.3)
    assert len(titles(oncall)) == 1, "it is not well again because an empty one was saved"
    service.stop()
    assert await running == 0


async def test_the_space_that_was_kept_for_a_full_disk_is_told_when_it_is_used(tmp_path: Path) -> None:
    oncall = Remembering("oncall")
    house = House(tmp_path, ListSource(0), oncall)
    service = await house.open()
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: service.health().ready)
    house.store.ballast_spent = True
    await until(lambda: titles(oncall) == ["disk in trouble"])
    service.stop()
    assert await running == 0


@pytest.mark.parametrize("told", [b"{", b"[1]", b'{"source":["",1]}', b'{"source":{"why":"silent"}}'])
async def test_words_of_another_version_are_no_reason_not_to_start(tmp_path: Path, told: bytes) -> None:
    house = House(tmp_path, ListSource(40), Remembering("oncall"))
    service = await house.open()
    await house.store.put([], 0.0, troubles=told)
    assert await house.run_until(lambda: house.source.next["orders", 0] == 40) == 0
    assert service.health().started

"""Watch: what on-call is told of the daemon itself, and that the last word is a true one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from detector.daemon import watch
from detector.sinks.base import Delivery, Outcome
from detector.store.rows import StoreFull
from tests.daemon.house import House, until
from tests.daemon.story import ListSource, Remembering, data_of


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(watch, "NOTICE_EVERY_S", 1.5)  # troubles are named by the second they began in


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
        service.watch.destination("pager", why)
    await until(lambda: titles(oncall)[1:] != [])
    await asyncio.sleep(0.1)
    assert titles(oncall) == [ill, well], "told five times within a moment"
    await until(lambda: len(titles(oncall)) == 3)
    assert titles(oncall) == [ill, well, ill]
    service.watch.destination("pager", "")
    service.watch.destination("pager", "503")
    service.watch.destination("pager", "")
    await asyncio.sleep(2.0)
    assert titles(oncall) == [ill, well, ill, well], "what is over when the quiet time ends is not told"
    service.stop()
    assert await running == 0


async def test_a_full_disk_is_told_past_the_outbox_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PUT_AGAIN_S", 0.05)
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

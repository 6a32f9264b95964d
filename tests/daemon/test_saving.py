"""When a checkpoint is made, and how much of a core that may take."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.daemon.service import ServiceSettings
from detector.model.state import State
from detector.store import snapshot, tables
from detector.store.store import Store, StoreSettings
from tests.daemon.house import House
from tests.daemon.story import CountingEngine, ListSource, Remembering


class Windowed(CountingEngine):
    """Closes a window with every fourth batch, and remembers when its state was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[int] = []

    @property
    def watermark_ns(self) -> int:
        return sum(self.at.values()) // 40

    def state(self) -> State:
        self.taken.append(sum(self.at.values()))
        return super().state()


async def test_a_checkpoint_begins_where_a_window_closes(tmp_path: Path) -> None:
    quick = ServiceSettings(poll_s=0.02, snapshot_every_s=0.001, save_waits_s=3600.0)
    house = House(tmp_path, ListSource(400, pause_s=0.002), Remembering("oncall"), settings=quick)
    await house.open(Windowed)

    def taken() -> list[int]:
        return [at for engine in house.engines if isinstance(engine, Windowed) for at in engine.taken]

    await house.run_until(lambda: len(taken()) >= 3)
    assert all(at % 40 == 0 for at in taken()[:3]), taken()  # the last one is made on the way out, wherever that is


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 5, 1000), (1e-6, 1, 1)])
async def test_saving_takes_a_part_of_a_core_and_no_more(tmp_path: Path, share: float, least: int, most: int) -> None:
    quick = ServiceSettings(poll_s=0.02, snapshot_every_s=0.001, save_waits_s=0.0, save_share=share)
    source = ListSource(400, pause_s=0.002)
    house = House(tmp_path, source, Remembering("oncall"), settings=quick)
    await house.open(Windowed)
    taken: list[int] = []

    def all_read() -> bool:
        taken[:] = [at for engine in house.engines if isinstance(engine, Windowed) for at in engine.taken]
        return bool(house.engines) and sum(house.engines[-1].at.values()) >= 400

    await house.run_until(all_read)
    during = [at for at in taken if 0 < at < 400]
    assert least <= len(during) <= most, during


class Growing(Windowed):
    """Its state outgrows whatever room was made for it, now and then."""

    def state(self) -> State:
        at = sum(self.at.values())
        return {**super().state(), "table": np.full(1 << (6 + at // 50), at, np.int64)}


async def test_a_state_that_has_outgrown_its_room_is_copied_when_there_is_more_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_turn: list[int] = []
    arena = "detector.store.snapshot.Arena"
    real = snapshot.Arena.freeze

    def freeze(self: snapshot.Arena, state: State) -> snapshot.Frozen:
        in_turn.append(snapshot.size_of(state) - self.room)
        return real(self, state)

    monkeypatch.setattr(f"{arena}.freeze", freeze)
    quick = ServiceSettings(poll_s=0.02, snapshot_every_s=0.001, save_waits_s=0.0, save_share=1.0)
    house = House(tmp_path, ListSource(400, pause_s=0.005), Remembering("oncall"), settings=quick)
    await house.open(Growing)
    await house.run_until(lambda: sum(house.engines[-1].at.values()) >= 400 if house.engines else False)
    *during, _last = in_turn  # the last one is made when nothing is held up any more
    assert len(during) > 5
    assert max(during) <= 0, "memory was asked for while the stream stood still"
    saved = await reopened(tmp_path)
    assert saved["table"][0] == 400
    assert len(saved["table"]) == 1 << 14


async def reopened(directory: Path) -> dict[str, Any]:
    """The newest state in the file."""
    store = await Store.open(directory, StoreSettings(ballast_bytes=0))
    checkpoint = await store.load()
    await store.close()
    assert checkpoint is not None
    assert checkpoint.state is not None
    return dict(snapshot.decode(checkpoint.state))


@pytest.mark.parametrize("part", ["copying", "encoding", "committing"])
async def test_whatever_part_of_a_checkpoint_takes_long_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def burn() -> None:
        began_s = time.thread_time()
        while time.thread_time() - began_s < 0.05:
            pass

    class Slow(Windowed):
        def state(self) -> State:
            if part == "copying":
                burn()
            return super().state()

    if part == "encoding":
        encode = snapshot.encode
        monkeypatch.setattr(snapshot, "encode", lambda *state, **about: (burn(), encode(*state, **about))[1])
    if part == "committing":
        end = tables.end_state
        monkeypatch.setattr(tables, "end_state", lambda *given: (burn(), end(*given))[1])
    quick = ServiceSettings(poll_s=0.02, snapshot_every_s=0.001, save_waits_s=0.0, save_share=0.001)
    house = House(tmp_path, ListSource(400, pause_s=0.002), Remembering("oncall"), settings=quick)
    await house.open(Slow)
    await house.run_until(lambda: sum(house.engines[-1].at.values()) >= 400 if house.engines else False)
    engine = house.engines[-1]
    assert isinstance(engine, Slow)
    assert len([at for at in engine.taken if 0 < at < 400]) == 1, "fifty seconds are to pass before the next one"
    assert house.value("foreshock_saving_cpu_seconds_total") >= 0.05

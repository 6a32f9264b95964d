"""When a checkpoint is made, and how much of a core that may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.daemon.service import ServiceSettings
from detector.model.state import State
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

"""The table of what is planted says what a stream then holds."""

from __future__ import annotations

import numpy as np
import pytest

from detector.model.events import Flag, Kind
from replay.exchange import Exchange
from replay.incidents_plan import CLASSES
from replay.laboratory_physics import amplitude_of, rows
from replay.scenario import MarketSpec, Planted, Scenario

RATE = 300.0


@pytest.mark.parametrize(
    ("name", "kind", "column"),
    [("crowd", Kind.LEVERAGE, "raises_extra"), ("foreshock", Kind.CANCEL, "cancels_extra")],
)
def test_the_table_holds_what_the_exchange_then_does(name: str, kind: Kind, column: str) -> None:
    row = next(row for row in rows(RATE) if (row["class"], row["third"]) == (name, "obvious"))
    planted = Planted(
        name, 100.0, ("M",), amplitude=amplitude_of(CLASSES[name], "obvious"), ramp_s=row["to_climax_s"], hold_s=20.0
    )
    counts = []
    for chosen in ((planted,), ()):
        scenario = Scenario("t", (MarketSpec("M", 100.0, RATE),), 100.0 + row["to_climax_s"], mood=0.0, season=0.0)
        exchange = Exchange(Scenario(**{**_cells(scenario), "planted": chosen}), 3)
        events = exchange.run(exchange.end_ns)
        crowd = events["account"] > 1000  # makers are gone in a foreshock, and cancel less
        counts.append(int(np.sum(crowd & (events["kind"] == kind) & ((events["flags"] & Flag.SNAPSHOT) == 0))))
    assert counts[0] - counts[1] == pytest.approx(row[column], rel=0.2)


def _cells(scenario: Scenario) -> dict[str, object]:
    return {name: getattr(scenario, name) for name in Scenario.__dataclass_fields__}

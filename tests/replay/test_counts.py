"""Counts of a window hold what they say through whatever a feed does: none is below nothing, no part above its whole."""

from __future__ import annotations

import numpy as np
import pytest

from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from replay.balanced import markets
from replay.exchange import Exchange
from replay.laboratory_run import KEY, steps
from replay.scenario import Planted, Scenario

MARKETS = 6
LENGTH_S = 1500.0
WHOLE = {"cancels_by_others": "cancels", "young_cancels": "cancels", "fleeting_cancels": "young_cancels"}


@pytest.mark.parametrize("seed", [1, 2])
def test_no_count_is_below_nothing_and_no_part_is_above_its_whole(seed: int) -> None:
    names = [market.name for market in markets(MARKETS, (4.0, 40.0))]
    planted = [
        Planted(kind, at_s + 7.0 * number, (name,))
        for number, name in enumerate(names)
        for kind, at_s in (("gap", 200.0), ("new_maker", 400.0), ("disorder", 500.0), ("gap", 900.0), ("gap", 1200.0))
    ]
    planted.append(Planted("halt", 1300.0, tuple(names)))
    scenario = Scenario("counts", markets(MARKETS, (4.0, 40.0)), duration_s=LENGTH_S, seed=seed, planted=tuple(planted))
    pipeline = build_pipeline(of({}), pseudonym_key=KEY, format_name="native", keep_scored=True)
    scored = [one.windows for step in steps(pipeline, Exchange(scenario, seed)) for one in step.scored]
    assert len(scored) > LENGTH_S - 10.0
    for part, whole in WHOLE.items():
        parts, wholes = (np.concatenate([windows.column(name) for windows in scored]) for name in (part, whole))
        assert np.nanmax(parts) > 0.0
        assert np.nanmin(parts) >= 0.0, part
        assert not (parts > wholes).any(), part

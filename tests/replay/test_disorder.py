"""A spell of disorder leaves the books as they would have been: nothing rests for ever, nothing is missing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from detector.model.events import EventBatch, EventColumn, Flag
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from replay.exchange import Exchange
from replay.feed import arrivals
from replay.scenario import MarketSpec, Planted, Scenario

SPELL = Planted("disorder", 600.0, ("A-PERP",), hold_s=400.0)


def books(exchange: Exchange, chunks: Iterable[EventColumn]) -> list[tuple[int, int]]:
    """Price and quantity of every level at the end; of bids, then of asks."""
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    offset = 0
    for events in chunks:
        if len(events):
            told = events.copy()
            told["offset"] = offset - 1 + np.cumsum((told["flags"] & Flag.SNAPSHOT) == 0)
            first, offset = offset, int(told["offset"][-1]) + 1
            batch = EventBatch("t", 0, first, offset, exchange.markets, told, records=offset - first)
            engine.take([({}, batch)])
    engine.finish()
    tables = engine.shard.tables
    found = []
    for run in tables.runs[:2]:
        rows = tables.levels[run["start"] : run["start"] + run["count"]]
        found += [(int(row["key"]), int(row["qty_lots"])) for row in rows]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_half_a_second_of_disorder_leaves_no_order_behind(seed: int) -> None:
    market = MarketSpec("A-PERP", 100.0, 12.0)
    scenario = Scenario(name="disorder", markets=(market,), duration_s=1400.0, seed=seed, planted=(SPELL,))
    ordered, disordered = Exchange(scenario, seed), Exchange(scenario, seed)
    assert books(ordered, ordered.chunks(60.0)) == books(disordered, arrivals(disordered, 60.0))

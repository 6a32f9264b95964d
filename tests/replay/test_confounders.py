"""What is planned or harmless does not page, on a simulated exchange; a feed that dies in the same stream does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import nan

import pytest

from detector.model.events import EventBatch
from detector.model.incident import Incident, Reason, Severity
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from replay.exchange import Exchange
from replay.laboratory_run import KEY, batches_of
from replay.scenario import MarketSpec, Planted, Scenario

SECOND_NS = 1_000_000_000
CONFOUNDERS = ("gap", "halt", "funding", "listing", "disorder", "quiet", "fee", "new_maker")
DIES, SPARED = "dies-PERP", "none-PERP"
LASTS_S, AT_S, DEAD_S = 2700.0, 1500.0, 2400.0
START_NS = 1_767_571_200 * SECOND_NS + 3600 * SECOND_NS  # no funding minute of the calendar falls in it


def scenario() -> Scenario:
    names = [*(f"{name}-PERP" for name in CONFOUNDERS), DIES, SPARED]
    markets = tuple(MarketSpec(name, 100.0, 8.0) for name in names)
    planted = tuple(
        Planted(name, AT_S, (f"{name}-PERP",), hold_s=30.0 if name == "gap" else nan) for name in CONFOUNDERS
    )
    return Scenario("confounders", markets, LASTS_S, start_ns=START_NS, planted=planted)


def without(batches: Iterator[EventBatch], market: str, from_ns: int) -> Iterator[EventBatch]:
    """The same feed, in which nothing more is heard of a market."""
    for batch in batches:
        events = batch.events
        kept = (events["market"] != batch.markets.index(market)) | (events["event_ns"] < from_ns)
        yield replace(batch, events=events[kept])


@cache
def told(seed: int) -> tuple[Incident, ...]:
    made = scenario()
    engine = build_pipeline(of({}), pseudonym_key=KEY)
    incidents: list[Incident] = []
    dead_ns = START_NS + int(DEAD_S * SECOND_NS)
    for batch in without(batches_of(Exchange(made, seed)), DIES, dead_ns):
        incidents.extend(engine.take([({}, batch)]).incidents)
    return tuple(incidents)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_confounders_do_not_page(seed: int) -> None:
    pages = [i for i in told(seed) if i.severity >= Severity.WARNING and DIES not in i.markets]
    assert [(page.kind, page.markets) for page in pages] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_a_feed_that_dies_among_them_does_and_is_told_as_one(seed: int) -> None:
    dead = [i for i in told(seed) if DIES in i.markets and i.updated_ns > START_NS + DEAD_S * SECOND_NS]
    assert {(i.kind, i.markets) for i in dead} == {("feed", (DIES,))}
    assert dead[0].reason is Reason.OPENED
    assert max(i.severity for i in dead) >= Severity.WARNING
    paged = next(i for i in dead if i.severity >= Severity.WARNING)
    assert 44 <= (paged.updated_ns - START_NS) / SECOND_NS - DEAD_S <= 180

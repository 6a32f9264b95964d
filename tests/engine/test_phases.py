"""Planned phases, gaps and dead feeds through the whole engine: what must not page, what must, and that it is pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.anomaly.feed import Feed
from detector.engine.calendar import Calendar, Phase, raised
from detector.engine.pipeline import Pipeline
from detector.engine.step import Step
from detector.model.alert import Alert
from detector.model.incident import Reason, Severity
from detector.model.records import RecordBatch, idle, pack
from tests.engine.story import START_NS, Story, assigned, pipeline
from tests.incidents.story import QUIET_WINDOWS

SECOND_NS = 10**9
FUNDING = Phase("funding", START_NS + 100 * SECOND_NS, 90 * SECOND_NS, 3600 * SECOND_NS)


@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(51, 500), st.integers(-300, 3000), st.integers(1, 30))
def test_a_phase_touches_a_window_when_one_of_its_repetitions_does(
    start: int, lasts: int, every: int, at: int, width: int
) -> None:
    phase = Phase("p", start, lasts, every)
    from_ns = start + at
    slow = any(
        begin <= from_ns + width and from_ns < begin + lasts
        for begin in range(start, start + max(0, at) + width + every, every)
    )
    assert phase.touches(from_ns, from_ns + width) is slow


def test_a_phase_of_some_markets_is_nobody_elses() -> None:
    calendar = Calendar([Phase("listing", 0, 10, markets=("B",)), Phase("expiry", 0, 10, markets=("C",), closed=True)])
    busy, closed = calendar.within(4, 5, ("A", "B", "C"))
    assert busy.tolist() == [False, True, False]
    assert closed.tolist() == [False, False, True]
    assert [calendar.names(market, 4, 5) for market in "ABC"] == [(), ("listing",), ()]
    assert not calendar.within(10, 11, ("A", "B", "C"))[0].any()


def test_in_a_busy_phase_every_rank_takes_the_level_of_the_next() -> None:
    scores = QUIET_WINDOWS.scores(("A", "B"))
    for score in raised(scores, np.array([True, False])):
        assert score.levels[:, 0].tolist() == [4.0, 5.0, 6.0]
        assert score.levels[:, 1].tolist() == [3.0, 4.0, 5.0]


def planned(*phases: Phase) -> Pipeline:
    engine = pipeline()
    engine.shard.calendar = Calendar(phases)
    feed = Feed(Feed.Params(), np.array([0.35, 0.05, 0.005]))
    engine.detectors = (*engine.detectors[:-1], feed)
    return engine


def steps(engine: Pipeline, batches: Iterator[RecordBatch]) -> list[Step]:
    return [*(engine.step([batch]) for batch in batches), engine.finish()]


def burst(seed: int) -> Story:
    return Story(seed).busy(150).burst("BTC-PERP", 150, 600).busy(40, 152)


def test_an_attack_in_a_funding_minute_is_told_and_said_to_be_in_one() -> None:
    story = burst(1)
    engine = assigned(planned(FUNDING), story)
    engine.detectors = engine.detectors[:1]
    incidents = [i for step in steps(engine, story.batches([50])) for i in step.incidents]
    opened = [i for i in incidents if i.reason is Reason.OPENED]
    assert [(i.kind, i.markets, i.phases) for i in opened] == [("cancel_burst", ("BTC-PERP",), ("funding",))]
    assert opened[0].severity >= Severity.WARNING


def test_nothing_is_learned_in_a_busy_phase_and_nothing_is_scored_in_a_closed_one() -> None:
    story = Story(2).busy(150)
    closed = Phase("upgrade", START_NS + 120 * SECOND_NS, 20 * SECOND_NS, markets=("BTC-PERP",), closed=True)
    engine = assigned(planned(FUNDING, closed), story)
    for step in steps(engine, story.batches([40])):
        for scored in step.scored:
            second = (scored.windows.close_ns - START_NS) // SECOND_NS
            at = scored.windows.markets.index("BTC-PERP") if "BTC-PERP" in scored.windows.markets else None
            if at is None or not 2 <= second <= 149:
                continue
            assert scored.windows.normal[at] == (second < 100)
            assert scored.windows.calm[at] == (not 120 <= second <= 140)
            if not scored.windows.calm[at]:
                assert all(np.isnan(score.values[at]) for score in scored.scores)


def message(second: float, market: str, **fields: Any) -> bytes:
    return json.dumps({"ts": START_NS + int(second * 1e9), "market": market, **fields}).encode()


def marks(seconds: int, dead: dict[str, tuple[int, int]], every: dict[str, int]) -> list[bytes]:
    """A mark price of each market every so many seconds, but for those dead from one second to another."""
    lines = []
    for second in range(seconds):
        for market, apart in every.items():
            from_s, to_s = dead.get(market, (seconds, seconds))
            if second % apart == 0 and not from_s <= second < to_s:
                lines.append(message(second + 0.1, market, type="mark", price="100"))
    return lines


EVERY = {"BTC-PERP": 1, "ETH-PERP": 1, "X-PERP": 20}


def fed(lines: list[bytes], sizes: list[int], restart_after: int = -1) -> list[Alert]:
    engine = planned()
    told: list[Alert] = []
    at = number = 0
    while at < len(lines):
        size = sizes[number % len(sizes)]
        told += engine.step([pack("m", 0, lines[at : at + size], range(at, min(at + size, len(lines))))]).alerts
        at += size
        number += 1
        if number == restart_after:
            state = engine.state()
            at = engine.positions()["m", 0]
            engine = planned()
            engine.restore(state)
    return told + list(engine.finish().alerts)


def said(alerts: list[Alert]) -> list[tuple[str, str, list[str]]]:
    incidents = [alert for alert in alerts if alert.type.startswith("foreshock.incident.")]  # the audit speaks, too
    return [(a.data["reason"], a.data["kind"], a.data["markets"]) for a in incidents]


def test_a_market_that_falls_silent_is_a_feed_incident_until_it_is_heard_again() -> None:
    alerts = fed(marks(1700, {"BTC-PERP": (1000, 1400)}, EVERY), [100])
    reasons = said(alerts)
    assert {(kind, *markets) for _, kind, markets in reasons} == {("feed", "BTC-PERP")}
    assert reasons[0][0] == "opened" and reasons[-1][0] == "resolved"
    assert reasons.count(reasons[0]) == 1
    assert "silent for" in alerts[0].data["title"]
    assert alerts[0].data["contributors"] == []


@pytest.mark.parametrize("seed", range(3))
def test_a_dead_feed_is_found_in_any_chunks_and_after_any_restart(seed: int) -> None:
    lines = marks(1500, {"BTC-PERP": (1000, 1400)}, EVERY)
    dice = Random(seed)
    plain = [(alert.key, alert.body()) for alert in fed(lines, [100])]
    other = fed(lines, [dice.randrange(1, 300) for _ in range(7)], restart_after=dice.randrange(3, 14))
    assert [(alert.key, alert.body()) for alert in other] == plain != []


def test_a_dead_source_is_one_incident_when_its_broker_says_that_time_passes() -> None:
    """Live: idle statements carry event time on. The same log in a file is silent until its next record."""
    lines = marks(1000, {}, EVERY)
    live = planned()
    told = list(live.step([pack("m", 0, lines, range(len(lines)))]).alerts)
    for second in range(1, 200):
        told += live.step([idle("m", 0, len(lines), START_NS + (999 + second) * SECOND_NS)]).alerts
    back = [message(1200.1 + s, market, type="mark", price="100") for s in range(100) for market in EVERY]
    told += live.step([pack("m", 0, back, range(len(lines), len(lines) + len(back)))]).alerts
    told += live.finish().alerts
    reasons = [reason for reason, _, _ in said(told)]
    assert reasons == ["opened", *["escalated"] * (len(reasons) - 2), "resolved"]
    assert set(told[0].data["markets"]) == set(EVERY)
    assert [(a.key, a.body()) for a in fed(lines + back, [500])] == [(a.key, a.body()) for a in told]

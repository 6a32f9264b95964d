"""What stands beside the evidence: against the market's own usual, at most so many rows, the furthest first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.anomaly.circumstances import ASPECTS, NOTES_MIN, STANDS_OUT, Circumstances
from detector.model.windows import Windows
from detector.store.snapshot import decode, encode
from tests.anomaly.test_contract import FEATURES, MARKETS
from tests.engine.story import START_NS

NAMES = [feature.name for feature in FEATURES]
SETTLED = 900
TYPICAL = {
    "cancels": 20.0, "orders": 22.0, "fleeting_cancels": 1.0, "cancel_life": 3.1, "cancelled_notional": 2e5,
    "cancelled_near": 8e4, "cancelled_bids": 10.0, "top_canceller": 0.2, "canceller_concentration": 0.1,
    "trades": 2.0, "taken_by_buyers": 1e3, "taken_by_sellers": 1e3, "raises": 0.2, "cuts": 0.2,
    "bid_depth_10_bps": 5e5, "ask_depth_10_bps": 5e5, "bid_depth_5_bps": 2e5, "ask_depth_5_bps": 2e5,
    "bid_depth_50_bps": 2e6, "ask_depth_50_bps": 2e6, "spread_bps": 1.0, "round_trip": 3.0, "gap_bps": 2.0,
    "changed_notional": 1e4, "leverage_change": 1e3, "leverage_level": 8e4, "above_20x": 1e3, "above_50x": 100.0,
}  # fmt: skip


def window(number: int, dice: np.random.Generator, market: int = -1, **changes: float) -> Windows:
    values = np.zeros((MARKETS, len(NAMES)))
    for name, typical in TYPICAL.items():
        values[:, NAMES.index(name)] = typical * dice.lognormal(0.0, 0.2, MARKETS)
    for name, value in changes.items():
        values[market, NAMES.index(name)] = value
    ones = np.ones(MARKETS, np.bool_)
    return Windows(
        close_ns=START_NS + number * 10**9, width_ns=10**9, markets=tuple(f"m{i}" for i in range(MARKETS)),
        features=FEATURES, values=values, calm=ones, fresh=ones,
    )  # fmt: skip


def settled(windows: int = SETTLED) -> tuple[Circumstances, np.random.Generator]:
    made, dice = Circumstances(), np.random.default_rng(1)
    for number in range(windows):
        made.see(window(number, dice))
        made.learn(np.ones(MARKETS, np.bool_))
    return made, dice


def test_a_market_as_usual_has_nothing_that_stands_out() -> None:
    made, dice = settled()
    rows = 0
    for number in range(100):
        made.see(window(SETTLED + number, dice))
        rows += sum(len(made.tell(market)) for market in range(MARKETS))
    assert rows / (100 * MARKETS) < 0.1


def test_what_is_unusual_is_told_with_its_usual_furthest_first_and_in_its_market_only() -> None:
    made, dice = settled()
    for number in range(10):
        made.see(window(SETTLED + number, dice, 2, cancel_life=0.0004, round_trip=14.0))
    rows = made.tell(2)
    assert rows[0].feature == "cancel_life"
    assert rows[0].observed == pytest.approx(0.0004, rel=0.01)
    assert rows[0].usual == pytest.approx(3.1, rel=0.1)
    assert rows[0].deviations < -STANDS_OUT
    assert {"cancel_life", "round_trip"} <= {row.feature for row in rows}
    assert [abs(row.deviations) for row in rows] == sorted((abs(row.deviations) for row in rows), reverse=True)
    assert {row.market for row in rows} == {"m2"}
    assert made.tell(1) == ()


def test_no_more_rows_are_told_than_asked_for() -> None:
    made, dice = settled()
    for number in range(30):
        wild = {name: 50.0 * typical for name, typical in TYPICAL.items() if name not in ("top_canceller", "orders")}
        made.see(window(SETTLED + number, dice, 0, **wild))
    assert len(made.tell(0)) == made.rows_max == 6


def test_a_few_events_in_a_quiet_market_are_no_share_to_speak_of() -> None:
    """Two cancels in a minute and a half, both fleeting: a share of 1 without a pseudo-count, and nothing with it."""
    made, dice = settled()
    for number in range(90):
        few = float(number in (60, 85))
        made.see(window(SETTLED + number, dice, 3, cancels=few, fleeting_cancels=few))
    assert "fleeting_share" not in {row.feature for row in made.tell(3)}


def test_nothing_is_told_before_five_minutes_are_known() -> None:
    made, dice = settled(int(NOTES_MIN) * 10 - 10)
    made.see(window(SETTLED, dice, 2, cancel_life=0.0004))
    assert made.tell(2) == ()


def test_an_incident_teaches_nothing() -> None:
    made, dice = settled()
    frozen = np.array([True, True, False, True, True])
    for number in range(600):
        made.see(window(SETTLED + number, dice, 2, cancel_life=0.0004))
        made.learn(frozen)
    assert made.tell(2)[0].usual == pytest.approx(3.1, rel=0.1)


def test_depth_that_is_eaten_and_does_not_come_back_is_seen() -> None:
    made, dice = settled(0)
    for number in range(3000):
        eaten = number % 30 == 0
        gone = number >= 2800
        depth = 1e5 if gone and number % 30 < 10 else 5e5
        made.see(
            window(
                number, dice, 0, taken_by_sellers=5e5 if eaten else 0.0, bid_depth_10_bps=depth, ask_depth_10_bps=depth
            )
        )
        made.learn(np.full(MARKETS, not gone))
    told = {row.feature: row for row in replaced_rows(made)}
    assert told["resilience"].usual == pytest.approx(1.0, abs=0.1)
    assert told["resilience"].observed < 0.8


def replaced_rows(made: Circumstances) -> tuple[object, ...]:
    made.rows_max = len(ASPECTS)
    return made.tell(0)


def test_a_restart_changes_nothing() -> None:
    made, dice = settled()
    saved = decode(encode({"c": dict(made.state())}))["c"]
    assert isinstance(saved, dict)
    twin = Circumstances()
    twin.restore(saved)
    for number in range(40):
        one = window(SETTLED + number, dice, 1, cancel_life=0.01)
        for each in (made, twin):
            each.see(replace(one))
            each.learn(np.ones(MARKETS, np.bool_))
        assert made.tell(1) == twin.tell(1)


def test_every_aspect_has_a_name_and_a_meaning_of_its_own() -> None:
    assert len({aspect.name for aspect in ASPECTS}) == len({aspect.meaning for aspect in ASPECTS}) == len(ASPECTS)

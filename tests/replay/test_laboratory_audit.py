"""Other exchanges: each is another one, and what came of its promise stands in its row."""

from __future__ import annotations

from typing import Any

import pytest

from detector.incidents.audit import Standing
from detector.model.incident import Severity
from replay import laboratory_audit
from replay.laboratory import Size, scenario_of
from replay.laboratory_audit import COLUMNS, EXCHANGES, audit_rows, recalled, row, unlike
from replay.laboratory_tally import Call, Run

SCENARIO = scenario_of("clean", 1, Size(1, 4, 0.2))


def test_every_exchange_is_unlike_the_others() -> None:
    made = [unlike(name, SCENARIO) for name in EXCHANGES]
    assert made[0] == SCENARIO
    assert all(one != other for i, one in enumerate(made) for other in made[:i])
    assert all(one.names == SCENARIO.names for one in made)
    with pytest.raises(ValueError, match="no exchange"):
        unlike("another", SCENARIO)


def test_a_row_says_what_came_and_when_it_was_said() -> None:
    start_ns = SCENARIO.start_ns
    call = Call(start_ns, "inc_1", True, 2, "thin_book", ("BTC-PERP",), "quotes_leapt")
    standing = Standing(Severity.WARNING, 1.0, 24, 9.87, 126.3, start_ns + 25 * 3600 * 10**9)
    run = Run("clean", 1, SCENARIO, [], {1.0: [call]}, audit=(standing,))
    assert row("here", run)["said_after_h"] == "-"
    run.audit_said = [(start_ns, Severity.CRITICAL), (start_ns + 25 * 3600 * 10**9, Severity.WARNING)]
    told = row("here", run)
    assert [told[name] for name in COLUMNS[:7]] == ["here", 24, 9.87, 2.43, 130.0, 25.0, "quotes_leapt 1"]


def test_what_is_planted_is_told_of_by_class() -> None:
    planted = scenario_of("planted", 1, Size(1, 4, 0.2))
    start_ns = planted.start_ns
    market = planted.names[0]

    def label(name: str, at_s: int) -> dict[str, Any]:
        ns = [start_ns + (at_s + later) * 10**9 for later in (0, 60, 120)]
        return {
            "class": name, "third": "middle", "start": ns[0], "climax": ns[1], "end": ns[2], "markets": [market],
            "kind": "cancel_burst", "name": name, "confounder": False, "amplitude": 1.0, "ramp_s": 60.0, "hold_s": 60.0,
            "accounts": [],
        }  # fmt: skip

    call = Call(start_ns + 130 * 10**9, "inc_1", True, 2, "cancel_burst", (market,), "cancels")
    labels = [label("cancel_burst", 100), label("crowd", 5000)]
    told = recalled(Run("planted", 51, planted, labels, {1.0: [call]}))
    assert told == {"planted": 2, "early": 0.5, "worst": "crowd 0"}


def test_every_exchange_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laboratory_audit, "MARKETS", 4)
    rows = audit_rows(held_out=False, hours=0.1, processes=1)
    assert [one["exchange"] for one in rows] == [*EXCHANGES]
    assert all(set(one) == set(COLUMNS) for one in rows)
    assert all(one["market_weeks"] >= 0.0 for one in rows)
    assert {one["said_after_h"] for one in rows} == {"-"}, "nothing is judged within the first day"

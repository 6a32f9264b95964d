"""Peers where makers are unsteady: on which stream they are compared, and what the page's goals say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from replay import laboratory_investigate
from replay.laboratory_investigate import unsteady_rows
from replay.laboratory_report import goals
from replay.laboratory_tally import Run
from replay.laboratory_verdicts import Verdict


def test_peers_get_a_planted_stream_of_makers_that_go_and_leave_quotes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laboratory_investigate, "UNSTEADY_MARKETS", 32)
    given: list[Run] = []

    def peers(
        runs: Sequence[Run], pages: int, ours: Sequence[Verdict], say: Callable[[str], None]
    ) -> list[dict[str, Any]]:
        given.extend(runs)
        return [{"peer": "nobody", "input": "residuals", "early": 0.0}]

    rows = unsteady_rows(peers, print, held_out=False, hours=0.25)
    assert [row["peer"] for row in rows] == [
        "foreshock, its own thresholds", "foreshock, an oracle's threshold", "nobody",
    ]  # fmt: skip
    (run,) = given
    of = run.scenario
    assert (run.kind, of.unreplaced, of.breaks_per_day, of.retreats_per_day) == ("planted", 0.05, 4.0, 4.0)
    assert run.samples.shape[:2] == run.residuals.shape[:2] == run.margins.shape == (90, 16)  # every other pair


def test_the_goals_hold_both_comparisons() -> None:
    def row(peer: str, early: float, lead_s: float, kind: str = "") -> dict[str, Any]:
        return {"peer": peer, "input": kind, "early": early, "lead_median_s": lead_s}

    told: dict[str, Any] = {
        "recall": {"hit_1": 1.0, "hit_page": 1.0}, "by_third": [], "by_class": [], "by_ramp": [], "false": {}, "cold": [],
        "first_day": {},
        "peers": [row("foreshock", 0.9, 100.0), row("limits", 0.3, 600.0, "residuals")],
        "unsteady": [row("foreshock", 0.8, 50.0), row("limits", 0.2, 40.0, "residuals")],
    }  # fmt: skip
    found = {one["goal"]: one["reached"] for one in goals(told)}
    assert found["recall over the best peer's on residuals"] == "3.0 x (limits), lead 100 s against 600 s"
    steady = "recall over the best peer's on residuals, unsteady makers"
    assert found[steady] == "4.0 x (limits), lead 50 s against 40 s"
    del told["unsteady"]
    assert steady not in {one["goal"] for one in goals(told)}

"""The laboratory drives the real engine as a log would, deals fairly, and judges without grace."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from replay.balanced import APART_S, CONFOUNDERS, INCIDENTS, SUDDEN, THIRDS, WARM_UP_S, deal, markets
from replay.exchange import Exchange
from replay.feed import batches
from replay.incidents_plan import plan, third
from replay.laboratory import HELD_OUT, SIZES, Size, jobs, scenario_of
from replay.laboratory_judge import rate_row
from replay.laboratory_run import KEY, Shadowed, batches_of, budgets_of
from replay.laboratory_tally import Call, Run
from replay.laboratory_verdicts import false_pages, verdicts_of, weeks
from replay.scenario import Scenario

SMALL = Size(1, 2, 0.04)


def test_rows_handed_over_directly_make_the_same_windows_and_scores_as_their_json() -> None:
    scenario = scenario_of("dirty", 5, SMALL)
    direct, spoken = (build_pipeline(of({}), pseudonym_key=KEY, format_name="native", keep_scored=True) for _ in "12")
    straight = [s for batch in batches_of(Exchange(scenario, 5)) for s in direct.take([({}, batch)]).scored]
    told = [s for batch in batches(Exchange(scenario, 5), "laboratory") for s in spoken.step([batch]).scored]
    assert len(straight) > 100
    for ours, theirs in zip(straight, told, strict=False):
        assert ours.windows.close_ns == theirs.windows.close_ns
        np.testing.assert_allclose(ours.windows.values, theirs.windows.values, rtol=1e-9)
        for a, b in zip(ours.scores, theirs.scores, strict=True):
            np.testing.assert_allclose(a.values, b.values, rtol=1e-7)


def test_classes_and_thirds_are_dealt_alike_to_thin_and_deep_markets() -> None:
    scenario = deal(Scenario("dealt", markets(48, (4.0, 16.0)), duration_s=72 * 3600.0), 7)
    depth = {market.name: market.depth for market in scenario.markets}
    bursts = [p for p in scenario.planted if p.name == "burst"]
    inside = [
        p for p in scenario.planted
        if any(p.markets == b.markets and b.at_s + b.ramp_s < p.at_s < b.at_s + b.ramp_s + b.hold_s for b in bursts)
    ]  # fmt: skip
    assert len(inside) == len(bursts) > 10 and {p.name for p in inside} == set(SUDDEN)
    alone = [p for p in scenario.planted if len(p.markets) == 1 and p not in inside and p not in bursts]
    for deep in (False, True):
        dealt = Counter((p.name, third(p.name, p.amplitude)) for p in alone if (depth[p.markets[0]] > 1) is deep)
        assert set(dealt) == {(name, part) for name in INCIDENTS for part in THIRDS}
        assert max(dealt.values()) - min(dealt.values()) <= 1
    together = [p for p in scenario.planted if len(p.markets) > 1]
    assert {p.name for p in together} == set(INCIDENTS) and {len(p.markets) for p in together} == {3, 4, 5, 6}
    assert all(p.spread_s == 30.0 for p in together)
    assert len(plan(scenario, 7).labels) == len(scenario.planted)


def test_what_is_dealt_keeps_apart_on_every_market() -> None:
    scenario = deal(Scenario("dealt", markets(12, (4.0, 16.0)), duration_s=48 * 3600.0), 8)
    for name in scenario.names:
        own = sorted((p for p in scenario.planted if name in p.markets and p.name != "burst"), key=lambda p: p.at_s)
        assert own[0].at_s >= WARM_UP_S
        for before, after in pairwise(own):
            assert after.at_s - (before.at_s + before.ramp_s + before.hold_s + before.spread_s) >= APART_S


def test_every_kind_of_confounder_is_drawn() -> None:
    drawn = {label["class"] for label in plan(scenario_of("dirty", 9, Size(1, 32, 48.0)), 9).labels}
    assert drawn == set(CONFOUNDERS)


def test_the_levels_of_the_shipped_promise_are_the_engines_own() -> None:
    engine = build_pipeline(of({}), pseudonym_key=KEY, format_name="native", keep_scored=True)
    shadowed = Shadowed(of({}), (), budgets_of(engine.detectors))
    steps = [engine.take([({}, batch)]) for batch in batches_of(Exchange(scenario_of("clean", 3, SMALL), 3))]
    for score in steps[-1].scored[-1].scores:
        np.testing.assert_allclose(shadowed.at(score, 1.0).levels, score.levels, rtol=1e-5)


def _run(label: dict[str, object]) -> Run:
    scenario = Scenario("judged", markets(2, (4.0, 8.0)), duration_s=7 * 86_400.0, start_ns=0)
    return Run("planted", 1, scenario, [label], {1.0: []})


def _label(scenario: Scenario) -> dict[str, object]:
    return {
        "start": 10**12, "end": 2 * 10**12, "markets": [scenario.names[0]], "kind": "cancel_burst", "name": "one",
        "class": "cancel_burst", "amplitude": 9.0, "third": "subtle", "climax": 15 * 10**11, "ramp_s": 0.0,
        "hold_s": 500.0, "accounts": [],
        "confounder": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at_s", "early", "caught", "false"),
    [(999.0, False, False, 1), (1000.0, True, True, 0), (1500.0, True, True, 0), (1501.0, False, True, 0),
     (2600.0, False, True, 0), (2601.0, False, False, 1)],
)  # fmt: skip
def test_only_a_page_between_onset_and_climax_counts_as_early(
    at_s: float, early: bool, caught: bool, false: int
) -> None:
    run = _run(_label(_run({}).scenario))
    name = run.scenario.names[0]
    calls = [Call(round(at_s * 1e9), "inc_1", True, 2, "cancel_burst", (name,), "cancels")]
    (verdict,) = verdicts_of(run, calls)
    assert (verdict.early, verdict.caught, len(false_pages(run, calls))) == (early, caught, false)
    assert verdicts_of(run, [replace(calls[0], markets=(run.scenario.names[1],))])[0].caught is False


def test_a_rate_counts_pages_once_and_time_without_the_planted() -> None:
    run = _run(_label(_run({}).scenario))
    run.calls[1.0] = [
        Call(5 * 10**14, "inc_2", True, 2, "joint", run.scenario.names, "cancels"),
        Call(5 * 10**14 + 1, "inc_2", False, 3, "joint", run.scenario.names, "cancels"),
    ]
    row = rate_row([run], 1.0)
    assert row["pages"] == 1 and row["features"] == {"cancels": 1}
    assert 1.99 < weeks(run) < 2.0 and row["low"] < row["realised"] < row["high"]


def test_tuning_and_held_out_seeds_share_nothing_and_full_is_more_than_thirty_market_weeks() -> None:
    ours, theirs = ({job.seed for job in jobs(SIZES["full"], held_out=held, sampled=False)} for held in (True, False))
    assert min(ours) >= HELD_OUT > max(theirs) and len(ours) == len(theirs) == 3 * SIZES["full"].streams
    assert SIZES["full"].market_weeks >= 30

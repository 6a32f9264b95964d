"""The judge beyond recall: curves, the surface, ceilings, settings, contributors, correlation, tables."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from detector.model.incident import Reason, Severity
from detector.model.score import Evidence
from replay.balanced import markets
from replay.exchange import Exchange
from replay.laboratory import Job, Size, scenario_of
from replay.laboratory_correlation import correlation_row
from replay.laboratory_judge import summary
from replay.laboratory_matched import calls_of, curve, matched
from replay.laboratory_oracle import Ceilings, statistic
from replay.laboratory_report import markdown, terminal
from replay.laboratory_run import digests_of
from replay.laboratory_surface import vus_pr
from replay.laboratory_tally import Call, Callers, Run
from replay.laboratory_verdicts import false_pages, verdicts_of
from replay.laboratory_windows import recorded
from replay.scenario import Planted, Scenario
from tests.golden.test_incident_texts import made

S = 1_000_000_000
HOURS = 20
SAMPLES = HOURS * 360


def _run(*planted: Planted) -> Run:
    scenario = Scenario("j", markets(2, (4.0, 8.0)), duration_s=HOURS * 3600.0, start_ns=0, planted=planted)
    made = Run("planted", 1, scenario, Exchange(scenario, 1).labels(), {1.0: []})
    made.sample_ns = (np.arange(SAMPLES) + 1) * 10 * S
    return made


def _burst(at_s: float, market: str, *, accounts: int = 5, hold_s: float = 10.0) -> Planted:
    return Planted("cancel_burst", at_s, (market,), amplitude=10.0, hold_s=hold_s, accounts=accounts)


BTC, ETH = "BTC-PERP", "ETH-PERP"


def test_a_score_that_rises_with_every_incident_and_nowhere_else_has_the_best_curve_and_surface() -> None:
    run = _run(_burst(20_003.0, BTC), _burst(40_007.0, ETH))
    dice = np.random.default_rng(1).random((SAMPLES, 2))
    perfect = dice.copy()
    for at_s, market in ((20_003.0, 0), (40_007.0, 1)):
        perfect[int(at_s // 10) : int(at_s // 10) + 2, market] = 9.0
    assert [row["early"] for row in curve([run], [perfect])] == [1.0] * 7
    # its samples are the incidents to the second, and the surface also asks for what lies around them
    assert vus_pr([run], [perfect]) > 0.5 > 0.05 > vus_pr([run], [dice])
    pages, found = matched([run], [dice], 1)
    assert pages <= 1 and not any(one.early for one in found)


def test_ties_gain_nothing() -> None:
    run = _run(_burst(20_003.0, BTC))
    assert vus_pr([run], [np.zeros((SAMPLES, 2))]) < 0.02


def test_an_incident_that_a_score_says_nothing_of_is_not_met() -> None:
    run = _run(_burst(20_003.0, BTC), _burst(40_007.0, ETH))
    score = np.zeros((SAMPLES, 2))
    score[2000:2002, 0] = score[4000:4002, 1] = 9.0
    silent = score.copy()
    silent[:3000] = np.nan
    assert vus_pr([run], [silent]) < 0.6 * vus_pr([run], [score])


def test_a_page_of_a_score_lasts_until_ten_minutes_after_its_last_crossing_and_is_dated_generously() -> None:
    run = _run(_burst(20_003.0, BTC))
    score = np.zeros((SAMPLES, 2))
    score[[100, 130, 500, 2000], 0] = 1.0  # samples that close at 1010, 1310, 5010 and 20010 s
    assert [call.at_ns / S for call in calls_of(run, score, 0.5)] == [1000.0, 5000.0, 20_003.0]
    assert len(false_pages(run, calls_of(run, score, 0.5))) == 2


def test_settings_are_told_apart() -> None:
    rush = Planted("burst", 39_980.0, (ETH,), amplitude=4.0, ramp_s=2.0, hold_s=60.0)
    both = Planted("cancel_burst", 60_000.0, (BTC, ETH), amplitude=9.0, hold_s=10.0, spread_s=5.0)
    run = _run(_burst(20_000.0, BTC), rush, _burst(40_000.0, ETH), both)
    assert [one.setting for one in verdicts_of(run, [])] == ["alone", "inside", "together"]


def test_the_accounts_that_a_page_names_are_held_against_those_planted() -> None:
    run = _run(_burst(20_000.0, BTC, accounts=3))
    planted = sorted(digests_of(run.labels[0]["accounts"]))
    call = Call(20_005 * S, "inc_1", True, 2, "cancel_burst", (BTC,), "cancels", (planted[0], 5, planted[1], 6))
    (found,) = verdicts_of(run, [call])
    assert (found.first_named, found.named, found.hit) == (1.0, 0.5, True)
    (other,) = verdicts_of(run, [replace(call, accounts=(5, planted[0]), feature="raises")])
    assert (other.first_named, other.named, other.hit) == (0.0, 0.5, False)


def test_what_is_said_first_is_said_of_the_market_where_it_was_planted() -> None:
    run = _run(_burst(20_000.0, BTC))
    both = Call(20_005 * S, "inc_1", True, 2, "correlated", (ETH, BTC), "raises")
    for about, hit in ((((BTC, "cancels"), (ETH, "raises")), True), (((BTC, "raises"), (ETH, "cancels")), False)):
        (found,) = verdicts_of(run, [replace(both, of_market=about)])
        assert (found.hit, found.hit_page) == (hit, False)
    (unsaid,) = verdicts_of(run, [replace(both, of_market=((ETH, "cancels"),))])
    assert (unsaid.hit, unsaid.feature) == (False, "raises")


def test_an_update_that_names_a_further_market_tells_of_it_and_makes_no_page_true() -> None:
    run = _run(_burst(20_000.0, ETH))
    false = Call(19_990 * S, "inc_1", True, 2, "cancel_burst", (BTC,), "cancels")
    joined = Call(20_004 * S, "inc_1", False, 2, "correlated", (BTC, ETH), "cancels", joined=True)
    (found,) = verdicts_of(run, [false, joined])
    assert found.early and found.delay_s == 4.0
    assert false_pages(run, [false, joined]) == [false]
    assert false_pages(run, [false, replace(joined, joined=False)]) == []


def test_somebody_is_called_when_an_incident_opens_or_rises_or_names_more_markets() -> None:
    callers = Callers()
    told = partial(made, "cancel_burst", Evidence(BTC, "cancel_burst", "cancels", "1/s", 9.0, 1.0, 0.0, 2.0, 1.0))
    warning, both = Severity.WARNING, (BTC, ETH)
    callers.take([told(severity=Severity.INFO)])
    callers.take([told(reason=Reason.UPDATED, severity=Severity.INFO, markets=both)])
    assert callers.calls == []
    callers.take([told(reason=Reason.ESCALATED, severity=warning, markets=(BTC,))])
    callers.take([told(reason=Reason.UPDATED, severity=warning, markets=(BTC,))])
    callers.take([told(reason=Reason.UPDATED, severity=warning, markets=both)])
    callers.take([told(reason=Reason.UPDATED, severity=warning, markets=both)])
    callers.take([told(reason=Reason.RESOLVED, severity=warning, markets=both)])
    callers.take([told(reason=Reason.OPENED, severity=warning, markets=both)])
    assert [(call.markets, call.page, call.joined) for call in callers.calls] == [
        ((BTC,), True, False), (both, False, True), (both, True, False),
    ]  # fmt: skip


def test_an_oracle_sees_what_anybody_would_and_not_what_is_not_there(tmp_path: Path) -> None:
    clean = recorded(Job("clean", 4, Size(1, 2, 1.6), sampled=False), tmp_path)
    job = Job("planted", 4, Size(1, 2, 1.6), sampled=False)
    planted = recorded(job, tmp_path)
    names = scenario_of("planted", 4, job.size).names
    scores = statistic(planted, "cancels", 5, False)
    assert scores.shape == planted.calm.shape and abs(float(np.nanmedian(scores[3600:]))) < 0.2
    row = {"class": "cancel_burst", "third": "obvious", "markets": [names[1]], "confounder": False}
    at_ns = int(planted.close_ns[5000])
    quiet = replace(planted, labels=[row | {"start": at_ns, "climax": at_ns + 15 * S, "end": at_ns + 15 * S}])
    assert Ceilings([clean], [quiet]).rows()[0]["ceiling"] <= 1.0
    loud_values = np.array(planted.values)
    place = [feature.name for feature in planted.features].index("cancels")
    loud_values[place, 5001:5016, planted.markets.index(names[1])] += 100.0
    loud = replace(quiet, values=loud_values)
    found = Ceilings([clean], [loud]).rows()
    assert [(one["ceiling"], one["planted"]) for one in found] == [(1.0, 1)] and found[0]["by"].startswith("cancels")


@pytest.mark.parametrize(("ids", "led_by", "right"), [(("a", "a"), BTC, 1), (("a", "b"), ETH, 0)])
def test_a_shock_told_once_and_led_by_its_first_market_is_as_wanted(
    ids: tuple[str, str], led_by: str, right: int
) -> None:
    run = _run(Planted("cancel_burst", 20_000.0, (BTC, ETH), amplitude=9.0, hold_s=10.0, spread_s=5.0))
    run.calls[1.0] = [
        Call((20_003 + i) * S, one, True, 2, "correlated", (BTC, ETH), "cancels", led_by=led_by)
        for i, one in enumerate(ids)
    ]
    row = correlation_row("a shock", run, wanted=1)
    assert (row["times"], row["as_wanted"], row["leader_right"]) == (1, int(len(set(ids)) == 1), right)


def test_every_table_is_printed_without_hiding_an_empty_one_behind_an_error() -> None:
    runs = [replace(_run(_burst(20_000.0, BTC)), kind=kind, labels=[]) for kind in ("clean", "dirty")]
    runs.append(_run(_burst(20_000.0, BTC), _burst(40_000.0, ETH)))
    for run in runs:
        run.calls = {promise: [] for promise in (0.25, 0.5, 1.0, 2.0, 4.0)}
    told = summary(runs)
    for text in (markdown(told, ["a line"]), terminal(told, ["a line"])):
        assert "cancel_burst" in text and "a line" in text and "By setting" in text
    assert told["by_class"][0]["planted"] == 2 and told["by_class"][0]["early"] == 0.0

"""What the correlator makes of crossings, case by case: who belongs together, what is told when, and how it ends."""

from __future__ import annotations

import math
import timeit
from dataclasses import replace

import pytest

from detector.incidents.correlator import Correlator
from detector.incidents.settings import SECOND_NS, IncidentSettings
from detector.model.incident import Contributor, Lead, Reason, Severity
from tests.incidents.story import START_NS, Told, Window, context, during, evidence_of, scores

BTC, ETH, SOL = "BTC-PERP", "ETH-PERP", "SOL-PERP"
MARKETS = (BTC, ETH, SOL)


def burst(market: str = BTC, value: float = 3.5, detector: str = "cancel_burst") -> Window:
    return {(market, detector): value}


def test_a_crossing_opens_at_once_and_is_resolved_once_it_has_been_quiet() -> None:
    told = Told(MARKETS)
    told.run(during(10, 14, burst()), until=120)
    opened, resolved = told.incidents
    assert (opened.reason, opened.seq, resolved.reason, resolved.seq) == (Reason.OPENED, 1, Reason.RESOLVED, 2)
    assert opened.detected_ns == START_NS + 11 * SECOND_NS
    assert opened.started_ns == START_NS + 10 * SECOND_NS
    assert (opened.kind, opened.markets, opened.severity) == ("cancel_burst", (BTC,), Severity.INFO)
    assert opened.ended_ns is None
    assert resolved.ended_ns == START_NS + 15 * SECOND_NS
    assert resolved.updated_ns == resolved.ended_ns + 60 * SECOND_NS
    assert opened.incident_id == resolved.incident_id
    assert told.correlator.open_markets() == frozenset()


def test_a_value_at_its_level_crosses_and_one_just_below_does_not() -> None:
    told = Told(MARKETS)
    told.run([burst(value=math.nextafter(3.0, 0.0))])
    assert told.incidents == []
    told.run({1: burst(value=3.0)})
    assert told.reasons() == ["opened"]


def test_nan_says_nothing_and_opens_nothing() -> None:
    told = Told(MARKETS)
    told.run(during(0, 5, burst(value=math.nan)))
    assert told.incidents == []


@pytest.mark.parametrize("level", [math.nan, math.inf])
def test_a_level_that_is_no_number_is_never_crossed(level: float) -> None:
    correlator = Correlator(IncidentSettings())
    made = [replace(score, levels=score.levels * level) for score in scores(START_NS, burst(value=math.inf), MARKETS)]
    assert correlator.step(START_NS, SECOND_NS, made, context()) == ()


def test_an_infinite_score_is_told_as_a_number() -> None:
    told = Told(MARKETS)
    (opened,) = told.run([burst(value=math.inf)])
    assert opened.severity is Severity.CRITICAL
    assert opened.score == opened.peak == 300.0


@pytest.mark.parametrize(
    ("value", "severity"), [(3.5, Severity.INFO), (4.0, Severity.WARNING), (5.0, Severity.CRITICAL)]
)
def test_the_level_that_is_crossed_is_the_severity(value: float, severity: Severity) -> None:
    (opened,) = Told(MARKETS).run([burst(value=value)])
    assert opened.severity is severity


def test_a_drift_is_never_more_than_info_and_keeps_to_itself() -> None:
    told = Told(MARKETS)
    told.run([{(BTC, "drift"): 9.0}, {(ETH, "cancel_burst"): 5.0}, {(SOL, "drift"): 3.0}])
    drift, burst_of_eth = told.incidents
    assert (drift.kind, drift.severity, drift.markets) == ("drift", Severity.INFO, (BTC,))
    assert (burst_of_eth.kind, burst_of_eth.markets) == ("cancel_burst", (ETH,))
    told.run({}, until=8)
    assert [(i.reason.value, i.markets) for i in told.incidents[2:]] == [("updated", (BTC, SOL))]


def test_dead_feeds_are_one_incident_of_their_own_and_no_part_of_a_shock() -> None:
    told = Told(MARKETS)
    told.run([{(BTC, "cancel_burst"): 5.0}, {(ETH, "feed"): 4.5, (SOL, "feed"): 4.2}], until=10)
    shock, dead = told.incidents[:2]
    assert (shock.kind, shock.markets) == ("cancel_burst", (BTC,))
    assert (dead.kind, dead.markets) == ("feed", (ETH, SOL))
    assert len(told.ids()) == 2


def test_a_feed_that_dies_under_an_open_incident_is_told_in_it() -> None:
    told = Told(MARKETS)
    told.run({0: burst(BTC, 4.0), 30: {(BTC, "feed"): 5.0}})
    assert told.reasons() == ["opened", "escalated"]
    assert told.incidents[-1].detectors == ("cancel_burst", "feed")


def test_several_detectors_of_one_market_are_one_incident_led_by_the_first_of_its_own_kind() -> None:
    told = Told(MARKETS)
    told.run([{(BTC, "joint"): 3.2}, {(BTC, "joint"): 3.4}, {(BTC, "thin_book"): 3.1, (BTC, "joint"): 3.3}])
    (opened,) = told.incidents
    assert opened.kind == "joint"
    (updated,) = told.run({}, until=10)
    assert (updated.reason, updated.kind, updated.detectors) == (Reason.UPDATED, "thin_book", ("thin_book", "joint"))
    assert updated.incident_id == opened.incident_id


def test_the_strongest_leads_when_two_detectors_cross_in_the_same_window() -> None:
    (opened,) = Told(MARKETS).run([{(BTC, "cancel_burst"): 3.1, (BTC, "thin_book"): 4.6, (BTC, "joint"): 9.0}])
    assert opened.detectors == ("thin_book", "cancel_burst", "joint")
    assert opened.kind == "thin_book"


def test_it_is_escalated_at_once_when_severity_rises_and_severity_never_falls() -> None:
    told = Told(MARKETS)
    told.run([burst(), burst(value=4.2), burst(), burst(value=5.2), burst(), burst(value=4.1)], until=100)
    assert told.reasons() == ["opened", "escalated", "escalated", "resolved"]
    assert [i.severity for i in told.incidents] == [
        Severity.INFO, Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL,
    ]  # fmt: skip


def test_a_shock_over_fifty_markets_is_one_incident_told_twice() -> None:
    markets = [f"M{i:02d}-PERP" for i in range(50)]
    told = Told(markets)
    waves = [range(5), range(5, 30), range(30, 44), range(44, 50)]
    windows = [{(markets[i], "cancel_burst"): 3.5 for i in wave} for wave in waves]
    told.run(windows, until=100)
    assert told.reasons() == ["opened", "updated", "resolved"]
    assert len(told.ids()) == 1
    assert [len(i.markets) for i in told.incidents] == [5, 50, 50]
    assert told.incidents[1].kind == "correlated"


def test_a_weak_crossing_first_and_the_shock_three_seconds_later_are_one() -> None:
    told = Told(MARKETS)
    told.run({0: burst(BTC, 3.0), 3: {(ETH, "cancel_burst"): 5.5, (SOL, "thin_book"): 4.0}})
    opened, escalated = told.incidents
    assert opened.incident_id == escalated.incident_id
    assert (escalated.severity, escalated.markets) == (Severity.CRITICAL, MARKETS)


def test_two_unrelated_ones_in_the_same_minute_stay_two() -> None:
    told = Told(MARKETS)
    told.run({0: burst(BTC), 20: burst(ETH)}, until=120)
    assert len(told.ids()) == 2
    assert sorted(told.reasons()) == ["opened", "opened", "resolved", "resolved"]


@pytest.mark.parametrize(("apart_s", "incidents"), [(0, 1), (2, 1), (3, 2), (5, 2)])
def test_two_lone_markets_of_different_kinds_are_one_only_when_they_come_at_once(apart_s: int, incidents: int) -> None:
    told = Told(MARKETS)
    told.run({0: burst(BTC), apart_s: {**(burst(BTC) if not apart_s else {}), (ETH, "thin_book"): 3.5}})
    assert len(told.ids()) == incidents


def test_the_market_that_crossed_first_led_and_by_how_much_is_told() -> None:
    told = Told(MARKETS)
    told.run({3: burst(ETH), 5: burst(BTC), 6: burst(SOL)}, until=100)
    assert [incident.led_by for incident in told.incidents] == [None, *[Lead(ETH, BTC, 2 * SECOND_NS)] * 2]


def test_nobody_leads_where_two_moved_at_once() -> None:
    told = Told(MARKETS)
    told.run({3: {**burst(ETH), **burst(BTC)}, 5: burst(SOL)}, until=100)
    assert {incident.led_by for incident in told.incidents} == {None}


def test_evidence_knows_the_level_it_is_held_against() -> None:
    weak, strong = Told(MARKETS).run([burst(value=3.5)])[0], Told(MARKETS).run([burst(value=5.5)])[0]
    assert {row.level for row in weak.evidence} == {3.0}
    assert {row.level for row in strong.evidence} == {4.0}  # where it begins to be a page


def test_one_account_behind_two_markets_makes_them_one() -> None:
    def who(market: str, _detector: str) -> tuple[Contributor, ...]:
        return (Contributor(7 if market != SOL else 8, 0.6), Contributor(1, 0.1))

    told = Told(MARKETS, who=who)
    told.run({0: burst(BTC), 20: burst(ETH), 40: burst(SOL)})
    first, sol = (i for i in told.incidents if i.reason is Reason.OPENED)
    assert (first.markets, sol.markets) == ((BTC,), (SOL,))
    (updated,) = (i for i in told.incidents if i.reason is Reason.UPDATED)
    assert (updated.markets, updated.incident_id) == ((BTC, ETH), first.incident_id)


def test_an_account_that_is_everywhere_a_little_joins_nothing() -> None:
    told = Told(MARKETS, who=lambda _m, _d: (Contributor(7, 0.24),))
    told.run({0: burst(BTC), 20: burst(ETH)})
    assert len(told.ids()) == 2


def test_a_wave_that_goes_on_spreading_is_one_and_two_slow_markets_are_no_wave() -> None:
    markets = [f"M{i}-PERP" for i in range(8)]
    told = Told(markets)
    told.run(
        {0: {(m, "cancel_burst"): 3.5 for m in markets[:3]}, **{4 * i: burst(markets[2 + i]) for i in range(1, 6)}}
    )
    assert len(told.ids()) == 1
    lone = Told(markets)
    lone.run({0: burst(markets[0]), 4: burst(markets[1]), 8: burst(markets[2])})
    assert len(lone.ids()) == 2


def test_flapping_around_its_level_does_not_resolve_it() -> None:
    told = Told(MARKETS)
    told.run({0: burst(), **during(1, 200, burst(value=2.6))}, until=201)
    assert told.reasons() == ["opened"]
    told.run({}, until=300)
    assert told.reasons() == ["opened", "resolved"]
    assert told.incidents[-1].ended_ns == START_NS + SECOND_NS  # the last crossing, not the last unrest


def test_hovering_below_the_level_ends_with_the_time_a_crossing_would_still_belong_to_it() -> None:
    told = Told(MARKETS)
    told.run({0: burst(), **during(1, 700, burst(value=2.6))})
    assert told.reasons() == ["opened", "resolved"]
    assert told.incidents[-1].updated_ns == START_NS + 601 * SECOND_NS


def test_what_cannot_be_seen_is_not_called_over_for_ten_minutes() -> None:
    told = Told(MARKETS)
    told.run({0: burst(), **during(1, 700, burst(value=math.nan))}, until=600)
    assert told.reasons() == ["opened"]
    told.run(during(600, 700, burst(value=math.nan)))
    assert told.reasons() == ["opened", "resolved"]


def test_blindness_that_ends_quietly_ends_the_incident() -> None:
    told = Told(MARKETS)
    told.run({0: burst(), **during(1, 99, burst(value=math.nan))}, until=101)
    assert told.reasons() == ["opened", "resolved"]
    assert told.incidents[-1].updated_ns == START_NS + 101 * SECOND_NS


def test_a_crossing_soon_after_the_end_opens_the_same_incident_again_and_is_held_twice_as_long() -> None:
    told = Told(MARKETS)
    told.run({0: burst(value=5.5), 100: burst(value=3.1)}, until=300)
    opened, resolved, again, end = told.incidents
    assert len(told.ids()) == 1
    assert (again.reason, again.seq, again.severity) == (Reason.OPENED, 3, Severity.INFO)
    assert resolved.updated_ns - opened.detected_ns == 60 * SECOND_NS
    assert end.updated_ns - again.updated_ns == 120 * SECOND_NS
    assert again.started_ns == opened.started_ns
    assert told.correlator.counts["reopened"] == 1


def test_a_crossing_long_after_the_end_is_another_incident() -> None:
    told = Told(MARKETS)
    told.run({0: burst(), 601: burst()})
    assert len(told.ids()) == 2


def test_a_shock_does_not_reopen_what_one_of_its_markets_had_before() -> None:
    markets = [f"M{i:02d}-PERP" for i in range(20)]
    told = Told(markets)
    told.run({0: burst(markets[3]), 100: {(m, "thin_book"): 3.5 for m in markets}})
    assert len(told.ids()) == 2
    assert len(told.incidents[-1].markets) == 20


def test_a_market_long_quiet_inside_an_incident_that_goes_on_is_free_again() -> None:
    told = Told(MARKETS)
    both: Window = {(BTC, "cancel_burst"): 5.5, (ETH, "cancel_burst"): 5.5}
    told.run({0: both, **during(1, 700, burst(BTC, 5.5)), 701: burst(ETH, 5.5)}, until=640)
    assert told.correlator.open_markets() == {BTC}
    told.run({701: burst(ETH, 5.5), **during(640, 700, burst(BTC, 5.5))})
    assert told.incidents[-1].markets == (ETH,)
    assert told.correlator.open_markets() == {BTC, ETH}


def test_a_jump_of_event_time_ends_what_was_open_and_starts_anew() -> None:
    told = Told(MARKETS)
    told.run([burst()])
    told.second = 5_000
    told.run({5_000: burst()})
    assert [(i.reason.value, i.seq) for i in told.incidents] == [("opened", 1), ("resolved", 2), ("opened", 1)]
    assert len(told.ids()) == 2


def test_event_time_that_begins_again_earlier_ends_what_was_open() -> None:
    told = Told(MARKETS)
    told.second = 1_000
    told.run({1_000: burst()})
    told.second = 0
    told.run({0: burst(ETH)})
    assert told.reasons() == ["opened", "resolved", "opened"]
    assert told.incidents[1].updated_ns == told.incidents[0].updated_ns
    assert told.correlator.open_markets() == {ETH}
    assert told.correlator.counts["went_back"] == 1


def test_markets_may_join_the_exchange_while_an_incident_is_open() -> None:
    told = Told((BTC,))
    told.run([burst()])
    told.markets = (BTC, "NEW-PERP")
    told.run({2: burst("NEW-PERP")}, until=100)
    assert told.reasons() == ["opened", "updated", "resolved"]
    assert [i.warming for i in told.incidents] == [False, True, True]


def test_a_feed_without_names_is_said_to_be_one() -> None:
    (opened,) = Told(("BARE-PERP",)).run([burst("BARE-PERP")])
    assert opened.degraded


def test_evidence_is_of_the_window_that_is_told_strongest_detector_first_shares_adding_up() -> None:
    (opened,) = Told(MARKETS).run([{(BTC, "cancel_burst"): 3.2, (ETH, "thin_book"): 4.4}])
    assert [row.market for row in opened.evidence] == [ETH, ETH, BTC, BTC]
    for market in (BTC, ETH):
        assert math.isclose(sum(r.share for r in opened.evidence if r.market == market), 1.0, abs_tol=1e-12)


def test_evidence_keeps_to_its_limit_in_whole_detectors() -> None:
    markets = [f"M{i:02d}-PERP" for i in range(50)]
    told = Told(markets, IncidentSettings(evidence_max=7))
    (opened,) = told.run([{(m, "cancel_burst"): 3.5 + i / 100 for i, m in enumerate(markets)}])
    assert [row.market for row in opened.evidence[::2]] == [markets[49], markets[48], markets[47]]
    assert len(opened.evidence) == 6


def test_the_resolved_one_keeps_the_evidence_of_its_worst_window_though_that_was_never_told() -> None:
    told = Told(MARKETS)
    told.run([burst(value=5.5), burst(value=8.0), burst(value=3.1)], until=100)
    opened, resolved = told.incidents
    assert [row.share for row in resolved.evidence] == [row.share for row in evidence_of(BTC, "cancel_burst", 8.0)]
    assert resolved.evidence != opened.evidence
    told = Told(MARKETS)
    told.run([burst(value=5.5), burst(ETH), burst(ETH), *[burst(value=4.0)] * 20], until=150)
    opened, *_, resolved = told.incidents
    assert len(told.incidents) > 2 and resolved.evidence[:2] == opened.evidence, "told more weakly in between"


def test_accounts_of_several_markets_are_weighed_by_their_scores() -> None:
    def who(market: str, _detector: str) -> tuple[Contributor, ...]:
        named = {BTC: (Contributor(1, 1.0),), ETH: (Contributor(2, 0.5), Contributor(3, 0.5))}
        return named.get(market, ())

    three = {(BTC, "cancel_burst"): 3.0, (ETH, "cancel_burst"): 6.0, (SOL, "cancel_burst"): 3.0}
    (opened,) = Told(MARKETS, who=who).run([three])
    assert [c.account for c in opened.contributors] == [1, 2, 3]
    assert [c.share for c in opened.contributors] == pytest.approx([1 / 3] * 3)


def test_the_id_names_the_first_signal_and_not_the_members() -> None:
    alone = Told(MARKETS).run([burst(BTC)])[0]
    with_others = Told(MARKETS).run([{(SOL, "thin_book"): 5.0, (BTC, "cancel_burst"): 3.5, (BTC, "joint"): 6.0}])[0]
    assert alone.incident_id == with_others.incident_id


@pytest.mark.parametrize("other", [{"venue": "elsewhere"}, {"rule_rev": "2"}])
def test_another_venue_or_another_rule_gives_another_id(other: dict[str, str]) -> None:
    here = Told(MARKETS).run([burst()])[0]
    there = Told(MARKETS, IncidentSettings(**other)).run([burst()])[0]  # type: ignore[arg-type]
    assert here.incident_id != there.incident_id


def test_a_full_table_keeps_room_for_what_is_worse_and_counts_what_it_left_out() -> None:
    markets = [f"M{i:02d}-PERP" for i in range(20)]
    told = Told(markets, IncidentSettings(open_max=8, together_ns=0, alike_max_ns=0))
    told.run({2 * i: burst(markets[i]) for i in range(10)})
    assert told.reasons() == ["opened"] * 4
    assert told.correlator.counts["not_opened"] == 6
    told.run({20 + 2 * i: burst(markets[10 + i], 5.5) for i in range(10)})
    assert [i.severity for i in told.incidents[4:]] == [Severity.CRITICAL] * 4


def test_members_have_a_limit_and_what_is_beyond_is_counted() -> None:
    markets = [f"M{i:02d}-PERP" for i in range(20)]
    told = Told(markets, IncidentSettings(members_max=5))
    (opened,) = told.run([{(m, "cancel_burst"): 3.5 for m in markets}])
    assert len(opened.markets) == 5
    assert told.correlator.counts["not_listed"] == 15


def test_a_quiet_window_costs_microseconds() -> None:
    correlator = Correlator(IncidentSettings())
    made = scores(START_NS, {}, [f"M{i}" for i in range(1_000)])
    clock = iter(range(START_NS + 1, START_NS + 10_000))
    told = context()
    best = min(timeit.repeat(lambda: correlator.step(next(clock), 1, made, told), number=200, repeat=5)) / 200
    assert best < 200e-6  # about 15 us on an idle machine; the limit is for a busy one

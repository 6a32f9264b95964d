"""What is told of an open window: only what is beyond doubt, once, under the id its window gives."""

from __future__ import annotations

import math
from collections.abc import Callable

from detector.incidents.correlator import Correlator
from detector.incidents.crossings import EARLY_MARGIN
from detector.incidents.identity import incident_id
from detector.incidents.settings import SECOND_NS, IncidentSettings
from detector.model.incident import Contributor, Incident, Reason, Severity
from tests.incidents.story import LEVELS, START_NS, Told, Window, context, nobody, scores

BTC, ETH, SOL = "BTC-PERP", "ETH-PERP", "SOL-PERP"
MARKETS = (BTC, ETH, SOL)
DOUBT = LEVELS[1] + EARLY_MARGIN
AT_NS = 300_000_000  # into second 10


Who = Callable[[str, str], tuple[Contributor, ...]]


def look(correlator: Correlator, window: Window, second: int = 10, who: Who = nobody) -> tuple[Incident, ...]:
    """One Score for each market that is looked at, as engine/early.py makes them."""
    at_ns = START_NS + second * SECOND_NS + AT_NS
    made = [
        score
        for (market, detector), value in window.items()
        for score in scores(START_NS + (second + 1) * SECOND_NS, {(market, detector): value}, (market,), (detector,))
    ]
    return correlator.early(at_ns, SECOND_NS, made, context(who))


def test_only_what_is_beyond_warning_by_the_margin_is_told_before_its_window_ends() -> None:
    told = Told(MARKETS)
    told.run({}, until=10)
    assert look(told.correlator, {(BTC, "cancel_burst"): math.nextafter(DOUBT, 0.0)}) == ()
    assert look(told.correlator, {(BTC, "cancel_burst"): math.nan}) == ()
    assert told.correlator.open_markets() == frozenset()
    (opened,) = look(told.correlator, {(BTC, "cancel_burst"): DOUBT})
    assert (opened.reason, opened.severity, opened.seq) == (Reason.OPENED, Severity.WARNING, 1)
    assert opened.detected_ns == opened.updated_ns == START_NS + 10 * SECOND_NS + AT_NS


def test_the_close_finds_the_incident_that_a_look_opened_under_the_id_it_would_have_given() -> None:
    early, plain = Told(MARKETS), Told(MARKETS)
    window = {10: {(BTC, "cancel_burst"): 7.0}}
    for told in (early, plain):
        told.run({}, until=10)
    (opened,) = look(early.correlator, {(BTC, "cancel_burst"): 6.0})
    early.run(window, until=100)
    plain.run(window, until=100)
    assert opened.incident_id == plain.incidents[0].incident_id
    assert opened.started_ns == plain.incidents[0].started_ns == START_NS + 10 * SECOND_NS
    assert early.reasons() == ["resolved"], "the close has nothing to add"
    assert early.incidents[-1].incident_id == opened.incident_id
    assert early.incidents[-1].peak == 7.0


def test_an_earlier_window_that_closes_after_the_look_joins_it() -> None:
    told = Told(MARKETS)
    told.run({}, until=9)
    (opened,) = look(told.correlator, {(BTC, "cancel_burst"): 6.0})
    told.run({9: {(BTC, "cancel_burst"): 3.5}, 10: {(BTC, "cancel_burst"): 7.0}}, until=100)
    assert told.ids() == {opened.incident_id}
    assert told.reasons() == ["resolved"]


def test_a_look_raises_what_was_weak_and_says_nothing_twice() -> None:
    told = Told(MARKETS)
    told.run({8: {(BTC, "leverage_spike"): 3.2}}, until=10)
    (risen,) = look(told.correlator, {(BTC, "cancel_burst"): 6.0})
    assert (risen.reason, risen.incident_id) == (Reason.ESCALATED, told.incidents[0].incident_id)
    assert told.correlator.critical_markets() == {BTC}
    assert look(told.correlator, {(BTC, "cancel_burst"): 8.0}) == ()


def test_several_markets_of_one_look_are_one_incident_anchored_at_the_first_by_name() -> None:
    settings = IncidentSettings()
    told = Told(MARKETS, settings)
    told.run({}, until=10)
    (opened,) = look(told.correlator, {(SOL, "cancel_burst"): 9.0, (ETH, "cancel_burst"): 6.0})
    assert opened.markets == (ETH, SOL)
    start_ns = START_NS + 10 * SECOND_NS
    assert opened.incident_id == incident_id(settings.venue, "cancel_burst", settings.rule_rev, ETH, start_ns)


def test_a_checkpoint_between_a_look_and_the_close_changes_nothing() -> None:
    told, twin = Told(MARKETS), Told(MARKETS)
    told.run({}, until=10)
    look(told.correlator, {(BTC, "cancel_burst"): 6.0})
    twin.correlator.restore(told.correlator.state())
    twin.second = 10
    rest = {10: {(BTC, "cancel_burst"): 7.0, (ETH, "thin_book"): 4.5}}
    told.run(rest, until=200)
    twin.run(rest, until=200)
    assert twin.incidents == told.incidents
    assert twin.correlator.state() == told.correlator.state()


def test_a_second_that_seems_unrelated_waits_for_its_close_where_more_is_known() -> None:
    def some(market: str, _detector: str) -> tuple[Contributor, ...]:
        return tuple(Contributor(account, 0.4) for account in ((1, 2) if market == BTC else (3, 4)))

    def all_of_them(_market: str, _detector: str) -> tuple[Contributor, ...]:
        return tuple(Contributor(account, 0.2) for account in range(1, 6))

    both: Window = {(BTC, "cancel_burst"): 7.0, (ETH, "cancel_burst"): 7.0}
    for who, incidents in ((all_of_them, [(BTC, ETH)]), (some, [(BTC,), (ETH,)])):
        told = Told(MARKETS, who=who)
        told.run({}, until=10)
        (first,) = look(told.correlator, both, who=some)
        assert first.markets == (BTC,)
        assert look(told.correlator, {(ETH, "cancel_burst"): 7.0}, who=some) == ()
        told.run({10: both}, until=20)
        assert list({i.incident_id: i.markets for i in (first, *told.incidents)}.values()) == incidents

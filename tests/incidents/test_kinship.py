"""Kinship: which markets that are hit within seconds are one incident, who led, and what stands beside it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from detector.incidents.correlator import Correlator
from detector.incidents.settings import IncidentSettings
from detector.model.incident import Contributor, Lead, Severity
from detector.model.score import Score
from tests.incidents.story import Told, Window, scores

BTC, ETH, SOL = "BTC-PERP", "ETH-PERP", "SOL-PERP"
MARKETS = (BTC, ETH, SOL)


def burst(market: str = BTC, value: float = 3.5, detector: str = "cancel_burst") -> Window:
    return {(market, detector): value}


@pytest.mark.parametrize(("shares", "incidents"), [((0.6, 0.6), 2), ((0.6, 0.4), 1), ((0.4, 0.4), 1)])
def test_two_of_one_kind_are_two_when_another_account_is_the_cause_of_each(
    shares: tuple[float, float], incidents: int
) -> None:
    causes = {BTC: Contributor(7, shares[0]), ETH: Contributor(8, shares[1])}
    told = Told(MARKETS, who=lambda market, _detector: (causes[market],))
    told.run({0: burst(BTC), 4: burst(ETH)})
    assert len(told.ids()) == incidents


ONE_ALONE = (Contributor(7, 0.9),)
FIVE = tuple(Contributor(account, 0.18) for account in range(11, 16))
MANY = tuple(Contributor(account, 0.04) for account in range(30, 38))
MAKERS = tuple(Contributor(account, 0.3, maker=True) for account in range(1, 4))


@pytest.mark.parametrize("apart_s", [0, 1, 4])
@pytest.mark.parametrize(
    ("here", "there", "incidents"),
    [
        (ONE_ALONE, FIVE, 2),
        (FIVE, FIVE, 1),
        (FIVE, MANY, 1),
        (MANY, MANY, 1),
        (MAKERS, (Contributor(4, 0.9, maker=True),), 1),
        ((*MAKERS[:1], Contributor(7, 0.4)), (Contributor(2, 0.4, maker=True), *FIVE[:3]), 2),
    ],
)
def test_two_at_once_are_two_where_a_few_accounts_are_the_cause_of_each_and_none_of_both(
    here: tuple[Contributor, ...], there: tuple[Contributor, ...], incidents: int, apart_s: int
) -> None:
    told = Told(MARKETS, who=lambda market, _detector: here if market == BTC else there)
    told.run({0: burst(BTC), apart_s: {**(burst(BTC) if not apart_s else {}), **burst(ETH)}}, until=100)
    assert len(told.ids()) == incidents


def test_a_third_market_makes_them_one_whoever_is_behind_each() -> None:
    told = Told(MARKETS, who=lambda market, _detector: (Contributor(MARKETS.index(market) + 1, 0.9),))
    told.run([{(market, "cancel_burst"): 3.5 for market in MARKETS}])
    assert len(told.ids()) == 1


def test_a_third_market_seconds_after_two_that_are_apart_is_of_the_same_shock() -> None:
    told = Told(MARKETS, who=lambda market, _detector: (Contributor(MARKETS.index(market) + 1, 0.9),))
    told.run({0: burst(BTC), 3: burst(ETH), 4: burst(SOL, 3.5, "leverage_spike")}, until=60)
    assert sorted({i.incident_id: i.markets for i in told.incidents}.values()) == [(BTC, SOL), (ETH,)]


@pytest.mark.parametrize(("kind", "later_s", "incidents"), [("leverage_spike", 8, 1), ("cancel_burst", 8, 2)])
def test_what_spreads_for_a_while_takes_its_own_kind_only(kind: str, later_s: int, incidents: int) -> None:
    further = ("ADA-PERP", "DOT-PERP")
    told = Told((*MARKETS, *further))
    shock = {(market, "leverage_spike"): 3.5 for market in MARKETS}
    told.run({0: shock, 4: burst(further[0], 3.5, "leverage_spike"), later_s: burst(further[1], 4.5, kind)}, until=20)
    assert len(told.ids()) == incidents


def test_the_same_few_accounts_behind_two_markets_make_them_one_however_much_later() -> None:
    told = Told(MARKETS, who=lambda _market, _detector: FIVE)
    told.run({0: burst(BTC), 25: burst(ETH)})
    assert len(told.ids()) == 1


def test_a_drift_is_told_beside_the_incident_that_is_open_in_its_market_and_takes_nothing_from_it() -> None:
    told = Told(MARKETS)
    told.run({0: burst(BTC), 10: {**burst(BTC), (BTC, "drift"): 3.0}, 12: burst(BTC, 4.5)}, until=20)
    assert [(i.kind, i.reason.value) for i in told.incidents] == [
        ("cancel_burst", "opened"), ("drift", "opened"), ("cancel_burst", "escalated"),
    ]  # fmt: skip
    assert {row.detector for row in told.incidents[1].evidence} == {"drift"}
    assert told.incidents[2].detectors == ("cancel_burst",)


def test_a_page_of_a_market_whose_drift_was_just_told_is_an_incident_of_its_own_and_drifts_freeze_nothing() -> None:
    told = Told(MARKETS)
    told.run({0: {(BTC, "drift"): 3.0}})
    assert told.correlator.open_markets() == frozenset()
    told.run({5: burst(BTC, 4.5)})
    assert told.correlator.open_markets() == {BTC}
    assert [i.kind for i in told.incidents] == ["drift", "cancel_burst"]
    assert len(told.ids()) == 2


def test_who_led_is_said_by_when_it_began_and_nobody_did_where_that_is_not_known_well_enough() -> None:
    began = {BTC: (100, 300), ETH: (700, 800), SOL: (750, 900)}
    opens_ns = Told(MARKETS).run([burst()])[0].started_ns

    def led(spans: dict[str, tuple[int, int]]) -> Lead | None:
        told = Told(MARKETS)
        at = {m: (opens_ns + span[0], opens_ns + span[1]) if span[1] else span for m, span in spans.items()}
        told.context = replace(told.context, began=lambda market, _detector: at[market])
        told.run([{(market, "cancel_burst"): 3.5 for market in MARKETS}])
        return told.incidents[0].led_by

    assert led(began) == Lead(BTC, ETH, 550)
    assert led(began | {BTC: (100, 720)}) is None  # it may have begun after ETH
    assert led(began | {ETH: (0, 0)}) is None  # somewhere in the same window


THIN, WARNED = "thin_book", 4.5


def slow(market: str, value: float = WARNED, detector: str = THIN) -> Window:
    return burst(market, value, detector)


@pytest.mark.parametrize(
    ("later_s", "first", "then", "incidents"),
    [
        (25, slow(BTC), slow(ETH), 1),
        (25, slow(BTC), slow(ETH, 3.5), 2),  # a weak one that nobody would be paged for
        (25, slow(BTC, 3.5), slow(ETH), 2),  # and one that nobody was paged for
        (25, slow(BTC), burst(ETH, WARNED), 2),  # another trouble
        (25, slow(BTC), {**slow(ETH), **burst(ETH, 3.5)}, 1),  # beside something weak
        (35, slow(BTC), slow(ETH), 2),  # too late: nothing says that its feature is slow
    ],
)
def test_the_same_trouble_on_another_market_a_while_later_is_one_incident(
    later_s: int, first: Window, then: Window, incidents: int
) -> None:
    told = Told(MARKETS)
    told.run({**dict.fromkeys(range(later_s), first), later_s: then}, until=later_s + 6)
    assert len(told.ids()) == incidents
    if incidents == 1:
        assert [(i.reason.value, i.markets) for i in told.incidents] == [("opened", (BTC,)), ("updated", (BTC, ETH))]


@pytest.mark.parametrize(("sums_s", "incidents"), [(250.0, 1), (150.0, 2), (9_000.0, 1)])
def test_what_sums_over_minutes_is_told_minutes_apart_and_one_incident(
    monkeypatch: pytest.MonkeyPatch, sums_s: float, incidents: int
) -> None:
    def summed(*args: object) -> list[Score]:
        return [replace(one, streams=("quotes_missing",), scales=(sums_s,)) for one in scores(*args)]  # type: ignore[arg-type]

    monkeypatch.setattr("tests.incidents.story.scores", summed)
    told = Told(MARKETS)
    told.run({**dict.fromkeys(range(200), slow(BTC)), 200: slow(ETH)}, until=210)
    assert len(told.ids()) == incidents


def test_where_many_markets_are_watched_the_same_trouble_a_while_later_may_be_chance() -> None:
    for others, incidents in ((200, 1), (300, 2)):  # of 10 ** 4.5 s each, a fifth
        told = Told((*MARKETS, *(f"M{i}" for i in range(others))))
        told.run({**dict.fromkeys(range(25), slow(BTC)), 25: slow(ETH)}, until=31)
        assert len(told.ids()) == incidents


def test_the_same_trouble_with_another_cause_a_while_later_is_another_incident() -> None:
    told = Told(MARKETS, who=lambda market, _detector: (Contributor(MARKETS.index(market) + 1, 0.9),))
    told.run({**dict.fromkeys(range(25), slow(BTC)), 25: slow(ETH)}, until=31)
    assert len(told.ids()) == 2


def paged(told: Told) -> list[tuple[str, ...]]:
    """The markets of each incident that anybody was paged for, as last told."""
    graves = {i.incident_id: i.markets for i in told.incidents if i.severity > Severity.INFO}
    return list(graves.values())


@pytest.mark.parametrize(
    ("then", "pages"),
    [
        (slow(ETH), [(BTC, ETH)]),
        (burst(ETH, WARNED), [(BTC,), (ETH,)]),  # another trouble: its own incident becomes graver
        (slow(ETH, 3.5), [(BTC,)]),  # still weak: it stays where it is
    ],
)
def test_a_market_whose_own_incident_is_weak_goes_to_the_graver_one_of_the_same_trouble(
    then: Window, pages: list[tuple[str, ...]]
) -> None:
    told = Told(MARKETS)
    weak = {**slow(BTC), **slow(ETH, 3.5)}
    told.run({0: slow(BTC), **dict.fromkeys(range(10, 25), weak), 25: then}, until=60)
    assert paged(told) == pages
    assert len(told.ids()) == 2, "the weak one was told of, and is told to be over"
    told.run({}, until=1000)
    assert told.correlator.open_markets() == frozenset()
    assert sum(i.reason.value == "resolved" for i in told.incidents) == 2


def test_markets_with_weak_incidents_of_their_own_that_cross_gravely_at_once_are_one_shock() -> None:
    told = Told(MARKETS, who=lambda market, _detector: (Contributor(MARKETS.index(market) + 1, 0.9),))
    lonely = {second: slow(market, 3.5) for second, market in ((0, BTC), (8, ETH), (16, SOL))}
    weak = {second: {**lonely[0], **lonely[8], **lonely[16]} for second in range(17, 30)}
    told.run({**lonely, **weak, 30: {**slow(BTC), **slow(ETH), **slow(SOL)}}, until=40)
    assert paged(told) == [MARKETS]
    assert len(told.ids()) == 4


def test_a_third_market_a_while_later_is_no_coincidence_whoever_is_behind_it() -> None:
    told = Told(MARKETS, who=lambda market, _detector: (Contributor(MARKETS.index(market) + 1, 0.9),))
    told.run({0: slow(BTC), 15: slow(ETH), 40: slow(SOL)}, until=60)
    assert paged(told) == [(BTC,), (ETH,), (SOL,)], "too late for the first: two are left, and they are two"
    told = Told(MARKETS, who=lambda market, _detector: (Contributor(MARKETS.index(market) + 1, 0.9),))
    told.run({0: slow(BTC), 15: slow(ETH), 25: slow(SOL)}, until=60)
    assert paged(told) == [(BTC, SOL), (ETH,)]


@pytest.mark.parametrize(
    ("kind", "quiet_s", "incidents"), [("cancel_burst", 70, 2), (THIN, 70, 1), ("cancel_burst", 40, 1)]
)
def test_what_goes_on_elsewhere_takes_nothing_new_where_it_was_over(kind: str, quiet_s: int, incidents: int) -> None:
    told = Told(MARKETS)
    elsewhere = {**slow(ETH), **slow(SOL)}
    told.run({0: {**slow(BTC), **elsewhere}, **dict.fromkeys(range(1, 120), elsewhere)}, until=quiet_s)
    told.run({quiet_s: {**elsewhere, **burst(BTC, WARNED, kind)}}, until=quiet_s + 5)
    assert len(told.ids()) == incidents
    if incidents == 2:
        assert (told.incidents[-1].reason.value, told.incidents[-1].markets) == ("opened", (BTC,))


def test_a_trouble_that_spreads_is_told_of_each_further_market_at_ever_longer_intervals() -> None:
    markets = tuple(f"M{i:02d}-PERP" for i in range(30))
    told = Told(markets)
    told.run({10 * i + k: slow(markets[i]) for i in range(30) for k in range(10)}, until=300)
    assert told.ids() and len(told.ids()) == 1
    at_s = [
        (i.updated_ns - told.incidents[0].updated_ns) // 10**9 for i in told.incidents if i.reason.value == "updated"
    ]
    assert at_s[:4] == [10, 20, 40, 60] and max(b - a for a, b in pairwise(at_s)) == 20


def test_an_incident_that_was_told_as_often_as_may_be_takes_no_further_market() -> None:
    markets = tuple(f"M{i:02d}-PERP" for i in range(6))
    told = Told(markets, IncidentSettings(updates_max=2))
    told.run({25 * i + k: slow(markets[i]) for i in range(6) for k in range(25)}, until=200)
    by_id = {incident.incident_id: incident.markets for incident in told.incidents}
    assert list(by_id.values()) == [markets[:3], markets[3:]]
    assert {market for i in told.incidents for market in i.markets} == set(markets), "each is told of"


def test_another_feature_of_the_same_detector_a_while_later_is_another_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(*args: object) -> list[Score]:
        def other(one: Score) -> Score:
            rows = lambda index: tuple(  # noqa: E731
                replace(row, feature=f"{row.feature}_of_{row.market}") for row in one.explain(index)
            )
            return replace(one, explain=rows)

        return [other(one) for one in scores(*args)]  # type: ignore[arg-type]

    monkeypatch.setattr("tests.incidents.story.scores", moved)
    told = Told(MARKETS)
    told.run({**dict.fromkeys(range(25), slow(BTC)), 25: slow(ETH)}, until=31)
    assert len(told.ids()) == 2


def test_a_restart_between_a_market_that_joins_and_its_update_tells_it_as_soon() -> None:
    markets = tuple(f"M{i:02d}-PERP" for i in range(30))
    windows = {
        10 * i + k: slow(markets[i]) for i in range(4) for k in range(10)
    }  # the fourth joins at 30, and is told at 40
    whole, cut = Told(markets), Told(markets)
    whole.run(windows, until=100)
    cut.run(windows, until=35)
    state = cut.correlator.state()
    cut.correlator = Correlator(IncidentSettings())
    cut.correlator.restore(state)
    cut.run(windows, until=100)
    assert [(i.seq, i.updated_ns, i.markets) for i in cut.incidents] == [
        (i.seq, i.updated_ns, i.markets) for i in whole.incidents
    ]

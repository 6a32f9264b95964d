"""Whether a promised number of pages is kept: what counts, when it is said, and how often it is said wrongly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from detector.incidents.audit import DAY_NS, DAYS_KEPT, FACTORS, NAMED_MAX, OTHERS, WEEK_NS, Audit, Finding
from detector.incidents.notice import audited
from detector.model.incident import Incident, Reason, Severity
from detector.model.score import Evidence
from detector.store.snapshot import decode, encode

START_NS = 1_767_571_200_000_000_000
HOUR_NS = 3_600_000_000_000
PROMISED = (7.0, 1.0, 0.1)
WARNING = 1


def page(
    number: int, severity: Severity = Severity.WARNING, reason: Reason = Reason.OPENED, **more: object
) -> Incident:
    row = Evidence("BTC-PERP", "thin_book", "quotes_leapt", "1/min", 4.0, 0.1, 0.0, 1.0, 1.0)
    incident = Incident(
        incident_id=f"inc_{number}", seq=1, reason=reason, severity=severity, kind="thin_book", markets=("BTC-PERP",),
        detectors=("thin_book",), score=4.0, peak=4.0, started_ns=0, detected_ns=0, updated_ns=0, ended_ns=None,
        evidence=(row,), timeline=(),
    )  # fmt: skip
    return replace(incident, **more)  # type: ignore[arg-type]


def watched(audit: Audit, hours: int, pages: dict[int, int], markets: int = 100, begin: int = 0) -> list[Finding]:
    """So many hours, a window each; pages by hour."""
    found: list[Finding] = []
    for hour in range(begin, begin + hours):
        audit.take([page(1000 * hour + number) for number in range(pages.get(hour, 0))])
        found += audit.close(START_NS + (hour + 1) * HOUR_NS, HOUR_NS, markets)
    return found


def drawn(rate: float, hours: int, seed: int, markets: int = 100, begin: int = 0) -> dict[int, int]:
    dice = np.random.default_rng(seed)
    numbers = dice.poisson(rate * markets * HOUR_NS / WEEK_NS, hours)
    return {begin + hour: int(number) for hour, number in enumerate(numbers)}


def test_what_was_promised_and_what_came() -> None:
    audit = Audit(PROMISED)
    assert watched(audit, 24 * 7, {3: 2, 50: 1}) == []
    info, warning, critical = audit.standings()
    assert (info.pages, warning.pages, critical.pages) == (3, 3, 0)
    assert warning.market_weeks == pytest.approx(100.0)
    assert warning.realised == pytest.approx(0.03)
    assert (warning.promised, warning.broken_ns) == (1.0, 0)
    assert warning.evidence < 1.0


def test_the_evidence_is_the_mean_that_the_docstring_says() -> None:
    audit = Audit(PROMISED)
    pages = {1: 1, 30: 2, 31: 1, 55: 3}
    watched(audit, 60, pages)
    expected = 0.0
    hour_weeks = 100 * HOUR_NS / WEEK_NS
    for factor in FACTORS:
        parts = 0.0
        for day in (1, 2, 3):
            first = (day - 1) * 24
            came = sum(count for hour, count in pages.items() if hour >= first)
            wealth = factor**came * math.exp(-(factor - 1.0) * hour_weeks * (60 - first))
            parts += wealth / (day * (day + 1))
        expected += parts / len(FACTORS)
    assert audit.standings()[WARNING].evidence == pytest.approx(expected + 1.0 / 4.0)


def test_a_page_counts_once_for_each_severity_it_comes_to() -> None:
    audit = Audit(PROMISED)
    audit.take([page(1, Severity.INFO)])
    audit.take([page(1, Severity.WARNING, Reason.UPDATED)])
    audit.take([page(1, Severity.WARNING, Reason.ESCALATED)])
    audit.take([page(1, Severity.CRITICAL, Reason.ESCALATED)])
    audit.take([page(1, Severity.CRITICAL, Reason.RESOLVED)])
    audit.take([page(1, Severity.WARNING, Reason.OPENED, seq=6)])  # opened again: somebody is called again
    audit.take([page(2, Severity.INFO, kind="drift")])
    audit.close(START_NS + HOUR_NS, HOUR_NS, 100)
    assert [standing.pages for standing in audit.standings()] == [2, 2, 1]


@pytest.mark.parametrize(("times", "most_days"), [(2.0, 6), (5.0, 2), (20.0, 1)])
def test_a_broken_promise_is_said_once_and_who_spent_it(times: float, most_days: int) -> None:
    audit = Audit(PROMISED)
    found = [one for one in watched(audit, 24 * 6, drawn(times, 24 * 6, 3)) if one.recent.severity is Severity.WARNING]
    assert [one.broken for one in found] == [True]
    assert DAY_NS <= found[0].at_ns - START_NS <= most_days * DAY_NS
    assert found[0].recent.realised == pytest.approx(times, rel=0.5)
    assert found[0].features == (("thin_book.quotes_leapt", found[0].recent.pages),)
    assert found[0].markets == (("BTC-PERP", found[0].recent.pages),)


def test_a_kept_promise_is_hardly_ever_called_broken() -> None:
    """At most one in twenty by Ville's inequality, whenever one looks: here at every hour of five weeks."""
    called = 0
    for seed in range(200):
        audit = Audit((1000.0, 1.0, 1000.0))
        called += bool(watched(audit, 24 * 35, drawn(1.0, 24 * 35, seed, markets=20), markets=20))
    assert called <= 17, called  # more than 17 of 200 at one in twenty: one time in a hundred


def test_a_rise_after_weeks_that_were_kept_is_found_soon() -> None:
    audit = Audit((1000.0, 1.0, 1000.0))
    assert watched(audit, 24 * 40, drawn(0.9, 24 * 40, 5)) == []
    found = watched(audit, 24 * 7, drawn(3.0, 24 * 7, 6, begin=24 * 40), begin=24 * 40)
    assert found[0].broken
    assert found[0].at_ns - START_NS - 40 * DAY_NS <= 3 * DAY_NS


def test_it_is_kept_again_after_days_that_were() -> None:
    audit = Audit((1000.0, 1.0, 1000.0))
    broken = watched(audit, 48, drawn(5.0, 48, 1))
    after = watched(audit, 24 * 20, drawn(0.5, 24 * 20, 2, begin=48), begin=48)
    assert [one.broken for one in (*broken, *after)] == [True, False]
    assert after[0].at_ns - broken[0].at_ns >= DAYS_KEPT * DAY_NS
    assert audit.standings()[WARNING].evidence < 2.0  # it begins anew
    again = watched(audit, 48, drawn(6.0, 48, 3, begin=24 * 22), begin=24 * 22)
    assert [one.broken for one in again] == [True]
    assert broken[0].name == after[0].name != again[0].name


def test_it_stays_broken_while_more_comes_than_was_promised_and_names_the_last_days_alone() -> None:
    audit = Audit((1000.0, 1.0, 1000.0))
    broken = watched(audit, 24 * 20, drawn(4.0, 24 * 20, 1))
    assert [one.broken for one in broken] == [True]
    after = watched(audit, 24 * 10, {}, begin=24 * 20)
    assert [one.broken for one in after] == [False]
    assert after[0].days == DAYS_KEPT
    assert after[0].recent.market_weeks <= DAYS_KEPT * 100 / 7.0 + 1e-9
    # days of too many are forgotten one after the other, until what is left is no more than was promised
    assert 3 * DAY_NS <= after[0].at_ns - START_NS - 20 * DAY_NS <= 6 * DAY_NS


def test_what_waits_for_its_window_is_in_a_checkpoint() -> None:
    audit, other = Audit(PROMISED), Audit(PROMISED)
    audit.close(START_NS, HOUR_NS, 100)
    audit.take([page(1)])
    other.restore(decode(encode(audit.state())))
    other.take([page(1, Severity.CRITICAL, Reason.ESCALATED)])
    other.close(START_NS + HOUR_NS, HOUR_NS, 100)
    assert [standing.pages for standing in other.standings()] == [1, 1, 1]


def test_markets_beyond_the_limit_are_counted_together() -> None:
    audit = Audit((1.0, 1.0, 1.0))
    row = page(0).evidence[0]
    pages = [page(n, evidence=(replace(row, market=f"M{n:04}"),)) for n in range(NAMED_MAX + 40)]
    audit.take(pages)
    found = [one for hour in range(30) for one in audit.close(START_NS + (hour + 1) * HOUR_NS, HOUR_NS, 100)]
    assert found[0].markets[0] == (OTHERS, 40)
    assert len(found[0].markets) == NAMED_MAX + 1


def test_what_came_on_the_first_day_is_said_at_its_end() -> None:
    audit = Audit(PROMISED)
    found = watched(audit, 30, {1: 50})
    assert {one.at_ns - START_NS for one in found} == {DAY_NS}
    assert [one.recent.severity for one in found] == [Severity.WARNING]


def test_neither_a_day_nor_a_few_pages_are_enough() -> None:
    audit = Audit(PROMISED)
    assert watched(audit, 20, {1: 50}) == []
    few = Audit((1000.0, 1.0, 1000.0))
    assert watched(few, 72, {1: 4}, markets=1) == []
    assert few.standings()[WARNING].evidence > 20.0
    assert watched(few, 10, {80: 1}, markets=1, begin=72) != []


@pytest.mark.parametrize("cut", [1, 30, 75, 200])
def test_it_goes_on_from_a_checkpoint_as_if_nothing_had_happened(cut: int) -> None:
    pages = drawn(3.0, 24 * 3, 9)
    whole, first, second = Audit(PROMISED), Audit(PROMISED), Audit(PROMISED)
    expected = watched(whole, 24 * 12, pages)
    found = watched(first, cut, pages)
    second.restore(decode(encode(first.state())))
    found += watched(second, 24 * 12 - cut, pages, begin=cut)
    assert found == expected
    assert second.standings() == whole.standings()
    assert [one.broken for one in expected] == [True, False]


def test_other_promises_are_audited_from_their_beginning() -> None:
    audit = Audit(PROMISED)
    watched(audit, 48, drawn(5.0, 48, 1))
    other = Audit((7.0, 4.0, 0.1))
    other.restore(decode(encode(audit.state())))
    assert other.standings()[WARNING].pages == 0
    assert watched(other, 24, {}, begin=48) == []


def test_event_time_that_begins_again_earlier_is_another_day_of_the_same_audit() -> None:
    audit = Audit(PROMISED)
    watched(audit, 40, {39: 3})
    back = [audit.close(START_NS - 9 * DAY_NS + hour * HOUR_NS, HOUR_NS, 100) for hour in range(30)]
    assert not any(back)
    assert audit.standings()[WARNING].pages == 3
    assert audit.standings()[WARNING].market_weeks == pytest.approx(70 * 100 * HOUR_NS / WEEK_NS)


def test_what_is_told_says_the_number_the_promise_and_who_spent_it() -> None:
    audit = Audit(PROMISED)
    broken = next(one for one in watched(audit, 48, drawn(5.0, 48, 1)) if one.recent.severity is Severity.WARNING)
    alert = audited(broken, "0")
    assert alert.type == "foreshock.degraded"
    assert alert.data["severity"] == "info"
    assert alert.data["status"] == "firing"
    assert alert.data["audit"]["features"][0]["feature"] == "thin_book.quotes_leapt"
    assert alert.data["audit"]["promised"] == 1.0
    assert "quotes_leapt" in str(alert.data["summary"])
    kept = audited(replace(broken, broken=False), "0")
    assert (kept.data["incident_id"], kept.data["seq"]) == (alert.data["incident_id"], 2)
    assert kept.key != alert.key


def test_neither_another_promise_nor_another_instance_takes_the_name_of_a_breach() -> None:
    audit, other = Audit((1000.0, 1.0, 1000.0)), Audit((1000.0, 2.0, 1000.0))
    first = watched(audit, 48, drawn(8.0, 48, 1))
    other.restore(decode(encode(audit.state())))
    second = watched(other, 48, drawn(16.0, 48, 2, begin=48), begin=48)
    elsewhere = Audit((1000.0, 1.0, 1000.0))
    row = replace(page(0).evidence[0], market="ETH-PERP")
    third: list[Finding] = []
    for hour, count in drawn(8.0, 48, 1).items():  # the same hours and pages, on markets of its own
        elsewhere.take([page(1000 * hour + number, evidence=(row,)) for number in range(count)])
        third += elsewhere.close(START_NS + (hour + 1) * HOUR_NS, HOUR_NS, 100)
    assert first[0].at_ns == third[0].at_ns
    keys = [audited(found[0], "0").key for found in (first, second, third)]
    assert len(set(keys)) == 3, keys


def test_a_broken_promise_is_kept_again_though_event_time_began_anew() -> None:
    audit = Audit((1000.0, 1.0, 1000.0))
    assert [one.broken for one in watched(audit, 48, drawn(5.0, 48, 1))] == [True]
    found = watched(audit, 24 * 20, {}, begin=-24 * 400)
    assert [one.broken for one in found] == [False]
    assert found[0].at_ns < START_NS

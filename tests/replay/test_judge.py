"""The judge: hand-made alerts and labels whose verdict is known beforehand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.incident import Severity
from replay.instant import SECOND_NS, format_instant, parse_instant
from replay.judge import DAY_NS, Outcome, Told, exposure_ns, judge, tell
from replay.labels import Label, LabelsError, read_labels
from replay.poisson import poisson_interval

BEGIN_NS = parse_instant("2026-01-05")
MINUTE_NS = 60 * SECOND_NS


def at(minute: float) -> int:
    return BEGIN_NS + int(minute * MINUTE_NS)


def alert(
    incident: str,
    minute: float,
    reason: str = "opened",
    severity: str = "warning",
    markets: tuple[str, ...] = ("BTC-PERP",),
) -> Told:
    told = tell(body(incident, minute, reason, severity, markets))
    assert told is not None
    return told


def body(incident: str, minute: float, reason: str, severity: str, markets: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": f"foreshock.incident.{reason}",
        "timestamp": format_instant(at(minute)),
        "data": {
            "incident_id": incident,
            "reason": reason,
            "severity": severity,
            "kind": "cancel_burst",
            "markets": list(markets),
            "title": incident,
        },
    }


def label(start: float, end: float, *markets: str, kind: str = "cascade", name: str = "it") -> Label:
    return Label(at(start), at(end), markets, kind, name)


DAY = {"BTC-PERP": (at(0), at(1440)), "ETH-PERP": (at(0), at(1440))}


def test_an_alert_before_the_start_leads_and_one_after_it_lags() -> None:
    labels = [label(100, 110, "BTC-PERP"), label(200, 210, "BTC-PERP")]
    verdict = judge([alert("a", 96), alert("b", 203)], labels, DAY, early_ns=5 * MINUTE_NS)
    assert [finding.lead_ns for finding in verdict.findings] == [4 * MINUTE_NS, -3 * MINUTE_NS]
    assert [finding.outcome for finding in verdict.findings] == [Outcome.CAUGHT, Outcome.CAUGHT]
    assert verdict.recall == 1.0 and verdict.median_lead_ns == -3 * MINUTE_NS
    assert verdict.false_episodes == ()


def test_an_alert_answers_only_its_own_market() -> None:
    alerts = [alert("a", 101, markets=("ETH-PERP",))]
    verdict = judge(alerts, [label(100, 110, "BTC-PERP")], DAY)
    assert verdict.findings[0].outcome is Outcome.MISSED
    assert [episode.incident_id for episode in verdict.false_episodes] == ["a"]
    assert judge(alerts, [label(100, 110)], DAY).findings[0].outcome is Outcome.CAUGHT, "no markets: all of them"


def test_the_grace_after_a_label_is_ten_minutes_and_no_longer() -> None:
    for minute, outcome in ((119.99, Outcome.CAUGHT), (120, Outcome.CAUGHT), (120.01, Outcome.MISSED)):
        verdict = judge([alert("a", minute)], [label(100, 110, "BTC-PERP")], DAY)
        assert verdict.findings[0].outcome is outcome
        assert len(verdict.false_episodes) == (outcome is Outcome.MISSED)


def test_an_incident_that_is_open_already_is_said_and_earns_nothing() -> None:
    alerts = [alert("old", 90), alert("old", 105, "updated"), alert("old", 130, "resolved")]
    verdict = judge(alerts, [label(100, 110, "BTC-PERP")], DAY)
    finding = verdict.findings[0]
    assert finding.outcome is Outcome.ALREADY_FIRING and finding.firing_since_ns == at(90)
    assert verdict.recall == 0.0
    assert [episode.incident_id for episode in verdict.false_episodes] == ["old"], "it opened when nothing was there"


def test_an_incident_that_was_resolved_before_the_start_is_not_firing() -> None:
    alerts = [alert("old", 90), alert("old", 99, "resolved")]
    assert judge(alerts, [label(100, 110, "BTC-PERP")], DAY).findings[0].outcome is Outcome.MISSED


def test_an_open_incident_that_escalates_in_the_label_catches_it_and_was_firing() -> None:
    alerts = [alert("old", 90), alert("old", 102, "escalated", "critical")]
    verdict = judge(alerts, [label(100, 110, "BTC-PERP")], DAY)
    finding = verdict.findings[0]
    assert finding.outcome is Outcome.CAUGHT and finding.lead_ns == -2 * MINUTE_NS
    assert finding.severity is Severity.CRITICAL and finding.firing_since_ns == at(90)
    (false,) = verdict.false_episodes
    assert (false.severity, false.opened_ns) == (Severity.WARNING, at(90)), "it opened when nothing was there"


def test_updates_and_all_clears_call_nobody() -> None:
    for reason in ("updated", "resolved", "acknowledged"):
        verdict = judge([alert("a", 101, reason)], [label(100, 110, "BTC-PERP")], DAY)
        assert verdict.findings[0].outcome is Outcome.MISSED and verdict.episodes == 0


def test_false_incidents_are_counted_by_their_highest_severity_and_by_at_least() -> None:
    alerts = [
        alert("a", 300, severity="info"),
        alert("b", 400, severity="info"),
        alert("b", 401, "escalated", "critical"),
        alert("c", 500, severity="warning", markets=("BTC-PERP", "ETH-PERP")),
    ]
    verdict = judge(alerts, [], DAY)
    assert [(rate.severity.label, rate.count, rate.or_worse) for rate in verdict.false] == [
        ("info", 1, 3),
        ("warning", 1, 2),
        ("critical", 1, 1),
    ]
    assert verdict.market_days == 2.0
    assert verdict.false[0].per_market_day == 1.5
    low, high = poisson_interval(3)
    assert (verdict.false[0].low, verdict.false[0].high) == (low / 2, high / 2)


def test_time_inside_labels_is_no_exposure() -> None:
    # 30 minutes with 10 of grace on BTC, the second one overlapping the first by 20
    labels = [label(100, 130, "BTC-PERP"), label(120, 150, "BTC-PERP")]
    verdict = judge([], labels, DAY)
    assert math.isclose(verdict.market_days, 2 - 60 / 1440)
    assert verdict.observed_market_days == 2.0


def test_an_alert_in_a_benign_label_is_false_and_told_by_the_confounder_s_name() -> None:
    labels = [
        label(100, 110, "BTC-PERP", kind="benign", name="news"),
        label(200, 210, "BTC-PERP", kind="benign", name="news"),
        label(300, 310, "BTC-PERP", kind="benign", name="listing"),
    ]
    verdict = judge([alert("a", 105), alert("b", 600)], labels, DAY)
    assert verdict.findings == () and verdict.recall is None
    assert [(c.name, c.labels, c.fired) for c in verdict.confounders] == [("news", 2, 1), ("listing", 1, 0)]
    assert verdict.false[0].or_worse == 2
    assert verdict.market_days == 2.0, "confounders are ordinary time"


def test_an_alert_that_answers_a_real_label_is_not_false_in_a_benign_one() -> None:
    labels = [label(100, 110, "BTC-PERP"), label(95, 120, "BTC-PERP", kind="benign", name="news")]
    verdict = judge([alert("a", 105)], labels, DAY)
    assert verdict.false_episodes == () and verdict.confounders[0].fired == 0


def test_heartbeats_tell_of_no_incident() -> None:
    assert tell({"type": "foreshock.heartbeat", "timestamp": "2026-01-05T00:00:00Z", "data": {}}) is None


def test_nothing_observed_gives_no_rate() -> None:
    verdict = judge([alert("a", 1)], [], {})
    assert verdict.false[0].or_worse == 1 and math.isnan(verdict.false[0].per_market_day)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60)), max_size=6),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_exposure_is_what_is_left_minute_by_minute(spans: list[tuple[int, int]], early: int, grace: int) -> None:
    labels = [label(start, start + length, "BTC-PERP") for start, length in spans]
    left = sum(
        not any(start - early <= minute < start + length + grace for start, length in spans)
        for minute in range(30, 150)
    )
    observed = {"BTC-PERP": (at(30), at(150))}
    assert exposure_ns(observed, labels, early * MINUTE_NS, grace * MINUTE_NS) == left * MINUTE_NS


# Exact limits from tables of the Poisson distribution (Garwood 1936; chi-square quantiles halved), 95 %.
@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 0.0, 3.6889),
        (1, 0.0253, 5.5716),
        (2, 0.2422, 7.2247),
        (5, 1.6235, 11.6683),
        (10, 4.7954, 18.3904),
        (30, 20.2409, 42.8269),
        (100, 81.3640, 121.6268),
    ],
)
def test_the_poisson_interval_is_garwood_s(count: int, low: float, high: float) -> None:
    found = poisson_interval(count)
    assert math.isclose(found[0], low, abs_tol=1e-4) and math.isclose(found[1], high, abs_tol=1e-4)


def test_the_poisson_interval_of_a_large_count_is_found_too() -> None:
    low, high = poisson_interval(1_000_000)
    # half the chi-square quantiles, from a library's inverse
    assert math.isclose(low, 998040.983, abs_tol=0.01) and math.isclose(high, 1001961.912, abs_tol=0.01)


def test_labels_are_read_in_either_form_of_time() -> None:
    labels = read_labels(
        b'[{"start": "2026-01-05T00:10:00Z", "end": 1767572000000000001, "markets": null, "kind": "cascade", "name": "x"},'
        b' {"start": "2026-01-05", "end": "2026-01-05T01:00:00+01:00", "markets": ["A", "B"], "extra": 1}]'
    )
    assert labels[0] == Label(BEGIN_NS, BEGIN_NS, ("A", "B"), "", "label 2")
    assert labels[1] == Label(at(10), 1767572000000000001, (), "cascade", "x")


def test_every_fault_of_a_labels_file_is_said_at_once() -> None:
    with pytest.raises(LabelsError) as caught:
        read_labels(
            b'[3, {"start": 1}, {"start": "soon", "end": 2}, {"start": 5, "end": 2},'
            b' {"start": 1, "end": 2, "markets": []}, {"start": true, "end": 2}, {"start": 1, "end": 2, "kind": 7}]'
        )
    assert len(str(caught.value).splitlines()) == 7
    for data in (b"", b"{}", b"[" * 100_000, b"\xff"):
        with pytest.raises(LabelsError):
            read_labels(data)


@given(st.integers(0, 2**62 - 1))
def test_an_instant_survives_its_text_to_the_millisecond(instant_ns: int) -> None:
    assert parse_instant(format_instant(instant_ns)) == instant_ns // 1_000_000 * 1_000_000


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-01", "2026-01-05T25:00", "1767571200.5", "-1", "99999999999999999999"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)


def test_a_day_has_86400_seconds() -> None:
    assert parse_instant("2026-01-06") - BEGIN_NS == DAY_NS


def test_what_was_not_replayed_is_neither_caught_nor_missed() -> None:
    labels = [
        label(10, 11, "BTC-PERP"),
        label(10, 11, "BTC-USD", name="no such market"),
        label(1441, 1450, name="after the end"),
        label(-9, -5, "BTC-PERP", name="before the begin"),
        label(-9, 1, "ETH-PERP", name="across the begin"),
    ]
    verdict = judge([alert("a", 10.5)], labels, DAY)
    assert [finding.outcome.value for finding in verdict.findings] == [
        "caught", "not_observed", "not_observed", "not_observed", "missed",
    ]  # fmt: skip
    assert verdict.recall == 0.5
    assert judge([], labels[1:2], DAY).recall is None


def test_labels_in_another_unit_and_a_misspelled_key_are_refused_and_benign_is_so_in_capitals() -> None:
    for row in (
        b'{"start": 1767572000000, "end": 1767572000001}',
        b'{"start": "2026-01-05", "end": "2026-01-06", "market": "A"}',
    ):
        with pytest.raises(LabelsError, match=r"2000|markets"):
            read_labels(b"[" + row + b"]")
    (benign,) = read_labels(b'[{"start": "2026-01-05", "end": "2026-01-06", "kind": "Benign"}]')
    assert benign.benign


def test_a_page_long_before_a_label_is_false_though_its_incident_is_still_open_and_escalates_then() -> None:
    alerts = [alert("a", 1), alert("a", 50, "escalated", "critical")]
    verdict = judge(alerts, [label(50, 51, "BTC-PERP")], DAY)
    (finding,) = verdict.findings
    assert finding.outcome is Outcome.CAUGHT and finding.severity is Severity.CRITICAL
    (false,) = verdict.false_episodes
    assert (false.severity, len(false.calls), false.opened_ns) == (Severity.WARNING, 1, at(1))
    assert [rate.count for rate in verdict.false] == [0, 1, 0]
    after = judge([alert("a", 50), alert("a", 300, "escalated", "critical")], [label(50, 51, "BTC-PERP")], DAY)
    assert after.false_episodes == (), "one incident: whoever was paged knows of it"


def test_a_note_is_no_page_and_a_lead_has_its_own_alert_s_severity() -> None:
    labels = [label(50, 51, "BTC-PERP"), label(200, 201, "BTC-PERP")]
    alerts = [alert("a", 50, severity="info"), alert("b", 200, severity="info"), alert("c", 205, severity="critical")]
    verdict = judge(alerts, labels, DAY)
    assert (verdict.recall, verdict.recall_paged) == (1.0, 0.5)
    assert [(one.severity, one.worst) for one in verdict.findings] == [
        (Severity.INFO, Severity.INFO), (Severity.INFO, Severity.CRITICAL),
    ]  # fmt: skip

"""The texts of incidents as they are read at 03:00, one file each. FORESHOCK_BLESS=1 writes them anew; then read them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from detector.incidents.alerting import Alerting
from detector.incidents.explain import story
from detector.incidents.settings import SECOND_NS, IncidentSettings
from detector.model.incident import Circumstance, Contributor, Incident, Lead, Moment, Reason, Severity
from detector.model.score import Evidence

HERE = Path(__file__).parent / "incidents"
START_NS = 1_795_342_999 * SECOND_NS
BTC, ETH, SOL = "BTC-PERP", "ETH-PERP", "SOL-PERP"
CANCELS = Evidence(BTC, "cancel_burst", "cancels", "1/s", 412.0, 31.0, 12.0, 66.0, 0.58, without=3.1, level=3.9)
FLEETING = Evidence(BTC, "cancel_burst", "fleeting_cancels", "1/s", 190.0, 2.0, 0.0, 9.0, 0.42, without=4.2, level=3.9)
MISSING = Evidence(ETH, "thin_book", "quotes_missing", "orders", 44.0, 6.2, 1.0, 15.0, 0.7, without=4.1, level=3.7)
MOVED = Evidence(ETH, "thin_book", "quotes_moved", "orders", 31.0, 4.0, 0.0, 11.0, 0.3)
RAISES = Evidence(SOL, "leverage_spike", "raises", "1/min", 14.0, 0.8, 0.0, 3.2, 0.25)
SURPRISE = Evidence(SOL, "leverage_spike", "raise_surprise", "nats/min", 22.0, 1.1, 0.0, 5.0, 0.75)
JOINT = (
    Evidence(BTC, "joint", "cancel_burst.cancels", "nats", 5.0, 0.0, 0.0, 1.0, 0.6),
    Evidence(BTC, "joint", "thin_book.quotes_missing", "nats", 3.3, 0.0, 0.0, 1.0, 0.4),
)
BARE = (
    Evidence("BTCUSDT", "cancel_burst", "cancels_unnamed", "1/s", 1_840.0, 210.0, 96.0, 402.0, 1.0),
    Evidence("BTCUSDT", "thin_book", "taken", "% of depth", 310.0, 1.2, 0.0, 9.5, 1.0),
)
DRIFT = (
    Evidence(BTC, "drift", "requoting", "x", 5.4, 3.6, 3.1, 4.2, 0.7, since_ns=START_NS - 7_200 * SECOND_NS),
    Evidence(BTC, "drift", "quotes_resting", "orders", 121.0, 104.0, 99.0, 109.0, 0.3, since_ns=START_NS),
)
SILENT = Evidence(BTC, "feed", "silence", "s", 48.0, 0.32, 0.0, 1.9, 1.0, level=8.6)
PULLED = (
    Evidence(BTC, "thin_book", "quotes_pulled", "%", 25.0, 0.0, -1.89, 1.94, 0.998, without=0.1, level=3.1),
    Evidence(BTC, "thin_book", "quotes_leapt", "1/min", 0.0, 0.0012, 0.0, 0.113, 0.002, without=14.4, level=3.1),
)
OTHER = Evidence(BTC, "queue", "queue_age", "s", 0.4, 6.0, 2.0, 15.0, 1.0, "age of the first order in the queue")
FORCED = tuple(
    Evidence(market, "squeeze", "liquidations", "1/min", 12.0, 0.3, 0.0, 2.0, 1.0, "positions closed by force")
    for market in (BTC, ETH)
)


def made(kind: str, *evidence: Evidence, at_s: tuple[int, ...] = (), **changes: object) -> Incident:
    """An incident of these rows; the n-th (market, detector) moved `at_s[n]` seconds after the first."""
    pairs = list(dict.fromkeys((row.market, row.detector) for row in evidence))
    moments = tuple(
        Moment(START_NS + (1 + (at_s[n] if n < len(at_s) else 0)) * SECOND_NS, *pair, 4.7 - n)
        for n, pair in enumerate(pairs)
    )
    fields: dict[str, object] = {
        "incident_id": "inc_0123456789ABCDEFGHJKMNPQRS",
        "seq": 1,
        "reason": Reason.OPENED,
        "severity": Severity.CRITICAL,
        "kind": kind,
        "markets": tuple(dict.fromkeys(market for market, _ in pairs)),
        "detectors": tuple(dict.fromkeys(detector for _, detector in pairs)),
        "score": 4.7,
        "peak": 4.7,
        "started_ns": START_NS,
        "detected_ns": START_NS + SECOND_NS,
        "updated_ns": START_NS + SECOND_NS,
        "ended_ns": None,
        "evidence": evidence,
        "timeline": moments,
        "contributors": (Contributor(7, 0.27), Contributor(8, 0.12)),
        "every_s": 3.2 * 31_557_600,
        **changes,
    }
    return Incident(**fields)  # type: ignore[arg-type]


SHOCK = tuple(f"M{i:02d}-PERP" for i in range(47))
INCIDENTS = {
    "cancel_burst": made("cancel_burst", CANCELS, FLEETING),
    "with_context": made(
        "cancel_burst", CANCELS, FLEETING,
        context=(
            Circumstance(BTC, "cancel_life", "s", "life of cancelled orders (median)", 0.0004, 3.1, -9.2),
            Circumstance(BTC, "near_share", "share", "cancelled value within 10 bps of the mid", 0.93, 0.4, 6.0),
            Circumstance(BTC, "round_trip", "bps", "cost of buying and selling 50,000", 14.0, 3.2, 5.1),
        ),
    ),
    "cancel_burst_then_thin_book": made(
        "cancel_burst", CANCELS, FLEETING, replace(MISSING, market=BTC), replace(MOVED, market=BTC), at_s=(0, 41)
    ),
    "during_funding": made("cancel_burst", CANCELS, FLEETING, phases=("funding",)),
    "thin_book": made("thin_book", MISSING, MOVED, contributors=(Contributor(7, 0.61),)),
    "quotes_pulled": made("thin_book", *PULLED, contributors=tuple(Contributor(n, 0.16) for n in range(5))),
    "lead_within_a_window": made(
        "correlated", CANCELS, replace(CANCELS, market=ETH), led_by=Lead(BTC, ETH, 13 * SECOND_NS // 10),
        contributors=(Contributor(7, 0.8), Contributor(8, 0.01)),
    ),
    "leverage_spike": made("leverage_spike", SURPRISE, RAISES, every_s=5 * 86_400, severity=Severity.WARNING),
    "joint": made("joint", *JOINT, severity=Severity.INFO, every_s=30_000, contributors=(Contributor(7, 0.04),)),
    "drift": made("drift", *DRIFT, severity=Severity.INFO, contributors=(), warming=True),
    "drift_resolved": made(
        "drift", *DRIFT, severity=Severity.INFO, contributors=(), reason=Reason.RESOLVED, seq=2,
        ended_ns=START_NS + SECOND_NS, updated_ns=START_NS + SECOND_NS,
    ),
    "feed": made("feed", SILENT, contributors=(), severity=Severity.WARNING),
    "source": made(
        "feed", *(replace(SILENT, market=market, feature="source_silence") for market in (BTC, ETH, SOL)),
        contributors=(),
    ),
    "unknown_detector": made("queue", OTHER, contributors=()),
    "unknown_detector_of_counts": made("squeeze", *FORCED, contributors=()),
    "without_names": made("cancel_burst", *BARE, contributors=(), lacks=("accounts", "order ids"), at_s=(0, 4)),
    "three_markets": made(
        "correlated", CANCELS, FLEETING, MISSING, MOVED, SURPRISE, at_s=(0, 2, 4),
        led_by=Lead(BTC, ETH, 2 * SECOND_NS),
    ),
    "sub_second_lead": made(
        "correlated", CANCELS, FLEETING, replace(MISSING, without=0.2), MOVED, at_s=(0, 0),
        markets=(BTC, ETH), led_by=Lead(BTC, ETH, SECOND_NS // 4), lacks=("order ids",),
        timeline=(Moment(START_NS, BTC, "cancel_burst", 4.7), Moment(START_NS + SECOND_NS // 4, ETH, "thin_book", 4)),
    ),
    "shock_at_once": made(
        "correlated", CANCELS, MISSING, markets=(BTC, ETH, *SHOCK),
        timeline=tuple(Moment(START_NS + SECOND_NS, market, "cancel_burst", 4.7) for market in (BTC, ETH, *SHOCK)),
    ),
    "escalated": made("cancel_burst", CANCELS, FLEETING, reason=Reason.ESCALATED, seq=2),
    "rising": made("cancel_burst", CANCELS, FLEETING, reason=Reason.UPDATED, seq=2),
    "steady": made("cancel_burst", CANCELS, FLEETING, reason=Reason.UPDATED, seq=3, peak=5.5),
    "eased": made("cancel_burst", CANCELS, FLEETING, reason=Reason.UPDATED, seq=4, peak=9.4),
    "worse_elsewhere": made(
        "correlated", CANCELS, FLEETING, replace(CANCELS, market=ETH, observed=2_790.0), at_s=(0, 2),
        led_by=Lead(BTC, ETH, 2 * SECOND_NS),
    ),
    "far_worse_elsewhere": made(
        "correlated", CANCELS, FLEETING, replace(CANCELS, market=ETH, observed=99_999.0), at_s=(0, 2),
        led_by=Lead(BTC, ETH, 2 * SECOND_NS),
    ),
    "again": made("cancel_burst", CANCELS, FLEETING, seq=3, severity=Severity.INFO),
    "resolved": made(
        "cancel_burst", CANCELS, FLEETING, reason=Reason.RESOLVED, seq=3, ended_ns=START_NS + 101 * SECOND_NS,
        updated_ns=START_NS + 161 * SECOND_NS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(INCIDENTS))
def test_the_text_is_as_it_was_read_in_review(name: str) -> None:
    told = Alerting(IncidentSettings(), b"the key of the golden texts")
    text = "\n".join(story(INCIDENTS[name], told.pseudonym)) + "\n"
    path = HERE / f"{name}.txt"
    if os.environ.get("FORESHOCK_BLESS"):
        path.write_text(text)
    assert text == path.read_text()


def test_no_text_is_left_over() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == set(INCIDENTS)

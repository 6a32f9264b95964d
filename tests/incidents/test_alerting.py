"""Alerts: the contract's fields in its order, numbers that are numbers, names that are nobody's, a body that fits."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from detector.incidents.alerting import BODY_BYTES_MAX, Alerting
from detector.incidents.explain import story, summary, title
from detector.incidents.identity import crockford32, incident_id, pseudonym
from detector.incidents.settings import SECOND_NS, IncidentSettings
from detector.incidents.words import instant, number, plain, quantity, rarity, span
from detector.model.incident import Circumstance, Contributor, Incident, Lead, Moment, Position, Reason, Severity
from detector.model.score import Evidence
from tests.incidents.story import START_NS, Told, evidence_of

KEY = b"thirty-two bytes of a test's key"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "alert-v1.json").read_text())
FIELDS = [
    "schema", "incident_id", "seq", "status", "reason", "severity", "kind", "markets", "detectors", "title", "summary",
    "score", "expected_every", "started_at", "detected_at", "ended_at", "evidence", "contributors", "timeline",
    "position", "links", "warming", "delayed_by_s", "config_rev", "version",
]  # fmt: skip


def alerting(**links: str) -> Alerting:
    return Alerting(IncidentSettings(), KEY, config_rev="c0ffee", version="0.1.0", links=links)


def incident(**changes: Any) -> Incident:
    plain_one = Incident(
        incident_id=incident_id("exchange", "cancel_burst", "1", "BTC-PERP", START_NS),
        seq=1,
        reason=Reason.OPENED,
        severity=Severity.CRITICAL,
        kind="cancel_burst",
        markets=("BTC-PERP",),
        detectors=("cancel_burst",),
        score=4.7123456789,
        peak=4.7123456789,
        started_ns=START_NS,
        detected_ns=START_NS + SECOND_NS,
        updated_ns=START_NS + SECOND_NS,
        ended_ns=None,
        evidence=evidence_of("BTC-PERP", "cancel_burst", 0.6),
        timeline=(Moment(START_NS + SECOND_NS, "BTC-PERP", "cancel_burst", 4.7123456789),),
        contributors=(Contributor(2**64 - 1, 0.27), Contributor(5, 0.1)),
        position=(Position("orders", 3, 918_273, 918_911),),
        every_s=1e8,
    )
    return replace(plain_one, **changes)


def valid(body: bytes) -> dict[str, Any]:
    alert: dict[str, Any] = json.loads(body, parse_constant=pytest.fail)
    Draft202012Validator(SCHEMA).validate(alert)
    return alert


def test_the_fields_stand_in_the_contracts_order() -> None:
    alert = alerting(incident="https://page.example/incidents/{incident_id}").alert(incident())
    body = valid(alert.body())
    assert list(body) == ["type", "timestamp", "data"]
    assert list(body["data"]) == FIELDS
    assert body["type"] == "foreshock.incident.opened"
    assert body["timestamp"] == "2023-11-14T22:13:21.000Z"
    assert alert.key == f"{incident().incident_id}_1"
    assert body["data"]["links"] == {"incident": f"https://page.example/incidents/{incident().incident_id}"}
    assert body["data"]["score"] == 4.71235


def test_a_link_template_is_no_program() -> None:
    links = (
        alerting(incident="https://x.example/{0.__class__}/{incident_id}", runbook="").alert(incident()).data["links"]
    )
    assert links == {"incident": "https://x.example/{0.__class__}/" + incident().incident_id}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_valid_and_says_whether_it_still_fires(reason: Reason) -> None:
    over = reason is Reason.RESOLVED
    told = incident(reason=reason, seq=4, ended_ns=START_NS + 61 * SECOND_NS if over else None)
    body = valid(alerting().alert(told).body())
    assert body["data"]["status"] == ("resolved" if over else "firing")
    assert (body["data"]["ended_at"] is None) is not over


def test_an_acknowledgement_never_takes_the_key_of_a_transition_of_the_log() -> None:
    keys = {alerting().alert(incident(reason=reason, seq=2)).key for reason in (Reason.ACKNOWLEDGED, Reason.UPDATED)}
    assert len(keys) == 2


def test_no_number_that_is_none_reaches_the_json() -> None:
    rows = (Evidence("BTC-PERP", "joint", "cancels", "1/s", math.nan, math.inf, -math.inf, 1.0, math.nan),)
    body = valid(alerting().alert(incident(evidence=rows, kind="joint", every_s=math.nan)).body())
    (row,) = body["data"]["evidence"]
    assert (row["observed"], row["expected"], row["low"], row["high"], row["share"]) == (None, None, None, 1.0, 0.0)
    assert body["data"]["expected_every"] == "unknown"


def test_shares_are_exact_and_evidence_is_sorted_by_them() -> None:
    rows = (*evidence_of("BTC-PERP", "thin_book", 0.1), *evidence_of("BTC-PERP", "cancel_burst", 2.0))
    data = valid(alerting().alert(incident(evidence=rows)).body())["data"]
    shares = [row["share"] for row in data["evidence"]]
    assert shares == sorted(shares, reverse=True)
    for detector in ("thin_book", "cancel_burst"):
        assert abs(sum(row["share"] for row in data["evidence"] if row["detector"] == detector) - 1.0) < 1e-9


def test_accounts_are_called_by_keyed_pseudonyms_only() -> None:
    body = alerting().alert(incident()).body().decode()
    assert str(2**64 - 1) not in body
    assert pseudonym(KEY, 2**64 - 1) in body
    assert pseudonym(KEY, 5) != pseudonym(b"another key", 5)
    assert pseudonym(b"x" * 65, 5) != pseudonym(b"x" * 66, 5)
    assert len(pseudonym(KEY, 0)) == len("acct_h:") + 16


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(AssertionError, match="anybody could compute"):
        Alerting(IncidentSettings(), b"")


def huge(markets: int, rows: int, places: int) -> Incident:
    names = tuple(f"{'M' * 50}{i:05d}-PERP" for i in range(markets))
    return incident(
        markets=names,
        kind="correlated",
        evidence=tuple(row for i in range(rows) for row in evidence_of(names[i % markets], f"detector_{i}", 1.0)),
        timeline=tuple(Moment(START_NS + i, names[i % markets], "cancel_burst", 4.0) for i in range(50)),
        position=tuple(Position("orders", i, 0, i) for i in range(places)),
        contributors=tuple(Contributor(i, 0.01) for i in range(20)),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4_000), st.integers(1, 80), st.integers(0, 600))
def test_a_body_never_exceeds_its_limit_and_says_what_it_left_out(markets: int, rows: int, places: int) -> None:
    whole = huge(markets, rows, places)
    alert = alerting().alert(whole)
    data = valid(alert.body())["data"]
    assert len(alert.body()) <= BODY_BYTES_MAX
    sizes = {"markets": markets, "evidence": 2 * rows, "timeline": 50, "position": places, "contributors": 20}
    for name, size in sizes.items():
        assert len(data[name]) + data.get("omitted", {}).get(name, 0) == size
    assert data["markets"][0] == whole.markets[0]
    by_pair: dict[tuple[str, str], float] = {}
    for row in data["evidence"]:
        by_pair[row["market"], row["detector"]] = by_pair.get((row["market"], row["detector"]), 0.0) + row["share"]
    assert all(abs(total - 1.0) < 1e-9 for total in by_pair.values())
    assert (whole.evidence[0].market, whole.evidence[0].detector) in by_pair  # the strongest stays


def test_what_a_name_smuggles_in_is_shown_and_not_obeyed() -> None:
    nasty = "BTC\n\x1b[31m\u202e\u2028<b>"
    rows = tuple(replace(row, market=nasty, meaning=nasty, unit=nasty, feature="f\n") for row in incident().evidence)
    told = incident(markets=(nasty,), evidence=rows)
    for text in (title(told), summary(told, str), *story(told, str)):
        assert text.isprintable()
        assert "\\u202e" in text or nasty not in text
    assert len(title(incident(markets=("M" * 9_000,)))) <= 200


def test_a_feed_without_names_is_said_in_the_title_and_what_falls_away_in_the_summary() -> None:
    data = valid(alerting().alert(incident(lacks=("accounts", "order ids"))).body())["data"]
    assert data["lacks"] == ["accounts", "order ids"]
    assert data["title"].endswith("(feed without accounts and order ids)")
    assert "who acts, whose quotes are missing and how long orders lived cannot be seen" in data["summary"]
    assert "lacks" not in valid(alerting().alert(incident()).body())["data"]


def test_a_row_says_what_its_score_would_be_without_it_and_which_level_was_crossed() -> None:
    rows = (
        Evidence("BTC-PERP", "cancel_burst", "cancels", "1/s", 9.0, 1.0, 0.0, 2.0, 0.9, without=3.12345678, level=3.9),
        Evidence("BTC-PERP", "cancel_burst", "fleeting_cancels", "1/s", 2.0, 1.0, 0.0, 2.0, 0.1),
    )
    data = valid(alerting().alert(incident(evidence=rows)).body())["data"]
    assert (data["evidence"][0]["without"], data["evidence"][0]["level"]) == (3.12346, 3.9)
    assert "without" not in data["evidence"][1]
    assert "Without cancels the cancel burst score would be 3.1, below the 3.9 that it crossed." in data["summary"]
    needless = (replace(rows[0], without=4.2), rows[1])
    assert "Even without cancels" in summary(incident(evidence=needless), str)


def test_the_market_that_led_is_named_with_its_lead() -> None:
    lead = Lead("ETH-PERP", "BTC-PERP", SECOND_NS // 4)
    data = valid(alerting().alert(incident(led_by=lead)).body())["data"]
    assert data["led_by"] == {"market": "ETH-PERP", "next": "BTC-PERP", "by_s": 0.25}


def test_what_stands_beside_the_evidence_has_no_share_and_is_valid() -> None:
    beside = Circumstance("BTC-PERP", "cancel_life", "s", "life of cancelled orders (median)", 0.0004, 3.1, -9.234567)
    unknown = replace(beside, observed=math.nan)
    data = valid(alerting().alert(incident(context=(beside, unknown), phases=("funding",))).body())["data"]
    assert data["context"][0] == {
        "market": "BTC-PERP", "feature": "cancel_life", "unit": "s", "meaning": "life of cancelled orders (median)",
        "observed": 0.0004, "usual": 3.1, "deviations": -9.23457,
    }  # fmt: skip
    assert data["context"][1]["observed"] is None
    assert "life of cancelled orders (median) 0.4 ms (usually 3.1 s)" in data["summary"]
    assert data["phases"] == ["funding"] and data["title"].endswith(" during funding")
    assert "context" not in valid(alerting().alert(incident()).body())["data"]


def test_degraded_warming_and_reopened_are_said() -> None:
    data = valid(alerting().alert(incident(lacks=("accounts",), warming=True, seq=3)).body())["data"]
    assert data["degraded"] is True
    assert data["reopened"] is True
    assert data["warming"] is True
    assert "less sharply" in data["summary"]
    assert "still learning" in data["summary"]
    assert "Again, after it had been quiet" in data["summary"]


def test_everything_a_correlator_tells_is_valid() -> None:
    told = Told(("BTC-PERP", "ETH-PERP", "NEW-PERP", "BARE-PERP"), who=lambda _m, _d: (Contributor(9, 0.3),))
    told.run(
        {
            0: {("BTC-PERP", "cancel_burst"): 3.5, ("BTC-PERP", "joint"): 3.1},
            2: {("ETH-PERP", "thin_book"): math.inf, ("NEW-PERP", "leverage_spike"): 4.5},
            40: {("BARE-PERP", "drift"): 4.0},
        },
        until=200,
    )
    assert told.reasons() == ["opened", "escalated", "opened", "resolved", "resolved"]
    for one in told.incidents:
        valid(alerting().alert(one).body())


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_has_short_words(value: float) -> None:
    for text in (number(value), quantity(value, "1/s"), quantity(value, "share"), span(value), rarity(value)):
        assert text.isprintable()
        assert 0 < len(text) < 40


@given(st.floats(min_value=1e-3, max_value=9.9e14))
def test_a_number_said_is_the_number_to_three_digits(value: float) -> None:
    said, _, letter = number(value).replace(",", "").partition(" ")
    size = {"": 1.0, "M": 1e6, "B": 1e9, "T": 1e12}[letter]
    assert math.isclose(float(said) * size, value, rel_tol=6e-3)


@given(st.integers(-(2**62), 2**62))
def test_an_instant_is_the_millisecond_it_lies_in(at_ns: int) -> None:
    from datetime import datetime

    said = datetime.fromisoformat(instant(at_ns))
    milliseconds = round(said.timestamp() * 1_000)
    assert abs(milliseconds - at_ns // 1_000_000) <= 1
    assert instant(at_ns).endswith("Z")


@given(st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20))
def test_crockford_is_one_to_one_for_a_length_and_keeps_order(one: bytes, other: bytes) -> None:
    other = other[: len(one)].ljust(len(one), b"\0")
    assert (crockford32(one) < crockford32(other)) is (one < other)
    assert len(crockford32(one)) == math.ceil(8 * len(one) / 5)


def test_a_bar_in_a_name_cannot_imitate_another_incident() -> None:
    assert incident_id("a|b", "c", "1", "M", 0) != incident_id("a", "b|c", "1", "M", 0)


@given(st.text())
def test_plain_text_has_nothing_unprintable(text: str) -> None:
    assert plain(text).isprintable() or plain(text) == ""

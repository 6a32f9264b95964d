"""The published schemas: what the native format takes is valid, what the schema can forbid is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from detector.daemon import notices
from detector.daemon.delivery import late
from detector.daemon.ledger import letters, undurable
from detector.formats.native_words import MARGIN_MODES, REASONS, SIDES, STATUSES, TYPES, Field
from detector.incidents.explain import SUMMARY_MAX, TITLE_MAX
from detector.model.alert import Alert
from detector.wiring import plugins
from tests.formats.native_messages import ONE_OF_EACH, decoded, encoded, message, messages, reason_of
from tests.sinks.letters import ALERTS as ALERTS_SENT

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema"
EVENT_SCHEMA = json.loads((FOLDER / "event-v1.json").read_text("utf-8"))
ALERT_SCHEMA = json.loads((FOLDER / "alert-v1.json").read_text("utf-8"))
EVENTS, ALERTS = Draft202012Validator(EVENT_SCHEMA), Draft202012Validator(ALERT_SCHEMA)


@pytest.mark.parametrize("schema", [EVENT_SCHEMA, ALERT_SCHEMA], ids=["event", "alert"])
def test_a_schema_is_a_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("kind", list(ONE_OF_EACH))
def test_a_good_event_of_every_type_is_valid(kind: str) -> None:
    EVENTS.validate(message(kind))
    EVENTS.validate([message(kind), message("status")])


@settings(max_examples=300, deadline=None)
@given(messages())
def test_whatever_the_format_takes_is_valid(value: bytes) -> None:
    if len(decoded(value).events):
        EVENTS.validate(json.loads(value))


WRONG: list[Any] = [-1, 0, "", "x", "-1", "0", "1e", "NaN", "1.", True, [], {}, 1e300, "2023-11-14", 3.5, ["1"]]


@pytest.mark.parametrize("kind", list(ONE_OF_EACH))
def test_what_the_schema_forbids_of_a_single_field_is_refused(kind: str) -> None:
    checked = 0
    for name in message(kind):
        for wrong in [*WRONG, None, ...]:
            changed = message(kind, **{name: wrong})
            if name == "type" or EVENTS.is_valid(changed):
                continue
            checked += 1
            assert reason_of(encoded(changed)), f"{name}={wrong!r} is invalid, but taken"
    assert checked > 20


def test_the_schema_and_the_format_know_the_same_words() -> None:
    types = EVENT_SCHEMA["$defs"]
    assert {one["$ref"].rpartition("/")[2] for one in types["event"]["oneOf"]} == set(TYPES)
    assert set(types["side"]["enum"]) == set(SIDES)
    assert set(types["cancel"]["properties"]["reason"]["enum"]) == {*REASONS, None}
    assert set(types["status"]["properties"]["status"]["enum"]) == set(STATUSES)
    assert set(types["margin_mode"]["enum"]) == {*MARGIN_MODES, None}
    assert {name for kind in TYPES for name in types[kind]["properties"]} == {str(field) for field in Field}


def incident(**changes: Any) -> dict[str, Any]:
    data = {
        "schema": 1, "incident_id": "inc_07E4RGS7AMPKKWRG9KF8FSRCGX", "seq": 1, "status": "firing", "reason": "opened",
        "severity": "critical", "kind": "cancel_burst", "markets": ["BTC-PERP"], "detectors": ["cancel_burst"],
        "title": "Cancels", "summary": "Many.", "score": 4.7, "expected_every": "3.2 market-years",
        "started_at": "2026-11-22T10:03:31.120Z", "detected_at": "2026-11-22T10:03:31.120Z", "ended_at": None,
        "evidence": [{"market": "BTC-PERP", "detector": "cancel_burst", "feature": "cancel_rate", "unit": "1/s",
                      "observed": 412.0, "expected": 31.0, "low": 12.0, "high": 66.0, "share": 0.58}],
        "contributors": [{"account": "acct_h:7f31", "share": 0.27}],
        "timeline": [{"at": "2026-11-22T10:03:31.120Z", "market": "BTC-PERP", "detector": "cancel_burst", "score": 2.9}],
        "position": [{"topic": "orders", "partition": 3, "first_offset": 918273, "last_offset": 918911}],
        "links": {"incident": "i", "runbook": "r"}, "warming": False, "delayed_by_s": 0, "config_rev": "1", "version": "0",
    } | changes  # fmt: skip
    return {"type": f"foreshock.incident.{data['reason']}", "timestamp": "2026-11-22T10:03:31.120Z", "data": data}


def test_the_contracts_alert_is_valid() -> None:
    ALERTS.validate(incident())
    ALERTS.validate(incident(reason="resolved", status="resolved", ended_at="2026-11-22T10:09:00Z"))


@pytest.mark.parametrize(
    "changes",
    [{"severity": "page"}, {"kind": "A whale"}, {"kind": ""}, {"markets": []}, {"seq": 0}, {"score": -1}, {"incident_id": "7"},
     {"evidence": [{}]}, {"contributors": [{"account": "alice", "share": 1}]}, {"status": "resolved"},
     {"reason": "resolved", "status": "resolved"}, {"reason": "because"}, {"started_at": 5}, {"schema": 2}],
)  # fmt: skip
def test_an_alert_outside_the_contract_is_invalid(changes: dict[str, Any]) -> None:
    assert not ALERTS.is_valid(incident(**changes))


CONTRACT = {"cancel_burst", "leverage_spike", "thin_book", "joint", "drift", "correlated", "cascade", "feed"}


def test_the_kinds_other_programs_rely_on_are_described() -> None:
    told = {one["const"] for one in ALERT_SCHEMA["$defs"]["kind"]["anyOf"] if "const" in one}
    assert told == CONTRACT and "correlated" not in plugins.names("anomaly"), "that kind is no detector's"


@pytest.mark.parametrize("kind", [*sorted(CONTRACT), *plugins.names("anomaly"), "liquidation_cascade"])
def test_an_alert_of_any_detector_is_valid_listed_or_not(kind: str) -> None:
    row = incident()["data"]["evidence"][0] | {"detector": kind}
    ALERTS.validate(incident(kind=kind, detectors=[kind], evidence=[row]))


def test_the_type_of_an_alert_tells_its_reason() -> None:
    alert = incident()
    alert["type"] = "foreshock.incident.updated"
    assert not ALERTS.is_valid(alert)


@pytest.mark.parametrize("name", ["incident", "notice"])
def test_the_schema_says_how_long_texts_are_and_what_the_delivery_adds(name: str) -> None:
    fields = ALERT_SCHEMA["$defs"][name]["properties"]
    assert (fields["title"]["maxLength"], fields["summary"]["maxLength"]) == (TITLE_MAX, SUMMARY_MAX)
    assert all(fields[key].get("description") for key in ("incident_id", "seq", "status", "delayed_by_s", "durability"))


@pytest.mark.parametrize("alert", ALERTS_SENT.values(), ids=list(ALERTS_SENT))
def test_every_alert_is_valid_as_it_is_sent_late_and_past_the_outbox(alert: Alert) -> None:
    (letter,) = letters(alert, ["there"])
    for body in (letter.body, late(letter.body, 61.7), undurable(letter).body):
        ALERTS.validate(json.loads(body))
    assert json.loads(undurable(letter).body)["data"].pop("durability") == "degraded"
    assert not ALERTS.is_valid(incident(durability="fine"))


def test_a_notices_texts_are_as_long_as_the_schema_lets_them_be() -> None:
    alert = notices.degraded("x", 0.0, "t" * 999, "s" * 9_999, firing=True, seq=1, severity="info")
    ALERTS.validate(json.loads(alert.body()))
    assert alert.data["title"] == "t" * (TITLE_MAX - 1) + "…" and len(alert.data["summary"]) == SUMMARY_MAX

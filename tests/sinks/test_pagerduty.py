"""PagerDuty: what each alert becomes there, within its limits, and that its key is nowhere to be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detector.sinks.base import Delivery, Parcel
from detector.sinks.pagerduty import BODY_BYTES_MAX, SUMMARY_MAX, Pagerduty
from tests.sinks.chaos import answers, chaos
from tests.sinks.letters import ALERTS, BURST, HERE, answered, bodies, parcel, started, with_data

KEY = "canary0123456789abcdef0123456789"
ID = BURST.incident_id


def events(*names: str) -> list[Any]:
    return bodies(Pagerduty, *(ALERTS[name] for name in names), routing_key=KEY, venue="seed-x", status=202)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("opened", "trigger"),
        ("updated", "trigger"),
        ("updated at info", None),
        ("escalated", "trigger"),
        ("acknowledged", "acknowledge"),
        ("resolved", "resolve"),
        ("reopened", "trigger"),
        ("test", "trigger"),
        ("degraded", "trigger"),
        ("well again", "resolve"),
        ("momentary", "trigger"),
        ("momentary end", None),
        ("audit", None),
        ("heartbeat", None),
    ],
)
def test_each_alert_becomes_what_a_pager_understands(name: str, action: str | None) -> None:
    assert [event["event_action"] for event in events(name)] == [action] * (action is not None)


def test_all_words_about_one_incident_go_to_one_incident() -> None:
    sent = events("opened", "opened", "updated", "escalated", "resolved", "reopened")
    assert {event["dedup_key"] for event in sent} == {ID} and len(sent) == 6
    assert sent[0] == sent[1], "the same letter twice is the same event"
    assert sent[4] == {"routing_key": KEY, "event_action": "resolve", "dedup_key": ID}


def test_the_event_says_where_what_and_how_grave() -> None:
    (event,) = events("opened")
    payload = event["payload"]
    assert payload["summary"] == "BTC-PERP: cancels 13 x their normal"
    assert (payload["source"], payload["component"], payload["class"]) == ("seed-x", "BTC-PERP", "cancel_burst")
    assert (payload["severity"], payload["group"]) == ("critical", "cancel_burst")
    assert payload["timestamp"] == ALERTS["opened"].timestamp
    assert payload["custom_details"] == ALERTS["opened"].data
    assert event["client"] == "foreshock" and event["client_url"] == f"https://page.example/i/{ID}?a=1&b=2"
    assert [link["text"] for link in event["links"]] == ["incident", "runbook"]


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_severities_keep_their_names(severity: str) -> None:
    (event,) = bodies(Pagerduty, with_data(severity=severity), routing_key=KEY)
    assert event["payload"]["severity"] == severity


def test_the_market_that_led_is_the_component_and_no_market_is_none() -> None:
    led = with_data(markets=["A", "B"], led_by={"market": "B", "next": "A", "by_s": 1.0})
    first, second = bodies(Pagerduty, led, ALERTS["degraded"], routing_key=KEY)
    assert first["payload"]["component"] == "B" and "component" not in second["payload"]


def test_a_long_title_and_a_long_name_are_cut_to_what_pagerduty_takes() -> None:
    topic = "degraded_gap_" + "t" * 400
    (event,) = bodies(Pagerduty, with_data(title="x" * 3000 + "\n", incident_id=topic), routing_key=KEY)
    assert len(event["payload"]["summary"]) == SUMMARY_MAX and event["payload"]["summary"].endswith("x…")
    assert len(event["dedup_key"]) == 255


def test_what_is_too_large_loses_rows_and_says_how_many() -> None:
    rows = [{"at": "2026-11-22T10:00:00Z", "market": "M" * 60, "detector": "d", "score": 1.0}] * 9000
    (event,) = bodies(Pagerduty, with_data(timeline=rows, omitted={"markets": 3}), routing_key=KEY)
    details = event["payload"]["custom_details"]
    assert len(json.dumps(event)) < 512_000
    assert details["omitted"] == {"markets": 3, "timeline": 9000 - len(details["timeline"])}
    assert details["timeline"] and details["evidence"] == ALERTS["opened"].data["evidence"]


def test_what_is_too_large_without_any_list_loses_its_details() -> None:
    (event,) = bodies(Pagerduty, with_data(summary="s" * (BODY_BYTES_MAX + 1)), routing_key=KEY)
    assert list(event["payload"]["custom_details"]) == ["omitted"]


def test_a_name_that_hides_something_is_shown() -> None:
    (event,) = bodies(Pagerduty, with_data(title="BTC\n\u202e", markets=["a\nb"]), routing_key=KEY)
    assert (event["payload"]["summary"], event["payload"]["component"]) == ("BTC\\n", "a\\nb")


@pytest.mark.parametrize(
    ("status", "delivery"),
    [(202, Delivery.DELIVERED), (400, Delivery.REJECTED), (413, Delivery.REJECTED)]
    + [(status, Delivery.RETRY) for status in (302, 401, 403, 404, 405, 409, 410, 421, 429, 500, 503)],
)
async def test_a_letter_is_given_up_only_where_it_is_the_letters_fault(status: int, delivery: Delivery) -> None:
    outcome = await answered(Pagerduty, status, routing_key=KEY)
    assert outcome.delivery is delivery and str(status) in outcome.why and KEY not in outcome.why


async def test_too_many_calls_wait_as_long_as_pagerduty_asks() -> None:
    assert (await answered(Pagerduty, 429, "Retry-After: 40", routing_key=KEY)).retry_after_s == 40.0


async def test_heartbeats_and_what_is_no_alert_are_refused_before_anything_is_sent() -> None:
    async with chaos(answers(202)) as server:
        async with started(Pagerduty("p", url=server.url, routing_key=KEY, allow_cidrs=HERE)) as sink:
            for body in (
                b"[]",
                b"\xff",
                b'{"type":"foreshock.test","timestamp":"","data":{}}',
                ALERTS["heartbeat"].body(),
            ):
                outcome = await sink.send(Parcel("k", "i", "info", body))
                assert outcome.delivery is Delivery.REJECTED
        assert server.requests == []


def test_no_repr_and_no_error_shows_the_key() -> None:
    sink = Pagerduty("p", routing_key=KEY)
    assert repr(sink) == "Pagerduty('p', https://events.pagerduty.com)" and KEY not in repr(vars(sink))
    for wrong in (KEY[:-1], KEY + "0", KEY[:-1] + "\n", ""):
        with pytest.raises(ValueError, match="32 letters and digits") as told:
            Pagerduty("p", routing_key=wrong)
        assert "canary" not in str(told.value)


async def test_nothing_leads_inside() -> None:
    async with chaos(answers(202)) as server:
        async with started(Pagerduty("p", url=server.url, allow_http=True, routing_key=KEY)) as sink:
            outcome = await sink.send(parcel(ALERTS["opened"]))
        assert outcome.delivery is Delivery.RETRY and "allow_cidrs" in outcome.why and server.connections == 0

"""Alertmanager: what each alert becomes there, that it lasts as long as it should, and that it ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from detector.sinks import alertmanager
from detector.sinks.alertmanager import ENDS_AFTER_S, MOMENT_S, PATH, SKEW_S, TEST_S, Alertmanager
from detector.sinks.base import Delivery
from tests.sinks.chaos import answers, chaos
from tests.sinks.letters import ALERTS, BURST, HERE, answered, bodies, parcel, started, with_data

NOW_S = 1_795_343_000.0
ID = BURST.incident_id


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        @staticmethod
        def time() -> float:
            return NOW_S

    monkeypatch.setattr(alertmanager, "time", Clock)


def posted(*names: str, **more: Any) -> list[Any]:
    return bodies(Alertmanager, *(ALERTS[name] for name in names), venue="seed-x", **more)


def in_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() - NOW_S


@pytest.mark.parametrize(
    ("name", "alertname", "ends_s"),
    [
        ("opened", "cancel_burst", ENDS_AFTER_S),
        ("updated", "cancel_burst", ENDS_AFTER_S),
        ("updated at info", "cancel_burst", ENDS_AFTER_S),
        ("escalated", "cancel_burst", ENDS_AFTER_S),
        ("acknowledged", "cancel_burst", ENDS_AFTER_S),
        ("resolved", "cancel_burst", -SKEW_S),
        ("reopened", "cancel_burst", ENDS_AFTER_S),
        ("test", "foreshock_test", TEST_S),
        ("degraded", "foreshock_degraded", ENDS_AFTER_S),
        ("well again", "foreshock_degraded", -SKEW_S),
        ("momentary", "foreshock_degraded", MOMENT_S),
        ("audit", "foreshock_degraded", ENDS_AFTER_S),
        ("heartbeat", "foreshock_heartbeat", None),
    ],
)
def test_each_alert_fires_for_as_long_as_it_should(name: str, alertname: str, ends_s: float | None) -> None:
    (alerts,) = posted(name)
    assert alerts[0]["labels"]["alertname"] == alertname
    if ends_s is None:
        assert "endsAt" not in alerts[0], "then it is Alertmanager's own resolve_timeout"
        return
    assert in_s(alerts[0]["endsAt"]) == ends_s
    assert in_s(alerts[0]["startsAt"]) <= min(ends_s, 0.0), "an end before its start is refused"


def test_the_end_of_what_was_over_when_it_was_told_is_left_out() -> None:
    assert posted("momentary end") == []


def test_an_end_long_ago_is_told_as_it_was_and_a_clock_far_ahead_ends_nothing_before_it_began() -> None:
    resolved = ALERTS["resolved"].data
    (over,) = bodies(
        Alertmanager, with_data("resolved", started_at="2026-01-01T00:00:00Z", ended_at="2026-01-02T00:00:00Z")
    )
    assert (over[0]["startsAt"], over[0]["endsAt"]) == ("2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z")
    (ahead,) = bodies(Alertmanager, with_data(started_at="2099-01-01T00:00:00Z"))
    assert in_s(ahead[0]["startsAt"]) == 0.0 and resolved["ended_at"]


def test_labels_name_it_and_never_change_while_it_lasts() -> None:
    later = with_data(
        "updated", kind="correlated", markets=["BTC-PERP", "ETH-PERP"],
        led_by={"market": "ETH-PERP", "next": "BTC-PERP", "by_s": 1.0},
    )  # fmt: skip
    sent = bodies(Alertmanager, ALERTS["opened"], later, ALERTS["resolved"], venue="seed-x")
    expected = {
        "alertname": "cancel_burst",
        "severity": "critical",
        "market": "BTC-PERP",
        "incident_id": ID,
        "venue": "seed-x",
        "source": "foreshock",
    }
    assert [alerts[0]["labels"] for alerts in sent] == [expected] * 3 and {len(alerts) for alerts in sent} == {1}
    assert sent[1][0]["annotations"]["kind"] == "correlated"


def test_all_heartbeats_are_one_alert() -> None:
    first, second = posted("heartbeat", "heartbeat")
    assert first == second and "incident_id" not in first[0]["labels"]


def test_annotations_say_what_it_is_and_what_to_do() -> None:
    (alerts,) = posted("opened")
    notes = alerts[0]["annotations"]
    assert notes["summary"] == "BTC-PERP: cancels 13 x their normal" and "412/s" in notes["description"]
    assert notes["runbook_url"] == "https://runbook.example/" and notes["markets"] == "BTC-PERP"
    assert alerts[0]["generatorURL"] == f"https://page.example/i/{ID}?a=1&b=2"
    assert all(isinstance(text, str) and text for text in (notes | alerts[0]["labels"]).values())


def test_a_graver_alert_ends_the_one_of_the_severity_before() -> None:
    opened = with_data(severity="info")
    risen = with_data("escalated", severity="warning")
    sent = bodies(Alertmanager, opened, risen, with_data("escalated"), ALERTS["resolved"], ALERTS["resolved"])
    told = [[(a["labels"]["severity"], in_s(a["endsAt"]) > 0) for a in alerts] for alerts in sent]
    assert told == [
        [("info", True)],
        [("warning", True), ("info", False)],
        [("critical", True), ("info", False), ("warning", False)],
        [("critical", False), ("info", False), ("warning", False)],
        [("critical", False), ("info", False), ("warning", False)],
    ]


def test_what_an_earlier_process_may_have_sent_is_ended_too_as_far_as_it_was_sent_here() -> None:
    for least, before in (("info", ["info", "warning"]), ("warning", ["warning"]), ("critical", [])):
        (alerts,) = posted("escalated", min_severity=least)
        assert [alert["labels"]["severity"] for alert in alerts[1:]] == before


def test_how_many_incidents_are_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "KNOWN_MAX", 3)
    sink = Alertmanager("am", url="https://am.example")
    for number in range(9):
        sink.request(parcel(with_data(incident_id=f"inc_{number}")))
    assert len(sink._severities) == 3


async def test_it_is_posted_where_alertmanager_listens_with_a_token_that_is_not_shown() -> None:
    async with chaos(answers(200)) as server:
        base = f"http://127.0.0.1:{server.port}"
        for url in (base, f"{base}/", f"{base}{PATH}", f"{base}/prefix/"):
            sink = Alertmanager("am", url=url, token="canary", allow_cidrs=HERE)
            async with started(sink):
                assert (await sink.send(parcel(ALERTS["opened"]))).delivery is Delivery.DELIVERED
            assert "canary" not in repr(sink) + repr(vars(sink))
        paths = [request.line.split()[1] for request in server.requests]
        assert paths == [PATH, PATH, PATH, f"/prefix{PATH}"]
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer canary"}


def test_a_token_that_would_be_another_header_is_refused_and_not_shown() -> None:
    for token in ("canary\r\nX: y", "two canaries", "canäry"):
        with pytest.raises(ValueError, match="one word") as told:
            Alertmanager("am", url="https://am.example", token=token)
        assert "can" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "delivery"),
    [(200, Delivery.DELIVERED), (400, Delivery.REJECTED)]
    + [(status, Delivery.RETRY) for status in (302, 401, 403, 404, 405, 410, 429, 500, 503)],
)
async def test_a_letter_is_given_up_only_where_it_is_the_letters_fault(status: int, delivery: Delivery) -> None:
    outcome = await answered(Alertmanager, status)
    assert outcome.delivery is delivery and str(status) in outcome.why


def test_a_hostile_name_is_one_visible_line() -> None:
    (alerts,) = bodies(Alertmanager, with_data(markets=["BTC\n\u202e"], title="BTC\n"))
    assert alerts[0]["labels"]["market"] == "BTC\\n" and alerts[0]["annotations"]["summary"] == "BTC\\n"


def test_the_clock_of_these_tests_is_the_incidents() -> None:
    assert datetime.fromtimestamp(NOW_S, UTC).date().isoformat() == ALERTS["opened"].timestamp[:10]

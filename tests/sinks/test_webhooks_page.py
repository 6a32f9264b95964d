"""docs/webhooks.md: its receiver works as it stands there, and its numbers are the program's."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from detector.daemon.circuit import BACKOFF_MAX_S, BACKOFF_MIN_S, FAILURES_MAX
from detector.daemon.delivery import DeliverySettings
from detector.incidents.alerting import BODY_BYTES_MAX
from detector.incidents.explain import SUMMARY_MAX, TITLE_MAX
from detector.page import receiver
from detector.sinks.base import Delivery
from detector.sinks.http import CONNECTIONS_MAX, REFUSED_STATUS, RETRY_AFTER_MAX_S, judged
from detector.sinks.signature import KEY_BYTES_MAX, KEY_BYTES_MIN, TOLERANCE_S
from detector.sinks.webhook import Webhook
from detector.wiring.settings import Settings
from tests.house.tree import ROOT
from tests.sinks.letters import ALERTS, parcel
from tests.sinks.test_signature import OTHER, SECRET

TEXT = (ROOT / "docs/webhooks.md").read_text("utf-8")
WORDS = " ".join(TEXT.split())


@pytest.fixture(scope="module")
def code() -> dict[str, Any]:
    """What the document's Python defines."""
    (snippet,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(snippet, "docs/webhooks.md", "exec"), names)
    return names


class Story:
    """The document's receiver, fed with what the sink sends."""

    def __init__(self, code: dict[str, Any]) -> None:
        self.code = code
        self.kept = SimpleNamespace(seen=set(), newest={})
        self.did: list[tuple[str, bool]] = []
        self.failing = False

    def act(self, incident_id: str, firing: bool, data: dict[str, Any]) -> None:
        if self.failing:
            raise OSError("the disk is full")
        self.did.append((data["reason"], firing))

    def tell(self, name: str, *secrets: str) -> int:
        sink = Webhook("there", url="https://hooks.example/", secrets=secrets or [SECRET])
        headers, body = sink.request(parcel(ALERTS[name]))
        lower = {key.lower(): value for key, value in headers.items()}
        return int(self.code["receive"](SECRET, lower, body, self.kept, self.act))


def test_the_documents_receiver_does_once_and_in_order_what_is_genuine(code: dict[str, Any]) -> None:
    story = Story(code)
    story.failing = True
    with pytest.raises(OSError, match="disk"):
        story.tell("opened")
    story.failing = False
    assert [story.tell(name) for name in ("opened", "opened", "resolved", "updated", "reopened")] == [200] * 5
    assert story.did == [("opened", True), ("resolved", False), ("opened", True)]


def test_the_documents_receiver_refuses_forgeries_and_recordings_and_takes_either_key_of_a_rotation(
    code: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(code)
    assert story.tell("opened", OTHER) == 401 and story.did == []
    assert story.tell("opened", OTHER, SECRET) == 200
    headers, body = Webhook("there", url="https://hooks.example/", secrets=[SECRET]).request(parcel(ALERTS["opened"]))
    genuine, now_s = code["genuine"], int(headers["webhook-timestamp"])
    assert genuine(SECRET, headers, body) and not genuine(SECRET, headers, body + b" ")
    for off_s, expected in ((TOLERANCE_S, True), (TOLERANCE_S + 1, False), (-TOLERANCE_S - 1, False)):
        monkeypatch.setattr(code["time"], "time", lambda off_s=off_s: float(now_s + off_s))
        assert genuine(SECRET, headers, body) is expected


def test_every_alert_that_is_sent_can_be_received(code: dict[str, Any]) -> None:
    story = Story(code)
    assert {story.tell(name) for name in ALERTS} == {200}


def statuses(text: str) -> set[int]:
    """ "400, 411 to 417" as numbers."""
    found = {int(number) for number in re.findall(r"\d{3}", text)}
    for first, last in re.findall(r"(\d{3}) to (\d{3})", text):
        found |= set(range(int(first), int(last) + 1))
    return found


def test_the_documents_table_of_answers_is_what_the_sink_does() -> None:
    refused, again = (
        statuses(next(row for row in TEXT.splitlines() if row.startswith(begin)).split("|")[1])
        for begin in ("| 400", "| every other 4xx")
    )
    assert refused == REFUSED_STATUS
    for status in range(200, 600):
        outcome = judged(status, "", 0.0).delivery
        expected = (
            Delivery.DELIVERED if status < 300 else Delivery.REJECTED if status in refused | {410} else Delivery.RETRY
        )
        assert outcome is expected, status
    assert all(judged(status, "", 0.0).delivery is Delivery.RETRY for status in again)
    assert judged(429, "3600", 0.0).retry_after_s == judged(503, "3600", 0.0).retry_after_s == RETRY_AFTER_MAX_S


def test_the_documents_numbers_are_the_programs() -> None:
    settings, delivery = Settings(), DeliverySettings()
    for sentence in (
        f"more than {TOLERANCE_S} s from your clock",
        f"{KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes",
        f"{BODY_BYTES_MAX:,} bytes at most",
        f"Take {receiver.BODY_BYTES_MAX >> 10} KiB",
        f"`title` has {TITLE_MAX} characters at most, `summary` {SUMMARY_MAX:,}",
        f"`delivery.timeout` ({settings.delivery.timeout} for all",
        f"obeyed up to {RETRY_AFTER_MAX_S:g} s",
        f"anything up to {BACKOFF_MIN_S:g} s after the first failure",
        f"up to {BACKOFF_MAX_S:g} s. After {FAILURES_MAX} failures in a row",
        f"`delivery.give_up_after` ({settings.delivery.give_up_after.s / 3600:g} h)",
        f"`delivery.late_after` ({settings.delivery.late_after.s:g} s)",
        f"`delivery.concurrency` ({settings.delivery.concurrency}) attempts and as many connections",
        f"some {receiver.SEEN_MAX:,} of each",
    ):
        assert sentence.replace("10s for", "10 s for") in WORDS, sentence
    assert settings.delivery.concurrency == CONNECTIONS_MAX
    assert (delivery.backoff_min_s, delivery.backoff_max_s) == (BACKOFF_MIN_S, BACKOFF_MAX_S)


def test_the_document_names_what_the_schema_does() -> None:
    schema = json.loads((ROOT / "docs/schema/alert-v1.json").read_text("utf-8"))
    for name in ("seq", "status", "delayed_by_s", "durability", "reopened", "momentary", "omitted", "title", "summary"):
        assert f"`{name}`" in TEXT or f'"{name}"' in TEXT
        assert any(name in part["properties"] for part in schema["$defs"].values() if "properties" in part)

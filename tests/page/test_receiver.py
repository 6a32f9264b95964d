"""The receiver to copy: genuine, once, in order, and only remembered when it was handled."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from detector.page import receiver as receivers
from detector.page.receiver import Act, Receiver, Word
from detector.sinks.base import Delivery, Parcel
from detector.sinks.signature import TOLERANCE_S, Secret, sign
from detector.sinks.webhook import Webhook
from tests.sinks.letters import ALERTS, parcel
from tests.sinks.test_signature import OTHER, SECRET

NOW_S = 1_795_343_000


def word(seq: int, status: str = "firing", incident_id: str = "inc_1", type_: str = "updated") -> dict[str, Any]:
    data = {"incident_id": incident_id, "seq": seq, "status": status, "severity": "warning", "title": "Cancels"}
    return {"type": f"foreshock.incident.{type_}", "timestamp": "2026-11-22T10:03:31.120Z", "data": data}


class Story:
    """A receiver and what its handler did: "ACT seq"."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.failing = False
        self.receiver = Receiver([SECRET], self.handle, clock=lambda: float(NOW_S))

    def handle(self, came: Word) -> None:
        if self.failing:
            raise OSError("the disk is full")
        self.did.append(f"{came.act} {came.alert.data.seq}")

    def tell(
        self, alert: dict[str, Any], key: str = "", secret: str = SECRET, at_s: int = NOW_S, body: bytes = b""
    ) -> int:
        key = key or f"{alert['data']['incident_id']}_{alert['data']['seq']}"
        body = body or json.dumps(alert).encode()
        headers = {
            "webhook-id": key,
            "webhook-timestamp": str(at_s),
            "webhook-signature": sign((Secret(secret),), key, at_s, body),
        }
        return self.receiver.take(headers, body)[0]


def test_a_word_comes_again_until_it_was_handled_and_is_then_handled_once() -> None:
    story = Story()
    story.failing = True
    with pytest.raises(OSError, match="disk"):
        story.tell(word(1))
    story.failing = False
    assert [story.tell(word(1)) for _ in range(3)] == [200, 200, 200]
    assert story.did == ["open 1"] and story.receiver.again == 2


def test_a_word_older_than_what_was_handled_is_answered_and_not_acted_on() -> None:
    story = Story()
    assert [story.tell(alert) for alert in (word(1), word(3, "resolved"), word(2))] == [200, 200, 200]
    assert story.did == ["open 1", "close 3"] and story.receiver.late == 1


def test_an_acknowledgement_has_the_number_of_the_word_before_it_and_is_not_late() -> None:
    story = Story()
    story.tell(word(2))
    assert story.tell(word(2, type_="acknowledged"), key="inc_1_2a") == 200
    assert story.did == ["open 2", "update 2"]


def test_what_opens_and_closes_is_the_status_and_not_the_type() -> None:
    story = Story()
    for alert in (
        word(2, type_="escalated"),  # the first that a destination with a min_severity hears of
        word(3),
        word(4, "resolved"),
        word(5, type_="opened"),  # again, under its id
        word(1, "resolved", "heartbeat_7"),
    ):
        assert story.tell(alert) == 200
    assert story.did == ["open 2", "update 3", "close 4", "open 5", "nothing open 1"]


def test_incidents_have_an_order_each() -> None:
    story = Story()
    story.tell(word(7))
    assert story.tell(word(1, incident_id="inc_2")) == 200
    assert story.did == ["open 7", "open 1"]


def test_what_is_forged_or_old_is_refused_in_a_way_that_lets_it_come_again() -> None:
    story = Story()
    assert story.tell(word(1), secret=OTHER) == 401
    assert story.tell(word(1), at_s=NOW_S - TOLERANCE_S - 1) == 401
    assert story.receiver.take({}, b"{}")[0] == 401
    assert story.tell(word(1)) == 200
    assert story.did == ["open 1"] and story.receiver.refused == 3


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no JSON", b'{"type":"t","timestamp":"","data":{"seq":1}}'])
def test_what_is_genuine_but_no_alert_is_refused_for_good(body: bytes) -> None:
    story = Story()
    assert story.tell(word(1), body=body) == 400
    assert story.did == []


def test_its_memory_is_bounded_and_what_ended_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "SEEN_MAX", 3)
    monkeypatch.setattr(receivers, "INCIDENTS_MAX", 2)
    story = Story()
    story.tell(word(5, incident_id="inc_a"))
    story.tell(word(5, "resolved", incident_id="inc_b"))
    story.tell(word(5, incident_id="inc_c"))  # inc_b goes, which ended, and not inc_a, which is older
    story.did.clear()
    story.tell(word(6, incident_id="inc_a"))
    story.tell(word(4, incident_id="inc_b"))
    assert story.did == ["update 6", "open 4"]
    assert len(story.receiver._seen) == 3 and len(story.receiver._firing) + len(story.receiver._ended) == 2


@asynccontextmanager
async def sending(receiver: Receiver, secret: str = SECRET) -> AsyncIterator[Webhook]:
    sink = Webhook("oncall", url=receiver.url, secrets=[secret], allow_cidrs=["127.0.0.0/8"])
    await sink.start()
    try:
        yield sink
    finally:
        await sink.close()


async def test_over_http_a_word_that_failed_is_sent_again_and_a_forgery_is_not_handled() -> None:
    calls: list[str] = []

    def fails_once(came: Word) -> None:
        calls.append(came.key)
        if len(calls) == 1:
            raise OSError("the disk is full")

    receiver = Receiver([SECRET], fails_once)
    await receiver.start()
    letter = parcel(ALERTS["opened"])
    async with sending(receiver) as sink, sending(receiver, OTHER) as forger:
        outcomes = [(await sink.send(letter)).delivery for _ in range(3)]
        assert (await forger.send(letter)).delivery is Delivery.RETRY
        too_long = Parcel("x_1", "x", "info", bytes(receivers.BODY_BYTES_MAX + 1))
        assert (await sink.send(too_long)).delivery is Delivery.REJECTED
    await receiver.close()
    assert outcomes == [Delivery.RETRY, Delivery.DELIVERED, Delivery.DELIVERED]
    assert calls == [letter.key] * 2 and (receiver.handled, receiver.again, receiver.refused) == (1, 1, 1)


async def test_it_takes_one_of_each_that_is_sent() -> None:
    acts: list[Act] = []
    receiver = Receiver([SECRET], lambda came: acts.append(came.act))
    await receiver.start()
    async with sending(receiver) as sink:
        for alert in ALERTS.values():
            assert (await sink.send(parcel(alert))).delivery is Delivery.DELIVERED
    await receiver.close()
    assert receiver.refused == 0 and set(acts) == set(Act)

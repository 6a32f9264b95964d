"""The webhook against a server that misbehaves: what each answer means, and that nothing leads inside or leaks."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest

from detector.sinks.base import Delivery, Parcel
from detector.sinks.http import GONE, RETRY_AFTER_MAX_S, Guard, judged
from detector.sinks.signature import Secret, Verdict, verify
from detector.sinks.webhook import Webhook
from tests.sinks import chaos as bad
from tests.sinks.chaos import answers, chaos
from tests.sinks.test_signature import OTHER, SECRET

PARCEL = Parcel("inc_1_1", "inc_1", "critical", b'{"type":"foreshock.test","timestamp":"","data":{}}')
HERE = ["127.0.0.0/8"]


@asynccontextmanager
async def webhook(url: str, **more: Any) -> AsyncIterator[Webhook]:
    settings: dict[str, Any] = {"secrets": [SECRET], "allow_cidrs": HERE, "timeout_s": 0.5}
    sink = Webhook("oncall", url=url, **(settings | more))
    await sink.start()
    try:
        yield sink
    finally:
        await sink.close()


async def test_an_alert_arrives_signed_and_whole() -> None:
    async with chaos(answers(204)) as server, webhook(server.url, secrets=[SECRET, OTHER]) as sink:
        assert (await sink.send(PARCEL)).delivery is Delivery.DELIVERED
        (request,) = server.requests
        assert request.body == PARCEL.body and request.key == PARCEL.key
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept-encoding"] == "identity"
        for secret in (SECRET, OTHER):
            assert verify((Secret(secret),), request.headers, request.body, time.time()) is Verdict.GENUINE


async def test_connections_are_used_again() -> None:
    async with chaos(answers(200, body=b"thanks")) as server, webhook(server.url) as sink:
        for _ in range(5):
            await sink.send(PARCEL)
        assert server.connections == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_only_two_hundreds_are_success(status: int) -> None:
    async with chaos(answers(status)) as server, webhook(server.url) as sink:
        assert (await sink.send(PARCEL)).delivery is Delivery.DELIVERED


@pytest.mark.parametrize(
    "status", [301, 302, 307, 401, 403, 404, 405, 407, 408, 409, 421, 423, 425, 429, 451, 500, 502, 503, 504, 599, 600]
)
async def test_what_may_pass_is_tried_again(status: int) -> None:
    async with chaos(answers(status)) as server, webhook(server.url) as sink:
        outcome = await sink.send(PARCEL)
        assert outcome.delivery is Delivery.RETRY and str(status) in outcome.why


@pytest.mark.parametrize("status", [400, 406, 410, 411, 413, 414, 415, 417, 422, 431])
async def test_what_the_receiver_refuses_is_not_sent_again(status: int) -> None:
    async with chaos(answers(status)) as server, webhook(server.url) as sink:
        outcome = await sink.send(PARCEL)
        assert outcome.delivery is Delivery.REJECTED
        assert (outcome.why == GONE) == (status == 410)


async def test_a_redirect_is_not_followed() -> None:
    async with chaos(answers(200)) as inner:
        async with chaos(answers(302, f"Location: {inner.url}")) as server, webhook(server.url) as sink:
            assert (await sink.send(PARCEL)).delivery is Delivery.RETRY
        assert inner.requests == []


@pytest.mark.parametrize(
    "behaviour",
    [bad.resets, bad.hangs_up, bad.says_nothing, bad.drips, bad.talks_nonsense, bad.endless_headers],
)
async def test_a_broken_answer_is_tried_again_and_within_the_time(behaviour: bad.Behaviour) -> None:
    async with chaos(behaviour) as server, webhook(server.url) as sink:
        began = time.monotonic()
        outcome = await sink.send(PARCEL)
        assert outcome.delivery is Delivery.RETRY and time.monotonic() - began < 2.0
        assert "secret-path" not in outcome.why


@pytest.mark.parametrize("behaviour", [bad.floods, bad.tears])
async def test_the_status_has_spoken_whatever_the_body_does(behaviour: bad.Behaviour) -> None:
    async with chaos(behaviour) as server, webhook(server.url) as sink:
        began = time.monotonic()
        assert (await sink.send(PARCEL)).delivery is Delivery.DELIVERED
        assert time.monotonic() - began < 2.0


async def test_a_long_body_is_not_read() -> None:
    async with chaos(answers(200, body=bytes(1 << 20))) as server, webhook(server.url) as sink:
        assert (await sink.send(PARCEL)).delivery is Delivery.DELIVERED
        assert (await sink.send(PARCEL)).delivery is Delivery.DELIVERED
        assert server.connections == 2


async def test_nobody_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with webhook(f"http://127.0.0.1:{port}/secret-path") as sink:
        outcome = await sink.send(PARCEL)
        assert outcome.delivery is Delivery.RETRY and "secret-path" not in outcome.why


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7.0),
        ("99999999", RETRY_AFTER_MAX_S),
        ("0", 0.0),
        (formatdate(1_000_050, usegmt=True), 50.0),
        (formatdate(1_000_100, usegmt=True), RETRY_AFTER_MAX_S),
        (formatdate(999_000, usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("1e9", None),
        ("Mon, 99 Foo 20000000 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(header: str, expected: float | None) -> None:
    assert judged(503, header, 1_000_000.0).retry_after_s == expected


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "ff02::1", "198.18.0.1", "192.0.2.1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not Guard().allows(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert Guard().allows(address)


def test_an_allowed_network_is_allowed_and_only_it() -> None:
    guard = Guard(["10.0.0.0/8", "::1/128"])
    assert guard.allows("10.9.9.9") and guard.allows("::1") and guard.allows("::ffff:10.1.1.1")
    assert not guard.allows("192.168.0.1") and not guard.allows("127.0.0.1")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1"]
)
async def test_no_spelling_of_loopback_is_connected_to(host: str) -> None:
    async with chaos(answers(200)) as server:
        async with webhook(f"http://{host}:{server.port}/secret-path", allow_http=True, allow_cidrs=[]) as sink:
            outcome = await sink.send(PARCEL)
            assert outcome.delivery is Delivery.RETRY and "secret-path" not in outcome.why
        assert server.connections == 0


async def test_the_reason_of_a_refused_address_tells_what_to_do() -> None:
    async with webhook("http://127.0.0.1:9/x", allow_http=True, allow_cidrs=[]) as sink:
        assert "allow_cidrs" in (await sink.send(PARCEL)).why


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://hooks.example/x", "in the clear"),
        ("http://127.0.0.1/x", "in the clear"),
        ("ftp://hooks.example/x", "https"),
        ("hooks.example", "https"),
        ("https://user:canary-5ecret@hooks.example/x", "user or password"),
        ("https://[::1/x", "not readable"),
        ("https://hooks.example:99999/x", "not readable"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_a_sentence_and_not_shown(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as told:
        Webhook("oncall", url=url, secrets=[SECRET])
    assert "canary" not in str(told.value) and "/x" not in str(told.value)


@pytest.mark.parametrize("secrets", [[], [SECRET] * 3, ["no"]])
def test_a_webhook_has_one_or_two_good_secrets(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        Webhook("oncall", url="https://hooks.example", secrets=secrets)


def test_a_bad_network_is_refused() -> None:
    with pytest.raises(ValueError, match="allow_cidrs"):
        Webhook("oncall", url="https://hooks.example", secrets=[SECRET], allow_cidrs=["10.0.0.1/8"])


def test_no_repr_shows_a_secret() -> None:
    sink = Webhook("oncall", url="https://hooks.example/T0/canary", secrets=[SECRET])
    assert repr(sink) == "Webhook('oncall', https://hooks.example)"
    assert SECRET[6:] not in repr(vars(sink))


async def test_many_at_once_all_arrive() -> None:
    async with chaos(answers(200)) as server, webhook(server.url, timeout_s=5.0) as sink:
        outcomes = await asyncio.gather(*(sink.send(PARCEL) for _ in range(40)))
        assert {outcome.delivery for outcome in outcomes} == {Delivery.DELIVERED}
        assert len(server.requests) == 40 and server.connections <= 4

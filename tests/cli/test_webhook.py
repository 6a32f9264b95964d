"""foreshock webhook: a test that opens and ends, and a receiver beside it that says what to do."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from detector.cli.base import Exit
from detector.daemon import notices
from detector.sinks.base import Outcome
from tests.cli.calling import Foreshock
from tests.house.tree import ROOT
from tests.sinks.chaos import Behaviour, Chaos, answers, chaos
from tests.sinks.letters import parcel
from tests.sinks.test_webhook import webhook as sink_to

SECRET = "whsec_" + "c2VjcmV0" * 4
SLACK = 'type = "slack"\nurl = '
WEBHOOK = f'type = "webhook"\nsecret = "{SECRET}"\nurl = '


def tried(foreshock: Foreshock, behaviour: Behaviour, *options: str, table: str = WEBHOOK, least: str = "info"):  # type: ignore[no-untyped-def]
    """The command's answer, and what the destination was sent."""
    return asyncio.run(_tried(foreshock, behaviour, options, table, least))


async def _tried(foreshock: Foreshock, behaviour: Behaviour, options: tuple[str, ...], table: str, least: str):  # type: ignore[no-untyped-def]
    async with chaos(behaviour) as server:
        lines = [f'[destinations.here]\n{table}"{server.url}"', f'min_severity = "{least}"', "allow_http = true"]
        Path("own.toml").write_text("\n".join([*lines, 'allow_cidrs = ["127.0.0.0/8"]']))
        arguments = ("webhook", "test", "here", *options, "--config", "own.toml")
        return await asyncio.to_thread(foreshock, *arguments), server


def sent(server: Chaos) -> list[tuple[str, int, str]]:
    told = [json.loads(request.body)["data"] for request in server.requests]
    assert len({data["incident_id"] for data in told}) <= 1
    return [(data["status"], data["seq"], data["severity"]) for data in told]


def test_a_test_fires_and_then_ends_under_the_same_id_and_says_what_was_answered(foreshock: Foreshock) -> None:
    answer, server = tried(foreshock, answers(204))
    assert answer.code == Exit.DONE and sent(server) == [("firing", 1, "info"), ("resolved", 2, "info")]
    assert [request.key[-2:] for request in server.requests] == ["_1", "_2"]
    assert answer.out.splitlines() == [
        "here: firing, info, seq 1: delivered 204", "here: resolved, info, seq 2: delivered 204",
    ]  # fmt: skip


def test_a_test_is_as_grave_as_the_destination_asks_or_as_it_is_told(foreshock: Foreshock) -> None:
    assert sent(tried(foreshock, answers(200), least="warning")[1])[0] == ("firing", 1, "warning")
    _, server = tried(foreshock, answers(200), "--severity", "critical", least="warning")
    assert sent(server) == [("firing", 1, "critical"), ("resolved", 2, "critical")]


@pytest.mark.parametrize("severity", ["info", "page"])
def test_what_the_daemon_would_not_send_is_not_tried(foreshock: Foreshock, severity: str) -> None:
    answer, server = tried(foreshock, answers(200), "--severity", severity, least="warning")
    assert answer.code == Exit.USAGE and server.requests == []


def test_what_is_not_delivered_is_not_ended_and_its_code_is_4(foreshock: Foreshock) -> None:
    for status, word in ((400, "refused for good: answered 400"), (503, "not delivered: answered 503"), (410, "gone")):
        answer, server = tried(foreshock, answers(status))
        assert answer.code == Exit.UNREACHABLE and word in answer.out and len(server.requests) == 1


def test_an_end_that_is_refused_is_code_4_too(foreshock: Foreshock) -> None:
    async def only_firing(request, writer) -> None:  # type: ignore[no-untyped-def]
        await answers(200 if b'"firing"' in request.body else 422)(request, writer)

    answer, server = tried(foreshock, only_firing)
    assert answer.code == Exit.UNREACHABLE and len(server.requests) == 2
    assert "resolved, info, seq 2: refused for good: answered 422" in answer.out


def test_a_chat_is_shown_a_test_and_not_its_end(foreshock: Foreshock) -> None:
    answer, server = tried(foreshock, answers(200), table=SLACK)
    assert answer.code == Exit.DONE and len(server.requests) == 1
    assert "resolved, info, seq 2: left out" in answer.out


@contextmanager
def listening(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`foreshock webhook listen` in a process of its own."""
    Path("key").write_text(SECRET)
    Path("key").chmod(0o600)
    arguments = [sys.executable, "-c", "from detector.cli import main; main()", "webhook", "listen", "--secret-file"]
    with subprocess.Popen(
        [*arguments, "key", "--port", "0", *options], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().split()[2]
        try:
            yield process, url
        finally:
            process.terminate()


async def _send(url: str, *alerts: tuple[str, int]) -> list[Outcome]:
    async with sink_to(url, secrets=[SECRET], timeout_s=5.0) as sink:
        return [await sink.send(parcel(notices.degraded("x", 0.0, "X", "", firing=status == "firing", seq=seq, severity="info")))
                for status, seq in alerts]  # fmt: skip


def test_the_listener_says_each_alert_once_and_in_order_and_what_to_do(foreshock: Foreshock) -> None:
    with listening("--count", "2") as (process, url):
        asyncio.run(_send(url, ("firing", 1), ("firing", 1), ("resolved", 3), ("firing", 2)))
        out = process.communicate(timeout=10)[0].splitlines()
    assert process.returncode == Exit.DONE
    assert [line.partition(" foreshock.degraded ")[2] for line in (out[0], out[2])] == [
        "degraded_x seq 1: X", "degraded_x seq 3: X",
    ]  # fmt: skip
    assert "Z open: info" in out[0] and "Z close: info" in out[2]
    assert out[1] == "again: degraded_x_1"
    assert out[-1].startswith("2 alerts, 1 repeated, ")


def test_a_test_reaches_the_listener(foreshock: Foreshock) -> None:
    with listening("--count", "2") as (process, url):
        table = f'[destinations.here]\n{WEBHOOK}"{url}"\nallow_http = true\nallow_cidrs = ["127.0.0.0/8"]\n'
        Path("own.toml").write_text(table)
        assert foreshock("webhook", "test", "here", "--config", "own.toml").code == Exit.DONE
        out = process.communicate(timeout=10)[0]
    assert out.count("foreshock.test") == 2 and "2 alerts, 0 repeated, 0 late, 0 refused" in out

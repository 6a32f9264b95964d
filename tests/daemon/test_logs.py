"""What is logged: no secret, no line that moves the cursor, no flood."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from detector.daemon import logs, systemd
from detector.daemon.logs import BURST, KINDS_MAX, REPEAT_S, Repeats
from detector.daemon.telemetry import NAMES_MAX, Telemetry

CANARY = "canary-5ecret"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before = (logging.getLogger().handlers, logging.getLogger().level)
    yield io.StringIO()
    structlog.reset_defaults()
    logging.getLogger().handlers, level = before
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_ever_shown(stream: io.StringIO, as_json: bool) -> None:
    logs.configure("debug", json=as_json, stream=stream)
    log = structlog.get_logger()
    log.info("a", secret=CANARY, webhook_token=CANARY, settings={"password": CANARY, "deep": [{"api_key": CANARY}]})
    log.info("b", url=f"https://user:{CANARY}@host/x", header=f"Authorization: Bearer {CANARY}")
    log.info("c", text=f"whsec_{CANARY}", thing=Exception(f"whsec_{CANARY}"), many=(f"whsec_{CANARY}",))
    log.info(f"d whsec_{CANARY}")
    try:
        raise ValueError(f"whsec_{CANARY}")
    except ValueError:
        log.exception("e")
    logging.getLogger("library").error("f whsec_%s", CANARY)
    assert CANARY not in stream.getvalue()
    assert stream.getvalue().count("***") >= 10


def test_a_traceback_shows_no_local_variable(stream: io.StringIO) -> None:
    logs.configure("info", json=True, stream=stream)

    def inner(held: str) -> None:
        raise RuntimeError("broken" + held[:0])

    try:
        inner(CANARY)
    except RuntimeError:
        structlog.get_logger().exception("a mistake of ours")
    assert "broken" in stream.getvalue() and CANARY not in stream.getvalue()


def test_json_is_one_object_a_line_with_its_fields(stream: io.StringIO) -> None:
    logs.configure("info", json=None, stream=stream)
    log = structlog.get_logger()
    log.info("two\nlines", market="BTC\x1b[2J\u202e", partition=3)
    log.debug("not shown")
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told | {"ts": ""} == {
        "event": "two\\nlines", "level": "info", "market": "BTC\\x1b[2J\\u202e", "partition": 3, "ts": "",
    }  # fmt: skip


def test_the_console_obeys_nothing_either(stream: io.StringIO) -> None:
    logs.configure("info", json=False, stream=stream)
    structlog.get_logger().warning("x", market="\x1b]0;owned\x07\n2026 [info] all is well")
    assert "\x1b]" not in stream.getvalue() and "\x07" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_libraries_speak_from_warning_on(stream: io.StringIO) -> None:
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)  # a source that another test started silences it
    logs.configure("info", json=True, stream=stream)
    logging.getLogger("aiokafka").info("chatter")
    logging.getLogger("aiokafka").warning("%d of %s", 3, "x")
    logging.getLogger("aiokafka").warning("wrong %d", "arguments")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["library"]) for line in told] == [("3 of x", "aiokafka"), ("wrong %d", "aiokafka")]


def test_repeats_are_left_out_and_counted() -> None:
    now = [0.0]
    repeats = Repeats(clock=lambda: now[0])

    def say(event: str) -> dict[str, object] | None:
        try:
            return dict(repeats(None, "warning", {"event": event}))
        except structlog.DropEvent:
            return None

    assert [say("x") is not None for _ in range(BURST + 20)] == [True] * BURST + [False] * 20
    assert say("y") is not None
    now[0] = REPEAT_S
    assert say("x") == {"event": "x", "left_out": 20}
    for number in range(2 * KINDS_MAX):
        say(str(number))
    assert len(repeats._seen) == KINDS_MAX


def test_a_label_has_only_so_many_values() -> None:
    telemetry = Telemetry()
    for number in range(NAMES_MAX + 50):
        telemetry.reject(f"reason {number}: with a quote of the record")
    value = telemetry.registry.get_sample_value("foreshock_dead_letters_total", {"reason": "other"})
    assert value == 50


def test_systemd_hears_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert systemd.notify("READY=1", "STATUS=fine\nMAINPID=1")
        assert wire.recv(1024) == b"READY=1\nSTATUS=fine MAINPID=1"


@pytest.mark.parametrize("path", ["", "relative", "/nobody/listens/here"])
def test_without_systemd_nothing_happens(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize(("usec", "pid", "expected"), [("30000000", "", 15.0), ("30000000", "1", 0.0), ("x", "", 0.0)])
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(
    usec: str, pid: str, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert systemd.watchdog_s() == expected

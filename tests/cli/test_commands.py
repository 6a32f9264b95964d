"""Commands are found by their names, say what they do, and exit with the contract's codes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detector.cli import COMMANDS
from detector.cli.base import Exit, printable
from detector.sources import kafka_reach
from tests.cli.calling import Answer
from tests.house.tree import ROOT

HEAVY = {"numpy", "numba", "pydantic", "rich", "aiohttp", "aiokafka", "msgspec", "river", "pyod", "structlog"}


def test_the_help_imports_nothing_heavy_so_that_it_comes_at_once() -> None:
    program = "import sys; import detector.cli; print(' '.join(sorted({m.partition('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_the_help_lists_every_command_of_the_contract(foreshock) -> None:  # type: ignore[no-untyped-def]
    answer: Answer = foreshock("--help")
    assert answer.code == Exit.DONE
    for name in (
        "run",
        "replay",
        "demo",
        "check",
        "config",
        "doctor",
        "explain",
        "incident",
        "outbox",
        "dlq",
        "webhook",
    ):
        assert f"\n  {name} " in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_imported_and_says_in_its_help_what_the_list_says(foreshock, name: str) -> None:  # type: ignore[no-untyped-def]
    answer: Answer = foreshock(name, "--help")
    assert answer.code == Exit.DONE
    assert COMMANDS[name].split(":")[0].rstrip(".")[:30] in " ".join(answer.out.split())


def test_every_module_that_holds_a_command_is_in_the_list() -> None:
    modules = [
        path for path in (ROOT / "detector/cli").glob("*.py") if "\napp = command_line(" in path.read_text("utf-8")
    ]
    assert {path.stem for path in modules} - {"__init__"} == set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nosuch",), Exit.USAGE),
        (("check", "--nosuch"), Exit.USAGE),
        (("check", "--config", "absent.toml"), Exit.CONFIGURATION),
        (("run", "--config", "absent.toml"), Exit.CONFIGURATION),
        (("outbox", "ls"), Exit.STATE),
        (("dlq", "ls"), Exit.STATE),
        (("incident", "ls"), Exit.STATE),
        (("explain", "inc_x"), Exit.STATE),
        (("webhook", "test", "nobody"), Exit.CONFIGURATION),
    ],
)
def test_a_refusal_has_the_contracts_code_and_a_sentence_and_no_trace(foreshock, arguments, code: Exit) -> None:  # type: ignore[no-untyped-def]
    answer: Answer = foreshock(*arguments)
    assert answer.code == code
    assert answer.err.strip() and "Traceback" not in answer.err


def test_a_right_configuration_is_said_to_be_right(foreshock) -> None:  # type: ignore[no-untyped-def]
    answer: Answer = foreshock("check", "--config", str(ROOT / "config/foreshock.toml"))
    assert (answer.code, answer.err) == (Exit.DONE, "")
    assert "right" in answer.out


def test_what_cannot_be_reached_is_named(foreshock, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    answer: Answer = foreshock("check", "--online")
    assert answer.code == Exit.UNREACHABLE
    assert "127.0.0.1:1" in answer.err


class Silent(BaseHTTPRequestHandler):
    """Knows no method, and says so."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def http_server() -> Iterator[int]:
    """The port of something that speaks HTTP, and nothing else."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_broker_that_is_none_is_named(foreshock, monkeypatch: pytest.MonkeyPatch, http_server: int) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP", f"127.0.0.1:{http_server}")
    monkeypatch.setattr(kafka_reach, "REACH_S", 1.0)
    answer: Answer = foreshock("check", "--online")
    assert answer.code == Exit.UNREACHABLE and f"127.0.0.1:{http_server}: " in answer.err


@pytest.mark.parametrize(
    ("scheme", "cidrs", "why"),
    [
        ("http", "127.0.0.0/8", ""),
        ("https", "127.0.0.0/8", "no TLS can be agreed on with it: "),
        ("https", "10.0.0.0/8", "127.0.0.1 is not a public address and not in allow_cidrs"),
    ],
)
def test_a_destination_is_reached_through_its_own_door(
    foreshock,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
    http_server: int,
    scheme: str,
    cidrs: str,
    why: str,
) -> None:
    monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    for name, value in {
        "TYPE": "webhook", "URL": f"{scheme}://127.0.0.1:{http_server}/T0/canary", "ALLOW_CIDRS": cidrs,
        "SECRET": "whsec_" + "c2VjcmV0" * 4, "ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"FORESHOCK_DESTINATIONS__PAGER__{name}", value)
    answer: Answer = foreshock("check", "--online")
    told = [line for line in answer.err.splitlines() if line.startswith("destinations.pager")]
    assert [why in line for line in told] == ([True] if why else []) and "canary" not in answer.err


def test_nobody_answers_where_no_daemon_runs(foreshock, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FORESHOCK_HTTP__BIND", "127.0.0.1:1")
    assert foreshock("health").code == Exit.UNREACHABLE


def test_the_effective_configuration_says_where_each_key_came_from_and_no_secret(
    foreshock,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORESHOCK_INCIDENTS__VENUE", "over-there")
    monkeypatch.setenv("FORESHOCK_HTTP__TOKEN", "canary-5512")
    answer: Answer = foreshock("config", "show", "--origin")
    (line,) = (line for line in answer.out.splitlines() if line.startswith("incidents.venue"))
    assert "over-there" in line and line.endswith("# FORESHOCK_INCIDENTS__VENUE")
    assert "canary" not in answer.out
    shown = json.loads(foreshock("config", "show", "--json").out)
    assert shown["settings"]["incidents"]["venue"] == "over-there"
    assert "canary" not in json.dumps(shown)


def test_a_terminal_is_not_steered_by_a_name() -> None:
    assert printable("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"


def test_the_doctor_finds_what_is_there(foreshock) -> None:  # type: ignore[no-untyped-def]
    answer: Answer = foreshock("doctor", "--json")
    found = {row["what"]: row["state"] for row in json.loads(answer.out)}
    assert answer.code == Exit.DONE
    assert found["python"] == found["aiokafka"] == found["configuration"] == "good"


def test_what_run_would_stumble_over_is_no_right_configuration(foreshock) -> None:  # type: ignore[no-untyped-def]
    Path("own.toml").write_text('[destinations.x]\ntype = "webhook"\nurl = "https://h.example/"\nsecret = "abc"\n')
    answer: Answer = foreshock("check", "--config", "own.toml")
    assert answer.code == Exit.CONFIGURATION and "destinations.x" in answer.err and not answer.out

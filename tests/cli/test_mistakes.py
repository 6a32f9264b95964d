"""Whatever goes wrong is one sentence and the contract's code; exit 1 means findings, and nothing else."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from detector.cli.base import Exit
from detector.sources.file import topic_of
from tests.cli.calling import Foreshock
from tests.house.tree import ROOT

LOG = b'{"type":"mark","ts":1700000000000000000,"market":"BTC-PERP","price":1}\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_bytes(LOG)
    return path


@pytest.mark.parametrize("output", ["--report", "--windows"])  # alerts: tests/replay/test_run.py
def test_a_full_disk_is_said(foreshock: Foreshock, log: Path, output: str) -> None:
    answer = foreshock("replay", log, output, "/dev/full", "--no-progress")
    assert answer.code == Exit.UNREACHABLE
    assert answer.err == "/dev/full: cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--labels", "latin.json"], Exit.USAGE, "labels: no JSON"),
        (["--grace", "inf"], Exit.USAGE, "--grace"),
        (["--grace", "nan"], Exit.USAGE, "--grace"),
        (["--early", "1e300"], Exit.USAGE, "--early"),
        (["kafka://127.0.0.1:99999/t"], Exit.USAGE, "kafka://HOST:PORT/TOPIC"),
        (["kafka://127.0.0.1:0/t"], Exit.USAGE, "port 0"),
        (["kafka://[::1/t"], Exit.USAGE, "kafka://HOST:PORT/TOPIC"),
        ([f"kafka://{'a' * 64}.example:9092/t"], Exit.USAGE, "kafka://HOST:PORT/TOPIC"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    foreshock: Foreshock, log: Path, arguments: list[str], code: Exit, word: str
) -> None:
    Path("latin.json").write_bytes(b'[{"name": "caf\xe9"}]')
    answer = foreshock("replay", log, *arguments)
    assert answer.code == code and word in answer.err and "Traceback" not in answer.err


def test_a_port_that_is_taken_is_said(foreshock: Foreshock) -> None:
    Path("key").write_text("whsec_" + "c2VjcmV0" * 4)
    Path("key").chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = foreshock("webhook", "listen", "--secret-file", "key", "--port", port)
    assert answer.code == Exit.UNREACHABLE and answer.err == f"--port {port}: Address already in use\n"


def test_a_files_name_may_be_any_bytes(foreshock: Foreshock, log: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.jsonl")
    log.rename(odd)
    assert topic_of(odd) == "caf\\xe9.jsonl"  # text, as alerts are
    answer = foreshock("replay", odd, "--report", "page.html", "--no-progress")
    assert answer.code == Exit.DONE and "caf\\xe9.jsonl" in Path("page.html").read_text("utf-8")
    assert foreshock("convert", odd, "out.parquet").code == Exit.DONE
    assert foreshock("convert", "out.parquet", os.fsdecode(b"caf\xe9.ndjson")).code == Exit.DONE
    answer = foreshock("convert", odd, os.fsdecode(b"caf\xe9.parquet"))
    assert answer.code == Exit.UNREACHABLE and "UTF-8" in answer.err


@pytest.mark.parametrize(("asked", "shown"), [([], False), (["--debug"], True)])
def test_our_own_mistake_is_one_line_and_no_finding(
    foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch, asked: list[str], shown: bool
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("two\nlines")

    monkeypatch.setattr("detector.cli.check.load", broken)
    answer = foreshock(*asked, "check")
    last = answer.err.splitlines()[-1]
    assert answer.code == Exit.MISTAKE == 70
    assert last.startswith("this is a mistake in foreshock: AssertionError: two lines")
    assert ("Traceback" in answer.err) == shown == (len(answer.err.splitlines()) > 1)


def test_what_is_printed_where_no_room_is_left_is_no_finding() -> None:
    with Path("/dev/full").open("w") as full:
        arguments = [sys.executable, "-c", "from detector.cli import main; main()", "config", "template"]
        done = subprocess.run(arguments, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == Exit.UNREACHABLE
    assert done.stderr.splitlines() == ["[Errno 28] No space left on device"]


def test_the_readme_and_the_help_list_every_code(foreshock: Foreshock) -> None:
    for text in ((ROOT / "README.md").read_text("utf-8"), foreshock("--help").out):
        (listed,) = re.findall(r"Exit codes: ([^.(]*)", text)
        assert [int(code) for code in re.findall(r"\d+", listed)] == list(Exit)

"""What is read is never written over, whatever it is called: a recording cannot be made again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detector.cli.base import Exit
from tests.cli.calling import Foreshock

LOG = b'{"type":"mark","ts":1700000000000000000,"market":"BTC-PERP","price":1}\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """log.jsonl, and in folder/ two more names of it."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(LOG)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link.jsonl").symlink_to(path)
    os.link(path, tmp_path / "folder/again.jsonl")
    return path


@pytest.mark.parametrize("output", ["--alerts", "--windows", "--report"])
@pytest.mark.parametrize("name", ["log.jsonl", "folder/../log.jsonl", "folder/link.jsonl", "folder/again.jsonl"])
def test_a_replay_does_not_write_over_what_it_reads(foreshock: Foreshock, log: Path, output: str, name: str) -> None:
    answer = foreshock("replay", "log.jsonl", output, name)
    assert answer.code == Exit.USAGE and f"{output} {name}: is read" in answer.err
    assert log.read_bytes() == LOG


def test_nor_over_its_labels_its_configuration_and_another_of_its_files(foreshock: Foreshock, log: Path) -> None:
    Path("labels.json").write_text("[]")
    Path("own.toml").write_text("[log]\n")
    read = ["log.jsonl", "folder/link.jsonl", "--labels", "labels.json", "--config", "own.toml"]
    for name in ("labels.json", "own.toml", "folder/again.jsonl"):
        answer = foreshock("replay", *read, "--report", name)
        assert answer.code == Exit.USAGE and name in answer.err and Path(name).stat().st_size


@pytest.mark.parametrize(
    "outputs",
    [
        ["--alerts", "out.jsonl", "--windows", "./out.jsonl"],
        ["--alerts", "folder/new.jsonl", "--report", "folder/../folder/new.jsonl"],
        ["--alerts", "-", "--windows", "-"],
        ["--report", "-", "--json"],
    ],
)
def test_two_outputs_are_never_one_file(foreshock: Foreshock, log: Path, outputs: list[str]) -> None:
    answer = foreshock("replay", "log.jsonl", *outputs)
    assert answer.code == Exit.USAGE and "give" in answer.err and not answer.out


def test_what_goes_nowhere_may_go_there_twice(foreshock: Foreshock, log: Path) -> None:
    answer = foreshock("replay", "log.jsonl", "--alerts", "/dev/null", "--report", "/dev/null", "--no-progress")
    assert answer.code == Exit.DONE


@pytest.mark.parametrize("target", ["folder/link.jsonl", "folder/again.jsonl", "log.jsonl"])
def test_a_conversion_does_not_write_over_what_it_reads(foreshock: Foreshock, log: Path, target: str) -> None:
    answer = foreshock("convert", "log.jsonl", target)
    assert answer.code == Exit.USAGE and target in answer.err and log.read_bytes() == LOG


def test_nor_does_what_it_has_not_finished(foreshock: Foreshock, log: Path) -> None:
    part = log.rename("out.ndjson.part")
    assert foreshock("convert", part, "out.ndjson").code == Exit.USAGE
    assert part.read_bytes() == LOG

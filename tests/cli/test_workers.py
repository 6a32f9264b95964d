"""foreshock replay --workers: as many cores as you like, and byte for byte the same. All data is synthetic."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from detector.cli.base import Exit
from replay.exchange import Exchange
from replay.feed import write_native
from replay.scenario import parse
from replay.workers import Workers
from tests.cli.calling import Foreshock

Outputs = tuple[bytes, bytes, bytes, dict[str, object]]

STORY = parse(
    "story",
    {
        "duration_s": 160.0,
        "seed": 5,
        "accounts": 900,
        "markets": {"count": 5, "events_per_s": 20.0, "makers": 5},
        "incident": [
            {"class": "cancel_burst", "at_s": 120.0, "markets": ["BTC-PERP"], "amplitude": 30.0, "hold_s": 12.0},
            {"class": "withdrawal", "at_s": 130.0, "markets": ["ETH-PERP"], "amplitude": 10.0, "hold_s": 8.0},
            {"class": "whales", "at_s": 140.0, "markets": ["SOL-PERP"], "amplitude": 60.0, "hold_s": 8.0},
        ],
    },
)
# Lines no feed should send: they are refused, counted, or taken, and nobody's order may change by it.
HOSTILE = (
    b"{}",
    b"not json \xff\xfe",
    b"[" * 400,
    b'{"type":"order","ts":-1,"market":"BTC-PERP"}',
    b'{"type":"cancel","ts":9999999999999999999999,"market":"BTC-PERP","order_id":"x"}',
    b'{"type":"cancel","ts":1767571260000000000,"market":"","order_id":"x"}',
    b'{"type":"mark","ts":4102444800000000000,"market":"SOL-PERP","price":"1"}',
    b'{"type":"mark","ts":1767571260000000000,"market":"NEW-PERP","price":"1e999"}',
    b'{"type":"mark","ts":1767571260000000000,"market":"NEW-PERP","price":"1"}',
)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plain.ndjson; hostile.ndjson, the same with lines among it that nobody should send."""
    folder = tmp_path_factory.mktemp("story")
    write_native(Exchange(STORY), folder / "plain.ndjson")
    lines = (folder / "plain.ndjson").read_bytes().splitlines(keepends=True)
    random = Random(3)
    for _ in range(300):
        lines.insert(random.randrange(len(lines)), random.choice(HOSTILE) + b"\n")
    (folder / "hostile.ndjson").write_bytes(b"".join(lines))
    return folder


def run(foreshock: Foreshock, paths: Sequence[Path], workers: int, *more: str) -> Outputs:
    """(alerts, scored windows, report, summary), without how long it took."""
    outputs = (*("--alerts", "alerts"), *("--windows", "windows.csv"), *("--report", "report.html"))
    answer = foreshock("replay", *paths, "--workers", workers, *outputs, "--json", "--no-progress", *more)
    assert answer.code == Exit.DONE, answer.err
    summary = json.loads(answer.out)
    took = {name: summary.pop(name) for name in ("elapsed_s", "events_per_s")}
    assert took
    return Path("alerts").read_bytes(), Path("windows.csv").read_bytes(), Path("report.html").read_bytes(), summary


@pytest.mark.parametrize("name", ["plain.ndjson", "hostile.ndjson"])
def test_lines_and_columns_tell_the_same_however_many_work(foreshock: Foreshock, story: Path, name: str) -> None:
    assert foreshock("convert", story / name, "log.parquet").code == Exit.DONE
    for path in (story / name, Path("log.parquet")):
        alone = run(foreshock, [path], 1)
        for workers in (2, 3):
            assert run(foreshock, [path], workers) == alone
        assert b"cancel_burst" in alone[0]
        if path == story / name:
            assert bool(alone[3]["rejects"]) == (name == "hostile.ndjson")


def test_several_files_one_of_them_packed_tell_the_same(foreshock: Foreshock, story: Path) -> None:
    lines = (story / "plain.ndjson").read_bytes().splitlines(keepends=True)
    Path("a.ndjson").write_bytes(b"".join(line for line in lines if b'"BTC-PERP"' in line))
    Path("b.ndjson").write_bytes(b"".join(line for line in lines if b'"BTC-PERP"' not in line))
    assert foreshock("convert", "b.ndjson", "b.parquet").code == Exit.DONE
    assert foreshock("convert", "a.ndjson", "a.ndjson.zst").code == Exit.DONE
    paths = [Path("a.ndjson.zst"), Path("b.parquet")]
    alone = run(foreshock, paths, 1)
    assert run(foreshock, paths, 2) == alone and b"cancel_burst" in alone[0]
    assert run(foreshock, paths, 0, "--market", "BTC-PERP") == run(foreshock, paths, 1, "--market", "BTC-PERP")


def test_a_file_that_breaks_off_and_a_wrong_number_are_said(foreshock: Foreshock, story: Path) -> None:
    assert foreshock("convert", story / "plain.ndjson", "whole.ndjson.gz").code == Exit.DONE
    Path("half.gz").write_bytes(Path("whole.ndjson.gz").read_bytes()[:100_000])
    answers = [foreshock("replay", "half.gz", "--json", "--no-progress", "--workers", n) for n in (1, 2)]
    alone, both = (json.loads(answer.out) for answer in answers)
    assert [answer.code for answer in answers] == [Exit.UNREACHABLE] * 2
    assert alone["damage"] == both["damage"] != [] and alone["events"] == both["events"] > 500
    assert foreshock("replay", "half.gz", "--workers", "-1").code == Exit.USAGE


def test_a_pipe_is_read_by_nobody_who_could_not_be_interrupted(
    foreshock: Foreshock, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []

    def ahead(self: Workers, work: Callable[[], object]) -> Callable[[], object]:
        begun.append(True)
        return work

    monkeypatch.setattr(Workers, "ahead", ahead)
    alone = run(foreshock, [story / "plain.ndjson"], 2)
    assert begun
    begun.clear()
    os.mkfifo("plain.ndjson")
    writer = Thread(target=lambda: Path("plain.ndjson").write_bytes((story / "plain.ndjson").read_bytes()))
    writer.start()
    assert run(foreshock, [Path("plain.ndjson")], 2)[0] == alone[0]
    writer.join()
    assert not begun

"""foreshock convert, and that a replay of what it wrote says what a replay of the log says. All data is synthetic."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from detector.cli.base import Exit
from replay.exchange import Exchange
from replay.feed import write_native
from tests.cli.calling import Foreshock
from tests.cli.test_replay import STORY


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A story in two logs, one after the other."""
    folder = tmp_path_factory.mktemp("logs")
    exchange = Exchange(STORY)
    paths = [folder / "first.ndjson.zst", folder / "second.ndjson.gz"]
    write_native(exchange, paths[0], seconds=120.0)
    write_native(exchange, paths[1])
    return paths


def test_the_alerts_of_a_columnar_file_are_those_of_its_logs_to_the_byte(
    foreshock: Foreshock, logs: list[Path], tmp_path: Path
) -> None:
    columnar, again = tmp_path / "all.parquet", tmp_path / "again.ndjson.xz"
    assert foreshock("convert", *logs, columnar).code == Exit.DONE
    assert foreshock("replay", *logs, "--alerts", "lines.jsonl").code == Exit.DONE
    assert foreshock("replay", columnar, "--alerts", "columns.jsonl").code == Exit.DONE
    told = Path("lines.jsonl").read_bytes()
    assert b'"topic":"second.ndjson.gz"' in told
    assert Path("columns.jsonl").read_bytes() == told
    half = tmp_path / "half.parquet"
    assert foreshock("convert", logs[1], half).code == Exit.DONE
    assert foreshock("replay", logs[0], half, "--alerts", "mixed.jsonl").code == Exit.DONE
    assert Path("mixed.jsonl").read_bytes() == told
    assert foreshock("convert", columnar, again).code == Exit.DONE
    assert foreshock("replay", again, "--alerts", "again.jsonl").code == Exit.DONE
    ids = [
        [json.loads(line)["data"]["incident_id"] for line in text.splitlines()]
        for text in (told, Path("again.jsonl").read_bytes())
    ]
    assert ids[0] == ids[1]


def test_what_cannot_be_read_is_counted_and_told(foreshock: Foreshock, tmp_path: Path) -> None:
    good = b'{"type":"mark","ts":1700000000000000000,"market":"BTC-PERP","price":1}\n'
    Path("log.ndjson").write_bytes(good + b"nonsense\n" + good.replace(b"mark", b"odd", 1))
    answer = foreshock("convert", "log.ndjson", "out.parquet", "--json")
    told = json.loads(answer.out)
    assert answer.code == Exit.DONE
    assert (told["rows"], told["records"]) == (1, 3)
    assert told["rejects"] == {"not_json": 1} and told["skipped"] == {"unknown_type": 1}
    Path("log.ndjson.gz").write_bytes(gzip.compress(good * 1000)[:-20])
    answer = foreshock("convert", "log.ndjson.gz", "out.parquet")
    assert answer.code == Exit.UNREACHABLE and "log.ndjson.gz" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["log.ndjson"], Exit.USAGE),
        (["log.ndjson", "out.csv"], Exit.USAGE),
        (["log.ndjson", "out.parquet.zst"], Exit.USAGE),
        (["log.ndjson", "log.ndjson"], Exit.USAGE),
        (["log.ndjson", "out.parquet", "--format", "nonsense"], Exit.USAGE),
        (["missing.ndjson", "out.parquet"], Exit.UNREACHABLE),
        (["log.ndjson", "missing/out.parquet"], Exit.UNREACHABLE),
        (["theirs.parquet", "out.ndjson"], Exit.UNREACHABLE),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing_behind(
    foreshock: Foreshock, tmp_path: Path, arguments: list[str], code: Exit
) -> None:
    Path("log.ndjson").write_bytes(b"{}\n")
    Path("theirs.parquet").write_bytes(b"PAR1 of somebody else")
    answer = foreshock("convert", *arguments)
    assert answer.code == code and answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.ndjson", "theirs.parquet"]

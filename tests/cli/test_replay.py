"""foreshock replay and demo, with the real engine on what the simulated exchange makes. All data is synthetic."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from detector.cli.base import Exit
from replay.exchange import Exchange
from replay.feed import write_native
from replay.incidents_plan import labels_json
from replay.labels import read_labels
from replay.scenario import Scenario, parse
from tests.cli.calling import Foreshock

STORY = parse(
    "story",
    {
        "duration_s": 240.0,
        "seed": 3,
        "accounts": 600,
        "markets": {"count": 3, "events_per_s": 20.0, "makers": 5},
        "incident": [
            {"class": "cancel_burst", "at_s": 150.0, "markets": ["BTC-PERP"], "amplitude": 30.0, "hold_s": 12.0}
        ],
    },
)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """events.ndjson.gz, the same halved by market (a, b), labels.json."""
    folder = tmp_path_factory.mktemp("story")
    exchange = Exchange(STORY)
    (folder / "labels.json").write_text(labels_json(exchange.labels()))
    write_native(exchange, folder / "events.ndjson.gz")
    lines = gzip.decompress((folder / "events.ndjson.gz").read_bytes()).splitlines(keepends=True)
    (folder / "a.ndjson").write_bytes(b"".join(line for line in lines if b'"BTC-PERP"' in line))
    (folder / "b.ndjson").write_bytes(b"".join(line for line in lines if b'"BTC-PERP"' not in line))
    return folder


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_burst_is_found_in_a_file_and_judged(foreshock: Foreshock, story: Path, tmp_path: Path) -> None:
    answer = foreshock(
        *("replay", story / "events.ndjson.gz", "--labels", story / "labels.json", "--json", "--no-progress"),
        *("--alerts", tmp_path / "alerts.jsonl", "--windows", tmp_path / "windows.parquet"),
        *("--report", tmp_path / "report.html"),
    )
    assert answer.code == Exit.DONE, answer.err
    summary = json.loads(answer.out)
    assert summary["rejects"] == {} and summary["late"] == 0 and summary["events"] > 5_000
    assert summary["markets"] == ["BTC-PERP", "ETH-PERP", "SOL-PERP"]
    (label,) = summary["verdict"]["labels"]
    assert label["outcome"] == "caught" and -12 <= label["lead_s"] < 0
    alerts = told(tmp_path / "alerts.jsonl")
    assert len(alerts) == summary["alerts"] > 0
    assert any(alert["data"]["markets"] == ["BTC-PERP"] for alert in alerts)
    rows = pyarrow.parquet.read_table(tmp_path / "windows.parquet")
    assert rows.schema.names == ["close_ns", "market", "detector", "score"]
    worst = max(rows.to_pylist(), key=lambda row: float(row["score"]))
    (burst,) = read_labels((story / "labels.json").read_bytes())
    assert worst["market"] == "BTC-PERP" and burst.start_ns <= worst["close_ns"] <= burst.end_ns + 15_000_000_000
    page = (tmp_path / "report.html").read_text()
    assert "caught" in page and alerts[0]["data"]["incident_id"] in page


def test_the_same_events_in_two_files_give_the_same_alerts(foreshock: Foreshock, story: Path, tmp_path: Path) -> None:
    bodies = []
    for number, paths in enumerate(([story / "events.ndjson.gz"], [story / "b.ndjson", story / "a.ndjson"])):
        out = tmp_path / f"{number}.jsonl"
        assert foreshock("replay", *paths, "--alerts", out, "--no-progress").code == Exit.DONE
        bodies.append(told(out))
    for alert in bodies[0] + bodies[1]:
        del alert["data"]["position"]  # where in the log it stands differs, and nothing else
    assert bodies[0] == bodies[1] != []


def test_the_same_file_twice_gives_the_same_bytes(foreshock: Foreshock, story: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        foreshock("replay", story / "events.ndjson.gz", "--alerts", tmp_path / name, "--no-progress")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes() != b""


def test_incidents_are_a_finding_when_they_are_grave_enough(foreshock: Foreshock, story: Path) -> None:
    answer = foreshock("replay", story / "events.ndjson.gz", "--fail-on", "info", "--no-progress")
    assert answer.code == Exit.FINDINGS
    assert "BTC-PERP" in answer.out and "incidents" in answer.out
    quiet = ["--market", "ETH-PERP", "--market", "SOL-PERP", "--fail-on", "critical", "--no-progress"]
    answer = foreshock("replay", story / "events.ndjson.gz", *quiet)
    assert answer.code == Exit.DONE and "BTC-PERP" not in answer.out


def test_alerts_on_standard_output_are_alone_there(foreshock: Foreshock, story: Path) -> None:
    answer = foreshock("replay", story / "events.ndjson.gz", "--alerts", "-", "--no-progress")
    assert all(json.loads(line)["type"].startswith("foreshock.incident.") for line in answer.out.splitlines())
    assert answer.out and "events" in answer.err


def test_a_stretch_of_time_is_chosen(foreshock: Foreshock, story: Path) -> None:
    begin, end = "2026-01-05T00:00:30Z", "2026-01-05T00:01:00Z"
    answer = foreshock("replay", story / "events.ndjson.gz", "--from", begin, "--to", end, "--json", "--no-progress")
    summary = json.loads(answer.out)
    assert (summary["from"], summary["to"]) >= ("2026-01-05T00:00:30.000Z", "2026-01-05T00:01:00.000Z")
    assert summary["to"] <= "2026-01-05T00:01:02.000Z" and 500 < summary["events"] < 5_000


def test_a_file_that_breaks_off_is_told_as_far_as_it_goes_and_exits_4(
    foreshock: Foreshock, story: Path, tmp_path: Path
) -> None:
    whole = (story / "events.ndjson.gz").read_bytes()
    (tmp_path / "half.gz").write_bytes(whole[: len(whole) // 2])
    answer = foreshock("replay", tmp_path / "half.gz", "--json", "--no-progress")
    summary = json.loads(answer.out)
    assert answer.code == Exit.UNREACHABLE
    assert summary["events"] > 2_000 and "breaks off" in summary["damage"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["absent.ndjson"], Exit.UNREACHABLE, "absent.ndjson: No such file"),
        (["-", "-"], Exit.USAGE, "standard input"),
        (["-", "--speed", "fast"], Exit.USAGE, "--speed fast"),
        (["-", "--speed", "0x"], Exit.USAGE, "--speed 0x"),
        (["-", "--from", "soon"], Exit.USAGE, "'soon'"),
        (["-", "--from", "2026-01-02", "--to", "2026-01-01"], Exit.USAGE, "--to lies before"),
        (["-", "--fail-on", "doom"], Exit.USAGE, "--fail-on doom"),
        (["-", "--format", "klingon"], Exit.USAGE, "--format klingon"),
        (["-", "--labels", "absent.json"], Exit.UNREACHABLE, "absent.json"),
        (["-", "--alerts", "absent/out.jsonl"], Exit.UNREACHABLE, "absent/out.jsonl"),
        (["-", "--alerts", "-", "--json"], Exit.USAGE, "standard output"),
        (["-", "--config", "absent.toml"], Exit.CONFIGURATION, "absent.toml"),
        (["kafka://nowhere"], Exit.USAGE, "kafka://HOST:PORT/TOPIC"),
        ([], Exit.USAGE, ""),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(
    foreshock: Foreshock, arguments: list[str], code: Exit, sentence: str
) -> None:
    answer = foreshock("replay", *arguments)
    assert answer.code == code and sentence in answer.err and "Traceback" not in answer.err


def test_a_labels_file_with_faults_is_refused_with_all_of_them(foreshock: Foreshock, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('[{"start": "soon", "end": 1}, 3]')
    answer = foreshock("replay", "-", "--labels", tmp_path / "labels.json")
    assert answer.code == Exit.USAGE and len(answer.err.splitlines()) == 2


def test_the_demo_shows_its_incidents_and_judges_itself(
    foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def shipped(name: str, seed: int | None) -> Exchange:
        assert name == "demo"
        story: Scenario = STORY
        return Exchange(story, seed)

    monkeypatch.setattr("detector.cli.demo.Exchange", shipped)
    answer = foreshock("demo", "--speed", "1000")
    assert answer.code == Exit.DONE
    assert answer.out.startswith("Synthetic: 240 s of 3 simulated markets")
    assert "BTC-PERP" in answer.out and "expected" in answer.out and "labels: 1 of 1 caught" in answer.out
    summary = json.loads(foreshock("demo", "--json").out)
    assert summary["verdict"]["caught"] == 1


def test_a_demo_of_no_scenario_is_a_usage_error(foreshock: Foreshock) -> None:
    answer = foreshock("demo", "--scenario", "absent")
    assert answer.code == Exit.USAGE and "shipped are" in answer.err


@pytest.mark.parametrize(
    ("line", "options", "why"),
    [
        ('{"type":"trade","ts":1767571200000,"market":"BTC-PERP"}', (), "out_of_range:ts"),
        ("time,price,qty", (), "no record could be read as native"),
        ("", (), "there is no record in it"),
        ('{"type":"mark","ts":1767571200000000000,"market":"BTC-PERP","price":1}', ("--market", "BTC"), "--market"),
    ],
)
def test_a_replay_of_which_nothing_was_read_is_no_quiet_market(
    foreshock,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    line: str,
    options: tuple[str, ...],
    why: str,
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(f"{line}\n" if line else "")
    answer = foreshock("replay", str(path), *options)
    assert answer.code == Exit.UNREACHABLE and why in answer.err
    answer = foreshock("replay", str(path), *options, "--json")
    assert answer.code == Exit.UNREACHABLE and any(why in told for told in json.loads(answer.out)["damage"])

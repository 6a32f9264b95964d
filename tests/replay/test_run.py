"""The driver: several files in, one story out, whatever order they are read in."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.step import Step
from detector.model.events import EventBatch, empty_events
from detector.sources.file import open_files
from replay.instant import SECOND_NS
from replay.outputs import AlertLines, OutputError, ScoredWindows
from replay.reading import ROUNDS
from replay.run import FIRST_EVENTS, Pace, Selection, Tally, replay
from tests.replay.counting import CountingEngine

Row = tuple[int, str]  # (second, market)


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.alerts: list[bytes] = []
        self.windows: list[tuple[int, str, float]] = []
        self.closed = 0

    def take(self, step: Step, tally: Tally) -> None:
        self.alerts += [alert.body() for alert in step.alerts]
        for scored in step.scored:
            for score in scored.scores:
                self.windows += [
                    (score.close_ns, market, float(value))
                    for market, value in sorted(zip(score.markets, score.values, strict=True))
                    if value == value
                ]

    def close(self) -> None:
        self.closed += 1


def write(folder: Path, *files: list[str]) -> list[str]:
    paths = []
    for number, lines in enumerate(files):
        path = folder / f"{number}.txt"
        path.write_text("".join(line + "\n" for line in lines))
        paths.append(str(path))
    return paths


def run(paths: list[str], selection: Selection | None = None, batch_max: int = 3) -> tuple[Told, Tally, CountingEngine]:
    told, engine = Told(), CountingEngine()
    tally = replay(engine, open_files(paths, batch_max=batch_max), selection=selection, listeners=[told])
    assert told.closed == 1
    return told, tally, engine


@given(st.lists(st.lists(st.integers(0, 3), max_size=40), max_size=5))
def test_the_first_events_of_each_market_are_remembered(steps: list[list[int]]) -> None:
    tally, wanted, at_ns = Tally(), dict[tuple[str, str, int], list[int]](), 0
    for markets in steps:
        events = empty_events(len(markets))
        events["market"], events["event_ns"] = markets, at_ns + np.arange(len(markets))
        tally.see(EventBatch("t", 0, 0, 0, ("A", "B", "C", "D"), events))
        for offset, market in enumerate(markets):
            first = wanted.setdefault(("ABCD"[market], "t", 0), [])
            first += [at_ns + offset] * (len(first) < FIRST_EVENTS)
        at_ns += len(markets)
    assert tally.first_ns == wanted


def test_files_are_merged_by_event_time_and_the_end_is_told_too(tmp_path: Path) -> None:
    paths = write(tmp_path, ["A 10", "A 11", "A 30"], ["A 10", "B 12"], ["A 10"])
    told, tally, _ = run(paths)
    assert told.windows == [
        (11 * SECOND_NS, "A", 3.0),
        (12 * SECOND_NS, "A", 1.0),
        (13 * SECOND_NS, "B", 1.0),
        (31 * SECOND_NS, "A", 1.0),
    ]
    assert len(told.alerts) == 1 and tally.alerts == 1
    assert tally.counts == {"events": 6, "records": 6}
    assert tally.observed_ns == {"A": (10 * SECOND_NS, 31 * SECOND_NS), "B": (12 * SECOND_NS, 31 * SECOND_NS)}
    assert tally.span_ns == (10 * SECOND_NS, 31 * SECOND_NS)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 12), st.sampled_from("AB"), st.integers(0, 2)), max_size=40),
    batch_max=st.integers(1, 9),
    order=st.permutations([0, 1, 2]),
)
def test_any_order_of_files_and_any_batches_tell_the_same(
    rows: list[tuple[int, str, int]], batch_max: int, order: list[int]
) -> None:
    files: list[list[str]] = [[], [], []]
    for second, market, number in sorted(rows, key=lambda row: row[0]):
        files[number].append(f"{market} {second}")
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder), *files)
        reference, counted, _ = run(paths, batch_max=1000)
        told, tally, _ = run([paths[number] for number in order], batch_max=batch_max)
    assert sum(value for _, _, value in reference.windows) == len(rows)
    assert (told.alerts, told.windows) == (reference.alerts, reference.windows)
    assert tally.counts.get("events") == counted.counts.get("events") and tally.observed_ns == counted.observed_ns


def test_a_file_far_ahead_waits_for_the_others(tmp_path: Path) -> None:
    paths = write(tmp_path, [f"A {second}" for second in range(1, 400)], [f"B {second}" for second in range(300, 900)])
    _, tally, engine = run(paths, batch_max=7)
    assert tally.counts["events"] == 999
    most = engine.staged_max + 7 * (1 + ROUNDS)
    assert engine.most_staged <= most, "no more than one batch past the limit, and those asked for before"


def test_a_file_without_a_single_event_holds_nobody_up(tmp_path: Path) -> None:
    rubbish = ["what is this"] * 50
    for files in ((["A 5"] * 3, [], rubbish), (rubbish, ["A 5"] * 3), (rubbish, [])):
        told, tally, _ = run(write(tmp_path, *files))
        assert len(told.alerts) == (["A 5"] * 3 in files)
        assert tally.rejects.get("no_words", 0) == (50 if rubbish in files else 0)
        assert len(tally.samples) <= 10


def test_a_selection_leaves_out_other_times_and_other_markets(tmp_path: Path) -> None:
    lines = [f"{market} {second}" for second in range(10, 40) for market in ("A", "B", "C")]
    paths = write(tmp_path, lines)
    told, tally, _ = run(paths, Selection(20 * SECOND_NS, 29 * SECOND_NS, frozenset({"A", "C"})))
    assert {market for _, market, _ in told.windows} == {"A", "C"}
    assert [close_ns // SECOND_NS for close_ns, market, _ in told.windows if market == "A"] == list(range(21, 31))
    assert set(tally.observed_ns) == {"A", "C"}


def test_reading_ends_where_the_selection_ends(tmp_path: Path) -> None:
    paths = write(tmp_path, [f"A {second}" for second in range(1, 1000)])
    _, tally, _ = run(paths, Selection(to_ns=10 * SECOND_NS))
    assert tally.counts["events"] == 10
    assert tally.counts["records"] < 20


def test_a_file_that_breaks_off_is_replayed_as_far_as_it_goes_and_said(tmp_path: Path) -> None:
    import os

    lines = "".join(f"{os.urandom(16).hex()} {second}\n" for second in range(1, 3000))
    whole = gzip.compress(lines.encode())
    path = tmp_path / "broken.gz"
    path.write_bytes(whole[: len(whole) // 2])
    _, tally, _ = run([str(path)], batch_max=500)
    assert 500 < tally.counts["events"] < 2900
    assert len(tally.damage) == 1 and "broken.gz" in tally.damage[0]


def test_everything_is_closed_when_the_engine_fails(tmp_path: Path) -> None:
    class Failing(CountingEngine):
        def finish(self) -> Step:
            raise AssertionError("ours")

    told = Told()
    inputs = open_files(write(tmp_path, ["A 1"]))
    with pytest.raises(AssertionError, match="ours"):
        replay(Failing(), inputs, listeners=[told])
    assert told.closed == 1 and inputs[0].read() is None


def test_at_a_speed_event_time_is_waited_for(tmp_path: Path) -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    paths = write(tmp_path, [f"A {second}" for second in (10, 20, 30, 50)])
    replay(CountingEngine(), open_files(paths, batch_max=1), pace=Pace(10.0, lambda: now[0], sleep))
    assert slept == [1.0, 1.0, 2.0]


def test_alerts_are_written_a_line_each(tmp_path: Path) -> None:
    out = tmp_path / "alerts.jsonl"
    paths = write(tmp_path, ["A 5"] * 3 + ["B 6"] * 7)
    told = Told()
    replay(CountingEngine(), open_files(paths), listeners=[told, AlertLines(str(out))])
    assert out.read_bytes().splitlines() == told.alerts and len(told.alerts) == 2
    assert json.loads(told.alerts[1])["data"]["severity"] == "critical"


def test_alerts_go_to_standard_output_for_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", written)
    replay(CountingEngine(), open_files(write(tmp_path, ["A 5"] * 3)), listeners=[AlertLines("-")])
    assert written.buffer.getvalue().count(b"\n") == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_every_scored_window_is_written(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.outputs.ROWS_MAX", 8)  # several row groups
    out = tmp_path / f"windows.{ending}"
    paths = write(tmp_path, [f"{market} {second}" for second in range(10, 40) for market in "ABB"])
    told = Told()
    replay(CountingEngine(), open_files(paths, batch_max=5), listeners=[told, ScoredWindows(str(out))])
    if ending == "parquet":
        table = pyarrow.parquet.read_table(out)
        assert table.schema.names == ["close_ns", "market", "detector", "score"]
        assert pyarrow.parquet.ParquetFile(out).num_row_groups > 1
        rows = table.to_pylist()
    elif ending == "csv":
        lines = out.read_text().splitlines()
        assert lines[0] == '"close_ns","market","detector","score"'
        cells = [line.replace('"', "").split(",") for line in lines[1:]]
        rows = [{"close_ns": int(c[0]), "market": c[1], "detector": c[2], "score": float(c[3])} for c in cells]
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["close_ns"], row["market"], row["score"]) for row in rows] == told.windows
    assert {row["detector"] for row in rows} == {"crowd"} and len(rows) == 60


def test_windows_of_a_run_without_any_are_an_empty_table(tmp_path: Path) -> None:
    out = tmp_path / "windows.parquet"
    replay(CountingEngine(), open_files(write(tmp_path, [])), listeners=[ScoredWindows(str(out))])
    assert pyarrow.parquet.read_table(out).num_rows == 0


def test_an_output_that_cannot_be_written_is_said_before_anything_is_read(tmp_path: Path) -> None:
    for make in (AlertLines, ScoredWindows):
        with pytest.raises(OutputError, match="cannot be written"):
            make(str(tmp_path / "absent" / "out.jsonl"))


def test_an_alert_that_finds_the_disk_full_says_so(tmp_path: Path) -> None:
    inputs = open_files(write(tmp_path, ["A 5"] * 3))
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space"):
        replay(CountingEngine(), inputs, listeners=[AlertLines("/dev/full")])

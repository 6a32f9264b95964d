"""A laboratory run that was stopped goes on with what is whole, and tells the same as one that was not."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay import laboratory_kept
from replay.laboratory import Job, Size, work
from replay.laboratory_judge import summary
from replay.laboratory_kept import ARRAYS, Kept, name_of, place_of
from replay.laboratory_tally import Run

SMALL = Size(1, 2, 0.4)
JOBS = [Job("planted", 3, SMALL, sampled=True), Job("cold", 501, Size(1, 4, 0.2), sampled=False)]


def nobody(one: Run) -> None:
    """For a run of which nothing is to be said."""


def plain(run: Run) -> dict[str, Any]:
    """All of it but the arrays."""
    return {one.name: getattr(run, one.name) for one in fields(Run) if one.name not in ARRAYS}


def test_a_run_from_disk_is_the_one_that_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Run] = []

    def watched(job: Job) -> Run:
        made.append(work(job))
        return made[-1]

    monkeypatch.setattr(laboratory_kept, "work", watched)
    folder = tmp_path / "runs" / "one"
    first = Kept(folder, "monday").runs(JOBS, 1, nobody)
    monkeypatch.delattr(laboratory_kept, "work")  # nothing may be made any more
    again = Kept(folder, "tuesday")
    told: list[Run] = []
    second = again.runs(JOBS, 1, told.append)
    assert len(made) == 2 and told == second and again.stamps == {"monday"}
    assert any(run.calls[1.0] for run in made) and made[0].samples is not None and made[1].samples is None
    for source, *copies in zip(made, first, second, strict=True):
        for copy in copies:
            assert plain(copy) == plain(source)
            for name in ARRAYS:
                np.testing.assert_array_equal(getattr(copy, name), getattr(source, name))
    assert str(summary(second)) == str(summary(made))


def test_what_was_not_finished_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path / "runs" / "one", "monday")
    monkeypatch.setattr(laboratory_kept, "write_json", _stopped)
    with pytest.raises(KeyboardInterrupt):
        kept.runs(JOBS[1:], 1, nobody)
    assert kept.folder is not None and [path.suffix for path in kept.folder.iterdir()] == [".part"]
    monkeypatch.undo()
    kept.runs(JOBS[1:], 1, nobody)
    assert (kept.folder / name_of(JOBS[1]) / "about.json").is_file()


def test_what_is_not_on_disk_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path / "runs" / "one", "monday")
    synced: list[int] = []
    powered = [1]

    def cut(number: int) -> None:
        synced.append(number)
        if len(synced) == powered[0]:
            raise OSError("the power is gone")

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(OSError, match="power"):
        kept.rows("lives", list)
    for files in range(1, len(ARRAYS) + 2):  # each array, and what is said of them
        powered[0] = files
        synced.clear()
        with pytest.raises(OSError, match="power"):
            kept.runs([Job("cold", 501, Size(1, 16, 0.1), sampled=True)], 1, nobody)
    assert kept.folder is not None and all(path.suffix == ".part" for path in kept.folder.iterdir())


def _stopped(path: Path, content: Any) -> None:
    raise KeyboardInterrupt


def test_a_table_is_made_once(tmp_path: Path) -> None:
    rows = [{"share": float("nan"), "name": "a", "features": {"x": 1}}]
    folder = tmp_path / "runs" / "one"
    assert str(Kept(folder, "monday").rows("lives", lambda: rows)) == str(rows)
    again = Kept(folder, "tuesday")
    assert str(again.rows("lives", list)) == str(rows) and again.stamps == {"monday"}
    anew = Kept(folder, "wednesday", fresh=True)
    assert anew.rows("lives", list) == [] and anew.stamps == {"wednesday"}
    assert Kept(None).rows("lives", lambda: rows) is rows


def test_other_code_other_size_or_other_seeds_have_a_place_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "detector" / "one.py"
    report = tmp_path / "replay" / "laboratory_report.py"
    for path in (source, report):
        path.parent.mkdir()
        path.write_text("a = 1\n")
    monkeypatch.setattr(laboratory_kept, "ROOT", tmp_path)
    first = place_of("full", held_out=True)
    assert len({first, place_of("quick", held_out=True), place_of("full", held_out=False)}) == 3
    report.write_text("a = 2\n")
    assert place_of("full", held_out=True) == first
    source.write_text("a = 2\n")
    assert place_of("full", held_out=True) != first


def test_the_runs_touched_last_stay(tmp_path: Path) -> None:
    for i, name in enumerate("abc"):
        Kept(tmp_path / name).rows("lives", list)
        os.utime(tmp_path / name, (i, i))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]
    Kept(tmp_path / "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]
    os.utime(tmp_path / "d", (9, 9))
    Kept(tmp_path / "c")  # goes on: it is touched, and stays
    Kept(tmp_path / "e")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "e"]

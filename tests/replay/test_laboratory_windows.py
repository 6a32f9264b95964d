"""A recording holds the windows that the engine hands to its detectors, and scoring it says what the engine said."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from replay import laboratory_windows
from replay.exchange import Exchange
from replay.laboratory import Job, Size, scenario_of
from replay.laboratory_run import KEY, run, steps
from replay.laboratory_windows import name_of, ready, recorded, rescore

JOB = Job("dirty", 6, Size(1, 3, 0.3), sampled=True)


def test_a_recording_is_the_engines_own_windows_and_is_made_once(tmp_path: Path) -> None:
    recording = recorded(JOB, tmp_path)
    scenario = scenario_of(JOB.kind, JOB.seed, JOB.size)
    engine = build_pipeline(of({}), pseudonym_key=KEY, format_name="native", keep_scored=True)
    told = [one.windows for step in steps(engine, Exchange(scenario, JOB.seed)) for one in step.scored]
    kept = list(recording.windows())
    assert len(kept) == len(told) > 1000
    for ours, theirs in zip(kept, told, strict=True):
        assert (ours.close_ns, ours.markets, ours.idle) == (theirs.close_ns, scenario.names, theirs.idle)
        seen = len(theirs.markets)
        np.testing.assert_array_equal(ours.calm[:seen], theirs.calm)
        np.testing.assert_array_equal(ours.fresh[:seen], theirs.fresh)
        np.testing.assert_allclose(ours.values[:seen], theirs.values, rtol=1e-6)
    np.testing.assert_array_equal(recording.column("cancels"), [w.column("cancels").astype("f4") for w in kept])
    made = (tmp_path / name_of(JOB) / "values.npy").stat().st_mtime_ns
    recorded(JOB, tmp_path)
    assert (tmp_path / name_of(JOB) / "values.npy").stat().st_mtime_ns == made


def test_scoring_a_recording_counts_what_the_engine_counts(tmp_path: Path) -> None:
    again = rescore(recorded(JOB, tmp_path), sampled=True)
    live = run(JOB.kind, scenario_of(JOB.kind, JOB.seed, JOB.size), JOB.seed, sampled=True)
    assert again.labels == live.labels and again.observed == live.observed
    assert {p: [call.at_ns for call in calls] for p, calls in again.calls.items()} == {
        p: [call.at_ns for call in calls] for p, calls in live.calls.items()
    }
    np.testing.assert_allclose(again.samples, live.samples, rtol=1e-5)
    np.testing.assert_allclose(again.residuals, live.residuals, atol=1e-3)
    assert live.residuals.shape == (*live.samples.shape[:2], len(live.streams)) and "cancels" in live.streams


def test_only_the_newest_recordings_of_a_job_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(job: Job, place: Path) -> None:
        place.mkdir()
        (place / "about.json").write_text("{}")

    monkeypatch.setattr(laboratory_windows, "record", made)
    older, other = ["dirty-6-3x0.3h-a", "dirty-6-3x0.3h-b", "dirty-6-3x0.3h-c"], "dirty-61-3x0.3h-a"
    for at, name in enumerate([*older, other]):
        made(JOB, tmp_path / name)
        os.utime(tmp_path / name, (at, at))
    ready(JOB, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {older[-1], other, name_of(JOB)}

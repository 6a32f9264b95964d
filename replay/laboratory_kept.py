"""Kept: what a laboratory run has found stays on disk, so that a run of two hours goes on where it was stopped.

A folder for each stream and a file for each table, under a digest of all the code that they come from: of other code
nothing is taken over. Each counts once it is whole, for it is written under another name first; by one run at a time.
The RUNS_MAX runs that were touched last stay; a full one takes gigabytes, the samples that peers are given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from typing import IO, Any

import numpy as np

from detector.incidents.audit import Standing
from detector.model.incident import Severity
from replay.laboratory import Job, Size, in_order, scenario_of, work
from replay.laboratory_tally import Call, Run

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".run" / "laboratory" / "kept"
SOURCES = ("detector/**/*.py", "replay/**/*.py", "replay/**/*.toml", "bench/peer*.py", "requirements-dev.lock")
APART = ("replay/laboratory_report.py", "replay/laboratory_amend.py")  # they write what was found, and find nothing
RUNS_MAX = 2
ARRAYS = ("samples", "residuals", "margins", "sample_ns")
PLAIN = ("kind", "seed", "labels", "events", "observed", "beyond", "features", "streams", "cpu_s", "audit_said")


class Kept:
    """Pieces of one laboratory run. `folder` None: nothing is kept, every piece is made."""

    def __init__(self, folder: Path | None, stamp: str = "", *, fresh: bool = False) -> None:
        """stamp: where and when this run makes its pieces, kept beside each. fresh: take none over."""
        self.folder = folder
        self.stamp = stamp
        self.stamps: set[str] = set()  # of the pieces that were taken over or made
        if folder is not None:
            if fresh:
                rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            folder.touch()
            for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-RUNS_MAX]:
                rmtree(old)

    def rows(self, name: str, make: Callable[[], Any]) -> Any:
        """A table, from disk or made now. It holds what JSON holds: tuples come back as lists."""
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.json"
        if not path.is_file():
            write_json(path, {"stamp": self.stamp, "rows": make()})
        found = json.loads(path.read_text("utf-8"))
        self.stamps.add(found["stamp"])
        return found["rows"]

    def runs(self, todo: Sequence[Job], processes: int, told: Callable[[Run], None]) -> list[Run]:
        """Every job's, in the order of the jobs; `told` of each. Arrays of a kept one are read from disk as needed."""
        runs = []
        if self.folder is None:
            for run in in_order(work, todo, processes):
                told(run)
                runs.append(run)
            return runs
        for path in in_order(partial(kept_work, folder=self.folder, stamp=self.stamp), todo, processes):
            run, stamp = read_run(path)
            self.stamps.add(stamp)
            told(run)
            runs.append(run)
        return runs


def kept_work(job: Job, folder: Path, stamp: str) -> Path:
    """The folder of the job's run, which is there now."""
    made = folder / name_of(job)
    if not made.is_dir():
        write_run(made, job, work(job), stamp)
    return made


def name_of(job: Job) -> str:
    """A file's name for a job."""
    return f"{job.kind}-{job.seed}-{job.size.markets}x{job.size.hours:g}h{'-sampled' if job.sampled else ''}"


def place_of(name: str, *, held_out: bool, base: Path = FOLDER) -> Path:
    """The folder of one size, seeds and state of the sources."""
    digest = blake2b(digest_size=6)
    for path in sorted({path for pattern in SOURCES for path in ROOT.glob(pattern)}):
        told = path.relative_to(ROOT).as_posix()
        if told not in APART:
            digest.update(told.encode() + b"\0" + blake2b(path.read_bytes()).digest())
    return base / f"{name}-{'held-out' if held_out else 'tuning'}-{digest.hexdigest()}"


def write_run(made: Path, job: Job, run: Run, stamp: str) -> None:
    """The run's folder: about.json and an .npy for each array that it has."""
    part = made.with_name(f"{made.name}.part")
    rmtree(part, ignore_errors=True)  # of a run that was stopped while it wrote
    part.mkdir(parents=True)
    for name in ARRAYS:
        if getattr(run, name) is not None:
            with (part / f"{name}.npy").open("wb") as file:
                np.save(file, getattr(run, name), allow_pickle=False)
                _on_disk(file)
    about = {name: getattr(run, name) for name in PLAIN} | {
        "stamp": stamp,
        "job": asdict(job),
        "calls": [[promise, [asdict(call) for call in calls]] for promise, calls in run.calls.items()],
        "notes": [asdict(call) for call in run.notes],
        "audit": [asdict(standing) for standing in run.audit],
    }
    write_json(part / "about.json", about)
    part.rename(made)


def read_run(made: Path) -> tuple[Run, str]:
    """What `write_run` wrote, and the stamp of it."""
    about = json.loads((made / "about.json").read_text("utf-8"))
    job = Job(**about["job"] | {"size": Size(**about["job"]["size"])})
    run = Run(
        **{name: about[name] for name in PLAIN},
        scenario=scenario_of(job.kind, job.seed, job.size),
        calls={promise: [call_of(row) for row in rows] for promise, rows in about["calls"]},
        notes=[call_of(row) for row in about["notes"]],
        audit=tuple(Standing(**row | {"severity": Severity(row["severity"])}) for row in about["audit"]),
    )
    run.features, run.streams = tuple(run.features), tuple(run.streams)
    run.audit_said = [(at_ns, Severity(severity)) for at_ns, severity in run.audit_said]
    for name in ARRAYS:
        path = made / f"{name}.npy"
        if path.is_file():
            setattr(run, name, np.load(path, mmap_mode="r", allow_pickle=False))
    return run, about["stamp"]


def call_of(row: dict[str, Any]) -> Call:
    """From JSON, where tuples are lists."""
    tuples = {name: tuple(row[name]) for name in ("markets", "accounts")}
    return Call(**row | tuples | {"of_market": tuple((market, feature) for market, feature in row["of_market"])})


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(json.dumps(content).encode())
        _on_disk(file)
    part.replace(path)


def _on_disk(file: IO[bytes]) -> None:
    """Before it gets its name: a name may outlive a power cut that its content does not."""
    file.flush()
    os.fsync(file.fileno())

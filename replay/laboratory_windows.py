"""Recorded windows: a laboratory stream's features kept on disk, so that scoring is tried without making events anew.

python -m replay.laboratory_windows [--size quick] [--tuning] [--kind planted]     record what is missing, then rescore

A recording is a pure function of its job and of the files in SOURCES: no detector runs while it is made, so the makers'
habits (features/makers.py) learn on through incidents, where the engine would pause them while one is open. That costs
some recall on long withdrawals and never gains any. Everything else is what the engine's own windows hold, as float32.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector, score_all
from detector.engine.calendar import raised
from detector.incidents.settings import Context
from detector.model.score import Score
from detector.model.windows import Feature, Windows
from detector.wiring.build import build_detectors, build_pipeline
from detector.wiring.calendar_section import build_calendar
from detector.wiring.config import of
from detector.wiring.settings import open_windows
from replay.exchange import Exchange
from replay.laboratory import KINDS, SIZES, Job, jobs, scenario_of
from replay.laboratory_judge import summary
from replay.laboratory_report import terminal
from replay.laboratory_run import KEY, PROMISES, Shadowed, budgets_of, steps
from replay.laboratory_tally import Callers, Run, Tally

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".run" / "laboratory"
SOURCES = ("replay/exchange*.py", "replay/incidents_plan.py", "replay/balanced.py", "replay/scenario.py",
           "replay/feed.py", "replay/laboratory.py", "detector/features/*.py", "detector/kernels/*.py",
           "detector/model/*.py", "detector/engine/*.py")  # fmt: skip
AHEAD_WINDOWS = 256  # read from disk at once
RECORDINGS_MAX = 2  # of a job, each of another state of the code; gigabytes


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One stream's windows. values float32 (F, W, M), on disk; calm, fresh bool (W, M); idle bool (W); close_ns int64
    (W). Market rows are in the engine's order, which `markets` names."""

    job: Job
    labels: list[dict[str, Any]]
    markets: tuple[str, ...]
    features: tuple[Feature, ...]
    values: npt.NDArray[np.float32]
    calm: npt.NDArray[np.bool_]
    fresh: npt.NDArray[np.bool_]
    idle: npt.NDArray[np.bool_]
    close_ns: npt.NDArray[np.int64]

    def column(self, name: str) -> npt.NDArray[np.float32]:
        """(W, M): one feature over the whole stream. ValueError when there is none."""
        place = [feature.name for feature in self.features].index(name)
        return np.asarray(self.values[place])

    def windows(self) -> Iterator[Windows]:
        """One after the other, as the engine would hand them to its detectors."""
        for first in range(0, len(self.close_ns), AHEAD_WINDOWS):
            part = np.ascontiguousarray(self.values[:, first : first + AHEAD_WINDOWS].transpose(1, 2, 0), np.float64)
            for i, values in enumerate(part):
                at = first + i
                yield Windows(
                    int(self.close_ns[at]), 1_000_000_000, self.markets, self.features, values,
                    self.calm[at], self.fresh[at], bool(self.idle[at]),
                )  # fmt: skip


def recorded(job: Job, folder: Path = FOLDER) -> Recording:
    """The job's recording, made now when it is not there or the code it depends on has changed."""
    return load(ready(job, folder))


def ready(job: Job, folder: Path = FOLDER) -> Path:
    """The folder of the job's recording, which is there now."""
    made = folder / name_of(job)
    if not (made / "about.json").is_file():
        record(job, made)
        known = sorted(folder.glob(f"{made.name.rpartition('-')[0]}-*"), key=lambda path: path.stat().st_mtime_ns)
        for old in known[:-RECORDINGS_MAX]:
            rmtree(old)
    return made


def name_of(job: Job) -> str:
    """The folder of a job: what it is, and a digest of all it depends on."""
    digest = blake2b(json.dumps(asdict(job), sort_keys=True).encode(), digest_size=6)
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return f"{job.kind}-{job.seed}-{job.size.markets}x{job.size.hours:g}h-{digest.hexdigest()}"


def record(job: Job, made: Path) -> None:
    """Run the stream through the fold alone, and keep every window. about.json is written last."""
    scenario = scenario_of(job.kind, job.seed, job.size)
    exchange = Exchange(scenario, job.seed)
    pipeline = build_pipeline(of({}), pseudonym_key=KEY, format_name="native", keep_scored=True)
    pipeline.detectors = ()
    made.mkdir(parents=True, exist_ok=True)
    length, markets = int(scenario.duration_s) + open_windows(1_000_000_000, 500_000_000) + 1, len(scenario.markets)
    features = pipeline.shard.features
    shape = (len(features), length, markets)
    values = np.lib.format.open_memmap(made / "values.npy", "w+", np.float32, shape)
    calm, fresh = np.ones((length, markets), np.bool_), np.zeros((length, markets), np.bool_)
    idle, close_ns = np.zeros(length, np.bool_), np.zeros(length, np.int64)
    at = 0
    for step in steps(pipeline, exchange):
        count = len(step.scored)
        block = np.full((count, markets, len(features)), np.nan, np.float32)
        for i, one in enumerate(step.scored):
            seen = len(one.windows.markets)
            block[i, :seen] = one.windows.values
            calm[at + i, :seen], fresh[at + i, :seen] = one.windows.calm, one.windows.fresh
            idle[at + i], close_ns[at + i] = one.windows.idle, one.windows.close_ns
        values[:, at : at + count] = block.transpose(2, 0, 1)
        at += count
    values.flush()
    np.savez(made / "flags.npz", calm=calm[:at], fresh=fresh[:at], idle=idle[:at], close_ns=close_ns[:at])
    about = {
        "job": asdict(job),
        "labels": exchange.labels(),
        "markets": pipeline.markets,
        "features": [[feature.name, feature.unit, feature.meaning] for feature in features],
    }
    (made / "about.json").write_text(json.dumps(about), encoding="utf-8")


def load(made: Path) -> Recording:
    """From the folder that `record` wrote."""
    about = json.loads((made / "about.json").read_text("utf-8"))
    flags = np.load(made / "flags.npz")
    told = dict(about["job"])
    size = type(SIZES["quick"])(**told.pop("size"))
    values = np.load(made / "values.npy", mmap_mode="r")[:, : len(flags["close_ns"])]
    return Recording(
        Job(size=size, **told), about["labels"], tuple(about["markets"]),
        tuple(Feature(*row) for row in about["features"]), values,
        flags["calm"], flags["fresh"], flags["idle"], flags["close_ns"],
    )  # fmt: skip


def rescore(
    recording: Recording,
    detectors: Sequence[Detector] | None = None,
    promises: Sequence[float] = PROMISES,
    *,
    sampled: bool = False,
    seen: Callable[[Windows, Sequence[Score]], None] | None = None,
) -> Run:
    """The recording through `detectors` (default: as shipped) and the correlator, judged by nobody yet: a Run as of
    replay/laboratory_run.py. Contributors and log positions are not known here. seen: told of each window's scores."""
    started_s = time.process_time()
    job = recording.job
    scenario = scenario_of(job.kind, job.seed, job.size)
    config = of({})
    chosen = tuple(build_detectors(config)) if detectors is None else tuple(detectors)
    budgets = budgets_of(chosen)
    shipped = config.settings.budget.warning
    correlator = Shadowed(config, [p for p in promises if p != shipped], budgets)
    calendar = build_calendar(config.settings.calendar)
    callers = Callers()
    result = Run(job.kind, job.seed, scenario, recording.labels, {})
    tally = Tally(result, scenario, sampled=sampled)
    context = Context(lambda market, detector: (), lambda markets, first, last: (), lambda market: ())
    for windows in recording.windows():
        planned, _ = calendar.within(windows.close_ns - windows.width_ns, windows.close_ns, windows.markets)
        learn = windows.normal & ~planned
        busy = correlator.open_markets()
        if busy:
            learn &= np.array([market not in busy for market in windows.markets], np.bool_)
        scores = raised(score_all(chosen, windows, learn), planned)
        callers.take(correlator.step(windows.close_ns, windows.width_ns, scores, context))
        tally.take(windows, scores)
        if seen is not None:
            seen(windows, scores)
    tally.done()
    result.notes = callers.notes
    result.calls = {shipped: callers.calls} | {p: told.calls for p, _, told in correlator.shadows}
    result.cpu_s = time.process_time() - started_s
    return result


def rescore_job(job: Job) -> Run:
    """Recorded if need be, and rescored as shipped."""
    return rescore(recorded(job), sampled=job.sampled)


def each(todo: Sequence[Job], do: Callable[[Job], Any], processes: int = 2) -> list[Any]:
    """`do` of every job, in their order, `processes` at a time."""
    if processes <= 1:
        return [do(job) for job in todo]
    with get_context("spawn").Pool(min(processes, len(todo))) as pool:
        return pool.map(do, todo, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record what is missing, rescore it, print the tables."""
    parser = argparse.ArgumentParser(prog="replay.laboratory_windows")
    parser.add_argument("--size", choices=[*SIZES], default="quick")
    parser.add_argument("--tuning", action="store_true", help="tuning seeds and markets instead of held-out ones")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only streams of this kind")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    wanted = jobs(SIZES[chosen.size], held_out=not chosen.tuning, sampled=False)
    todo = [job for job in wanted if not chosen.kind or job.kind in chosen.kind]
    runs = each(todo, rescore_job, chosen.processes)
    told = summary(runs)
    seeds = ", ".join(f"{run.kind} {run.seed}: {run.cpu_s:.0f} s" for run in runs)
    text = json.dumps(told, indent=1) if chosen.json else terminal(told, [f"from recorded windows; {seeds}"])
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()

"""Variants of one detector side by side over the same recorded windows: what each would recall, and page falsely.

    python -m replay.laboratory_variants thin_book|FILE.py [--size default] [--seed planted:3 --seed clean:1 ...]

For whoever tunes a detector, on tuning streams: a variant costs seconds, where a whole run costs minutes. FILE.py has a
function `variants()` that returns StreamDetectors by name; a detector's name stands for the one that is shipped. Each
is alone here: there is no correlator, no update of an incident, no early look, and learning pauses only while the
variant itself is at warning (and HELD_WINDOWS on). So compare variants; what the product does is for
replay/laboratory_windows.py and bench.detection to say.

peak 50 %, 80 %: of the normal ten minutes' largest scores on streams with nothing planted: a detector's PEAK_PRIOR.
There are none where nothing of what it counts ever happens in them.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.streams import StreamDetector
from detector.model.windows import Windows
from detector.wiring.build import build_detectors
from detector.wiring.config import of
from replay.balanced import THIRDS
from replay.laboratory import HELD_OUT, KINDS, SIZES, Job
from replay.laboratory_report import table
from replay.laboratory_windows import Recording, each, recorded

HELD_WINDOWS = 300
APART_WINDOWS = 600  # crossings of a market closer together are one
BLOCK_WINDOWS, SETTLE_WINDOWS = 600, 3600
AFTER_NS = 120_000_000_000  # after a planted incident's end nothing is a false page
WARNING = 1
SEEDS = ("clean:1", "dirty:2", "planted:3", "planted:6")


@dataclass(slots=True)
class Found:
    """Of one variant on one recording. crossings: (window, market row, strongest stream); peaks: of ten minutes;
    happened: any of its streams that raise its score counted anything."""

    crossings: list[tuple[int, int, str]] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    happened: bool = False


def load(name: str) -> dict[str, StreamDetector]:
    """The variants that a file makes, or the shipped detector of that name. ValueError where there is none."""
    if not name.endswith(".py"):
        shipped = {one.name: one for one in build_detectors(of({})) if isinstance(one, StreamDetector)}
        if name not in shipped:
            raise ValueError(f"{name} is no detector of streams; there are {', '.join(shipped)}")
        return {name: shipped[name]}
    spec = importlib.util.spec_from_file_location("variants", Path(name))
    if spec is None or spec.loader is None:
        raise ValueError(f"{name} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = dict(module.variants())
    if not made:
        raise ValueError(f"{name}: variants() returns none")
    return made


def try_all(recording: Recording, variants: Mapping[str, StreamDetector]) -> dict[str, Found]:
    """One pass over the recording."""
    found = {name: Found() for name in variants}
    crossed = {name: np.full(len(recording.markets), -APART_WINDOWS) for name in variants}
    block = {name: np.full(len(recording.markets), np.nan) for name in variants}
    for at, windows in enumerate(recording.windows()):
        for name, detector in variants.items():
            last = crossed[name]
            found[name].happened = found[name].happened or _happens(detector, windows)
            score = detector.score(windows, windows.normal & (at - last >= HELD_WINDOWS), ())
            block[name] = np.fmax(block[name], score.values)
            for row in np.flatnonzero(score.values >= score.levels[WARNING]):
                if at - last[row] >= APART_WINDOWS:
                    found[name].crossings.append((at, int(row), _strongest(detector, score.surprises[row])))
                last[row] = at
            if at % BLOCK_WINDOWS == BLOCK_WINDOWS - 1:
                if at >= SETTLE_WINDOWS:
                    found[name].peaks += block[name][~np.isnan(block[name])].tolist()
                block[name][:] = np.nan
    return found


def row(name: str, found: Sequence[tuple[Recording, Found]]) -> dict[str, Any]:
    """Recalled before the climax by class (subtle, middle, obvious: n/of), false crossings a market-week by stream."""
    early: Counter[tuple[str, str]] = Counter()
    planted: Counter[tuple[str, str]] = Counter()
    false: Counter[str] = Counter()
    peaks: list[float] = []
    happened = False
    weeks = 0.0
    for recording, one in found:
        busy = np.zeros((len(recording.close_ns), len(recording.markets)), np.bool_)
        for label in recording.labels:
            if label["confounder"]:
                continue
            rows = [recording.markets.index(market) for market in label["markets"]]
            first, climax, end = (int(np.searchsorted(recording.close_ns, ns)) for ns in _span(label))
            busy[first : end + 1, rows] = True
            key = (label["class"], label["third"])
            planted[key] += 1
            early[key] += any(market in rows and first <= at <= climax for at, market, _ in one.crossings)
        false.update(stream for at, market, stream in one.crossings if not busy[at, market])
        weeks += float((~busy).sum()) / (7 * 86_400)
        if recording.job.kind == "clean":
            peaks += one.peaks
            happened = happened or one.happened
    peaks = peaks if happened else []
    classes = sorted({kind for kind, _ in planted})
    return {
        "variant": name,
        **{kind: " ".join(f"{early[kind, third]}/{planted[kind, third]}" for third in THIRDS) for kind in classes},
        "false a week": round(sum(false.values()) / weeks, 2) if weeks > 0.0 else float("nan"),
        "by stream": ", ".join(f"{stream} {count}" for stream, count in false.most_common()),
        "peak 50 %": _quantile(peaks, 0.5),
        "peak 80 %": _quantile(peaks, 0.8),
    }


def tried(job: Job, name: str) -> dict[str, Found]:
    """What the variants of file or detector `name` find in a job's recording, which is made if need be."""
    return try_all(recorded(job), load(name))


def _strongest(detector: StreamDetector, surprises: npt.NDArray[np.float64]) -> str:
    """What made the score: surprise and part of the budget together."""
    with np.errstate(divide="ignore"):
        said = surprises + np.log10([stream.weight for stream in detector.streams])
    return detector.streams[int(np.nanargmax(said))].name


def _happens(detector: StreamDetector, windows: Windows) -> bool:
    """Any count of its streams is there, and not zero."""
    counts = (stream.count(windows) for stream in detector.streams if stream.weight > 0.0)
    return any(np.nan_to_num(count).any() for count in counts)


def unheard(done: Sequence[tuple[Recording, Mapping[str, Found]]]) -> list[str]:
    """A sentence for each variant whose peaks nothing can be said of: they would be those of a stream of zeros."""
    clean = [found for recording, found in done if recording.job.kind == "clean"]
    names = clean[0] if clean else ()
    silent = [name for name in names if not any(found[name].happened for found in clean)]
    return [f"{name}: nothing of it ever happened in these streams; keep the default PEAK_PRIOR" for name in silent]


def _span(label: Mapping[str, Any]) -> tuple[int, int, int]:
    return label["start"], label["climax"], label["end"] + AFTER_NS


def _quantile(values: Sequence[float], at: float) -> float:
    return round(float(np.quantile(np.array(values, np.float64), at)), 2) if values else float("nan")


def _job(told: str, size: str) -> Job:
    kind, _, seed = told.partition(":")
    if kind not in KINDS or not seed.isdigit() or int(seed) >= HELD_OUT:
        kinds = ", ".join(KINDS)
        raise ValueError(f"{told}: a kind ({kinds}) and the seed of a tuning stream, below {HELD_OUT}, as planted:3")
    return Job(kind, int(seed), SIZES[size], False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record what is missing, try the variants, print the table."""
    parser = argparse.ArgumentParser(prog="replay.laboratory_variants")
    parser.add_argument("variants", help="a file with variants(), or a detector's name")
    parser.add_argument("--size", choices=[*SIZES], default="default")
    parser.add_argument("--seed", action="append", help=f"kind:seed (default: {' '.join(SEEDS)})")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(arguments)
    try:
        todo = [_job(told, chosen.size) for told in chosen.seed or SEEDS]
        names = [*load(chosen.variants)]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    done = each(todo, partial(tried, name=chosen.variants), chosen.processes)
    recordings = [recorded(job) for job in todo]  # read here, on disk: a recording is too large to be handed over
    rows = [row(name, [(one, found[name]) for one, found in zip(recordings, done, strict=True)]) for name in names]
    told = unheard(list(zip(recordings, done, strict=True)))
    sys.stdout.write("\n".join([*table([*rows[0]], rows), *told]) + "\n")


if __name__ == "__main__":
    main()

"""Ablation: what each stream adds to paging. All of it is synthetic.

    python -m replay.laboratory_ablation [--size quick] [--tuning]

Recorded windows (replay/laboratory_windows.py) go through the detectors once, and every stream's surprises are kept.
With a stream left out, its detector's score is joined from the others, and its threshold is found anew: the score whose
ten-minute maxima on the clean stream exceed it as often as the detector's own part of one false page a market-week
allows. So all rows are at the same false pages. What learning would do without the stream is not tried.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.streams import StreamDetector, join
from detector.model.score import Score
from detector.model.windows import Windows
from detector.wiring.build import build_detectors
from detector.wiring.config import of
from replay.laboratory import SIZES, Job, jobs
from replay.laboratory_report import table
from replay.laboratory_tally import LATENESS_NS
from replay.laboratory_windows import Recording, each, recorded, rescore

BLOCK_WINDOWS = 600
SETTLE_WINDOWS = 3600
WARNING = 1  # of a detector's budgets

Surprises = npt.NDArray[np.float16]  # (W, M, S)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A recording's surprises by detector, float16 (W, M, S), and what they are of."""

    recording: Recording
    surprises: Mapping[str, Surprises]


def surprises_of(job: Job) -> dict[str, Surprises]:
    """One pass of the shipped detectors over a job's recording, which is made if need be."""
    rows: dict[str, list[Surprises]] = {}

    def seen(windows: Windows, scores: Sequence[Score]) -> None:
        due = (windows.fresh & windows.calm)[:, None]
        for score in scores:
            if score.streams:
                rows.setdefault(score.detector, []).append(np.where(due, score.surprises, np.nan).astype(np.float16))

    rescore(recorded(job), promises=(), seen=seen)
    return {name: np.stack(part) for name, part in rows.items()}


def ablate(jobs: Sequence[Job], processes: int = 2) -> list[dict[str, Any]]:
    """See ablation_rows. jobs: a clean and a planted one."""
    clean, planted = each(jobs, surprises_of, processes)
    return ablation_rows(Kept(recorded(jobs[0]), clean), Kept(recorded(jobs[1]), planted))


def ablation_rows(clean: Kept, planted: Kept) -> list[dict[str, Any]]:
    """Of all streams together, of all but each, and of each alone in its detector: recall before the climax, and which
    classes it is missed in most."""
    found = {one.name: one for one in build_detectors(of({})) if isinstance(one, StreamDetector)}
    whole = {name: _early(clean, planted, one, range(len(one.streams))) for name, one in found.items()}
    labels = [row for row in planted.recording.labels if not row["confounder"]]
    full = np.any([*whole.values()], axis=0)
    rows: list[dict[str, Any]] = [{"stream": "all of them", "early": round(float(full.mean()), 3)}]
    for name, one in found.items():
        others = [whole[other] for other in found if other != name]
        for s, stream in enumerate(one.streams):
            if np.isnan(planted.surprises[name][:, :, s]).all():
                continue  # for feeds that name nobody: not what these streams are
            left = np.any(
                [*others, _early(clean, planted, one, [i for i in range(len(one.streams)) if i != s])], axis=0
            )
            alone = _early(clean, planted, one, [s])
            rows.append(
                {
                    "stream": f"{name}.{stream.name}",
                    "early": round(float(left.mean()), 3),
                    "adds": round(float(full.mean() - left.mean()), 3),
                    "most in": _most(labels, full.astype(int) - left.astype(int)),
                    "alone": round(float(alone.mean()), 3),
                    "alone in": _most(labels, alone.astype(int)),
                }
            )
    return rows


def _early(clean: Kept, planted: Kept, detector: StreamDetector, streams: Sequence[int]) -> npt.NDArray[np.bool_]:
    """bool (incidents): the detector's score, joined from these streams, reaches its threshold before the climax."""
    weeks = clean.recording.fresh[SETTLE_WINDOWS:].sum() / 604_800.0
    allowed = max(1, round(float(detector.budgets[WARNING]) * weeks))
    weights = np.array([detector.streams[s].weight for s in streams])
    quiet = _joined(clean.surprises[detector.name], streams, weights)[SETTLE_WINDOWS:]
    blocks = len(quiet) // BLOCK_WINDOWS
    peaks = np.sort(quiet[: blocks * BLOCK_WINDOWS].reshape(blocks, BLOCK_WINDOWS, -1).max(axis=1), axis=None)
    threshold = peaks[-allowed]
    said = _joined(planted.surprises[detector.name], streams, weights)
    ends = planted.recording.close_ns + LATENESS_NS
    place = {market: row for row, market in enumerate(planted.recording.markets)}
    early = []
    for row in planted.recording.labels:
        if not row["confounder"]:
            first, last = np.searchsorted(ends, [row["start"], row["climax"] + 1])
            early.append(bool((said[first:last, [place[market] for market in row["markets"]]] > threshold).any()))
    return np.array(early, np.bool_)


def _joined(surprises: Surprises, streams: Sequence[int], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """float32 (W, M): 0 where nothing can be said."""
    values = np.zeros(surprises.shape[:2], np.float32)
    if len(streams):
        for window, row in enumerate(surprises[:, :, list(streams)]):
            values[window] = np.nan_to_num(join(row.astype(np.float64), weights))
    return values


def _most(labels: Sequence[Mapping[str, Any]], change: npt.NDArray[np.int64]) -> str:
    """The two classes with the largest mean of `change`, and how large."""
    by_class: dict[str, list[int]] = {}
    for row, one in zip(labels, change.tolist(), strict=True):
        by_class.setdefault(row["class"], []).append(one)
    means = sorted(((-float(np.mean(own)), name) for name, own in by_class.items()))
    return ", ".join(f"{name} {-mean:.2f}" for mean, name in means[:2] if mean < 0)


COLUMNS = ["stream", "early", "adds", "most in", "alone", "alone in"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Record what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="replay.laboratory_ablation")
    parser.add_argument("--size", choices=[*SIZES], default="quick")
    parser.add_argument("--tuning", action="store_true", help="tuning seeds and markets instead of held-out ones")
    chosen = parser.parse_args(arguments)
    todo = [job for job in jobs(SIZES[chosen.size], held_out=not chosen.tuning, sampled=False) if job.kind != "dirty"]
    sys.stdout.write("\n".join(table(COLUMNS, ablate(todo[:2]))) + "\n")


if __name__ == "__main__":
    main()

"""Volume under the surface of precision and recall (Paparrizos et al., VLDB 2022): no threshold, no point adjustment.

For each buffer length l an incident's label is extended by ramps sqrt(1 - distance / l); precision and recall of all
thresholds are computed from these soft labels, recall weighed by the share of incidents met at all; the areas under the
curves are averaged over l. Ties are broken by dice, or a score that is mostly 0 would be whatever its sorting made it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from replay.judge import GRACE_NS
from replay.laboratory_matched import Scores
from replay.laboratory_tally import Run

BUFFERS = (0, 2, 6, 12, 30)  # samples
_LOWEST = -1e300


def vus_pr(runs: Sequence[Run], scores: Sequence[Scores]) -> float:
    """Over all runs and markets. An incident is from its onset to its climax; samples from there to ten minutes after
    its end count neither way. Where a score says nothing it says the least: silence gains nothing."""
    values: list[npt.NDArray[np.float64]] = []
    events: list[tuple[int, int]] = []  # places in the joined series
    used: list[npt.NDArray[np.bool_]] = []
    at = 0
    for run, score in zip(runs, scores, strict=True):
        length = len(run.sample_ns)
        for market, name in enumerate(run.scenario.names):
            column = score[:, market].astype(np.float64)
            counted = np.ones(length, np.bool_)
            for row in run.labels:
                if row["confounder"] or name not in row["markets"]:
                    continue
                first, last, end = np.searchsorted(run.sample_ns, (row["start"], row["climax"], row["end"] + GRACE_NS))
                last = min(last, length - 1)
                counted[last + 1 : end] = False
                if first <= last:
                    events.append((at + int(first), at + int(last)))
            values.append(np.where(np.isnan(column), _LOWEST, column))
            used.append(counted)
            at += length
    joined, told = np.concatenate(values), np.concatenate(used)
    if not events:
        return float("nan")
    return float(np.mean([_area(joined, told, events, buffer) for buffer in BUFFERS]))


def _area(
    values: npt.NDArray[np.float64], told: npt.NDArray[np.bool_], events: Sequence[tuple[int, int]], buffer: int
) -> float:
    """Area under precision against recall, for one buffer length."""
    soft = np.zeros(len(values))
    hard = np.zeros(len(values))
    ramp = np.sqrt(1.0 - np.arange(1, buffer // 2 + 1) / buffer) if buffer else np.zeros(0)
    for first, last in events:
        for step, weight in enumerate(ramp, start=1):
            for place in (first - step, last + step):
                if 0 <= place < len(soft):
                    soft[place] = max(soft[place], weight)
        soft[first : last + 1] = hard[first : last + 1] = 1.0
    dice = np.random.default_rng(7).random(len(values))
    order = np.lexsort((dice, -values))
    order = order[told[order]]
    rank = np.full(len(values), len(order))
    rank[order] = np.arange(len(order))
    hits = np.cumsum(soft[order])
    positives = (hard[told].sum() + soft[told].sum()) / 2.0
    reach = len(ramp)
    met = np.sort([int(rank[max(0, first - reach) : last + reach + 1].min()) for first, last in events])
    existence = np.searchsorted(met, np.arange(len(order)), side="right") / len(events)
    recall = np.minimum(hits / positives, 1.0) * existence
    precision = hits / np.arange(1, len(order) + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))

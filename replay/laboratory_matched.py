"""Matched: what any score would recall at given numbers of false pages, with an oracle's threshold set on the judged
streams themselves. For curves and peers only; the product's own figures never come from here.

A page of a score begins when it crosses the threshold, and ends ten minutes after its last crossing; markets that begin
in one sample share it. Samples are ten seconds long, which would make every score late for a burst of three: a page is
dated to the beginning of its sample, or to the onset that lies in it. That is generous, and to all scores alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.instant import SECOND_NS
from replay.laboratory_judge import recall_row
from replay.laboratory_tally import SAMPLE_WINDOWS, Call, Run
from replay.laboratory_verdicts import Verdict, false_pages, verdicts_of, weeks

Scores = npt.NDArray[np.floating[Any]]  # (samples, M) in the scenario's order of markets; NaN = cannot say

JOIN_NS = 600 * SECOND_NS
SAMPLE_NS = SAMPLE_WINDOWS * SECOND_NS
THRESHOLDS = 400
RATES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # false pages per market-week


def calls_of(run: Run, scores: Scores, threshold: float) -> list[Call]:
    """The pages of a score at a threshold."""
    opened: dict[int, list[str]] = {}
    onsets = {
        name: [row["start"] for row in run.labels if name in row["markets"] and not row["confounder"]]
        for name in run.scenario.names
    }
    with np.errstate(invalid="ignore"):
        markets, samples = np.nonzero((scores > threshold).T)
    last_ns, last_market = 0, -1
    for market, at in zip(markets.tolist(), samples.tolist(), strict=True):
        close_ns = int(run.sample_ns[at])
        if market != last_market or close_ns - last_ns > JOIN_NS:
            name = run.scenario.names[market]
            open_ns = close_ns - SAMPLE_NS
            begun = [start for start in onsets[name] if open_ns < start <= close_ns]
            opened.setdefault(begun[0] if begun else open_ns, []).append(name)
        last_ns, last_market = close_ns, market
    return [Call(at, str(at), True, 2, "", tuple(names), "") for at, names in sorted(opened.items())]


def matched(runs: Sequence[Run], scores: Sequence[Scores], pages: int) -> tuple[int, list[Verdict]]:
    """(false pages, verdicts) at the lowest threshold with at most `pages` false pages over all runs."""
    candidates = _candidates(scores)
    first, last = 0, len(candidates) - 1
    while first < last:  # the lowest candidate that keeps the count
        middle = (first + last + 1) // 2
        if _false(runs, scores, candidates[middle]) <= pages:
            first = middle
        else:
            last = middle - 1
    return _judged(runs, scores, candidates[first])


def curve(runs: Sequence[Run], scores: Sequence[Scores]) -> list[dict[str, Any]]:
    """Recall at each of RATES."""
    exposed = sum(weeks(run) for run in runs)
    rows = []
    for rate in RATES:
        pages, found = matched(runs, scores, int(rate * exposed))
        row = recall_row(found)
        rows.append(
            {"false_per_week": rate, "reached": round(pages / exposed, 3), **{k: row[k] for k in ("planted", "early")}}
        )
    return rows


def _candidates(scores: Sequence[Scores]) -> npt.NDArray[np.float64]:
    """Thresholds from the highest down, dense where it matters: among the few highest scores."""
    pooled = np.concatenate([one[~np.isnan(one)] for one in scores])
    top = np.sort(pooled[pooled >= np.quantile(pooled, 0.9)])[::-1]
    ranks = np.unique(np.geomspace(1, len(top), THRESHOLDS).astype(int))
    return np.unique(top[ranks - 1].astype(np.float64))[::-1]


def _false(runs: Sequence[Run], scores: Sequence[Scores], threshold: float) -> int:
    return sum(len(false_pages(run, calls_of(run, one, threshold))) for run, one in zip(runs, scores, strict=True))


def _judged(runs: Sequence[Run], scores: Sequence[Scores], threshold: float) -> tuple[int, list[Verdict]]:
    calls = [calls_of(run, one, threshold) for run, one in zip(runs, scores, strict=True)]
    found = [verdict for run, told in zip(runs, calls, strict=True) for verdict in verdicts_of(run, told)]
    return sum(len(false_pages(run, told)) for run, told in zip(runs, calls, strict=True)), found

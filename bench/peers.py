"""Peers: what others would page with, on raw features and on our own residuals, in the same harness.

They see ten-second means of all features (`Run.samples`), our own marks and habits among them, which is generous; or
our detectors' residuals (`Run.residuals`), which is most of our work. Each threshold is an oracle's: the one at which
the peer has as many false pages on the judged streams as we had. The best of three smoothings counts. Nothing is
point-adjusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from statistics import median
from typing import Any

import numpy as np

from bench.peer_scores import (
    Samples,
    Scores,
    at_random,
    ecod_rolling,
    ew_z,
    gaussian_quantile,
    half_space_trees,
    isolation_forest_rolling,
    poisson_limits,
    static_limits,
)
from bench.peer_streams import loda, xstream
from replay.laboratory_judge import recall_row
from replay.laboratory_matched import matched
from replay.laboratory_surface import vus_pr
from replay.laboratory_tally import SAMPLE_WINDOWS, Run
from replay.laboratory_verdicts import Verdict

SMOOTHINGS = (1.0, 6.0, 30.0)  # samples
LOW_IS_RISK = ("depth", "levels")
IGNORED = ("mid", "quotes_usual")
PEERS: dict[str, Callable[[Samples, tuple[str, ...]], Scores]] = {
    "static limits": static_limits,
    "EW z-score": ew_z,
    "Poisson limit per count": poisson_limits,
    "River HalfSpaceTrees": half_space_trees,
    "River GaussianScorer + quantile": gaussian_quantile,
    "LODA": loda,
    "xStream": xstream,
    "PyOD ECOD rolling": ecod_rolling,
    "PyOD IForest rolling": isolation_forest_rolling,
    "random": at_random,
}
RAW_ONLY = ("Poisson limit per count", "random")


def compare(
    runs: Sequence[Run], false_pages: int, ours: Sequence[Verdict], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row a peer and input, at `false_pages` in all over `runs`; the best smoothing of each. ours: what became of
    the same incidents with our own score in this harness, which leads are held against."""
    inputs = {"raw": [raw(run) for run in runs], "residuals": [residual(run) for run in runs]}
    rows = []
    for name, peer in PEERS.items():
        for kind, given in inputs.items():
            if kind == "residuals" and name in RAW_ONLY:
                continue
            say(f"peers: {name} on {kind}")
            scores = [peer(values, names) for values, names in given]
            tried = [
                _row(runs, [_smoothed(one, span) for one in scores], span, false_pages, ours) for span in SMOOTHINGS
            ]
            rows.append({"peer": name, "input": kind, **max(tried, key=lambda row: float(row["early"]))})
    return rows


def _row(
    runs: Sequence[Run], scores: Sequence[Scores], span: float, false_pages: int, ours: Sequence[Verdict]
) -> dict[str, Any]:
    reached, found = matched(runs, scores, false_pages)
    told = {"smoothing_s": span * SAMPLE_WINDOWS, "false_pages": reached, "vus_pr": round(vus_pr(runs, scores), 3)}
    return {**told, **recall_row(found), **on_the_same(found, ours)}


def on_the_same(theirs: Sequence[Verdict], ours: Sequence[Verdict]) -> dict[str, Any]:
    """How many both told of before the climax, and both median leads (s) over these: who sees the long ones alone has a
    long median over what it saw. sooner_s: the median of how much sooner (s) we told of each of them, which does not
    depend on which incident happens to lie in the middle; we_first, they_first: of how many. The verdicts are of the
    same incidents in the same order."""
    both = [(one.lead_s, own.lead_s) for one, own in zip(theirs, ours, strict=True) if one.early and own.early]
    sooner = [own_s - one_s for one_s, own_s in both]
    their_s, our_s = (round(median(part), 1) for part in zip(*both, strict=True)) if both else (nan, nan)
    return {
        "both": len(both),
        "lead_of_both_s": their_s,
        "ours_of_both_s": our_s,
        "sooner_s": round(median(sooner), 1) if sooner else nan,
        "we_first": sum(gain > 0 for gain in sooner),
        "they_first": sum(gain < 0 for gain in sooner),
    }


def raw(run: Run) -> tuple[Samples, tuple[str, ...]]:
    """Features turned so that more is riskier, gaps filled with the last value; (samples, M, F) and names."""
    keep = [i for i, name in enumerate(run.features) if name not in IGNORED]
    names = tuple(run.features[i] for i in keep)
    values = run.samples[:, :, keep].astype(np.float64)
    for i, name in enumerate(names):
        if any(word in name for word in LOW_IS_RISK):
            values[:, :, i] = -np.log(np.maximum(values[:, :, i], 1.0))
    return _filled(values), names


def residual(run: Run) -> tuple[Samples, tuple[str, ...]]:
    """Our detectors' residuals, signed, about N(0, 1); streams that never say anything left out."""
    said = ~np.isnan(run.residuals).all(axis=(0, 1))
    names = tuple(name for name, kept in zip(run.streams, said, strict=True) if kept)
    return _filled(run.residuals[:, :, said].astype(np.float64)), names


def _filled(values: Samples) -> Samples:
    for at in range(1, len(values)):
        gone = np.isnan(values[at])
        values[at][gone] = values[at - 1][gone]
    return np.nan_to_num(values)


def _smoothed(scores: Scores, span: float) -> Scores:
    """Exponentially weighted over `span` samples."""
    if span <= 1.0:
        return scores
    told = scores.copy()
    gain = 1.0 / span
    for at in range(1, len(told)):
        before = np.where(np.isnan(told[at - 1]), told[at], told[at - 1])
        told[at] = before + gain * (told[at] - before)
    return told

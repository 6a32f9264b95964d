"""Notes: what the drift detector said of lasting changes, and how often it spoke where nothing had changed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from replay.instant import SECOND_NS
from replay.laboratory_tally import Run

AFTER_NS = 2 * 3600 * SECOND_NS  # a note this long after a change has come to its height is about it
LASTING = ("fee", "new_maker", "drift", "quiet")  # classes that last long enough to become what is normal


def note_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Of clean streams how many notes a market-week; of each lasting class how many were noted, how long after their
    begin (minutes), and what share would be by chance at the clean streams' rate."""
    clean = [run for run in runs if run.kind == "clean"]
    weeks = sum(run.market_weeks for run in clean)
    idle = sum(len(run.notes) for run in clean)
    rate = idle / weeks if weeks else float("nan")
    rows = [{"what": "nothing (clean)", "times": idle, "per_market_week": round(rate, 2)}] if clean else []
    for name in LASTING:
        found, after, spans = [], [], []
        for run in runs:
            end_ns = run.scenario.start_ns + int(run.scenario.duration_s * SECOND_NS)
            for row in run.labels:
                if row["class"] != name:
                    continue
                last_ns = min(end_ns, row["start"] + int(min(row["ramp_s"], 1e5) * SECOND_NS) + AFTER_NS)
                notes = [
                    note.at_ns
                    for note in run.notes
                    if row["start"] <= note.at_ns <= last_ns and set(note.markets) & set(row["markets"])
                ]
                found.append(bool(notes))
                after += [(min(notes) - row["start"]) / SECOND_NS / 60.0] if notes else []
                spans.append((last_ns - row["start"]) / SECOND_NS / 604_800.0 * len(row["markets"]))
        if found:
            chance = float(np.mean(1.0 - np.exp(-rate * np.array(spans))))
            rows.append(
                {
                    "what": name,
                    "times": len(found),
                    "noted": round(float(np.mean(found)), 3),
                    "after_min": round(float(np.median(after)), 1) if after else float("nan"),
                    "by_chance": round(chance, 3),
                }
            )
    return rows

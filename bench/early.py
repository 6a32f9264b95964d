"""Whether what is seen early stands: scores of open windows, beyond several margins, against their window's close.

    python -m bench.early [--markets 16] [--hours 1] [--seed 7] [--confounders 30] [--incidents 60]

A simulated exchange (all of it synthetic; 8 to 150 events a second and market) with incidents and confounders of every
kind, so many a market-day, through the engine as shipped, with its early looks. Noted is the highest score that any
look gave a market's window, against the level of that look; a row counts the windows beyond its margin, and how many
of them closed below critical and below warning. The rule that ships is warning + EARLY_MARGIN
(detector/incidents/crossings.py); a market that is known as critical already is not looked at.

The lines below the table are CPU time: of a look that found nothing worth a closer look, and what each market under
suspicion adds to one that did.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.machine import machine
from detector.engine.early import Early
from detector.engine.pipeline import Pipeline
from detector.incidents.crossings import EARLY_MARGIN
from detector.model.score import Score
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm
from replay.balanced import markets
from replay.exchange import Exchange
from replay.laboratory_run import KEY, steps
from replay.scenario import Draw, Scenario

EVENTS_PER_S = (8.0, 150.0)
WARM_UP_S = 600.0
WARNING, CRITICAL = 1, 2  # rows of Score.levels
RULES = (
    ("critical + 0.5", CRITICAL, 0.5),
    ("critical", CRITICAL, 0.0),
    ("critical - 0.5", CRITICAL, -0.5),
    (f"warning + {EARLY_MARGIN:g}", WARNING, EARLY_MARGIN),
    ("warning", WARNING, 0.0),
)

Key = tuple[str, str, int]  # detector, market, the window's end in ns


@dataclass(slots=True)
class Seen:
    """highest: over all looks, score less the levels of warning and of critical. closed: the same at the close."""

    highest: dict[Key, tuple[float, float]] = field(default_factory=dict)
    closed: dict[Key, tuple[float, float]] = field(default_factory=dict)
    quiet_looks: int = 0
    quiet_s: float = 0.0
    closer_looks: int = 0
    closer_s: float = 0.0
    suspects: int = 0

    def looked(self, found: Sequence[Score], cpu_s: float) -> None:
        """What a look gave: one Score a detector and market."""
        if found:
            self.closer_looks += 1
            self.closer_s += cpu_s
            self.suspects += len({score.markets[0] for score in found})
        else:
            self.quiet_looks += 1
            self.quiet_s += cpu_s
        for score in found:
            key, beyond = (score.detector, score.markets[0], score.close_ns), over(score, 0)
            self.highest[key] = max(self.highest.get(key, beyond), beyond)

    def close(self, scores: Sequence[Score]) -> None:
        """What the close of a window gave."""
        for score in scores:
            for row, market in enumerate(score.markets):
                key = (score.detector, market, score.close_ns)
                if key in self.highest:
                    self.closed[key] = over(score, row)


def over(score: Score, row: int) -> tuple[float, float]:
    """Score less warning, score less critical."""
    value, levels = float(score.values[row]), score.levels[:, row]
    return value - float(levels[WARNING]), value - float(levels[CRITICAL])


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.early")
    parser.add_argument("--markets", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--hours", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument("--confounders", type=float, default=30.0, help="a market-day (default: %(default)s)")
    parser.add_argument("--incidents", type=float, default=60.0, help="a market-day (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    draw = Draw(chosen.incidents, chosen.confounders, warm_up_s=WARM_UP_S)
    specs = markets(chosen.markets, EVENTS_PER_S)
    scenario = Scenario("early looks", specs, chosen.hours * 3600.0, seed=chosen.seed, draw=draw)
    print(machine("numba", "numpy"))
    print("\n".join(report(measure(scenario))))


def measure(scenario: Scenario) -> Seen:
    """The whole scenario through the engine."""
    config = of({})
    warm(config)
    pipeline = build_pipeline(config, pseudonym_key=KEY, keep_scored=True)
    seen = watched(pipeline)
    for step in steps(pipeline, Exchange(scenario, scenario.seed)):
        for one in step.scored:
            seen.close(one.scores)
    return seen


def watched(pipeline: Pipeline) -> Seen:
    """Notes what the looks of this engine give."""
    seen = Seen()

    class Watched(Early):
        """An Early that is listened to."""

        def look(self, *told: Any) -> tuple[Score, ...]:
            """See Early.look."""
            began_s = time.thread_time()
            found = super().look(*told)
            seen.looked(found, time.thread_time() - began_s)
            return found

    pipeline.early.__class__ = Watched
    return seen


def report(seen: Seen) -> list[str]:
    """The table, in Markdown, and the lines below it."""
    lines = ["", "| seen early at | windows | closed below critical | below warning |", "|---|---:|---:|---:|"]
    for name, level, margin in RULES:
        keys = [key for key, beyond in seen.highest.items() if beyond[level - 1] >= margin and key in seen.closed]
        below = (sum(not seen.closed[key][rank - 1] >= 0.0 for key in keys) for rank in (CRITICAL, WARNING))
        lines.append(f"| {name} | {len(keys)} | {' | '.join(map(str, below))} |")
    quiet_us = seen.quiet_s / max(1, seen.quiet_looks) * 1e6
    more_ms = max(0.0, seen.closer_s * 1e3 - seen.closer_looks * quiet_us / 1e3) / max(1, seen.suspects)
    lines += [
        "",
        f"{seen.quiet_looks:,} looks found nothing worth a closer one: {quiet_us:.0f} us each. "
        f"{seen.suspects:,} times a market was looked at more closely: {more_ms:.2f} ms each.",
    ]
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])

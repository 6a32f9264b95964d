"""Where the engine's time goes, stage by stage: ns an event between the bytes and the alerts.

    python -m bench.stages [--events 400000] [--rounds 5]

The events are synthetic (scenario "bench": 100 markets, 50,000 events a second in all), in batches as the Kafka source
hands them over. CPU time of one thread; of each stage the cheapest of `rounds`. The opening book snapshots, about a
thousand rows in one message, are left out. Fetching is not in here: bench.live less the whole of this.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.machine import machine
from detector.engine.pipeline import Pipeline
from detector.model.records import RecordBatch
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm
from replay.exchange import Exchange
from replay.feed import batches

PARTITIONS = 4
CHUNK_S = 0.25  # of event time, in one step: about a poll
OPENING = 2  # steps


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.stages")
    parser.add_argument("--events", type=int, default=400_000, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    chosen = parser.parse_args(arguments)
    warm(of({}))
    steps = taken(chosen.events)
    rounds = [measure(steps) for _ in range(chosen.rounds)]
    events = sum(len(batch) for step in steps[OPENING:] for batch in step)
    print(machine("numba", "numpy"))
    print(f"\n{events:,} synthetic events, {CHUNK_S * (len(steps) - OPENING):g} s of event time\n")
    print("| stage | ns/event |\n|---|---:|")
    for stage in rounds[0]:
        print(f"| {stage} | {min(told[stage] for told in rounds) / events * 1e9:.0f} |")


def taken(events: int) -> list[list[RecordBatch]]:
    """What is stepped over."""
    steps: list[list[RecordBatch]] = [[]]
    seen = 0
    for batch in batches(Exchange("bench"), "bench", PARTITIONS, CHUNK_S):
        if len(steps[-1]) == PARTITIONS:
            if seen >= events:
                break
            steps.append([])
        steps[-1].append(batch)
        seen += len(batch)
    return steps


def measure(steps: list[list[RecordBatch]]) -> dict[str, float]:
    """Seconds of CPU a stage; a stage that is part of another is told after it."""
    pipeline = build_pipeline(of({}), pseudonym_key=b"bench")
    told = {"the whole engine": 0.0}
    watch(pipeline.decoder, "decode", "bytes to events", told)
    watch(pipeline, "_stage", "staging: order, clocks", told)
    watch(pipeline.shard, "fold", "folding: books, and every group's counts", told)
    for name, group in pipeline.shard.groups.items():
        watch(group, "fold", f"- of which group {name}", told)
    watch(pipeline.early, "look", "early looks into open windows", told)
    watch(pipeline, "_close", "closing windows", told)
    watch(pipeline.shard, "close", "- of which reading the features", told)
    for detector in pipeline.detectors:
        watch(detector, "score", f"- of which {detector.name}", told)
    run(pipeline, steps[:OPENING])
    told.update(dict.fromkeys(told, 0.0))
    began_s = time.thread_time()
    run(pipeline, steps[OPENING:])
    told["the whole engine"] = time.thread_time() - began_s
    return told


def run(pipeline: Pipeline, steps: list[list[RecordBatch]]) -> None:
    """Step over all of them."""
    for step in steps:
        pipeline.step(step)


def watch(owner: Any, method: str, stage: str, told: dict[str, float]) -> None:
    """Add the time spent in a method of this one object to `told`. The clock is on its class: an early look copies
    detectors, and a copy that carried the clock would call the original."""
    kind = type(owner)
    origin: Callable[..., Any] = getattr(kind, method)
    told[stage] = 0.0

    def timed(self: Any, *arguments: Any) -> Any:
        if self is not owner:
            return origin(self, *arguments)
        began_s = time.thread_time()
        try:
            return origin(self, *arguments)
        finally:
            told[stage] += time.thread_time() - began_s

    setattr(kind, method, timed)


if __name__ == "__main__":
    main()

"""What a closed window costs above the fold: reading the features, each detector, and what stands beside an alert.

    python -m bench windows [--markets 200] [--windows 600]

A synthetic exchange of quiet markets (one event each 2 s, so that folding is little), warmed by 300 windows: young, so
incidents are open most of the time. CPU time of one thread, microseconds a window over all markets; "all" is what a
second of market time costs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bench.machine import machine
from bench.stages import watch
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm
from replay.exchange import Exchange
from replay.laboratory_run import KEY, batches_of
from replay.scenario import MarketSpec, Scenario

WARM_WINDOWS = 300


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.windows")
    parser.add_argument("--markets", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--windows", type=int, default=600, help="(default: %(default)s)")
    chosen = parser.parse_args(arguments)
    warm(of({}))
    told = measure(chosen.markets, chosen.windows)
    print(machine("numba", "numpy"))
    print(f"\n{chosen.markets} synthetic markets, {chosen.windows} windows of 1 s\n")
    print("| stage | us a window |\n|---|---:|")
    for stage, seconds in told.items():
        print(f"| {stage} | {seconds / chosen.windows * 1e6:.1f} |")


def measure(markets: int, windows: int) -> dict[str, float]:
    """Seconds of CPU a stage; a stage that is part of another is told after it."""
    specs = tuple(MarketSpec(f"M{i:03d}-PERP", 100.0, 0.5, makers=4) for i in range(markets))
    exchange = Exchange(Scenario("windows", specs, float(WARM_WINDOWS + windows)), 1)
    pipeline = build_pipeline(of({}), pseudonym_key=KEY)
    told: dict[str, float] = {}
    watch(pipeline, "_close", "all", told)
    watch(pipeline.shard, "close", "- reading the features", told)
    for name, group in pipeline.shard.groups.items():
        watch(group, "read", f"  - {name}", told)
    for detector in pipeline.detectors:
        watch(detector, "score", f"- {detector.name}", told)
    watch(pipeline.beside, "see", "- circumstances, seeing", told)
    watch(pipeline.beside, "learn", "- circumstances and second opinion, learning", told)
    watch(pipeline.correlator, "step", "- the correlator", told)
    warmed = False
    for batch in batches_of(exchange):  # a minute of event time each
        if not warmed and pipeline.watermark_ns >= exchange.scenario.start_ns + WARM_WINDOWS * 1_000_000_000:
            warmed = True
            told.update(dict.fromkeys(told, 0.0))
        pipeline.take([({}, batch)])
    return told


if __name__ == "__main__":
    main()

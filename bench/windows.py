"""What a closed window costs above the fold: reading the features, each detector, and what stands beside an alert.

    python -m bench windows [--markets 200] [--windows 600] [--steady 15000] [--rounds 20]

A synthetic exchange of quiet markets (one event each 2 s, so that folding is little). Two columns: young markets,
warmed by 300 windows, where incidents are open most of the time; and steady ones, warmed by `--steady` windows (more
than four hours; 0 = not measured), where few are. Looks into open windows are off. CPU
time of one thread, microseconds a window over all markets, of `rounds` spans one after the other the one that cost
least: a shared machine runs at half its speed for seconds. "all" is what a second of market time costs, and the last
row is one market's part of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from bench.machine import machine
from bench.stages import watch
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm
from replay.exchange import Exchange
from replay.laboratory_run import KEY, batches_of
from replay.scenario import MarketSpec, Scenario

WARM_WINDOWS = 300
END_WINDOWS = 120  # behind the last span, so that it is seen to end
STEADY_WINDOWS = 15_000  # all has been learned by then, and drift looks over four hours of its day


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.windows")
    parser.add_argument("--markets", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--windows", type=int, default=600, help="(default: %(default)s)")
    parser.add_argument("--steady", type=int, default=STEADY_WINDOWS, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="the cheapest counts (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1 or chosen.windows < 60 or chosen.windows % 60:
        parser.error("--rounds of 1 or more, and --windows in whole minutes (60, 120, ...): events come by the minute")
    warm(of({}))
    ages = {"young": WARM_WINDOWS, "everything, steady": chosen.steady}
    columns = {
        name: measure(chosen.markets, chosen.windows, age, chosen.rounds) for name, age in ages.items() if age > 0
    }
    print(machine("numba", "numpy"))
    spans = f"{chosen.windows} windows of 1 s, the cheapest of {chosen.rounds} spans"
    print(f"\n{chosen.markets} synthetic markets, {spans}; us of CPU a window\n")
    print(f"| stage | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for stage in columns["young"]:
        print(f"| {stage} | {_cells(columns, stage, chosen.windows)} |")
    print(f"| one market's part of all | {_cells(columns, 'all', chosen.windows * chosen.markets)} |")


def _cells(columns: Mapping[str, Mapping[str, float]], stage: str, parts: int) -> str:
    return " | ".join(f"{told.get(stage, 0.0) / parts * 1e6:.1f}" for told in columns.values())


def measure(markets: int, windows: int, warm_windows: int = WARM_WINDOWS, rounds: int = 1) -> dict[str, float]:
    """Seconds of CPU a stage, of the cheapest of `rounds` spans; a stage that is part of another is told after it."""
    specs = tuple(MarketSpec(f"M{i:03d}-PERP", 100.0, 0.5, makers=4) for i in range(markets))
    exchange = Exchange(Scenario("windows", specs, float(warm_windows + windows * rounds + END_WINDOWS)), 1)
    # an early look works on a copy of a detector; the clock that is set on the detector would send it to the original
    pipeline = build_pipeline(of({"input": {"early": "0s"}}), pseudonym_key=KEY)
    told: dict[str, float] = {}
    watch(pipeline, "_close", "all", told)
    watch(pipeline.shard, "close", "- reading the features", told)
    for name, group in pipeline.shard.groups.items():
        watch(group, "read", f"  - {name}", told)
    for detector in pipeline.detectors:
        watch(detector, "score", f"- {detector.name}", told)
    watch(pipeline.beside, "see", "- circumstances, seeing", told)
    watch(pipeline.beside, "learn", "- circumstances and second opinion, learning", told)
    watch(pipeline.beside, "more", "- circumstances and second opinion, telling", told)
    watch(pipeline.correlator, "step", "- the correlator", told)
    spans: list[dict[str, float]] = []
    until_s = warm_windows
    for batch in batches_of(exchange):  # a minute of event time each
        if pipeline.watermark_ns >= exchange.scenario.start_ns + until_s * 1_000_000_000:
            spans.append(dict(told))
            told.update(dict.fromkeys(told, 0.0))
            until_s += windows
        pipeline.take([({}, batch)])
    return min(spans[1:], key=lambda span: span["all"])  # the first is the warming


if __name__ == "__main__":
    main()

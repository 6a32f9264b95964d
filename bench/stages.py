"""Where the engine's time goes, stage by stage: ns an event between the bytes and the alerts.

    python -m bench.stages [--events 400000] [--rounds 5] [--resting 0]

The events are synthetic (scenario "bench": 100 markets, 50,000 events a second in all), in batches as the Kafka source
hands them over. CPU time of one thread; of each stage the cheapest of `rounds`. The opening book snapshots, about a
thousand rows in one message, are left out. Fetching is not in here: bench.live less the whole of this. `resting`: so
many orders are placed 2 to 30 % from the price and stay, as in bench.live; their coming is left out, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.live_deep import resting
from bench.machine import machine
from detector.engine.pipeline import Pipeline
from detector.model.events import EventColumn
from detector.model.records import RecordBatch
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm
from replay.exchange import Exchange
from replay.feed import batches, partition_of

PARTITIONS = 4
CHUNK_S = 0.25  # of event time, in one step: about a poll
OPENING = 2  # steps
SLICE = 100_000  # orders that come to rest in one step


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.stages")
    parser.add_argument("--events", type=int, default=400_000, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--resting", type=int, default=0, help="orders that rest and stay (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    warm(of({}))
    opening = OPENING + -(-chosen.resting // SLICE)
    steps = taken(chosen.events, chosen.resting, opening)
    rounds = [measure(steps, opening) for _ in range(chosen.rounds)]
    events = sum(len(batch) for step in steps[opening:] for batch in step)
    print(machine("numba", "numpy"))
    seconds = CHUNK_S * (len(steps) - opening)
    print(f"\n{events:,} synthetic events, {seconds:g} s of event time, beside {chosen.resting:,} orders that rest\n")
    print("| stage | ns/event |\n|---|---:|")
    for stage in rounds[0]:
        print(f"| {stage} | {min(told[stage] for told in rounds) / events * 1e9:.0f} |")


class Deep(Exchange):
    """The same exchange, and behind its first chunk orders that rest and stay."""

    orders = 0

    def chunks(self, seconds_per_chunk: float = 1.0) -> Iterator[EventColumn]:
        """See Exchange.chunks."""
        where = [partition_of(name, PARTITIONS) for name in self.markets]
        homes = [[market for market, home in enumerate(where) if home == number] for number in range(PARTITIONS)]
        for number, chunk in enumerate(super().chunks(seconds_per_chunk)):
            yield chunk
            if number == 0 and self.orders:
                deep = resting(chunk, homes, self.orders)
                for begin in range(0, self.orders, SLICE):
                    yield deep[begin : begin + SLICE]


def taken(events: int, orders: int = 0, opening: int = OPENING) -> list[list[RecordBatch]]:
    """What is stepped over: `opening` steps, then at least `events` events; in each, a batch of each partition."""
    exchange = Deep("bench")
    exchange.orders = orders
    steps: list[list[RecordBatch]] = [[]]
    seen = 0
    for batch in batches(exchange, "bench", PARTITIONS, CHUNK_S):
        if len(steps[-1]) == PARTITIONS:
            if seen >= events:
                break
            steps.append([])
        steps[-1].append(batch)
        seen += len(batch) if len(steps) > opening or not orders else 0
    return steps


def measure(steps: list[list[RecordBatch]], opening: int) -> dict[str, float]:
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
    run(pipeline, steps[:opening])
    told.update(dict.fromkeys(told, 0.0))
    began_s = time.thread_time()
    run(pipeline, steps[opening:])
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

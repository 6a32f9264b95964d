"""What a checkpoint of a large state costs: the pause of the stream, writing, reading.

    python -m bench.snapshot [--markets 1000] [--accounts 100000] [--orders 1000000] [--rounds 5]

A synthetic engine is filled (bench/synthetic.py); then, as the daemon does it, its state is copied between two steps
(the pause: nothing is folded meanwhile), encoded and committed to a state file in a thread, and read back into a fresh
engine. Wall time, the shortest and the longest of `rounds`; between two of them the engine folds on.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.machine import machine, peak_mib
from bench.scale import TOUCHED_BYTES
from bench.synthetic import Synthetic
from detector.engine.pipeline import Pipeline
from detector.store import snapshot
from detector.store.rows import Checkpoint
from detector.store.store import Store
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm

SETTLING = 1_000_000  # events after the orders rest
BETWEEN = 500_000


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.snapshot")
    parser.add_argument("--markets", type=int, default=1_000, help="(default: %(default)s)")
    parser.add_argument("--accounts", type=int, default=100_000, help="(default: %(default)s)")
    parser.add_argument("--orders", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    chosen = parser.parse_args(arguments)
    warm(of({}))
    np.ones(TOUCHED_BYTES // 2, np.uint8)
    exchange = Synthetic(chosen.markets, chosen.accounts, chosen.orders)
    pipeline = fresh()
    run(pipeline, exchange, chosen.orders + SETTLING)
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(measure(pipeline, exchange, chosen.rounds, Path(folder)))
    print(machine("numpy", "zstandard"))
    print(f"\n{chosen.markets:,} markets, {chosen.accounts:,} accounts, {chosen.orders:,} open orders\n")
    print("| what | ms | at most |\n|---|---:|---:|")
    for what, times in told.items():
        unit = 1.0 if what.startswith("size") else 1e3
        print(f"| {what} | {min(times) * unit:.0f} | {max(times) * unit:.0f} |")
    print(f"\nPeak resident size {peak_mib():.0f} MiB, two engines among it.")


def fresh() -> Pipeline:
    """An engine at its beginning."""
    return build_pipeline(of({}), pseudonym_key=b"bench")


def run(pipeline: Pipeline, exchange: Synthetic, events: int) -> None:
    """Fold so many more."""
    until = exchange.made + events
    while exchange.made < until:
        pipeline.take([exchange.batch()])


async def measure(pipeline: Pipeline, exchange: Synthetic, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Seconds by stage."""
    names = ("the pause: copied", "encoded", "committed", "written in all", "read and decoded", "restored", "size, MiB")
    told: dict[str, list[float]] = {name: [] for name in names}
    store = await Store.open(folder / "state")
    arena = snapshot.Arena()
    arena.reserve(len(arena.freeze(pipeline.state()).body))
    for _ in range(rounds):
        run(pipeline, exchange, BETWEEN)
        marks = [time.perf_counter()]
        state = arena.freeze(pipeline.state())
        positions = dict(pipeline.positions())
        marks.append(time.perf_counter())
        blob = await asyncio.to_thread(snapshot.encode, state)
        marks.append(time.perf_counter())
        await store.commit(Checkpoint(0.0, blob, positions, ""))
        marks.append(time.perf_counter())
        found = await store.load()
        assert found is not None and found.state is not None
        decoded = snapshot.decode(found.state)
        marks.append(time.perf_counter())
        twin = fresh()
        twin.restore(decoded)
        marks.append(time.perf_counter())
        spans = [after - before for before, after in itertools.pairwise(marks)]
        assert np.array_equal(twin.shard.tables.order_use, pipeline.shard.tables.order_use)
        written = [*spans[:3], sum(spans[:3]), *spans[3:], len(blob) / 2**20]
        for name, value in zip(names, written, strict=True):
            told[name].append(value)
    await store.close()
    return told


if __name__ == "__main__":
    main(sys.argv[1:])

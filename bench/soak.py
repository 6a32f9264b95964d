"""A long log at replay speed: whether memory or the cost of an event grow with history.

    python -m bench.soak [--events 10000000] [--slower 1.25] [--larger 1.05]

Synthetic decoded rows (bench/synthetic.py) into the engine: order ids never come again, accounts come and go, markets
appear during the first half. A line for each tenth; exit code 1 when the last tenth costs more than `slower` times the
sixth's CPU time, or takes more than `larger` times its memory: from there on only history grows. Accounts of a market
are limited to 2,048, so that forgetting them is a part of it. The real one is --events 1000000000.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from bench.machine import machine
from bench.memory import resident_mib
from bench.synthetic import Synthetic
from detector.engine.pipeline import Pipeline
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm

TENTHS = 10
SETTLED = 5  # index of the tenth that the last one is held against: all markets are there
MARKETS, MORE_MARKETS = 50, 10  # at first, and in each of the first tenths
ACCOUNTS, ORDERS, CHURN = 20_000, 200_000, 16
SETTINGS = {"limits": {"participants_per_market_max": 2048}}


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table; exit 1 on growth."""
    parser = argparse.ArgumentParser(prog="bench.soak")
    parser.add_argument("--events", type=int, default=10_000_000, help="(default: %(default)s)")
    parser.add_argument("--slower", type=float, default=1.25, help="CPU time, times the sixth tenth's")
    parser.add_argument("--larger", type=float, default=1.05, help="memory, times the sixth tenth's")
    chosen = parser.parse_args(arguments)
    config = of(SETTINGS)
    warm(config)
    pipeline = build_pipeline(config, pseudonym_key=b"bench")
    exchange = Synthetic(MARKETS, ACCOUNTS, ORDERS, churn=CHURN)
    print(machine("numba", "numpy"))
    print("\n| events | markets | accounts known | open orders | level pool | ns/event | RSS MiB |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    costs, sizes = [], []
    for tenth in range(TENTHS):
        if 0 < tenth < SETTLED:
            exchange.markets += MORE_MARKETS
        costs.append(run(pipeline, exchange, chosen.events * (tenth + 1) // TENTHS))
        sizes.append(resident_mib())
        tables = pipeline.shard.tables
        print(
            f"| {exchange.made:,} | {len(pipeline.markets)} | {int(tables.held.sum()):,} | {tables.order_use[0]:,} |"
            f" {tables.level_use[0] / len(tables.levels):.2f} | {costs[-1]:.0f} | {sizes[-1]:.0f} |",
            flush=True,
        )
    slower, larger = costs[-1] / costs[SETTLED], sizes[-1] / sizes[SETTLED]
    print(f"\nThe last tenth against the sixth: CPU {slower:.2f} times, memory {larger:.2f} times.")
    if slower > chosen.slower or larger > chosen.larger:
        sys.exit(1)


def run(pipeline: Pipeline, exchange: Synthetic, until: int) -> float:
    """Fold on; ns of CPU an event, the generator's left out."""
    cpu_s, first = 0.0, exchange.made
    while exchange.made < until:
        batch = exchange.batch()
        began_s = time.thread_time()
        pipeline.take([batch])
        cpu_s += time.thread_time() - began_s
    return cpu_s / (exchange.made - first) * 1e9


if __name__ == "__main__":
    main(sys.argv[1:])

"""What an event costs as markets, accounts and live orders grow, one after the other, and how long growing takes.

    python -m bench.scale [--events 2000000] [--rounds 5]

The engine alone: decoded rows from a compiled generator (bench/synthetic.py, 100,000 events a second of event time) go
into Pipeline.take: staging, fold, windows, every detector. No JSON is read and nothing is fetched: bench.live less
bench.stages says what those cost, and they know neither markets nor orders. Accounts and orders are drawn evenly, the
worst for the processor's caches: where few accounts do most, large tables cost less than here.

More markets are asked for in two ways. Each alike: 20 accounts and 100 orders a market, so a market is what it was and
there are more of them. That share: the same accounts and orders over more markets, so that a market of 2,000 accounts,
of which 32 are watched as makers, becomes one of 20 that all are: more is asked of most events then.

Each line is a process of its own, filled first; CPU time of the cheapest of `rounds`. "Longest step" is the longest
while it was filled: a table that grew, or a window that closed. The memory is touched once before, because a virtual
machine's host hands it out slowly the first time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from bench.machine import machine, peak_mib
from bench.synthetic import ROWS, Synthetic
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm

MARKETS, ACCOUNTS, ORDERS = 100, 10_000, 100_000
AXES = {
    "markets, each alike": [(count, 10 * count, 100 * count) for count in (10, 100, 1000)],
    "markets that share": [(10, ACCOUNTS, ORDERS), (100, ACCOUNTS, ORDERS), (1000, ACCOUNTS, ORDERS)],
    "accounts": [(MARKETS, 10**power, ORDERS) for power in (3, 4, 5, 6)],
    "live orders": [(MARKETS, ACCOUNTS, 10**power) for power in (5, 6, 7)],
    "all of them": [(10, 1_000, 100_000), (1000, 1_000_000, 10_000_000)],
}
TOUCHED_BYTES = 4 << 30
SETTLING_S = 5  # of event time, after the tables are filled
CHILD_MAX_S = 600


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.scale")
    parser.add_argument("--events", type=int, default=2_000_000, help="measured in each line (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.cell:
        print(json.dumps(measure(*json.loads(chosen.cell), chosen.events, chosen.rounds)))
        return
    warm(of({}))
    np.ones(TOUCHED_BYTES, np.uint8)
    print(machine("numba", "numpy"))
    print("\n| axis | markets | accounts | live orders | ns/event | times | RSS MiB | longest step ms |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for axis, cells in AXES.items():
        first = 0.0
        for cell in cells:
            told = ask(cell, chosen.events, chosen.rounds)
            first = first or told["ns"]
            counts = " | ".join(f"{number:,}" for number in cell)
            print(
                f"| {axis} | {counts} | {told['ns']:.0f} | {told['ns'] / first:.2f} | {told['rss_mib']:.0f} |"
                f" {told['longest_ms']:.0f} |",
                flush=True,
            )


def ask(cell: tuple[int, int, int], events: int, rounds: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = (sys.executable, "-m", "bench.scale", "--cell", json.dumps(cell))
    done = subprocess.run(
        (*command, "--events", str(events), "--rounds", str(rounds)),
        stdout=subprocess.PIPE,
        check=True,
        timeout=CHILD_MAX_S,
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(markets: int, accounts: int, orders: int, events: int, rounds: int) -> dict[str, float]:
    """One line: ns of CPU an event, resident MiB at the most, and the longest step in ms of wall time."""
    warm(of({}))
    pipeline = build_pipeline(of({}), pseudonym_key=b"bench")
    exchange = Synthetic(markets, accounts, orders)
    longest_s = 0.0
    settled = max(orders, 2 * accounts) + SETTLING_S * exchange.events_s
    while exchange.made < settled:
        batch = exchange.batch()
        began_s = time.perf_counter()
        pipeline.take([batch])
        longest_s = max(longest_s, time.perf_counter() - began_s)
    costs = []
    for _ in range(rounds):
        cpu_s, first = 0.0, exchange.made
        while exchange.made - first < events // rounds:
            batch = exchange.batch()
            began_s = time.thread_time()
            pipeline.take([batch])
            cpu_s += time.thread_time() - began_s
        costs.append(cpu_s / (exchange.made - first))
    assert exchange.filled and exchange.made >= settled + events - ROWS * rounds
    return {"ns": min(costs) * 1e9, "rss_mib": peak_mib(), "longest_ms": longest_s * 1e3}


if __name__ == "__main__":
    main(sys.argv[1:])

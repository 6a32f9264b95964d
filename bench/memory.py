"""What is kept for each thing, in bytes, and whether a full engine takes more than that.

    python -m bench.memory [--markets 1000] [--accounts 100000] [--orders 1000000]

First by arithmetic: the rows' sizes, and of tables that double the least and the most by how full they are. Then a
synthetic engine (bench/synthetic.py) is filled, and the arrays' sizes are summed and held against what the process took
more than before; tables end in rows that were never touched, which are in the sum and not in memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import machine
from bench.synthetic import Synthetic
from detector.engine.pipeline import Pipeline
from detector.features.tables import CREDIT, CREDITS, MAKER, MARKET, SAMPLE
from detector.kernels.levels import LEVEL, RUN
from detector.kernels.orders import ORDER
from detector.kernels.participants import PARTICIPANT
from detector.model.events import EVENT
from detector.model.state import Tree
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm

SETTLING = 1_000_000  # events after the orders rest
SLOT_BYTES = 8  # at most half of the slots are taken, a quarter after they doubled
BESIDE_BYTES = 4 + 4  # of a row: order_markets, order_distances
FOUND = (2 * SLOT_BYTES, 4 * SLOT_BYTES)


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="bench.memory")
    parser.add_argument("--markets", type=int, default=1_000, help="(default: %(default)s)")
    parser.add_argument("--accounts", type=int, default=100_000, help="(default: %(default)s)")
    parser.add_argument("--orders", type=int, default=1_000_000, help="(default: %(default)s)")
    chosen = parser.parse_args(arguments)
    warm(of({}))
    before_mib = resident_mib()
    exchange = Synthetic(chosen.markets, chosen.accounts, chosen.orders)
    pipeline = build_pipeline(of({}), pseudonym_key=b"bench")
    while exchange.made < chosen.orders + SETTLING:
        pipeline.take([exchange.batch()])
    after_mib = resident_mib()
    print(machine("numpy"))
    print("\n| one more | named limit | bytes, least | most |\n|---|---|---:|---:|")
    for what, limit, least, most in items(pipeline):
        print(f"| {what} | {limit} | {least:,} | {most:,} |")
    parts = sizes(pipeline)
    print(f"\n{chosen.markets:,} markets, {chosen.accounts:,} accounts, {chosen.orders:,} open orders\n")
    print("| part | MiB |\n|---|---:|")
    for name, size in sorted(parts.items(), key=lambda part: -part[1]):
        if size >= 2**19:
            print(f"| {name} | {size / 2**20:.1f} |")
    print(f"| all arrays, untouched rows included | {sum(parts.values()) / 2**20:.1f} |")
    generator = chosen.orders * 32 / 2**20
    print(f"| resident more than before, {generator:.0f} of it the generator's | {after_mib - before_mib:.1f} |")


def items(pipeline: Pipeline) -> list[tuple[str, str, int, int]]:
    """(what, its limit, bytes at the least, bytes at the most). A pool of levels is packed when full."""
    ring, seats = pipeline.shard.ring, pipeline.shard.limits.makers_max
    market = MARKET.itemsize + 2 * RUN.itemsize + CREDITS * CREDIT.itemsize + seats * MAKER.itemsize
    market += ring * (SAMPLE.itemsize + sum(g.STATE.itemsize for g in pipeline.shard.groups.values())) + 2 * ring
    learned = sum(nbytes(detector.state()) for detector in pipeline.detectors) // max(1, len(pipeline.markets))
    order = ORDER.itemsize + BESIDE_BYTES
    return [
        ("market: books and counts", "limits.markets_max", market, 2 * market),
        ("market: what detectors learned", "limits.markets_max", learned, 2 * learned),
        ("open order", "limits.orders_max", order + FOUND[0], order + FOUND[1]),
        (
            "account of a market",
            "limits.participants_per_market_max",
            PARTICIPANT.itemsize + FOUND[0],
            PARTICIPANT.itemsize + FOUND[1],
        ),
        ("price level", "limits.levels_max", LEVEL.itemsize, 4 * LEVEL.itemsize),
        ("event read ahead", "limits.staged_events_max", EVENT.itemsize + 8, EVENT.itemsize + 8),
    ]


def sizes(pipeline: Pipeline) -> dict[str, int]:
    """Bytes of arrays, by part."""
    tables: dict[str, Any] = pipeline.shard.tables._asdict()
    found = {f"table {name}": array.nbytes for name, array in tables.items()}
    found |= {f"group {name}": nbytes(group.state()) for name, group in pipeline.shard.groups.items()}
    found |= {f"detector {detector.name}": nbytes(detector.state()) for detector in pipeline.detectors}
    rest = {name: part for name, part in pipeline.state().items() if name not in ("shard", "detectors")}
    return found | {f"engine, {name}": nbytes(part) for name, part in rest.items()}


def nbytes(value: Tree | dict[str, Tree]) -> int:
    """Of every array in a tree."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(nbytes, children))


def resident_mib() -> float:
    """Of this process now (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS in /proc/self/status")


if __name__ == "__main__":
    main(sys.argv[1:])

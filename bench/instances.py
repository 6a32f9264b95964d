"""What a second instance adds: two daemons of one group on a core each, against one daemon on one core, same topic.

    python -m bench.instances [--events 2000000] [--resting 200000] [--rounds 3]

A broker of our own (or the one that FORESHOCK_KAFKA__BOOTSTRAP names), the events of bench.live (100 markets, 4
partitions, not compressed; the markets are dealt out so that the partitions are as busy as each other), and the whole
daemon of bench.live in one instance and in two that share the partitions through their consumer group; in turns. Every
instance is held to a core. All of them begin together, once the group is stable and the opening (the books, the resting
orders and a tenth of the events) is read; the clock runs until the last of them has taken its last record. Of each
layout the round with the most events a second counts.

The broker takes processor time too, and so does whatever else runs on the machine. Beside one instance it has the other
cores; where there are as many cores as instances it must share theirs, and events a second cannot double. So the CPU
time of the instances, and of the broker where it is ours, stands beside: "cores of their own" is what the CPU time an
event allows as many instances when nobody else needs their cores. An instance waits where its core is less than busy.

Incidents: those that one instance told (opened) of markets that all live with one of the two instances, and how many of
them the two told under the same id. An incident over markets of both is told by each of them for its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.instances_daemon import ASSIGNED, DONE, OPENED
from bench.live import PARTITIONS, ROOT, broker, fill, kafka_version, say
from bench.machine import cpu_seconds, machine
from replay.produce import end_offsets
from replay.scenario import load
from tools.kafka_broker import brokers

ASKED = 1.7  # times the events a second of one instance
LAYOUTS = (1, 2)
END_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """One layout: its best round. broker_s: CPU time, 0 = not our broker. opened: incident id -> markets."""

    instances: int
    events: float
    wall_s: float
    cpu_s: float
    broker_s: float
    opened: dict[str, list[str]]

    @property
    def events_s(self) -> float:
        """Of all instances together."""
        return self.events / self.wall_s

    @property
    def cpu_us(self) -> float:
        """CPU time of the instances per event, microseconds."""
        return self.cpu_s / self.events * 1e6


@dataclass(frozen=True, slots=True)
class Topic:
    """What is read. opening, records: of each partition; the opening is read before the clocks run."""

    bootstrap: str
    name: str
    opening: tuple[int, ...]
    records: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="bench.instances", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=2_000_000, help="in the topic (default: %(default)s)")
    parser.add_argument("--resting", type=int, default=200_000, help="live orders (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the quickest counts (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    print("\n".join(report(measure(chosen.events, chosen.resting, chosen.rounds))))


def measure(events: int, orders: int, rounds: int) -> list[Row]:
    """Every layout on one topic, which holds `events` and `orders` that rest."""
    told: list[Row] = []
    with broker() as bootstrap:
        topic = asyncio.run(filled(bootstrap, f"bench-{uuid.uuid4().hex[:12]}", events, orders))
        say(f"{sum(topic.records):,} records in {topic.name}, by partition {topic.records}")
        for _ in range(rounds):
            for instances in LAYOUTS:
                told.append(together(topic, instances))
                say(f"  {instances}: {told[-1].events_s:,.0f} events/s, {told[-1].cpu_us:.2f} us of CPU each")
    return [max((row for row in told if row.instances == n), key=lambda row: row.events_s) for n in LAYOUTS]


async def filled(bootstrap: str, name: str, events: int, orders: int) -> Topic:
    """The topic; the orders that rest are as many in every partition."""
    await fill(bootstrap, name, events, orders, "none", dealt().__getitem__)
    ends = await end_offsets(bootstrap, name)
    records = tuple(ends[number] for number in range(PARTITIONS))
    resting = orders // PARTITIONS
    return Topic(bootstrap, name, tuple(resting + (count - resting) // 10 for count in records), records)


def dealt() -> dict[str, int]:
    """Market -> partition: the busiest first, each to the partition that has least to do."""
    busy = [0.0] * PARTITIONS
    found = {}
    for market in sorted(load("bench").markets, key=lambda market: -market.events_per_s):
        found[market.name] = busy.index(min(busy))
        busy[found[market.name]] += market.events_per_s
    return found


def together(topic: Topic, instances: int) -> Row:
    """So many daemons of one new group read the topic once."""
    told = {
        "bootstrap": topic.bootstrap,
        "topic": topic.name,
        "group": f"group-{uuid.uuid4().hex[:12]}",
        "share": PARTITIONS // instances,
        "opening": topic.opening,
        "records": topic.records,
    }
    serving = broker_pid(topic.bootstrap)
    with ExitStack() as stack:
        children = [stack.enter_context(instance(told, number)) for number in range(instances)]
        all_say(children, ASSIGNED)
        all_say(children, OPENED)  # and go on: the clock runs
        began_s, broker_s = time.perf_counter(), cpu_seconds(serving) if serving else 0.0
        for child in children:
            heard(child, DONE)
        wall_s, broker_s = time.perf_counter() - began_s, cpu_seconds(serving) - broker_s if serving else 0.0
        for child in children:
            go(child)
        results = [json.loads(last_line(child)) for child in children]
    opened = {incident: markets for result in results for incident, markets in result["opened"]}
    events, cpu_s = (sum(result[name] for result in results) for name in ("events", "cpu_s"))
    return Row(instances, events, wall_s, cpu_s, broker_s, opened)


@contextmanager
def instance(told: dict[str, Any], number: int) -> Iterator[subprocess.Popen[str]]:
    """A child on a core of its own, as far as there are cores; ended at the end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FORESHOCK_")}
    child = subprocess.Popen(
        (sys.executable, "-m", "bench.instances_daemon", json.dumps(told)),
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(hold, number),
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


def hold(number: int) -> None:
    """Hold this process to one core, the last one first, where that is possible."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0), reverse=True)
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def all_say(children: Sequence[subprocess.Popen[str]], word: str) -> None:
    """Wait until everybody has said it, then let all of them go on."""
    for child in children:
        heard(child, word)
    for child in children:
        go(child)


def heard(child: subprocess.Popen[str], word: str) -> None:
    """Wait for its word. Raises RuntimeError when it ends instead."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == word:
            return
    raise RuntimeError(f"an instance ended with {child.wait(END_MAX_S)} before it was {word}")


def go(child: subprocess.Popen[str]) -> None:
    """Let it go on."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def last_line(child: subprocess.Popen[str]) -> str:
    """What it prints at its end."""
    assert child.stdout is not None
    said = child.stdout.read().splitlines()
    if child.wait(END_MAX_S) or not said:
        raise RuntimeError(f"an instance ended with {child.returncode}")
    return said[-1]


def broker_pid(bootstrap: str) -> int:
    """The process that serves there, 0 = not one of ours."""
    records = (one._record() for one in brokers() if one.running)
    return next((record.pid for record in records if record and bootstrap == f"127.0.0.1:{record.port}"), 0)


def report(rows: Sequence[Row]) -> list[str]:
    """The table, in Markdown."""
    one, two = rows
    lines = [
        machine("aiokafka", "numba", "numpy") + f", Kafka {kafka_version()}",
        "",
        "| instances | events/s | times one | CPU us/event | times one | their cores busy | broker's CPU us/event |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = (
            *(f"{row.instances}", f"{row.events_s:,.0f}", f"{row.events_s / one.events_s:.2f}"),
            *(f"{row.cpu_us:.2f}", f"{row.cpu_us / one.cpu_us:.2f}"),
            f"{row.cpu_s / row.wall_s / row.instances:.0%}",
            f"{row.broker_s / row.events * 1e6:.2f}" if row.broker_s else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    cores = os.cpu_count() or 1
    ratio, allowed = two.events_s / one.events_s, two.instances * one.cpu_us / two.cpu_us
    lines += [
        "",
        f"{two.instances} instances: {ratio:.2f} times the events a second of one, {ASKED:g} asked: "
        f"{'met' if ratio >= ASKED else 'missed'}, with {cores} cores for them and the broker. "
        f"On cores of their own their CPU time allows {allowed:.2f} times.",
        incidents(one, two),
    ]
    return lines


def incidents(one: Row, two: Row) -> str:
    """Whether two instances tell what one tells."""
    per = PARTITIONS // two.instances  # the range assignor deals out partitions in a row
    homes = dealt()
    alone = {
        incident for incident, markets in one.opened.items() if len({homes[market] // per for market in markets}) == 1
    }
    told = f"{len(alone & two.opened.keys())} of {len(alone)}"
    return f"Incidents that one instance told of markets of one of the two: {told} told by the two, under the same id."


if __name__ == "__main__":
    main()

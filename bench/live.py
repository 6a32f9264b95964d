"""What the live path costs: the whole daemon on a real Kafka, against a loop that only counts the same records.

    python -m bench.live [--events 2000000] [--resting 1000000] [--rounds 3]

One run starts a broker (or uses the one that FORESHOCK_KAFKA__BOOTSTRAP names), fills a plain and a zstd topic with the
same synthetic events (scenario "bench": 100 markets, 50,000 events a second in all), and reads each of them with a bare
aiokafka loop, with the daemon, and with Kafka's own ConsumerPerformance where its jar is there; in turns, `rounds`
times, each in a process of its own that is held to one core, which it shares with whatever else runs on the machine.
What is shown of a reader is the median of its rounds; "times bare" is the median of the rounds' own ratios, with the
least and the largest of them, each against the bare loop of the same round: a machine that slows down for a while slows
both. Of memory and of the longest turn the largest counts. Compare ratios, those of the CPU time above all.

After one second of event time `resting` orders are placed in all markets, 2 to 30 % from the price, and stay
(bench/live_deep.py): the order table holds them while the clocks run, and "live orders" says how many rest at the end.
All of that and the first tenth of the events are read before the clocks run; the column "opening" says how long the
daemon took. "save" is the CPU time of one checkpoint of that state. None is made while the clocks run, for it would be
a large part of so short a run, or of none: instead the daemon's times are those of its work and, on top, the part of a
core that it would spend on checkpoints, which is state.save_share (5 %) at most.

"fallback" is the daemon without the private names of aiokafka: values = its parser without ConsumerRecords, records =
plain getmany. "two cores" is the daemon not held to one: it reads ahead while the engine works (kafka.read_ahead).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bench.live_deep import resting
from bench.machine import machine
from detector.formats.native_write import write
from detector.model.events import EventColumn
from detector.sources.kafka_settings import ReaderName
from replay.exchange import Exchange
from replay.feed import arrivals, partition_of
from replay.produce import Compression, create_topic, produce
from tools.kafka import BOOTSTRAP_VARIABLE, Broker
from tools.kafka_jars import find_java, resolve

PARTITIONS = 4
ROOT = Path(__file__).resolve().parent.parent
CHILD_MAX_S = 300
BARE, DAEMON, JAVA = "bare getmany, counting", "the whole daemon", "Java ConsumerPerformance"
TWO_CORES = f"{DAEMON}, two cores"
FALLBACKS: dict[str, ReaderName] = {f"{DAEMON}, fallback {way}": way for way in ("values", "records")}
SLICE = 100_000  # rows that are written as JSON together
CODECS: tuple[Compression, ...] = ("none", "zstd")


@dataclass(frozen=True, slots=True)
class Row:
    """One reader on one topic in one round."""

    codec: str
    reader: str
    told: dict[str, float]

    @property
    def events_s(self) -> float:
        """Records a second of wall time."""
        return self.told["events"] / self.told["wall_s"]

    @property
    def cpu_us(self) -> float:
        """Processor time of the reading process per record, microseconds."""
        return self.told["cpu_s"] / self.told["events"] * 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="bench.live", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=2_000_000, help="in each topic (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="of each reader; the median counts (default: %(default)s)"
    )
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=CODECS)
    parser.add_argument("--resting", type=int, default=1_000_000, help="live orders (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    print("\n".join(report(measure(chosen.events, chosen.resting, chosen.rounds, tuple(chosen.codecs)))))


def measure(events: int, orders: int, rounds: int, codecs: Sequence[Compression]) -> list[list[Row]]:
    """Every reader on every topic, which holds `events` and `orders` that rest: a list of rows for each round and
    codec, the bare loop's among them."""
    told = []
    with broker() as bootstrap:
        for codec in codecs:
            topic = f"bench-{uuid.uuid4().hex[:12]}"
            sent = asyncio.run(fill(bootstrap, topic, events, orders, codec))
            after = sent - events * 9 // 10
            say(f"{sent:,} records in {topic}, codec {codec}")
            for _ in range(rounds):  # in turns: what else the machine does is spread over all of them
                told.append([])
                for reader, work in readers(bootstrap, topic, sent, after):
                    row = Row(codec, reader, work())
                    told[-1].append(row)
                    say(f"  {reader}: {row.events_s:,.0f} events/s, {row.cpu_us:.2f} us of CPU each")
    return told


def report(rounds: Sequence[Sequence[Row]]) -> list[str]:
    """The table of what `measure` found, in Markdown."""
    lines = [
        machine("aiokafka", "numba", "numpy") + f", Kafka {kafka_version()}",
        "",
        "| codec | reader | events/s | times bare | CPU us/event | times bare | RSS MiB | live orders | turn ms max "
        "| opening s | save s |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    found: dict[tuple[str, str], list[tuple[Row, Row]]] = {}  # of each reader: (its row, the bare loop's) by round
    for told in rounds:
        bare = next(row for row in told if row.reader == BARE)
        for row in told:
            found.setdefault((row.codec, row.reader), []).append((row, bare))
    for (codec, reader), pairs in found.items():
        own = [row for row, _ in pairs]
        cells = (
            *(codec, reader, f"{median(row.events_s for row in own):,.0f}"),
            spread([row.events_s / bare.events_s for row, bare in pairs]),
            f"{median(row.cpu_us for row in own):.2f}",
            spread([bare.cpu_us / row.cpu_us for row, bare in pairs]),
            *(cell(own, "rss_mib", 0, max), cell(own, "live_orders", 0), cell(own, "turn_ms_max", 0, max)),
            *(cell(own, "opening_s", 2), cell(own, "save_s", 2)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    if java_tool() is None:
        lines += ["", "ConsumerPerformance was not measured: no kafka-tools jar is there (python -m bench.java)."]
    return lines


def spread(ratios: Sequence[float]) -> str:
    """Their median, and from where to where they go."""
    middle = f"{median(ratios):.2f}"
    return middle if min(ratios) == max(ratios) else f"{middle} ({min(ratios):.2f} to {max(ratios):.2f})"


def cell(rows: Sequence[Row], name: str, digits: int, of: Callable[[list[float]], float] = median) -> str:
    """What only some readers tell, over their rounds."""
    told = [row.told[name] for row in rows if name in row.told]
    return f"{of(told):.{digits}f}" if told else ""


def readers(
    bootstrap: str, topic: str, events: int, after: int
) -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Who reads it, each in a process of its own. The clocks run from the record `after` on."""
    told = {"bootstrap": bootstrap, "topic": topic, "partitions": PARTITIONS, "events": events, "after": after}
    yield BARE, lambda: child(told, "bench/live_bare.py")
    yield DAEMON, lambda: child(told, "-m", "bench.live_daemon")
    for name, reader in FALLBACKS.items():
        yield name, partial(child, {**told, "reader": reader}, "-m", "bench.live_daemon")
    if (os.cpu_count() or 1) > 1:
        yield TWO_CORES, lambda: child(told, "-m", "bench.live_daemon", held=False)
    tool = java_tool()
    if tool is not None:
        yield JAVA, lambda: java(tool, bootstrap, topic, events)


def child(told: Mapping[str, object], *words: str, held: bool = True) -> dict[str, float]:
    """What a Python child prints last. held: to one core."""
    done = run((sys.executable, *words, json.dumps(told)), held=held)
    result: dict[str, float] = json.loads(done.splitlines()[-1])
    return result


def java(tool: Path, bootstrap: str, topic: str, events: int) -> dict[str, float]:
    """Kafka's own consumer benchmark: fetches and counts. Its wall time leaves joining the group out; the CPU time is
    that of the whole process, the virtual machine's start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    classpath = f"{tool.parent}/*:{resolve()}/*"
    tool_class = "org.apache.kafka.tools.ConsumerPerformance"
    wanted = ("--bootstrap-server", bootstrap, "--topic", topic, "--num-records", str(events), "--timeout", "30000")
    said = run((find_java(), "-cp", classpath, tool_class, *wanted))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    names, cells = (line.split(", ") for line in said.splitlines()[-2:])
    told = dict(zip(names, cells, strict=True))
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "events": float(told["data.consumed.in.nMsg"]),
        "wall_s": float(told["fetch.time.ms"]) / 1e3,
        "cpu_s": cpu_s,
    }


def run(command: Sequence[str], *, held: bool = True) -> str:
    """stdout of a command; held: to one core. Raises RuntimeError with what it said when it fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FORESHOCK_")}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CHILD_MAX_S,
        preexec_fn=hold if held else None,
    )
    if done.returncode:
        raise RuntimeError(f"{command[:4]} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return done.stdout


def hold() -> None:
    """Hold this process to the last of its cores, where that is possible."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@contextmanager
def broker() -> Iterator[str]:
    """The address of the broker that is named, or of one of our own."""
    named = os.environ.get(BOOTSTRAP_VARIABLE)
    if named:
        yield named
        return
    with Broker(say=lambda line: None) as own:
        yield own.bootstrap


def by_name(market: str) -> int:
    """The partition a market's messages are in, unless somebody deals them out otherwise."""
    return partition_of(market, PARTITIONS)


async def fill(
    bootstrap: str,
    topic: str,
    events: int,
    orders: int,
    codec: Compression,
    where: Callable[[str], int] = by_name,
) -> int:
    """Make the topic and produce the simulated exchange's first `events` messages, and `orders` that rest. The number
    of records. where: the partition of a market."""
    await create_topic(bootstrap, topic, PARTITIONS)
    made = messages(events, orders, where)
    return await produce(bootstrap, topic, made, partition_of=lambda each: where(market_of(each)), compression=codec)


def messages(events: int, orders: int, where: Callable[[str], int] = by_name) -> Iterator[bytes]:
    """Native JSON, in the order of time; the orders that rest come behind the first chunk, which opens the books."""
    exchange = Exchange("bench")
    left = events
    for number, chunk in enumerate(arrivals(exchange)):
        for message in texts(chunk, exchange.markets):
            if left <= 0:
                return
            left -= 1
            yield message
        if number == 0:
            deep = resting(chunk, homes(exchange.markets, where), orders)
            for begin in range(0, orders, SLICE):
                yield from texts(deep[begin : begin + SLICE], exchange.markets)


def texts(events: EventColumn, markets: tuple[str, ...]) -> Iterator[bytes]:
    """Their JSON."""
    payload, bounds = write(events, markets)
    memory = payload.tobytes()
    for begin, end in bounds.tolist():
        yield memory[begin:end]


def homes(markets: Sequence[str], where: Callable[[str], int] = by_name) -> list[list[int]]:
    """The markets that live in each partition; none is empty."""
    found: list[list[int]] = [[] for _ in range(PARTITIONS)]
    for index, name in enumerate(markets):
        found[where(name)].append(index)
    return found


def market_of(message: bytes) -> str:
    """The market a message of ours names."""
    begin = message.index(b'"market":"') + 10
    return message[begin : message.index(b'"', begin)].decode()


def java_tool() -> Path | None:
    """The jar that holds ConsumerPerformance."""
    for folder in (ROOT / ".run" / "kafka" / "tools", ROOT / ".run" / "kafka" / "lib"):
        found = sorted(folder.glob("kafka-tools-[0-9]*.jar"))
        if found:
            return found[-1]
    return None


def kafka_version() -> str:
    """Of the broker's jars."""
    jars = sorted((ROOT / ".run" / "kafka" / "lib").glob("kafka-clients-*.jar"))
    return jars[-1].stem.removeprefix("kafka-clients-") if jars else "of another's"


def say(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

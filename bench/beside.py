"""what others would take, on the same topic and machine, one core each.

    python -m bench beside [--events 1000000] [--seconds 20] [--only NAME...]    (eight minutes; needs Java and Maven)

A broker of our own (or the one that FORESHOCK_KAFKA__BOOTSTRAP names), a topic of synthetic events (scenario "bench":
100 markets, 4 partitions, not compressed), and readers in turns, each in a process of its own that is held to one
core, which it shares with whatever else runs on the machine. A reader does what it can in `seconds`; slow ones see
only a part of the topic, and "events" says how much was measured. The first 100,000 records (30,000 where every event
is scored) are read before the clocks run.

The peers' job (bench/beside_job.py): parse the JSON, keep cancels, orders, distinct accounts and raised leverages
over one and ten seconds per market, score River HalfSpaceTrees (10 trees, height 8, standardised features, limits
-13..13) and say when a score passes 0.95; for each event, or for each window of a second, which is what the daemon
does and fairer. Their state is plain memory: no recovery store, no changelog, no books. The daemon's job is all of
it: order books, every feature and detector, checkpoints, alerts to a file; few orders rest here, a million do in
`python -m bench live`. "Counting" does nothing with a record.

"CPU s per million" is the processor time of the reading process, its threads too; for Java with the virtual machine's
start. "peak MiB" is the largest resident size. p99 is from the broker's append (LogAppendTime, whole milliseconds)
until the peer is done with the event, over 8 s of a feed at half of its own throughput, at most 2,000 events a
second, once it has caught up with its start (or not within 25 s); when an alert leaves the daemon is another
question, which `python -m bench latency` answers. No latency: River without Kafka has no broker before it, and
ConsumerPerformance tells none.

bytewax hands over batches of 1,000 at most from each of four consumers, asked in turns; Quix Streams works message by
message and commits every 5 s; confluent-kafka's `consume` takes up to 10,000 from queues of a million. Settings
beyond that are the defaults. Faust is not here: bytewax stands for the second framework. River without Kafka has its
200,000 messages in memory, which its peak shows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.beside_env import ROOT, CannotInstall, last_words, peers_python
from bench.live import PARTITIONS, broker, fill, java_tool, kafka_version, run, say
from bench.machine import machine
from replay.produce import create_topic
from tools.kafka_jars import find_java, resolve

RATE_MAX = 2_000.0  # events a second of the paced feed
FEED_S = 90.0  # longer than any reader takes
# records before the clocks run: every market's first second, where trees are made; where each event is scored, more
# than the 250 that trees see before they score at all
AFTER_WINDOW, AFTER_EVENT = 100_000, 30_000


@dataclass(frozen=True, slots=True)
class Peer:
    """One row. module: of the throughput run; `paced`: of the latency run, "" = it has none."""

    name: str
    module: str
    words: dict[str, Any] = field(default_factory=dict)
    paced: str = ""
    own: bool = False  # in the peers' environment
    slow: bool = False  # each event is scored


RIVER, PYOD = {"what": "scoring", "libraries": ["river"]}, {"what": "scoring", "model": "pyod", "libraries": ["pyod"]}
AIOKAFKA, QUIX, BYTEWAX = "bench.beside_aiokafka", "bench.beside_quix", "bench.beside_bytewax"
CONFLUENT, JAVA, DAEMON = "bench.beside_confluent", "bench.beside_java", "bench.beside_daemon"
PEERS = (
    Peer("foreshock, the whole daemon", "bench.live_daemon", paced=DAEMON),
    Peer("bare aiokafka getmany, counting", "bench.live_bare", {"what": "counting"}, AIOKAFKA),
    # its threads fetch far ahead: its clocks run from the first records on, or much would be fetched before they do
    Peer("confluent-kafka consume, counting", CONFLUENT, {"after": 1}, CONFLUENT, own=True),
    Peer("Java ConsumerPerformance, counting", JAVA),
    Peer("River HST per event, without Kafka", AIOKAFKA, {**RIVER, "what": "alone", "per": "event"}, slow=True),
    Peer("aiokafka + River HST per window", AIOKAFKA, {**RIVER, "per": "window"}, AIOKAFKA),
    Peer("aiokafka + PyOD ECOD per window, rolling", AIOKAFKA, {**PYOD, "per": "window"}, AIOKAFKA),
    Peer("Quix Streams + River HST per event", QUIX, {"per": "event"}, QUIX, own=True, slow=True),
    Peer("Quix Streams + River HST per window", QUIX, {"per": "window"}, QUIX, own=True),
    Peer("bytewax + River HST per event", BYTEWAX, {"per": "event"}, BYTEWAX, own=True, slow=True),
    Peer("bytewax + River HST per window", BYTEWAX, {"per": "window"}, BYTEWAX, own=True),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of a peer, or why it was not."""

    peer: str
    told: dict[str, Any] = field(default_factory=dict)
    late: dict[str, Any] = field(default_factory=dict)
    rate: float = 0.0
    why_not: str = ""

    @property
    def events_s(self) -> float:
        """Records a second of wall time."""
        return float(self.told["events"] / self.told["wall_s"])

    @property
    def cpu_s_million(self) -> float:
        """Processor time per million records, seconds."""
        return float(self.told["cpu_s"] / self.told["events"] * 1e6)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="bench.beside", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="in the topic (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each reader, at most (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="peers whose name has one of these words")
    chosen = parser.parse_args(arguments)
    peers = [peer for peer in PEERS if not chosen.only or any(word in peer.name for word in chosen.only)]
    print("\n".join(report(measure(peers, chosen.events, chosen.seconds))))


def measure(peers: Sequence[Peer], events: int, seconds: float) -> list[Row]:
    """Each in turn, first as fast as it can, then paced."""
    try:
        python, why_not = str(peers_python()), ""
    except CannotInstall as error:
        python, why_not = "", f"not installed: {error}"
    rows = []
    with broker() as bootstrap:
        topic = f"bench-{uuid.uuid4().hex[:12]}"
        sent = asyncio.run(fill(bootstrap, topic, events, 0, "none"))
        say(f"{sent:,} records in {topic}")
        told = {"bootstrap": bootstrap, "topic": topic, "partitions": PARTITIONS, "seconds": seconds}
        for peer in peers:
            if peer.own and why_not:
                rows.append(Row(peer.name, why_not=why_not))
            else:
                rows.append(measured(peer, python if peer.own else sys.executable, told, sent))
            say(f"  {line(rows[-1])}")
    return rows


def measured(peer: Peer, python: str, told: dict[str, Any], sent: int) -> Row:
    """Both runs of one peer. What it cannot do is a row too."""
    after = min(AFTER_EVENT if peer.slow else AFTER_WINDOW, sent // 2)
    words = {**told, "after": after, "events": sent, "expected": sent, **peer.words}
    if peer.module == JAVA:
        tool = java_tool()
        if tool is None:
            return Row(peer.name, why_not="no kafka-tools jar is there (python -m bench.java)")
        words["command"] = java_command(tool, told, sent)
    try:
        row = Row(peer.name, child(python, peer.module, words))
        if not peer.paced:
            return row
        rate = min(RATE_MAX, row.events_s / 2)
        return Row(peer.name, row.told, paced(python, peer, words, rate), rate)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return Row(peer.name, why_not=f"it failed: {last_words(str(error))}")


def paced(python: str, peer: Peer, words: dict[str, Any], rate: float) -> dict[str, Any]:
    """The run on a feed of its own, in a topic of its own."""
    topic = f"bench-{uuid.uuid4().hex[:12]}"
    stamped = {"message.timestamp.type": "LogAppendTime"}
    asyncio.run(create_topic(words["bootstrap"], topic, PARTITIONS, configs=stamped))
    told = {"bootstrap": words["bootstrap"], "topic": topic, "rate": rate, "seconds": FEED_S}
    feeding = subprocess.Popen(
        (sys.executable, "-m", "bench.beside_feed", json.dumps(told)),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert feeding.stdin is not None and feeding.stdout is not None
    try:
        feeding.stdout.readline()
        feeding.stdin.write(b"go\n")
        feeding.stdin.flush()
        return child(python, peer.paced, {**words, "topic": topic, "paced": True})
    finally:
        feeding.kill()
        feeding.communicate()


def child(python: str, module: str, words: dict[str, Any]) -> dict[str, Any]:
    """What a child process prints last. Raises RuntimeError with what it said when it fails."""
    result: dict[str, Any] = json.loads(run((python, "-m", module, json.dumps(words))).splitlines()[-1])
    return result


def java_command(tool: Path, told: dict[str, Any], events: int) -> tuple[str, ...]:
    """As bench.live has it."""
    wanted = ("--bootstrap-server", told["bootstrap"], "--topic", told["topic"], "--num-records", str(events))
    classpath = f"{tool.parent}/*:{resolve()}/*"
    return (find_java(), "-cp", classpath, "org.apache.kafka.tools.ConsumerPerformance", *wanted, "--timeout", "30000")


def report(rows: Sequence[Row]) -> list[str]:
    """The table, in Markdown, and the versions."""
    lines = [
        machine() + f", Kafka {kafka_version()}",
        "",
        "| reader | events/s | CPU s per million | peak MiB | p99 ms | at events/s | events |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(line(row) for row in rows),
    ]
    versions: dict[str, str] = {}
    for row in rows:
        versions |= row.told.get("versions", {}) | row.late.get("versions", {})
    if versions:
        lines += ["", ", ".join(f"{name} {versions[name]}" for name in sorted(versions)) + "."]
    return lines


def line(row: Row) -> str:
    """One row of the table."""
    if row.why_not:
        return f"| {row.peer} | not measured: {row.why_not} | | | | | |"
    late = (f"{row.late['p99_ms']:.0f}", f"{row.rate:,.0f}") if row.late else ("", "")
    numbers = (f"{row.events_s:,.0f}", f"{row.cpu_s_million:.2f}", f"{row.told['rss_mib']:.0f}", *late)
    return f"| {row.peer} | {' | '.join(numbers)} | {row.told['events']:,.0f} |"


if __name__ == "__main__":
    main()

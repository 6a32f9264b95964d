"""How long an event takes to the webhook: the whole daemon on a real Kafka, in real time.

    python -m bench.latency [--bursts 110] [--early 100ms 0s] [--stages]

One run starts a broker (or uses the one that FORESHOCK_KAFKA__BOOTSTRAP names) and, for each setting of input.early,
`foreshock run` as a process of its own with a webhook on loopback. Another process produces a simulated exchange as if
it were now: 100 markets, 50,000 events a second in all (scenario "bench", 30 of the markets made quiet), event time =
wall time; after a minute and a half with a burst every 1.37 s in one of the quiet markets: 600 orders of one account,
each taken back 10 ms later. All of it is synthetic. incidents.together, join and hold are short, so that a burst is an
incident of its own and over before its market is hit again; nothing else of the configuration is changed.

"past the due moment" is the request's arrival less the moment it could have been known: when the broker appended the
first record beyond the window's end and `lateness` (or beyond the early look) to the slowest partition. "since the
burst" is its arrival less the append of the burst's first event. The broker's stamps are whole milliseconds, rounded
down, so a latency may be up to 1 ms less than told. --stages also tells where the alerts waited meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import latency_stages
from bench.latency_daemon import SECRET, daemon, stop
from bench.latency_feed import BURST_NS, CHUNK_S, LIVE_NS, PAIRS, QUIET, SECOND_NS, TICK_NS, scenario
from bench.live import PARTITIONS, ROOT, broker, kafka_version, say
from bench.machine import cpu_seconds, machine
from detector.page.receiver import Receiver
from replay.produce import create_topic

WARM_S = 90.0
EVERY_S = 1.37  # a burst; every phase of a window is met
NEVER_NS = 1 << 62
LATENESS_NS = 500_000_000
TOLD_AFTER_S = 3.0  # a burst is told by then, or it is missed


@dataclass(slots=True)
class Run:
    """What one setting gave. Times in ms."""

    early: str
    due: dict[str, list[float]] = field(default_factory=lambda: {"close": [], "early": []})
    stages: dict[str, list[list[float]]] = field(default_factory=lambda: {"close": [], "early": []})
    since: list[float] = field(default_factory=list)
    bursts: int = 0
    missed: int = 0
    messages_s: float = 0.0
    behind_s: float = 0.0
    cpu: float = 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="bench.latency", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bursts", type=int, default=110, help="of each run (default: %(default)s)")
    parser.add_argument("--snapshot-every", default="5s", help="state.snapshot_every (default: %(default)s)")
    parser.add_argument("--early", nargs="+", default=["100ms", "0s"], help="input.early (default: %(default)s)")
    parser.add_argument("--stages", action="store_true", help="also where the alerts waited")
    chosen = parser.parse_args(arguments)
    with broker() as bootstrap:
        runs = [asyncio.run(measure(bootstrap, early, chosen.bursts, chosen.snapshot_every)) for early in chosen.early]
    print("\n".join(report(runs)))
    for run in runs if chosen.stages else ():
        print("\n".join(latency_stages.report(run.early, run.stages)))


async def measure(bootstrap: str, early: str, bursts: int, snapshot_every: str) -> Run:
    """One daemon, one feed."""
    topic = f"bench-{uuid.uuid4().hex[:12]}"
    await create_topic(bootstrap, topic, PARTITIONS, configs={"message.timestamp.type": "LogAppendTime"})
    arrived: list[tuple[int, str, bytes]] = []
    receiver = Receiver([SECRET], lambda word: arrived.append((time.time_ns(), word.key, word.body)))
    await receiver.start()
    with (
        tempfile.TemporaryDirectory() as home,
        daemon(Path(home), bootstrap, topic, receiver.url, early, snapshot_every) as process,
    ):
        start_ns = time.time_ns() + 8 * SECOND_NS
        planned = plan(start_ns, bursts)
        feed = asyncio.create_task(feeding(bootstrap, topic, start_ns, planned))
        await asyncio.sleep(8 + WARM_S)
        say(f"input.early {early}: {bursts} bursts, {bursts * EVERY_S:.0f} s")
        cpu_s, began_s = cpu_seconds(process.pid), time.monotonic()
        told = await feed
        cpu = (cpu_seconds(process.pid) - cpu_s) / (time.monotonic() - began_s)
        await asyncio.sleep(TOLD_AFTER_S)
        await asyncio.to_thread(stop, process)
        moments = json.loads((Path(home) / "moments").read_text())
    await receiver.close()
    run = judged(early, planned, told, arrived, moments)
    run.cpu = cpu
    run.messages_s = told["messages"] / (WARM_S + bursts * EVERY_S)
    return run


def plan(start_ns: int, bursts: int) -> list[dict[str, Any]]:
    """Where and when the bursts are; large enough for their market to be beyond doubt."""
    markets = scenario().markets[-QUIET:]
    chunk_ns, needs_ns = round(CHUNK_S * SECOND_NS), BURST_NS + LIVE_NS + TICK_NS
    planned = []
    for number in range(bursts):
        at_ns = round((WARM_S + number * EVERY_S) * SECOND_NS)
        at_ns -= max(0, at_ns % chunk_ns + needs_ns - chunk_ns)  # within one chunk of the feed
        planned.append({"market": markets[number % len(markets)].name, "at_ns": start_ns + at_ns, "pairs": PAIRS})
    return planned


async def feeding(bootstrap: str, topic: str, start_ns: int, planned: list[dict[str, Any]]) -> dict[str, Any]:
    """The producing process, to its end."""
    told = {"bootstrap": bootstrap, "topic": topic, "partitions": PARTITIONS, "start_ns": start_ns, "bursts": planned}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.latency_feed",
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 26,
    )
    said, _ = await child.communicate(json.dumps(told).encode() + b"\n")
    if child.returncode:
        raise RuntimeError(f"the feed ended with {child.returncode}")
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


def judged(
    early: str,
    planned: list[dict[str, Any]],
    told: dict[str, Any],
    arrived: list[tuple[int, str, bytes]],
    moments: dict[str, list[int]],
) -> Run:
    """Every alert since the first burst against its due moment, and every burst against its first alert."""
    run = Run(early, bursts=len(planned), behind_s=told["behind_s"])
    log = Log(told["batches"])
    first: dict[str, list[tuple[int, int]]] = {}  # market -> (event time it was told for, arrival)
    for arrived_ns, key, body in arrived:
        alert = json.loads(body)
        if not alert["type"].startswith("foreshock.incident."):
            continue
        at_ns = round(datetime.fromisoformat(alert["timestamp"]).timestamp() * 1e3) * 1_000_000
        if at_ns < planned[0]["at_ns"]:
            continue
        due_ns, kind = log.reached(at_ns + LATENESS_NS), "close"
        if at_ns % SECOND_NS or due_ns > arrived_ns + 1_000_000:  # a look may be on a whole second
            due_ns, kind = log.reached(at_ns), "early"
        if due_ns < NEVER_NS:
            run.due[kind].append((arrived_ns - due_ns) / 1e6)
            if key in moments and (waited := latency_stages.spans(due_ns, moments[key], arrived_ns)):
                run.stages[kind].append(waited)
        if alert["data"]["reason"] != "resolved":
            for market in alert["data"]["markets"]:
                first.setdefault(market, []).append((at_ns, arrived_ns))
    for number, burst in enumerate(planned):
        begun_ns = burst["at_ns"]
        found = [a for at, a in first.get(burst["market"], ()) if 0 <= at + SECOND_NS - begun_ns <= TOLD_AFTER_S * 1e9]
        if found and str(number) in told["first_ms"]:
            run.since.append(min(found) / 1e6 - told["first_ms"][str(number)])
        else:
            run.missed += 1
    return run


class Log:
    """When the broker's log reached an event time in every partition."""

    def __init__(self, batches: list[tuple[int, int, int]]) -> None:
        self._tops, self._appends = [], []
        for partition in range(PARTITIONS):
            own = np.array([(top, append) for p, top, append in batches if p == partition], np.int64)
            self._tops.append(np.maximum.accumulate(own[:, 0]))
            self._appends.append(own[:, 1])

    def reached(self, event_ns: int) -> int:
        """ns; of the slowest partition. Beyond the end of the log: far in the future."""
        found = []
        for tops, appends in zip(self._tops, self._appends, strict=True):
            index = int(np.searchsorted(tops, event_ns))
            found.append(int(appends[index]) * 1_000_000 if index < len(appends) else NEVER_NS)
        return max(found)


def report(runs: Sequence[Run]) -> list[str]:
    """The table, in Markdown."""
    lines = [
        machine("aiokafka", "numba", "numpy") + f", Kafka {kafka_version()}",
        "",
        "| input.early | what | count | p50 ms | p90 ms | p99 ms | max ms |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        for what, values in (
            ("told at a window's close, past the due moment", run.due["close"]),
            ("told at an early look, past the due moment", run.due["early"]),
            ("first told of a burst, since the burst", run.since),
        ):
            if values:
                cells = (f"{np.percentile(values, q):.0f}" for q in (50, 90, 99, 100))
                lines.append(f"| {run.early} | {what} | {len(values)} | {' | '.join(cells)} |")
    lines.append("")
    for run in runs:
        lines.append(
            f"input.early {run.early}: {run.messages_s:,.0f} messages a second, the feed at most "
            f"{run.behind_s * 1e3:.0f} ms behind its time; "
            f"{run.missed} of {run.bursts} bursts not told within {TOLD_AFTER_S:g} s; "
            f"the daemon used {run.cpu:.0%} of a core."
        )
    return lines


if __name__ == "__main__":
    main()

"""The README's first command: a broker, an exchange, the daemon; the first incident, explained; then all is stopped.

    make quickstart                                             a simulated exchange (synthetic data)
    make quickstart ARGS="depth.jsonl.zst trades.jsonl.zst --format binance"      your own recordings

The broker is a real Kafka of tools/kafka.py, or the one that FORESHOCK_KAFKA__BOOTSTRAP names. Where there is neither
that nor Java and Maven, the same engine reads a log inside one process instead, and the first line says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from detector.cli.render import incident_panel
from detector.model.records import RecordBatch
from detector.sources.file import FileReader
from detector.sources.packed import FileUnreadable
from detector.wiring.template import toml
from replay.exchange import Exchange
from replay.feed import batches
from replay.produce import create_topic, produce
from tools.kafka import Broker, KafkaError

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / ".run"
PARTITIONS = 4
FIRST_INCIDENT_MAX_S = 600.0  # far more than it takes, for slow machines and long recordings
STOP_MAX_S = 30.0
LOOK_EVERY_S = 0.2
SETTLE_S = 2.0  # what escalates at once is shown as it then is
SAY_EVERY_S = 15.0
WORK_SAY_EVERY_S = 5.0
LOG_LINES = 20
NEEDED = ("java", "mvn")
SIMULATING = "simulating the exchange (its loops are compiled once, too)"
TELLING = ("foreshock.incident.opened", "foreshock.incident.escalated")


@dataclass(frozen=True, slots=True)
class Feed:
    """What goes into one topic: the messages of each of its partitions, in log order."""

    topic: str
    partitions: Sequence[Iterable[bytes]]


@dataclass(slots=True)
class Run:
    """One quickstart: where its files are, what was started."""

    directory: Path
    bootstrap: str
    feeds: Sequence[Feed]
    language: str
    began_s: float = field(default_factory=time.monotonic)

    @property
    def alerts(self) -> Path:
        """Where the daemon writes what it tells."""
        return self.directory / "alerts.jsonl"

    @property
    def log(self) -> Path:
        """What the daemon says of itself."""
        return self.directory / "daemon.log"

    def say(self, line: str) -> None:
        """A line with the seconds since the beginning."""
        print(f"{time.monotonic() - self.began_s:6.1f} s  {line}", flush=True)

    def configuration(self) -> Path:
        """The daemon's configuration, written."""
        tables: dict[str, dict[str, Any]] = {
            "kafka": {
                "bootstrap": self.bootstrap.split(","),
                "topics": [feed.topic for feed in self.feeds],
                "group_id": f"foreshock-quickstart-{uuid.uuid4().hex[:8]}",
                "start_at": "earliest",
            },
            "input": {"format": self.language},
            "incidents": {"venue": "quickstart"},
            "state": {"directory": self.directory / "state", "ballast": "0B"},
            "destinations.alerts": {"type": "jsonl", "path": self.alerts},
            "http": {"bind": "127.0.0.1:0"},
            "log": {"format": "json"},
        }
        lines = ["# Written by tools/quickstart.py."]
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
        text = "\n".join(lines) + "\n"
        tomllib.loads(text)
        path = self.directory / "foreshock.toml"
        path.write_text(text, "utf-8")
        return path


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when an incident was found and shown."""
    told = parser().parse_args(arguments)
    given = os.environ.get("FORESHOCK_KAFKA__BOOTSTRAP", "")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if not given and missing:
        return without_kafka(told, missing)
    topic = "market.events" if not given else f"foreshock.quickstart.{uuid.uuid4().hex[:8]}"
    try:
        feeds = (
            recorded(told.captures, topic)
            if told.captures
            else [patiently(SIMULATING, partial(simulated, told.scenario, topic))]
        )
    except FileUnreadable as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 4
    signal.signal(signal.SIGTERM, _interrupted)
    if not compiled(told.format):
        return 5
    with contextlib.ExitStack() as started:
        try:
            bootstrap = given or started.enter_context(Broker()).bootstrap
        except KafkaError as error:
            print(f"quickstart: {error}", file=sys.stderr)
            return 4
        directory = RUN / f"quickstart-{os.getpid()}"
        directory.mkdir(parents=True)
        run = Run(directory, bootstrap, feeds, told.format)
        try:
            return quickstart(run, synthetic=not told.captures)
        except KeyboardInterrupt:
            print("quickstart: stopped", file=sys.stderr)
            return 130


def compiled(language: str) -> bool:
    """The daemon's loops as machine code on disk, made before the broker is up."""
    warming = f"from detector.wiring import config, warm; warm.warm(config.of({{'input': {{'format': {language!r}}}}}))"
    command = [sys.executable, "-c", warming]
    work = partial(subprocess.run, command, stdin=subprocess.DEVNULL, cwd=ROOT, check=False)
    return patiently("compiling the daemon's loops, once for this clone", work).returncode == 0


def patiently(what: str, work: Callable[[], T]) -> T:
    """What `work` returns; a line now and then while it takes."""
    with ThreadPoolExecutor(1) as worker:
        doing = worker.submit(work)
        began_s = time.monotonic()
        while True:
            try:
                return doing.result(WORK_SAY_EVERY_S)
            except TimeoutError:
                if doing.done():
                    raise
                print(f"{what}: {time.monotonic() - began_s:.0f} s", flush=True)


def quickstart(run: Run, *, synthetic: bool) -> int:
    """Daemon, events, first incident."""
    for feed in run.feeds:
        asyncio.run(create_topic(run.bootstrap, feed.topic, len(feed.partitions)))
    with daemon(run) as process:
        what = "a simulated exchange (synthetic data)" if synthetic else f"{len(run.feeds)} recordings"
        for feed in run.feeds:
            count = asyncio.run(_send(run.bootstrap, feed))
            run.say(f"{count} messages of {what} are in the topic {feed.topic}")
        run.say("waiting for the first incident")
        alert = first_incident(run, process)
        if alert is None:
            return _nothing(run, process)
        run.say("the first incident:")
        Console(highlight=False).print(incident_panel(alert))
    run.say(f"stopped; every alert is in {run.alerts.relative_to(ROOT)}, the log beside it. Next: make demo")
    return 0


def first_incident(run: Run, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    """The first incident, as grave as it became within SETTLE_S; None when the daemon ended or it took too long."""
    deadline = time.monotonic() + FIRST_INCIDENT_MAX_S
    said = time.monotonic()
    found = False
    while time.monotonic() < deadline and process.poll() is None:
        told = [alert for alert in alerts(run.alerts) if alert["type"] in TELLING]
        if told and found:
            first = told[0]["data"]["incident_id"]
            return [alert for alert in told if alert["data"]["incident_id"] == first][-1]
        if told:
            found = True
            time.sleep(SETTLE_S)
            continue
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            run.say("still waiting")
        time.sleep(LOOK_EVERY_S)
    return None


def alerts(path: Path) -> list[dict[str, Any]]:
    """Every whole line of the file; none while there is no file."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


@contextlib.contextmanager
def daemon(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """`foreshock run`, stopped at the end as an operator would."""
    command = [
        sys.executable,
        "-c",
        "from detector.cli import main; main()",
        "run",
        "--config",
        str(run.configuration()),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FORESHOCK_KAFKA__")}
    with run.log.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=environment)
    run.say(f"the daemon is running (process {process.pid})")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def simulated(scenario: str, topic: str) -> Feed:
    """The simulated exchange, each market in its partition."""
    partitions: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for batch in batches(Exchange(scenario), topic, PARTITIONS):
        partitions[batch.partition] += _values(batch)
    return Feed(topic, partitions)


def recorded(paths: Sequence[str], topic: str) -> list[Feed]:
    """A topic for each recording: what several of them tell of one market is merged by event time."""
    for path in paths:
        FileReader(path).close()  # whatever is wrong with it is said before anything is started
    return [Feed(f"{topic}.{number}", [_lines(path)]) for number, path in enumerate(paths)]


def _lines(path: str) -> Iterator[bytes]:
    reader = FileReader(path)
    try:
        while (batch := reader.read()) is not None:
            yield from _values(batch)
    finally:
        reader.close()


def _values(batch: RecordBatch) -> list[bytes]:
    return [batch.value(index) for index in range(len(batch))]


async def _send(bootstrap: str, feed: Feed) -> int:
    count = 0
    for partition, values in enumerate(feed.partitions):
        count += await produce(bootstrap, feed.topic, values, partition_of=partition, compression="zstd")
    return count


def without_kafka(told: argparse.Namespace, missing: Sequence[str]) -> int:
    """The same engine on a log inside one process."""
    print(
        f"quickstart: no {' and no '.join(missing)} on PATH, so no real Kafka: a log inside one process instead",
        flush=True,
    )
    command = [sys.executable, "-c", "from detector.cli import main; main()"]
    if told.captures:
        command += ["replay", *told.captures, "--format", told.format]
    else:
        command += ["demo", "--scenario", told.scenario]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _nothing(run: Run, process: subprocess.Popen[bytes]) -> int:
    code = process.poll()
    ended = "nothing unusual was found" if code is None else f"the daemon ended with {code}"
    run.say(f"{ended}; its log ({run.log.relative_to(ROOT)}) ends:")
    for line in run.log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]:
        print(f"    {line}")
    return 1


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="quickstart", description=(__doc__ or "").splitlines()[0])
    made.add_argument("captures", nargs="*", help="recordings to feed instead of the simulated exchange")
    made.add_argument("--format", default="native", help="their language (default: %(default)s)")
    made.add_argument("--scenario", default="demo", help="of the simulated exchange (default: %(default)s)")
    return made


if __name__ == "__main__":
    sys.exit(main())

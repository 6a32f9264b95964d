#!/usr/bin/env python3
"""A real Apache Kafka on loopback, from nothing but Java and Maven; for tests, the quickstart and benchmarks.

    tools/kafka.py start [--name N] [--set KEY=VALUE]...   start one, print its bootstrap address
    tools/kafka.py status | stop [--name N]
    tools/kafka.py run [--set KEY=VALUE]... -- COMMAND...  with FORESHOCK_KAFKA__BOOTSTRAP set; stopped whatever happens

The jars come through Maven (tools/kafka/pom.xml), are compared with tools/kafka/jars.sha256 and kept in .run/kafka/lib.
Each broker has a throw-away directory of its own under .run/kafka/brokers. Standard library only.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RECIPE = Path(__file__).resolve().parent / "kafka"
RUN = ROOT / ".run" / "kafka"

BOOTSTRAP_VARIABLE = "FORESHOCK_KAFKA__BOOTSTRAP"
JAVA_MIN = 17
HEAP_MB = 512
RESOLVE_MAX_S = 600
SERVE_MAX_S = 60
STOP_MAX_S = 20
PORT_ATTEMPTS_MAX = 3
LOG_TAIL_LINES = 25

Say = Callable[[str], None]


class KafkaError(Exception):
    """Why there is no broker, as a sentence."""


def say(line: str) -> None:
    """Progress goes to stderr: stdout is for the bootstrap address."""
    print(line, file=sys.stderr, flush=True)


class Record(NamedTuple):
    """broker.json: who runs a broker's directory. owner: the process it lives for, None = until it is stopped."""

    pid: int
    owner: int | None
    port: int
    controller_port: int


class Broker:
    """One broker and controller in one process. `start` and `stop` may be repeated; the log survives `kill`.

    name        its directory under .run/kafka/brokers; None = a name of its own
    properties  server properties on top of the ones below (log.segment.bytes, ...)
    detached    outlives this process; otherwise the next start of any broker stops it once this process is gone
    """

    def __init__(
        self,
        name: str | None = None,
        properties: Mapping[str, str] | None = None,
        *,
        detached: bool = False,
        say: Say = say,
    ) -> None:
        self.name = name or f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.name) or self.name.startswith("."):
            raise KafkaError(f"a broker's name is letters, digits, '.', '_' and '-', not {self.name!r}")
        self.directory = RUN / "brokers" / self.name
        self.properties = dict(properties or {})
        self.detached = detached
        self.say = say
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """host:port of a started broker. Raises KafkaError when it was not started."""
        record = self._record()
        if record is None:
            raise KafkaError(f"the broker {self.name!r} is not started")
        return f"127.0.0.1:{record.port}"

    @property
    def running(self) -> bool:
        """The recorded process lives and is ours."""
        record = self._record()
        return record is not None and self._is_ours(record.pid)

    def start(self) -> str:
        """Serve, and say where. A broker that was killed goes on with its log at its old address."""
        if self.running:
            return self.bootstrap
        java = find_java()
        jars = resolve(self.say)
        sweep(self.say)
        former = self._record()
        for attempt in range(1, PORT_ATTEMPTS_MAX + 1):
            ports = (former.port, former.controller_port) if former else free_ports()
            try:
                self._start_on(java, jars, *ports)
            except KafkaError as error:
                self._end()
                if former is None:
                    keep_log(self.directory)
                    shutil.rmtree(self.directory, ignore_errors=True)
                # somebody else may have taken a port between our looking and the broker's binding
                if "Address already in use" not in str(error) or attempt == PORT_ATTEMPTS_MAX:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                break
        self.say(f"kafka: serving on {self.bootstrap} ({self.directory})")
        return self.bootstrap

    def stop(self) -> None:
        """SIGTERM, SIGKILL when that does not help, and its directory is gone. Never ends anybody else's process."""
        self._end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL and nothing else: what a crash looks like. `start` goes on with the same log and address."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_on(self, java: str, jars: Path, port: int, controller_port: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        server = self.directory / "server.properties"
        properties = server_properties(port, controller_port, self.directory / "data") | self.properties
        server.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        classpath = ("-cp", f"{jars}/*", f"-Dlog4j2.configurationFile={RECIPE / 'log4j2.properties'}")
        log = self.directory / "server.log"
        if not (self.directory / "data" / "meta.properties").exists():
            cluster = uuid.uuid4().bytes
            tool = (
                java,
                *classpath,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                base64_uuid(cluster),
                "-c",
                str(server),
            )
            done = subprocess.run(tool, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                raise KafkaError(f"formatting {self.directory} failed:\n{tail(done.stdout.decode(errors='replace'))}")
        with log.open("ab") as out:
            out_start = out.tell()
            self._process = subprocess.Popen(
                (java, f"-Xmx{HEAP_MB}m", *classpath, "kafka.Kafka", str(server)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # a Ctrl-C is for us; the broker is stopped after its clients
            )
        owner = None if self.detached else os.getpid()
        record = Record(self._process.pid, owner, port, controller_port)
        scratch = self.directory / "broker.json.new"
        scratch.write_text(json.dumps(record._asdict()))
        scratch.rename(self.directory / "broker.json")
        deadline = time.monotonic() + SERVE_MAX_S
        while not serves("127.0.0.1", port):
            written = log.read_bytes()[out_start:].decode(errors="replace")
            if self._process.poll() is not None:
                raise KafkaError(
                    f"the broker died at its start, exit code {self._process.returncode}:\n{tail(written)}"
                )
            if time.monotonic() > deadline:
                raise KafkaError(f"the broker did not serve within {SERVE_MAX_S} s:\n{tail(written)}")
            time.sleep(0.1)

    def _end(self, first: signal.Signals = signal.SIGTERM) -> None:
        record = self._record()
        if record is None:
            return
        pid = record.pid
        for sent in (first, signal.SIGKILL):
            if not self._is_ours(pid):
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
            deadline = time.monotonic() + STOP_MAX_S
            while self._is_ours(pid) and time.monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()  # reaps our own child, which would stay a zombie otherwise
                time.sleep(0.05)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)

    def _is_ours(self, pid: int) -> bool:
        """The process `pid` was started with our server.properties: a pid alone may be somebody else's by now."""
        return str(self.directory / "server.properties") in command_of(pid)

    def _record(self) -> Record | None:
        try:
            said = json.loads((self.directory / "broker.json").read_text())
            return Record(said["pid"], said["owner"], said["port"], said["controller_port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def server_properties(port: int, controller_port: int, data: Path) -> dict[str, str]:
    """One node that is broker and controller; every internal topic has one replica, groups form at once."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "auto.create.topics.enable": "false",
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.cleaner.threads": "1",
        "log.cleaner.backoff.ms": "500",
        "log.retention.check.interval.ms": "500",
    }


def resolve(say: Say = say) -> Path:
    """.run/kafka/lib with exactly the jars of jars.sha256. Raises KafkaError; never leaves a half-filled directory."""
    RUN.mkdir(parents=True, exist_ok=True)
    library = RUN / "lib"
    with (RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two that start side by side resolve once
        if library.is_dir():
            wrong = differences(library)
            if not wrong:
                return library
            say(f"kafka: resolving again, {wrong[0]}")
        mvn = shutil.which("mvn")
        if mvn is None:
            raise KafkaError("no mvn on the PATH: Maven fetches the broker's jars (apt: maven)")
        fresh = RUN / "lib.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = (
            mvn,
            "-B",
            "-f",
            str(RECIPE / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={fresh}",
        )
        say("kafka: resolving the broker's jars through Maven (once, about 45 MB)")
        started = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as maven:
            try:
                output = _listen(maven, say, started)
            except BaseException:
                maven.kill()
                raise
        if maven.returncode:
            raise KafkaError(f"Maven could not resolve {RECIPE / 'pom.xml'}:\n{tail(output)}")
        wrong = differences(fresh)
        if wrong:
            shutil.rmtree(fresh, ignore_errors=True)
            raise KafkaError("the jars are not the ones of jars.sha256, so they are not run: " + "; ".join(wrong[:5]))
        shutil.rmtree(library, ignore_errors=True)
        fresh.rename(library)
        say(
            f"kafka: {len(list(library.iterdir()))} jars, every SHA-256 as expected, {time.monotonic() - started:.0f} s"
        )
        return library


def _listen(maven: subprocess.Popen[bytes], say: Say, started: float) -> str:
    """Maven's output, with a progress line now and then."""
    lines: list[str] = []
    told = started
    assert maven.stdout is not None
    for raw in maven.stdout:
        lines.append(raw.decode(errors="replace"))
        now = time.monotonic()
        if now - started > RESOLVE_MAX_S:
            raise KafkaError(f"Maven did not finish within {RESOLVE_MAX_S} s:\n{tail(''.join(lines))}")
        if now - told > 2:
            told = now
            say(f"kafka: ... {sum('Copying' in line for line in lines)} jars copied, {now - started:.0f} s")
    return "".join(lines)


def differences(library: Path) -> list[str]:
    """What is missing in, strange to, or different in `library`, as sentences; empty = exactly as written down."""
    expected = {}
    for line in (RECIPE / "jars.sha256").read_text().splitlines():
        digest, name = line.split()
        expected[name] = digest
    found = {path.name: path for path in library.iterdir()} if library.is_dir() else {}
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"{name} is not in jars.sha256" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != expected[name]:
            wrong.append(f"{name} has another SHA-256")
    return wrong


def find_java() -> str:
    """The java on the PATH (or in JAVA_HOME), 17 or newer. Raises KafkaError."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise KafkaError(f"no java on the PATH: the broker needs Java {JAVA_MIN} or newer")
    said = subprocess.run((java, "-version"), stdin=subprocess.DEVNULL, capture_output=True)
    match = re.search(r'version "(?:1\.)?(\d+)', said.stderr.decode(errors="replace"))
    if match is None:
        raise KafkaError(f"{java} does not say its version")
    if int(match[1]) < JAVA_MIN:
        raise KafkaError(f"{java} is Java {match[1]}; the broker needs {JAVA_MIN} or newer")
    return java


def sweep(say: Say = say) -> None:
    """Stop the brokers whose owners are gone: a test run that was killed leaves no broker for ever."""
    for broker in brokers():
        record = broker._record()
        if record is None or record.owner is None:
            continue
        try:
            os.kill(record.owner, 0)
        except ProcessLookupError:
            say(f"kafka: stopping {broker.name}, whose owner is gone")
            broker.stop()
        except PermissionError:
            continue


def brokers() -> Iterator[Broker]:
    """Those that left a record, running or not."""
    for path in sorted((RUN / "brokers").glob("*/broker.json")):
        yield Broker(path.parent.name)


def serves(host: str, port: int) -> bool:
    """A broker answers there and has itself in its metadata: clients can begin."""
    try:
        with socket.create_connection((host, port), 1) as connection:
            connection.settimeout(2)
            answer = _ask(connection, 18, 0, b"")  # ApiVersions
            if struct.unpack_from(">h", answer)[0] != 0:
                return False
            answer = _ask(connection, 3, 5, struct.pack(">i?", 0, False))  # Metadata of no topic
            brokers_known: int = struct.unpack_from(">i", answer, 4)[0]  # stands after the throttle time
            return brokers_known > 0
    except (OSError, struct.error):
        return False


def _ask(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    header = struct.pack(">hhih", key, version, 1, 9) + b"foreshock"
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    size = struct.unpack(">i", _exactly(connection, 4))[0]
    return _exactly(connection, min(size, 1 << 20))[4:]


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data


def free_ports() -> tuple[int, int]:
    """Two loopback ports that nobody listens on now."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def command_of(pid: int) -> str:
    """The command line of a living process, '' for a dead one or a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    done = subprocess.run(("ps", "-ww", "-o", "command=", "-p", str(pid)), capture_output=True)
    return done.stdout.decode(errors="replace")


def base64_uuid(raw: bytes) -> str:
    """Kafka's spelling of a UUID; never with a leading '-', which its tools take for an option."""
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return "A" + text[1:] if text.startswith("-") else text


def keep_log(directory: Path) -> None:
    """The log of a broker that failed stays as .run/kafka/failed.log when its directory goes."""
    with contextlib.suppress(OSError):
        shutil.copyfile(directory / "server.log", RUN / "failed.log")


def tail(text: str) -> str:
    """The last lines, indented."""
    return "\n".join("    " + line for line in text.splitlines()[-LOG_TAIL_LINES:])


class Stopped(BaseException):
    """A signal asked us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(command: list[str], properties: Mapping[str, str]) -> int:
    """Start, run `command`, stop whatever happens. The command's exit code, or 128 + the signal that ended us."""

    def stop(number: int, _: types.FrameType | None) -> None:
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    broker = Broker(properties=properties)
    child: subprocess.Popen[bytes] | None = None
    try:
        environment = os.environ | {BOOTSTRAP_VARIABLE: broker.start()}
        child = subprocess.Popen(command, env=environment)
        code = child.wait()
        return code if code >= 0 else 128 - code
    except FileNotFoundError as error:
        raise KafkaError(f"no such command: {command[0]}") from error
    except Stopped as stopped:
        return 128 + stopped.number
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # what is left is short, and must not be left half done
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_MAX_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        broker.stop()


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="kafka.py", description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, meaning in (
        ("start", "start a broker that stays, print its bootstrap address"),
        ("stop", "stop it and remove its directory"),
        ("run", "start, run a command, stop"),
        ("status", "who runs where; exit code 1 when nobody does"),
    ):
        command = commands.add_parser(name, help=meaning)
        if name in ("start", "stop"):
            command.add_argument(
                "--name", default="default", help="several may run side by side (default: %(default)s)"
            )
        if name in ("start", "run"):
            command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a server property")
        if name == "run":
            command.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    return parser


def main() -> int:
    """0 done, 1 nobody runs (status), 2 usage, 4 no broker; `run` gives the command's own code."""
    parser = arguments()
    options = parser.parse_args()
    chosen = {}
    for setting in getattr(options, "set", []):
        key, equals, value = setting.partition("=")
        if not equals:
            parser.error(f"--set wants KEY=VALUE, not {setting!r}")
        chosen[key] = value
    try:
        if options.command == "start":
            print(Broker(options.name, chosen, detached=True).start(), flush=True)
        elif options.command == "stop":
            Broker(options.name).stop()
        elif options.command == "run":
            words = options.words[1:] if options.words[:1] == ["--"] else options.words
            if not words:
                parser.error("run wants a command: kafka.py run -- COMMAND...")
            return run(words, chosen)
        else:
            alive = [broker for broker in brokers() if broker.running]
            for broker in alive:
                print(f"{broker.name} {broker.bootstrap}")
            return 0 if alive else 1
    except KafkaError as error:
        say(f"kafka: {error}")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())

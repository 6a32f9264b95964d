"""A Kafka broker in a throw-away directory: started, asked whether it serves, stopped. Standard library only."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tools.kafka_jars import RECIPE, RUN, KafkaError, Say, find_java, resolve, say, tail

HEAP_MB = 512
SERVE_MAX_S = 60
STOP_MAX_S = 20
PORT_ATTEMPTS_MAX = 3


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
        classpath = (
            "-XX:-UsePerfData",  # it would write outside this folder
            f"-Djava.io.tmpdir={self.directory}",
            "-cp",
            f"{jars}/*",
            f"-Dlog4j2.configurationFile={RECIPE / 'log4j2.properties'}",
        )
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
        "broker.session.timeout.ms": "4000",  # how long the controller takes a killed broker for alive
        "broker.heartbeat.interval.ms": "500",
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.cleaner.threads": "1",
        "log.cleaner.backoff.ms": "500",
        "log.retention.check.interval.ms": "500",
    }


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

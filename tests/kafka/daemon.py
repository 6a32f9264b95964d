"""The real daemon in a process of its own, on a real broker, for tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEY = "a key for tests only, thirty-two bytes and more"
DELIVERY_FIELDS = ("position", "delayed_by_s")


def free_port() -> int:
    """A port nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Daemon:
    """`foreshock run` with its configuration and state in `home`; alerts in `home`/alerts.jsonl."""

    home: Path
    bootstrap: str
    topic: str
    form: str = "native"
    process: subprocess.Popen[bytes] | None = None
    more: str = ""
    started: int = field(default=0)

    @property
    def config(self) -> Path:
        """The configuration, written at the first look."""
        path = self.home / "foreshock.toml"
        if not path.exists():
            key = self.home / "key"
            key.write_text(KEY)
            key.chmod(0o600)
            path.write_text(
                f"""
[kafka]
bootstrap = ["{self.bootstrap}"]
topics = ["{self.topic}"]
group_id = "{self.topic}"
start_at = "earliest"
[input]
format = "{self.form}"
[state]
directory = "{self.home / "state"}"
snapshot_every = "500ms"
[http]
bind = "127.0.0.1:{free_port()}"
[log]
format = "json"
[privacy]
key_file = "{key}"
[destinations.file]
type = "jsonl"
path = "{self.home / "alerts.jsonl"}"
{self.more}
"""
            )
        return path

    def start(self) -> None:
        """Start it; its log goes to `home`/log-N."""
        self.started += 1
        command = [sys.executable, "-c", "from detector.cli import main; main()", "run", "--config", str(self.config)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FORESHOCK_")}
        with (self.home / f"log-{self.started}").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**environment, "PYTHONPATH": str(ROOT)}, cwd=self.home
            )

    def kill(self) -> None:
        """SIGKILL, and wait."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def alerts(self) -> list[dict[str, Any]]:
        """What arrived so far; a line under way is left out."""
        path = self.home / "alerts.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def until(self, enough: Callable[[list[dict[str, Any]]], bool], timeout_s: float = 120.0) -> list[dict[str, Any]]:
        """Wait for alerts; the daemon's log when they do not come."""
        end = time.monotonic() + timeout_s
        while not enough(self.alerts()):
            assert self.process is not None
            dead = self.process.poll()
            if dead is not None or time.monotonic() > end:
                log = (self.home / f"log-{self.started}").read_text()[-4000:]
                raise AssertionError(f"{len(self.alerts())} alerts, exit {dead}; its log:\n{log}")
            time.sleep(0.05)
        return self.alerts()


def incidents(alerts: list[dict[str, Any]]) -> list[bytes]:
    """Bodies of incident alerts without what may differ between live and replay; each once."""
    bodies = []
    for alert in alerts:
        if not alert["type"].startswith("foreshock.incident."):
            continue
        told = {name: value for name, value in alert["data"].items() if name not in DELIVERY_FIELDS}
        body = json.dumps({**alert, "data": told}).encode()
        if body not in bodies:
            bodies.append(body)
    return bodies


def replayed(daemon: Daemon, paths: list[Path]) -> list[dict[str, Any]]:
    """The same configuration's replay of files."""
    out = daemon.home / "replayed.jsonl"
    command = [sys.executable, "-c", "from detector.cli import main; main()", "replay", *map(str, paths)]
    command += ["--format", daemon.form, "--config", str(daemon.config), "--alerts", str(out), "--no-progress"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FORESHOCK_")}
    done = subprocess.run(
        command, capture_output=True, text=True, env={**environment, "PYTHONPATH": str(ROOT)}, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in out.read_text().splitlines()]

"""The daemon of bench.latency: `foreshock run` as a process of its own, with one webhook and clocks on its stages."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.live import ROOT, say

SECRET = "whsec_" + "c3ludGhldGlj" * 3  # signs nothing but this bench
READY_MAX_S = 180.0
STOP_MAX_S = 40.0


@contextlib.contextmanager
def daemon(
    home: Path, bootstrap: str, topic: str, url: str, early: str, snapshot_every: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`foreshock run`, ready to read; stopped at the end."""
    port = free_port()
    path = home / "foreshock.toml"
    path.write_text(
        f"""
[kafka]
bootstrap = ["{bootstrap}"]
topics = ["{topic}"]
group_id = "{topic}"
start_at = "earliest"
[input]
early = "{early}"
[incidents]
together = "0s"
hold = "2s"
join = "2s"
[state]
directory = "{home / "state"}"
snapshot_every = "{snapshot_every}"
[http]
bind = "127.0.0.1:{port}"
[log]
format = "json"
level = "warning"
[destinations.hook]
type = "webhook"
url = "{url}"
secret = "{SECRET}"
allow_http = true
allow_cidrs = ["127.0.0.0/8"]
"""
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FORESHOCK_")}
    command = [sys.executable, "-m", "bench.latency_stages", str(home / "moments"), "run", "--config", str(path)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )
    try:
        for _ in range(round(READY_MAX_S / 0.25)):
            if ready(port):
                break
            if process.poll() is not None:
                raise RuntimeError(f"the daemon ended:\n{(home / 'log').read_text()[-3000:]}")
            time.sleep(0.25)
        yield process
    finally:
        stop(process)
        if said := (home / "log").read_text():
            say(said[-2000:])


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL when that does not help."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_MAX_S)
    if process.poll() is None:
        process.kill()
        process.wait()


def ready(port: int) -> bool:
    """/readyz says yes."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """One that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""Where and with what something was measured, in a line."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LOOP_TURNS = 500_000


def machine(*libraries: str) -> str:
    """Date, commit, processor, cores, Python, the versions of `libraries`, and how fast plain Python was just then: a
    shared machine may run at a third of its speed, and that line is how a reader knows. The commit says what was
    measured: figures stand on a page for longer than the code does."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    day = datetime.now(UTC).date().isoformat()
    used = "".join(f", {name} {version(name)}" for name in libraries)
    python = f"Python {sys.version.split()[0]}{used}; {_turn_ns():.0f} ns a turn of a plain loop"
    return f"{day}; {commit()}; {model}, {os.cpu_count()} cores, {platform.system()}; {python}"


def commit() -> str:
    """Which commit this is, "with changes" where files differ from it, or that it is none."""
    asked = ["git", "-C", str(Path(__file__).resolve().parent), "describe", "--always", "--exclude=*", "--dirty"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10.0).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "no commit"
    name, dirty, _ = told.partition("-dirty")
    return f"commit {name}" + (" with changes" if dirty else "")


def _turn_ns() -> float:
    """CPU time of one addition in a plain loop, the best of three."""
    best = float("inf")
    for _ in range(3):
        began, total = time.process_time_ns(), 0
        for number in range(LOOP_TURNS):
            total += number
        best = min(best, (time.process_time_ns() - began) / LOOP_TURNS)
    return best


def peak_mib() -> float:
    """Largest resident size of this process so far. Linux also says it without what the parent had before the exec."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far. Linux only."""
    cells = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")

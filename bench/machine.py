"""Where and with what something was measured, in a line."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LOOP_TURNS = 500_000


def machine(*libraries: str) -> str:
    """Date, processor, cores, Python, the versions of `libraries`, and how fast plain Python was just then: a shared
    machine may run at a third of its speed, and that line is how a reader knows."""
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
    return f"{day}; {model}, {os.cpu_count()} cores, {platform.system()}; {python}"


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

"""Where and with what something was measured, in a line."""

from __future__ import annotations

import os
import platform
import resource
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def machine(*libraries: str) -> str:
    """Date, processor, cores, Python, and the versions of `libraries`."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    day = datetime.now(UTC).date().isoformat()
    used = "".join(f", {name} {version(name)}" for name in libraries)
    return f"{day}; {model}, {os.cpu_count()} cores, {platform.system()}; Python {sys.version.split()[0]}{used}"


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

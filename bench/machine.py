"""Where and with what something was measured, in a line."""

from __future__ import annotations

import os
import platform
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

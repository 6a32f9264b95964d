"""How long a start takes: foreshock --help, and the loops made ready with and without machine code from before.

    python -m bench.start [--rounds 5] [--cold]

--help and the imports: the quickest of `rounds`, wall time of a process. Ready: what `foreshock run` does before it
reads (detector/wiring/ready.py); bench.snapshot says what restoring a state takes. --cold
also compiles everything anew into an empty folder, on all cores, and takes half a minute and more.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.machine import machine

FORESHOCK = str(Path(sys.executable).with_name("foreshock"))
READY = """
from detector.wiring.config import of
from detector.wiring.ready import ready
import sys
ready(of({}), lambda line: print(line, file=sys.stderr, flush=True))
"""


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.start")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--cold", action="store_true", help="also with an empty cache")
    chosen = parser.parse_args(arguments)
    ready = [sys.executable, "-c", READY]
    timed(ready)
    rows = [("foreshock --help", [timed([FORESHOCK, "--help"]) for _ in range(chosen.rounds)])]
    rows.append(("ready to read, machine code kept", [timed(ready) for _ in range(chosen.rounds)]))
    if chosen.cold:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(("ready to read, everything compiled", [timed(ready, NUMBA_CACHE_DIR=folder)]))
    print(machine("numba", "numpy"))
    print("\n| what | s, least | most |\n|---|---:|---:|")
    for what, times in rows:
        print(f"| {what} | {min(times):.2f} | {max(times):.2f} |")


def timed(command: Sequence[str], **variables: str) -> float:
    """Seconds of wall time."""
    began_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables})
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main(sys.argv[1:])

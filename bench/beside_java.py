"""Kafka's own ConsumerPerformance, which fetches and counts, in a process that has no other child. A child of
bench.beside.

CPU time and memory are the virtual machine's in all, its start included; its wall time leaves joining the group out.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys


def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.argv[1])
    done = subprocess.run(told["command"], check=True, stdout=subprocess.PIPE, text=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    names, cells = (line.split(", ") for line in done.stdout.splitlines()[-2:])
    said = dict(zip(names, cells, strict=True))
    result = {
        "events": float(said["data.consumed.in.nMsg"]),
        "wall_s": float(said["fetch.time.ms"]) / 1e3,
        "cpu_s": used.ru_utime + used.ru_stime,
        "rss_mib": used.ru_maxrss / 1024,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

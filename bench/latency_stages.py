"""Where an alert waits on its way: `foreshock run` with clocks on its stages. A child process of bench.latency.

    python -m bench.latency_stages TOLD run --config FILE      writes TOLD, JSON: alert key -> the moments below

Nothing is changed but that the moments are noted: the poll that brought the deciding record has ended, the engine's
step with it begins and ends, the commit that makes the alert durable begins and ends, and the webhook's attempt begins.
"""

from __future__ import annotations

import atexit
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

STAGES = (
    "fetched and polled",
    "waiting for the engine",
    "the engine's step",
    "waiting to be committed",
    "made durable",
    "found in the outbox",
    "posted",
)
MOMENTS = len(STAGES) - 1  # between the due moment and the arrival
POLLED, BEGUN, STEPPED, COMMITTING, DURABLE, SENT = range(MOMENTS)
SLOWEST = 0.05  # of the alerts: what they waited for is told apart

Moments = dict[str, list[int]]  # alert key -> ns since the epoch, 0 = not seen


def main() -> None:
    """Run the command with clocks on it."""
    told = Path(sys.argv.pop(1))
    moments: Moments = defaultdict(lambda: [0] * MOMENTS)
    watch(moments)
    atexit.register(lambda: told.write_text(json.dumps(moments)))
    from detector.cli import main as cli

    cli()


def watch(moments: Moments) -> None:
    """Put the clocks on the classes."""
    from detector.daemon.delivery import _Route
    from detector.daemon.ledger import Ledger
    from detector.daemon.service import Service
    from detector.engine.pipeline import Pipeline

    polled_ns: dict[int, int] = {}
    poll, step, write, attempt = Service._poll, Pipeline.step, Ledger._write, _Route.attempt

    async def timed_poll(self: Service) -> Any:
        batches = await poll(self)
        polled_ns[id(batches)] = time.time_ns()
        return batches

    def timed_step(self: Pipeline, batches: Sequence[Any]) -> Any:
        begun_ns, came_ns = time.time_ns(), polled_ns.pop(id(batches), 0)
        made = step(self, batches)
        polled_ns.clear() if len(polled_ns) > 1_000 else None
        for alert in made.alerts:
            moments[alert.key][:COMMITTING] = came_ns, begun_ns, time.time_ns()
        return made

    async def timed_write(self: Ledger, *rest: Any) -> bool:
        keys, begun_ns = [held.alert.key for held in self._alerts], time.time_ns()
        done = await write(self, *rest)
        for key in keys if done else ():
            if not moments[key][COMMITTING]:
                moments[key][COMMITTING:SENT] = begun_ns, time.time_ns()
        return done

    async def timed_attempt(self: _Route, parcel: Any) -> Any:
        if not moments[parcel.key][SENT]:
            moments[parcel.key][SENT] = time.time_ns()
        return await attempt(self, parcel)

    for kind, name, timed in (
        (Service, "_poll", timed_poll),
        (Pipeline, "step", timed_step),
        (Ledger, "_write", timed_write),
        (_Route, "attempt", timed_attempt),
    ):
        setattr(kind, name, timed)


def spans(due_ns: int, moments: Sequence[int], arrived_ns: int) -> list[float] | None:
    """ms of each stage; None where a moment is missing."""
    if not all(moments):
        return None
    return (np.diff([due_ns, *moments, arrived_ns]) / 1e6).tolist()


def report(early: str, found: Mapping[str, list[list[float]]]) -> list[str]:
    """A table for each kind of alert, in Markdown. found: kind -> ms (alerts, stages)."""
    lines = []
    for kind, rows in found.items():
        if not rows:
            continue
        ms = np.array(rows)
        order = np.argsort(ms.sum(axis=1))
        slow = ms[order[-max(1, round(SLOWEST * len(ms))) :]]
        lines += [
            "",
            f"input.early {early}, told at {'a close' if kind == 'close' else 'an early look'}: {len(ms)} alerts",
            "",
            f"| stage | p50 ms | p99 ms | mean ms of the slowest {SLOWEST:.0%} |",
            "|---|---:|---:|---:|",
        ]
        for stage, name in enumerate(STAGES):
            p50, p99 = np.percentile(ms[:, stage], (50, 99))
            lines.append(f"| {name} | {p50:.1f} | {p99:.1f} | {slow[:, stage].mean():.1f} |")
    return lines


if __name__ == "__main__":
    main()

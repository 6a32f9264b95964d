"""The clocks that every peer of bench.beside carries, the same for all. A child process prints what `told` returns.

Unpaced: the clocks run from the record `after` on, to the record `expected` or until `seconds` have passed, whichever
comes first. Paced: what a peer does at its start is not looked at, for SETTLE_S and until it has caught up, but no
longer than SETTLE_MAX_S; then the time from the broker's append to the peer's being done with a record is kept for
PACED_S. Append times are whole milliseconds.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from bench.machine import peak_mib

SETTLE_S, SETTLE_MAX_S, PACED_S = 5.0, 25.0, 8.0
CAUGHT_UP_MS = 500.0
GRACE_S = 1.0  # after a last look through the memory, which takes a part of it
EVERY = 64  # records between two looks at the watch


class Watch:
    """Counts records and knows when it is enough."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.paced = bool(told.get("paced"))
        self.done = False
        self.said = 0
        self._after, self._expected, self._seconds = int(told["after"]), int(told["expected"]), float(told["seconds"])
        self._seen = self._first = 0
        self._look = EVERY
        self._began_s = self._from_s = self._until_s = self._cpu_s = self._wall_s = 0.0
        self._late_ms: list[float] = []

    def saw(self, append_ms: float) -> bool:
        """The peer is done with one record. True when it may stop."""
        if self.paced:
            return self.saw_many((append_ms,), 1)
        self._seen += 1
        return self._seen >= self._look and self._turn()

    def saw_many(self, appended_ms: Iterable[float], count: int) -> bool:
        """The peer is done with `count` records; their append times are read in a paced run only."""
        self._seen += count
        if not self.paced:
            return self._seen >= self._look and self._turn()
        now_s = time.time()
        late_ms = [now_s * 1e3 - append_ms for append_ms in appended_ms]
        if not self._from_s:
            self._settle(now_s, late_ms)
        elif now_s >= self._from_s:
            self._late_ms.extend(late_ms)
            self.done = now_s >= self._from_s + PACED_S
        return self.done

    def _settle(self, now_s: float, late_ms: Sequence[float]) -> None:
        self._began_s = self._began_s or now_s
        since_s = now_s - self._began_s
        caught_up = bool(late_ms) and max(late_ms) < CAUGHT_UP_MS
        if since_s >= SETTLE_MAX_S or (since_s >= SETTLE_S and caught_up):
            gc.collect()
            gc.freeze()
            self._from_s = time.time() + GRACE_S

    def _turn(self) -> bool:
        now_s = time.perf_counter()
        self._look = self._seen + EVERY
        if not self._first:
            if self._seen >= self._after:
                gc.collect()
                gc.freeze()  # what was made at the start is not looked through again: the same for all
                self._first, self._cpu_s, self._began_s = self._seen, time.process_time(), time.perf_counter()
                self._until_s = self._began_s + self._seconds
            else:
                self._look = min(self._look, self._after)
        elif not self.done and (self._seen >= self._expected or now_s >= self._until_s):
            self.done = True
            self._wall_s = now_s - self._began_s
            self._cpu_s = time.process_time() - self._cpu_s
            self._first = self._seen - self._first
        if self._look > self._expected > self._seen:
            self._look = self._expected
        return self.done

    def say(self, market: str, now_ns: int, score: float) -> None:
        """A score passed its limit: a line for whoever reads it."""
        self.said += 1
        print(f"{now_ns} {market} {score:.3f}", file=sys.stderr)

    def told(self, *libraries: str) -> dict[str, Any]:
        """What the parent is told."""
        assert self.done, "the topic ended before the watch did"
        result: dict[str, Any] = {"rss_mib": peak_mib(), "said": self.said}
        result["versions"] = {name: version(name) for name in libraries}
        if self.paced:
            late = sorted(self._late_ms)
            assert late, "nothing came in the seconds that count"
            return {**result, "p50_ms": quantile(late, 0.5), "p99_ms": quantile(late, 0.99), "paced_events": len(late)}
        return {**result, "events": self._first, "wall_s": self._wall_s, "cpu_s": self._cpu_s}


def quantile(ordered: list[float], share: float) -> float:
    """The least value that `share` of them do not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]


def finish(watch: Watch, *libraries: str) -> None:
    """Print the last line."""
    print(json.dumps(watch.told(*libraries)), flush=True)

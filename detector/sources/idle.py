"""Idle: when a live partition that has nothing more to say lets event time move on. A helper of sources, no plug-in.

A source knows no event time. It asks the engine how far event time has come at the end of a partition that has been
quiet for so long. So a market without trade at night does not stop the clock of the others.
"""

from __future__ import annotations

from collections.abc import Callable

from detector.sources.base import Partition

# event time (ns) at the end of a partition that has been quiet for so many seconds, 0 = unknown
EventClock = Callable[[Partition, float], int]

SECOND_NS = 1_000_000_000


class IdleClock:
    """Per partition: since when it is quiet, and when that was said last. Times are the caller's monotonic seconds."""

    def __init__(self, event_clock: EventClock, idle_after_s: float, idle_every_s: float) -> None:
        self._event_clock = event_clock
        self._after_s = idle_after_s
        self._every_s = idle_every_s
        self._quiet_since: dict[Partition, float] = {}
        self._said: dict[Partition, float] = {}

    def busy(self, partition: Partition, now_s: float) -> None:
        """Something came, or may lie there unread."""
        self._quiet_since[partition] = now_s
        self._said.pop(partition, None)

    def forget(self, partition: Partition) -> None:
        """It is not ours any more."""
        self._quiet_since.pop(partition, None)
        self._said.pop(partition, None)

    def idle_ns(self, partition: Partition, now_s: float) -> int:
        """The instant that event time may move on to; 0 = nothing to say now. Ask only about a partition at its end."""
        quiet_s = now_s - self._quiet_since.setdefault(partition, now_s)
        said_s = self._said.get(partition)
        if quiet_s < self._after_s or (said_s is not None and now_s - said_s < self._every_s):
            return 0
        event_ns = self._event_clock(partition, quiet_s) - int(self._after_s * SECOND_NS)
        if event_ns <= 0:
            return 0
        self._said[partition] = now_s
        return event_ns

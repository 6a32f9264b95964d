"""Workers: the threads of a replay. One reads and decodes ahead of the engine, the others fold beside it.

The compiled loops hold no lock, so threads of one process use as many cores; nothing is copied between processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

SWITCH_S = 0.0005  # Python hands its lock on after 5 ms by itself: longer than most of what is waited for here
READER_NICE = 5  # where there are fewer cores than threads, folding goes first: others wait for it


def later(work: Callable[[], T]) -> Callable[[], T]:
    """Without threads: the work is done when its result is asked for."""
    return work


class Workers:
    """A context manager. count: cores that are used, at least 2; the caller's thread is one of those that fold."""

    def __init__(self, count: int) -> None:
        assert count > 1, "one worker needs no threads"
        self.count = count
        self._folding = ThreadPoolExecutor(count - 1, "fold")
        self._reading = ThreadPoolExecutor(1, "read", _give_way)
        self._switch_s = sys.getswitchinterval()

    def together(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Do all jobs; returns when all are done. Raises what the first that failed raised."""
        others: list[Future[None]] = [self._folding.submit(job) for job in jobs[1:]]
        try:
            jobs[0]()
        finally:
            wait(others)
        for other in others:
            other.result()

    def ahead(self, work: Callable[[], T]) -> Callable[[], T]:
        """Begin `work` once all earlier is done; what is returned waits for its result."""
        return self._reading.submit(work).result

    def __enter__(self) -> Workers:
        sys.setswitchinterval(SWITCH_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing more is begun; waits for what was. What may wait for ever is not to be read here."""
        sys.setswitchinterval(self._switch_s)
        self._reading.shutdown(cancel_futures=True)
        self._folding.shutdown(cancel_futures=True)


def _give_way() -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + READER_NICE)

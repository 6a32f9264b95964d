"""Blocking: a write that may hang (a reader that has stopped, a network file system) and holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

from detector.sinks.base import Delivery, Outcome

WRITE_S = 10.0  # one write


class BlockingWriter:
    """Of one sink: writes one thing at a time, in a thread of its own, so that what hangs costs one thread.

    Not one of the loop's shared threads: names are looked up and checkpoints packed in those. A daemon thread, or a
    hanging one would keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._one_at_a_time = asyncio.Lock()
        self._key = ""
        self._writing: Future[Outcome] | None = None  # that was not waited for any longer

    async def write(self, key: str, work: Callable[[], Outcome]) -> Outcome:
        """What `work` says. RETRY when that takes longer than `WRITE_S`, and while it hangs, for every further key; the
        outcome of a write that ends later than that is kept for the next attempt of its key."""
        async with self._one_at_a_time:
            late = self._writing
            if late is not None and not late.done():
                return Outcome(Delivery.RETRY, "an earlier write hangs")
            if late is None or key != self._key or late.exception() is not None:
                late = self._begin(key, work)
            try:
                async with asyncio.timeout(WRITE_S):
                    outcome = await asyncio.wrap_future(late)
            except TimeoutError:
                return Outcome(Delivery.RETRY, f"not written within {WRITE_S:g} s")
            self._writing = None
            return outcome

    def _begin(self, key: str, work: Callable[[], Outcome]) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it, only stop waiting

        def write() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        self._key, self._writing = key, future
        Thread(target=write, name=f"sink-{self._name}", daemon=True).start()
        return future

"""A daemon in a directory, for tests that look at its parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detector.daemon.delivery import Delivery, DeliverySettings
from detector.daemon.ledger import Ledger
from detector.daemon.service import Service, ServiceSettings
from detector.daemon.telemetry import Telemetry
from detector.sinks.base import Sink
from detector.store.store import Store, StoreSettings
from tests.daemon.story import CountingEngine, ListSource

QUICK = ServiceSettings(poll_s=0.02, commit_every_s=0.01, snapshot_every_s=0.05, drain_s=5.0, config_rev="r1")


class House:
    """A daemon in a directory, its parts in reach."""

    def __init__(self, directory: Path, source: ListSource, *sinks: Sink, settings: ServiceSettings = QUICK) -> None:
        self.directory, self.source, self.sinks, self.settings = directory, source, sinks, settings
        self.telemetry = Telemetry()
        self.engines: list[CountingEngine] = []
        self.exited: list[int] = []

    async def open(self, engine: Callable[[], CountingEngine] = CountingEngine, **more: Any) -> Service:
        self.store = await Store.open(self.directory, StoreSettings(ballast_bytes=0))
        names = [sink.name for sink in self.sinks]
        self.delivery = Delivery(self.store, self.sinks, self.telemetry, DeliverySettings(look_every_s=0.02))
        self.ledger = Ledger(self.store, lambda alert: names, self.telemetry)

        def made() -> CountingEngine:
            self.engines.append(engine())
            return self.engines[-1]

        self.service = Service(
            self.source, made, self.store, self.delivery, self.ledger, self.telemetry, self.settings,
            exit_now=self.exited.append, **more,
        )  # fmt: skip
        return self.service

    async def run_until(self, done: Callable[[], bool], seconds: float = 10.0) -> int:
        running = asyncio.create_task(self.service.run(signals=False))
        with contextlib.suppress(TimeoutError):
            await until(lambda: done() or running.done(), seconds)
        self.service.stop()
        code = await running
        assert done(), "what the test waited for did not happen"
        return code

    def value(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(name, labels) or 0.0


async def until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110  a test looks from outside
            await asyncio.sleep(0.005)

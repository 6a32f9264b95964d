"""The whole daemon at a steady rate: from a record's append until the step that took it has ended. A child of
bench.beside.

That is what the peers' latency is: done with the event. When an alert goes out is measured by bench.latency.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.beside_watch import Watch, finish
from bench.live_daemon import configuration
from detector.daemon import logs
from detector.daemon.service import Service
from detector.model.records import RecordBatch
from detector.sources.kafka import KafkaSource
from detector.wiring.assembly import build_service
from detector.wiring.config import Configuration
from detector.wiring.edges import kafka_settings
from detector.wiring.warm import warm


class Watched(KafkaSource):
    """The Kafka source; who asks for more is done with what there was."""

    service: Service
    watch: Watch
    handed: Sequence[RecordBatch] = ()

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        """See Source.poll."""
        for batch in self.handed:
            self.watch.saw_many((batch.broker_ns / 1e6).tolist(), len(batch))
        if self.watch.done:
            self.service.stop()
        self.handed = await super().poll(timeout_s)
        return self.handed


async def measure(config: Configuration, watch: Watch) -> None:
    """Run it until the watch has seen enough."""
    made: list[Watched] = []

    def source(event_clock: object) -> Watched:
        made.append(Watched(kafka_settings(config), event_clock=event_clock))  # type: ignore[arg-type]
        return made[0]

    service = await build_service(config, source)
    made[0].service, made[0].watch = service, watch
    await service.run(signals=False)


def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.argv[1])
    watch = Watch(told)
    logs.configure("error", json=True)
    with tempfile.TemporaryDirectory() as home:
        config = configuration(told["bootstrap"], told["topic"], Path(home))
        warm(config)
        asyncio.run(measure(config, watch))
    finish(watch, "aiokafka", "numba")


if __name__ == "__main__":
    main()

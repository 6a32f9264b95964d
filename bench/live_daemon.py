"""The whole daemon on a topic: Kafka, every detector, checkpoints, alerts to a file. A child process of bench.live.

It is the Service that `foreshock run` runs, with a source that looks at its watch. It is stopped when the engine has
taken the topic's last record. A checkpoint of a million orders takes as long as the whole run may, and would fall into
it or not: while the clocks run none begins, one is made when they have stopped, and the part of a core that the daemon
would spend on such ones (state.save_share at most) is laid upon what the clocks said.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.machine import peak_mib
from detector.daemon import logs
from detector.daemon.service import Service
from detector.engine.pipeline import Pipeline
from detector.model.records import RecordBatch
from detector.sources.kafka import KafkaSource
from detector.sources.kafka_settings import ReaderName
from detector.wiring.assembly import build_service
from detector.wiring.config import Configuration, of
from detector.wiring.edges import kafka_settings
from detector.wiring.warm import warm


class Watched(KafkaSource):
    """The Kafka source, and when it handed over what. The clocks run from the record `after` on, when the books are
    filled and the loops have run, to the end of the step that took the last record."""

    service: Service
    expected = after = 0
    seen = 0
    first = 0
    polls = 0
    turn_s_max = 0.0  # from records handed over to the next poll: the stream stands still meanwhile
    began_s = opening_s = wall_s = cpu_s = handed_s = saved_s = 0.0
    done = False

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        """See Source.poll."""
        now_s = time.perf_counter()
        if self.first and self.handed_s:
            self.turn_s_max = max(self.turn_s_max, now_s - self.handed_s)
        if not self.first and self.seen >= self.after:
            self.service.saving.due_s = math.inf
            await self.service.saving.ended()
            now_s = time.perf_counter()
            self.first, self.opening_s = self.seen, now_s - self.began_s
            self.wall_s, self.cpu_s = now_s, time.process_time()
        elif self.seen >= self.expected and not self.done:
            self.wall_s, self.cpu_s = now_s - self.wall_s, time.process_time() - self.cpu_s
            self.done = True
            await self.ended()
        batches = await super().poll(timeout_s)
        self.handed_s = time.perf_counter() if batches else 0.0
        self.began_s = self.began_s or self.handed_s
        self.seen += sum(map(len, batches))
        self.polls += bool(batches)
        return batches

    async def ended(self) -> None:
        """The last record's step is over, and the clocks have stopped. The service saves once more on its way out."""
        self.saved_s = self.service.saving.cpu_s
        self.service.stop()


async def measure(
    config: Configuration, expected: int, after: int, reader: ReaderName, kind: type[Watched] = Watched
) -> dict[str, float]:
    """Run it until everything is consumed. kind: the source's class; it may know better what is expected."""
    made: list[Watched] = []

    def source(event_clock: object) -> Watched:
        settings = replace(kafka_settings(config), reader=reader)
        made.append(kind(settings, event_clock=event_clock))  # type: ignore[arg-type]
        return made[0]

    service = await build_service(config, source)
    watched = made[0]
    watched.service, watched.expected, watched.after = service, expected, after
    await service.run(signals=False)
    save_s = service.saving.cpu_s - watched.saved_s
    part = min(service.settings.save_share, save_s / service.settings.snapshot_every_s)
    assert isinstance(service.engine, Pipeline), "the engine that ships"
    return {
        "live_orders": int(service.engine.shard.tables.order_use[0]),
        "events": watched.seen - watched.first,
        "wall_s": watched.wall_s / (1.0 - part),
        "cpu_s": watched.cpu_s / (1.0 - part),
        "save_s": save_s,
        "rss_mib": peak_mib(),
        "turn_ms_max": watched.turn_s_max * 1e3,
        "opening_s": watched.opening_s,
        "events_per_poll": watched.seen / max(1, watched.polls),
    }


def configuration(bootstrap: str, topic: str, home: Path, *, group: str = "") -> Configuration:
    """What ships, but for where to read, from where on, and where to write. group: "" = the topic's name."""
    return of(
        {
            "kafka": {"bootstrap": [bootstrap], "topics": [topic], "group_id": group or topic, "start_at": "earliest"},
            "state": {"directory": str(home / "state")},
            "destinations": {"file": {"type": "jsonl", "path": str(home / "alerts.jsonl")}},
        }
    )


def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.argv[1])
    logs.configure("error", json=True)
    with tempfile.TemporaryDirectory() as home:
        config = configuration(told["bootstrap"], told["topic"], Path(home))
        warm(config)
        result = asyncio.run(measure(config, told["events"], told["after"], told.get("reader", "auto")))
        alerts = Path(home) / "alerts.jsonl"
        result["alerts"] = len(alerts.read_text().splitlines()) if alerts.exists() else 0
    print(json.dumps(result))


if __name__ == "__main__":
    main()

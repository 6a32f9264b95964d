"""A daemon in a process of its own, to be killed: python child.py DIRECTORY URL SECRET RECORDS PARTITIONS"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from detector.daemon import logs
from detector.daemon.delivery import Delivery, DeliverySettings
from detector.daemon.ledger import Ledger
from detector.daemon.service import Service, ServiceSettings
from detector.daemon.telemetry import Telemetry
from detector.sinks.webhook import Webhook
from detector.store.store import Store, StoreSettings
from tests.daemon.story import CountingEngine, ListSource


async def main(directory: str, url: str, secret: str, records: str, partitions: str) -> int:
    logs.configure("warning")
    store = await Store.open(Path(directory), StoreSettings(ballast_bytes=1 << 20))
    telemetry = Telemetry()
    sink = Webhook("oncall", url=url, secrets=[secret], allow_cidrs=["127.0.0.0/8"])
    delivery = Delivery(
        store, [sink], telemetry, DeliverySettings(look_every_s=0.02, backoff_min_s=0.01, backoff_max_s=0.1)
    )
    source = ListSource(int(records), int(partitions), pause_s=0.004)
    service = Service(
        source, CountingEngine, store, delivery, Ledger(store, lambda alert: ["oncall"], telemetry), telemetry,
        ServiceSettings(poll_s=0.02, commit_every_s=0.01, snapshot_every_s=0.03),
    )  # fmt: skip
    return await service.run()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))

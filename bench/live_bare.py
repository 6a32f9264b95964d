"""What the live bench compares with: a bare aiokafka `getmany` loop that only counts. A child process of bench.live.

It imports nothing but aiokafka: loaded libraries make Python's own objects dearer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from bench.machine import peak_mib


async def count(bootstrap: str, topic: str, partitions: int, expected: int, after: int) -> dict[str, float]:
    """Read everything once. The clocks run from the record `after` on, as the daemon's do."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, group_id=None
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    gc.collect()
    gc.freeze()
    seen = first = 0
    wall_s = cpu_s = 0.0
    while seen < expected:
        if not first and seen >= after:
            first, wall_s, cpu_s = seen, time.perf_counter(), time.process_time()
        handed = await consumer.getmany(timeout_ms=250)
        seen += sum(map(len, handed.values()))
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    await consumer.stop()
    return {"events": seen - first, "wall_s": wall_s, "cpu_s": cpu_s, "rss_mib": peak_mib()}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    words = ("bootstrap", "topic", "partitions", "events", "after")
    print(json.dumps(asyncio.run(count(*(told[word] for word in words)))))

"""aiokafka getmany, and in the same process: nothing (counting), River per event or window, or PyOD per window.

A child process of bench.beside. With "alone" the records are read before the clocks run: what is left is parsing,
features and the model, without any Kafka.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from bench.beside_job import Job, Scorer, half_space_trees
from bench.beside_watch import Watch, finish

ALONE_MAX = 200_000  # records held in memory


async def run(told: dict[str, Any], watch: Watch) -> None:
    """Until the watch has seen enough."""
    see = None if told["what"] == "counting" else job(told, watch)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=told["bootstrap"], auto_offset_reset="earliest", enable_auto_commit=False, group_id=None
    )
    await consumer.start()
    consumer.assign([TopicPartition(told["topic"], number) for number in range(told["partitions"])])
    if see is None:
        while not watch.done:
            for records in (await consumer.getmany(timeout_ms=250)).values():
                watch.saw_many((record.timestamp for record in records), len(records))
    elif told["what"] == "alone":
        alone(await held(consumer, told["expected"]), see, watch)
    else:
        await scoring(consumer, see, watch)
    await consumer.stop()


async def scoring(consumer: Any, see: Callable[[bytes], None], watch: Watch) -> None:
    """As records come."""
    while not watch.done:
        for records in (await consumer.getmany(timeout_ms=250)).values():
            for record in records:
                see(record.value)
                if watch.saw(record.timestamp):
                    return


def alone(values: list[bytes], see: Callable[[bytes], None], watch: Watch) -> None:
    """From memory."""
    for value in values:
        see(value)
        if watch.saw(0.0):
            return


async def held(consumer: Any, count: int) -> list[bytes]:
    """The first records' values, a partition after another in each poll."""
    values: list[bytes] = []
    while len(values) < count:
        for records in (await consumer.getmany(timeout_ms=250)).values():
            values.extend(record.value for record in records)
    return values


def job(told: dict[str, Any], watch: Watch) -> Callable[[bytes], None]:
    """Bytes in. Parsing is msgspec's, which is as fast as the orjson of the other peers."""
    decode = msgspec.json.Decoder().decode
    see = Job(told["per"], scorer(told.get("model", "river")), watch.say).see
    return lambda value: see(decode(value))


def scorer(model: str) -> Callable[[], Scorer]:
    """What makes a market's model. PyOD is imported by who wants it, and takes seconds."""
    if model == "river":
        return half_space_trees
    from bench.beside_pyod import rolling_ecod

    return rolling_ecod


def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.argv[1])
    if told["what"] == "alone":
        told["expected"] = min(ALONE_MAX, told["expected"])
    watch = Watch(told)
    asyncio.run(run(told, watch))
    finish(watch, "aiokafka", *told.get("libraries", ()))


if __name__ == "__main__":
    main()

"""Reach: whether a broker can be spoken with, before anything is read. A helper of `foreshock check`, no plug-in."""

from __future__ import annotations

import asyncio
import logging

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from detector.sources.kafka_settings import KafkaSettings

REACH_S = 10.0
REQUEST_MS = 5_000


async def reach(settings: KafkaSettings, bootstrap: str) -> list[str]:
    """A sentence for each thing that is wrong there: nobody, no Kafka, not with this security, a topic that is not
    there. Joins no group."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says is said here
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_MS, **settings.security.client_arguments()
    )
    try:
        async with asyncio.timeout(REACH_S):
            await consumer.start()
            there = await consumer.topics()
    except TimeoutError:
        return [f"kafka.bootstrap {bootstrap}: no answer of a Kafka broker within {REACH_S:g} s"]
    except Exception as error:  # of whatever kind: it is what was asked for
        kind = type(error).__name__
        return [f"kafka.bootstrap {bootstrap}: {kind}: {str(error).removeprefix(kind).lstrip(': ')}"]
    finally:
        await consumer.stop()
    return [f"kafka.topics: {topic} is not there" for topic in settings.topics if topic not in there]

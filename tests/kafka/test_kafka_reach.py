"""foreshock check --online, at a real broker: topics that are not there are named, and none is made by asking."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from detector.sources import kafka_reach
from detector.sources.kafka_reach import reach
from detector.sources.kafka_settings import KafkaSettings, Security
from tests.kafka.conftest import NewTopic


async def told(broker: str, *topics: str, **more: Any) -> list[str]:
    """What is wrong; a topic that was made just now may take the broker a moment."""
    for _ in range(50):
        lines = await reach(KafkaSettings(broker, topics, **more))
        if not any("test-" in line for line in lines):
            break
        await asyncio.sleep(0.1)
    return lines


async def test_a_broker_that_has_our_topics_is_right(broker: str, topic: str) -> None:
    assert await told(broker, topic) == []


async def test_a_topic_that_is_not_there_is_named_and_not_made(broker: str, new_topic: NewTopic) -> None:
    there = await new_topic()
    assert await told(broker, there, "nobody.made.it") == [
        "kafka.topics nobody.made.it: there is no such topic, or it is not shown to us"
    ]
    client = AIOKafkaAdminClient(bootstrap_servers=broker)
    await client.start()
    try:
        assert "nobody.made.it" not in await client.list_topics()
    finally:
        await client.close()


async def test_one_broker_of_two_that_answers_tells_of_the_topics_and_the_other_is_named(
    broker: str, topic: str
) -> None:
    (line,) = await told(f"127.0.0.1:1,{broker}", topic)
    assert line.startswith("kafka.bootstrap 127.0.0.1:1: cannot connect: ")


async def test_a_broker_is_said_that_its_cluster_names_and_nobody_can_reach(
    broker: str, topic: str, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    ask = kafka_reach._ask

    async def elsewhere(settings: KafkaSettings, host: str, port: int) -> kafka_reach.Told:
        told = await ask(settings, host, port)
        return replace(told, brokers={7: ("127.0.0.1", 1)}) if told.brokers else told

    monkeypatch.setattr(kafka_reach, "_ask", elsewhere)
    (line,) = await told(broker, topic)
    assert line.startswith("kafka broker 7, by its own cluster at 127.0.0.1:1 (advertised.listeners): cannot connect")


async def test_security_that_the_broker_has_not_is_said(broker: str, topic: str) -> None:
    (line,) = await told(broker, topic, security=Security("SSL"))
    assert line.startswith(f"kafka.bootstrap {broker}: ") and ("TLS" in line or "hangs up" in line)
    login = Security("SASL_PLAINTEXT", username="us", password="canary")
    (line,) = await told(broker, topic, security=login)
    assert "IllegalSaslState" in line or "Sasl" in line
    assert "canary" not in line

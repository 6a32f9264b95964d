"""Kafka keeps the contract of every source."""

from __future__ import annotations

from typing import Any

import pytest

from detector.sources.kafka import KafkaSource
from detector.sources.kafka_settings import KafkaSettings
from tests.sources.contract import BATCH_MAX, SourceContract


class TestKafkaKeepsTheContract(SourceContract):
    @pytest.fixture
    async def world(self, broker, new_topic, produce):
        return broker, await new_topic(2), produce

    async def fill(self, world: Any, values: Any) -> None:
        _, topic, produce = world
        for number, lines in values.items():
            await produce(topic, lines, partition_of=number, batch_bytes=300)

    def make(self, world: Any, **options: Any) -> KafkaSource:
        broker, topic, _ = world
        told = {"start_at": "earliest", "batch_max": BATCH_MAX, "idle_after_s": 0.3, "idle_every_s": 0.05}
        return KafkaSource(KafkaSettings(broker, (topic,), group=f"group-{topic}", **told), **options)

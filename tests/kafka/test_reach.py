"""What `check --online` finds at a real broker."""

from __future__ import annotations

from detector.sources.kafka_reach import reach
from detector.sources.kafka_settings import KafkaSettings


async def test_a_topic_that_is_not_there_is_named_and_not_made(broker: str, topic: str, produce) -> None:  # type: ignore[no-untyped-def]
    await produce(topic, [b"{}"])
    settings = KafkaSettings(broker, (topic, f"{topic}-not"), session_timeout_ms=6_000, heartbeat_interval_ms=500)
    for _ in range(2):
        assert await reach(settings, broker) == [f"kafka.topics: {topic}-not is not there"]

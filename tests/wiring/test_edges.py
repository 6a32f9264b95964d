"""What touches the world gets what the configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.wiring.assembly import build_service
from detector.wiring.config import ConfigurationError, of
from detector.wiring.edges import build_sinks, delivery_settings, kafka_settings, route, store_settings
from tests.sinks.letters import with_data

SECRET = "whsec_" + "c2VjcmV0" * 4


def test_each_destination_becomes_a_sink_by_its_name(tmp_path: Path) -> None:
    config = of(
        {
            "destinations": {
                "pager": {"type": "webhook", "url": "https://x.example/", "secret": SECRET},
                "archive": {"type": "jsonl", "path": str(tmp_path / "a.jsonl")},
                "terminal": {"type": "stdout"},
            }
        }
    )
    assert [sink.name for sink in build_sinks(config)] == ["archive", "pager", "terminal"]


def test_a_destination_is_told_from_its_severity_on() -> None:
    config = of(
        {
            "destinations": {
                "pager": {"type": "stdout", "min_severity": "critical"},
                "chat": {"type": "stdout", "min_severity": "warning"},
                "log": {"type": "stdout"},
            }
        }
    )
    told = route(config, build_sinks(config))
    assert told(with_data(severity="info")) == ("log",)
    assert told(with_data(severity="warning")) == ("chat", "log")
    assert told(with_data(severity="critical")) == ("chat", "log", "pager")


def test_every_unusable_destination_is_named_and_no_secret_is() -> None:
    config = of(
        {
            "destinations": {
                "a": {"type": "webhook", "url": "https://x.example/", "secret": "not-a-canary"},
                "b": {"type": "webhook", "url": "https://x.example/", "secret_file": "absent"},
            }
        }
    )
    with pytest.raises(ConfigurationError) as caught:
        build_sinks(config)
    assert len(caught.value.problems) == 2
    assert "canary" not in str(caught.value)


def test_the_broker_is_read_as_the_configuration_says() -> None:
    config = of(
        {
            "kafka": {
                "bootstrap": "a:1,b:2",
                "topics": ["x", "y"],
                "start_at": "2026-11-22T10:00:00Z",
                "session_timeout": "30s",
                "fetch_bytes_max": "2MiB",
                "tls": {"enabled": True},
                "sasl": {"mechanism": "PLAIN", "username": "u", "password": "p"},
            }
        }
    )
    made = kafka_settings(config)
    assert (made.bootstrap, made.topics, made.session_timeout_ms) == ("a:1,b:2", ("x", "y"), 30_000)
    assert (made.start_at, made.fetch_bytes_max) == (1_795_341_600_000_000_000, 2 << 20)
    assert (made.security.protocol, made.security.mechanism) == ("SASL_SSL", "PLAIN")
    assert kafka_settings(of({})).security.protocol == "PLAINTEXT"


def test_a_topic_named_twice_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="once"):
        kafka_settings(of({"kafka": {"topics": ["x", "x"]}}))


def test_the_state_file_and_the_delivery_get_their_limits() -> None:
    settings = of(
        {"state": {"ballast": "1MiB", "outbox_max": 500}, "delivery": {"give_up_after": "1h", "concurrency": 2}}
    ).settings
    assert store_settings(settings).ballast_bytes == 1 << 20
    assert store_settings(settings).outbox_max == 500
    assert store_settings(settings).letter_ttl_s == 3600.0
    assert delivery_settings(settings).concurrency == 2


async def test_a_dead_man_s_switch_is_a_destination_that_wants_heartbeats(tmp_path: Path) -> None:
    hooks = {
        name: {"type": "webhook", "url": "https://example.com/", "secret": SECRET, "heartbeat": name == "switch"}
        for name in ("pager", "switch")
    }
    service = await build_service(of({"destinations": hooks, "state": {"directory": str(tmp_path / "state")}}))
    assert service.watch._heartbeats == ("switch",)
    await service.store.close()

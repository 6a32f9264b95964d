"""Assembly: the daemon of one configuration, put together and not yet running."""

from __future__ import annotations

import time
from collections.abc import Callable

from detector.daemon.delivery import Delivery
from detector.daemon.ledger import Ledger
from detector.daemon.service import Service, ServiceSettings
from detector.daemon.telemetry import Telemetry
from detector.engine.pipeline import Pipeline
from detector.sources.base import Partition, Source
from detector.sources.kafka import KafkaSource
from detector.store.rows import Identity
from detector.store.store import Store
from detector.wiring.build import build_pipeline
from detector.wiring.config import Configuration, ConfigurationError, Problem, secret
from detector.wiring.edges import build_sinks, delivery_settings, kafka_settings, route, store_settings

EventClock = Callable[[Partition, float], int]
PSEUDONYM_KEY_BYTES_MIN = 32


async def build_service(
    config: Configuration,
    source: Callable[[EventClock], Source] | None = None,
    later: Callable[[], object] | None = None,
    unusable: Callable[[], str] = lambda: "",
) -> Service:
    """The daemon, its state file open, not yet running. `source` makes another one than the configuration's Kafka;
    `later` is done in a thread once it reads; `unusable` is asked at SIGHUP (see Service).

    Raises ConfigurationError, StoreError.
    """
    sinks = build_sinks(config)
    kafka = None if source else kafka_settings(config)
    told = config.settings
    store = await Store.open(told.state.directory, store_settings(told))
    try:
        identity = await store.identity()
        keyed = pseudonym_key(config, identity)
        telemetry = Telemetry()
        delivery = Delivery(store, sinks, telemetry, delivery_settings(told))
        service: Service

        def event_ns(partition: Partition, quiet_s: float) -> int:
            engine = service.engine
            return engine.quiet_ns(partition, quiet_s, time.time_ns()) if isinstance(engine, Pipeline) else 0

        made = source(event_ns) if source is not None else None
        if made is None:
            assert kafka is not None
            made = KafkaSource(kafka, event_clock=event_ns, positions_of=lambda asked: service.positions_of(asked))
        service = Service(
            made,
            lambda: build_pipeline(config, pseudonym_key=keyed),
            store,
            delivery,
            Ledger(store, route(config, sinks), telemetry),
            telemetry,
            ServiceSettings(
                config_rev=config.config_rev,
                read_ahead=told.kafka.read_ahead,
                commit_every_s=told.state.commit_every.s,
                snapshot_every_s=told.state.snapshot_every.s,
                save_share=told.state.save_share,
            ),
            heartbeats=[name for name, one in sorted(told.destinations.items()) if getattr(one, "heartbeat", False)],
            later=later,
            unusable=unusable,
        )
    except BaseException:
        await store.close()
        raise
    return service


def pseudonym_key(config: Configuration, identity: Identity) -> bytes:
    """What keys the names that accounts have in alerts: the configured file's, else the state file's own."""
    return given_key(config) or identity.pseudonym_key


def given_key(config: Configuration) -> bytes:
    """The configured file's key, b"" when none is named. Raises ConfigurationError."""
    file = config.settings.privacy.key_file
    if file is None:
        return b""
    key = secret(None, file).encode()
    if len(key) < PSEUDONYM_KEY_BYTES_MIN:
        sentence = f"holds {len(key)} bytes, and names can be guessed with fewer than {PSEUDONYM_KEY_BYTES_MIN}"
        raise ConfigurationError(Problem(str(file), "privacy.key_file", sentence))
    return key

"""Edges: from the configuration to what touches the world: the broker, the destinations, the state file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from detector.daemon.delivery import DeliverySettings
from detector.model.alert import Alert
from detector.sinks.alertmanager import Alertmanager
from detector.sinks.base import Sink
from detector.sinks.jsonl import Jsonl
from detector.sinks.pagerduty import Pagerduty
from detector.sinks.slack import Slack
from detector.sinks.stdout import Stdout
from detector.sinks.webhook import Webhook
from detector.sources.kafka_settings import KafkaSettings, Security
from detector.store.store import StoreSettings
from detector.wiring.config import Configuration, ConfigurationError, Problem, secret
from detector.wiring.destination_section import (
    AlertmanagerDestination,
    Destination,
    HttpDestination,
    JsonlDestination,
    PagerdutyDestination,
    SlackDestination,
    StdoutDestination,
    WebhookDestination,
)
from detector.wiring.kafka_section import start_ns
from detector.wiring.settings import Settings

SEVERITIES = ("info", "warning", "critical")


def build_sinks(config: Configuration) -> list[Sink]:
    """One for each destination, in the order of their names. Raises ConfigurationError, with all that is wrong."""
    made: list[Sink] = []
    problems: list[Problem] = []
    for name, destination in sorted(config.settings.destinations.items()):
        try:
            made.append(build_sink(name, destination, config.settings))
        except ValueError as error:
            where = config.origins.get(f"destinations.{name}.type", str(config.path))
            problems.append(Problem(where, f"destinations.{name}", str(error)))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return made


def build_sink(name: str, destination: Destination, settings: Settings) -> Sink:
    """One destination. Raises ValueError with a sentence, or ConfigurationError when its secret cannot be read."""
    match destination:
        case HttpDestination():
            return _posted(name, destination, settings)
        case JsonlDestination():
            return Jsonl(name, path=destination.path)
        case StdoutDestination():
            return Stdout(name)
        case _:
            raise AssertionError(f"no sink for {type(destination).__name__}")


def _posted(name: str, destination: HttpDestination, settings: Settings) -> Sink:
    shared: dict[str, Any] = {
        "url": address(destination),
        "allow_http": destination.allow_http,
        "allow_cidrs": [str(network) for network in destination.allow_cidrs],
        "timeout_s": settings.delivery.timeout.s,
    }
    venue = settings.incidents.venue
    match destination:
        case WebhookDestination():
            return Webhook(name, secrets=secret(destination.secret, destination.secret_file).split(), **shared)
        case PagerdutyDestination():
            key = secret(destination.routing_key, destination.routing_key_file)
            return Pagerduty(name, routing_key=key, venue=venue, **shared)
        case SlackDestination():
            return Slack(name, updates=destination.updates, venue=venue, **shared)
        case AlertmanagerDestination():
            return Alertmanager(
                name,
                token=secret(destination.token, destination.token_file),
                venue=venue,
                min_severity=destination.min_severity,
                ends_after_s=destination.ends_after.s,
                **shared,
            )
        case _:
            raise AssertionError(f"no sink for {type(destination).__name__}")


def address(destination: HttpDestination) -> str:
    """Where it POSTs to. Raises ConfigurationError when the file that holds it cannot be read."""
    match destination:
        case SlackDestination():
            return secret(destination.url, destination.url_file)
        case PagerdutyDestination():
            return destination.url
        case WebhookDestination() | AlertmanagerDestination():
            return destination.url.get_secret_value()
        case _:
            raise AssertionError(f"no address of {type(destination).__name__}")


def route(config: Configuration, sinks: Sequence[Sink]) -> Callable[[Alert], tuple[str, ...]]:
    """Which of them are told of an alert: by its severity, and unless they leave it out."""
    told = {
        severity: tuple(
            sink for sink in sinks if SEVERITIES.index(config.settings.destinations[sink.name].min_severity) <= rank
        )
        for rank, severity in enumerate(SEVERITIES)
    }
    return lambda alert: tuple(sink.name for sink in told[alert.data.get("severity", "info")] if sink.wants(alert))


def delivery_settings(settings: Settings) -> DeliverySettings:
    """How alerts are sent."""
    told = settings.delivery
    return DeliverySettings(
        concurrency=told.concurrency, delayed_after_s=told.late_after.s, send_max_s=max(30.0, 3 * told.timeout.s)
    )


def store_settings(settings: Settings) -> StoreSettings:
    """How much the state file keeps."""
    told = settings.state
    return StoreSettings(
        ballast_bytes=int(told.ballast),
        dead_letters_max=told.dead_letters_max,
        incidents_max=told.incidents_max,
        outbox_max=told.outbox_max,
        finished_keep_s=told.finished_keep.s,
        letter_ttl_s=settings.delivery.give_up_after.s,
    )


def kafka_settings(config: Configuration) -> KafkaSettings:
    """How the broker is read. Raises ConfigurationError."""
    told = config.settings.kafka
    tls, sasl = told.tls, told.sasl
    logs_in = sasl.mechanism != "none"
    protocol = ("SASL_" if logs_in else "") + ("SSL" if tls.enabled else "PLAINTEXT")
    try:
        made = KafkaSettings(
            bootstrap=",".join(told.bootstrap),
            topics=told.topics,
            group=told.group_id,
            member=told.member,
            start_at=start_ns(told.start_at),
            security=Security(
                protocol=protocol,
                ca_file=str(tls.ca_file or ""),
                certificate_file=str(tls.cert_file or ""),
                key_file=str(tls.key_file or ""),
                key_password=secret(tls.key_password, tls.key_password_file),
                mechanism=sasl.mechanism if logs_in else "SCRAM-SHA-512",
                username=sasl.username,
                password=secret(sasl.password, sasl.password_file),
            ),
            isolation=told.isolation,
            idle_after_s=told.idle_after.s,
            batch_max=told.batch_max,
            batch_bytes_max=int(told.batch_bytes_max),
            fetch_bytes_max=int(told.fetch_bytes_max),
            partition_fetch_bytes_max=int(told.partition_fetch_bytes_max),
            session_timeout_ms=told.session_timeout.ms,
            heartbeat_interval_ms=told.heartbeat_interval.ms,
            rebalance_timeout_ms=told.rebalance_timeout.ms,
            request_timeout_ms=told.request_timeout.ms,
        )
        made.security.client_arguments()
    except OSError as error:  # ssl's errors, too
        sentence = f"ca_file, cert_file, key_file: {error.strerror or error}"
        raise ConfigurationError(Problem(str(config.path or "configuration"), "kafka.tls", sentence)) from None
    except ValueError as error:
        raise ConfigurationError(Problem(str(config.path or "configuration"), "kafka", str(error))) from None
    return made

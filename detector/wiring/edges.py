"""Edges: from the configuration to what touches the world: the broker, the destinations, the state file."""

from __future__ import annotations

from collections.abc import Callable

from detector.daemon.delivery import DeliverySettings
from detector.sinks.base import Sink
from detector.sinks.jsonl import Jsonl
from detector.sinks.stdout import Stdout
from detector.sinks.webhook import Webhook
from detector.sources.kafka_settings import KafkaSettings, Security
from detector.store.store import StoreSettings
from detector.wiring.config import Configuration, ConfigurationError, Problem, secret
from detector.wiring.destination_section import Destination, JsonlDestination, StdoutDestination, WebhookDestination
from detector.wiring.kafka_section import start_ns
from detector.wiring.settings import Settings

SEVERITIES = ("info", "warning", "critical")


def build_sinks(config: Configuration) -> list[Sink]:
    """One for each destination, in the order of their names. Raises ConfigurationError, with all that is wrong."""
    made: list[Sink] = []
    problems: list[Problem] = []
    for name, destination in sorted(config.settings.destinations.items()):
        try:
            made.append(build_sink(name, destination, config.settings.delivery.timeout.s))
        except ValueError as error:
            where = config.origins.get(f"destinations.{name}.type", str(config.path))
            problems.append(Problem(where, f"destinations.{name}", str(error)))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return made


def build_sink(name: str, destination: Destination, timeout_s: float) -> Sink:
    """One destination. Raises ValueError with a sentence, or ConfigurationError when its secret cannot be read."""
    match destination:
        case WebhookDestination():
            return Webhook(
                name,
                url=destination.url.get_secret_value(),
                secrets=secret(destination.secret, destination.secret_file).split(),
                allow_http=destination.allow_http,
                allow_cidrs=[str(network) for network in destination.allow_cidrs],
                timeout_s=timeout_s,
            )
        case JsonlDestination():
            return Jsonl(name, path=destination.path)
        case StdoutDestination():
            return Stdout(name)
        case _:
            raise AssertionError(f"no sink for {type(destination).__name__}")


def route(config: Configuration) -> Callable[[str], tuple[str, ...]]:
    """Which destinations are told of an alert of a severity."""
    told = {
        severity: tuple(
            name
            for name, destination in sorted(config.settings.destinations.items())
            if SEVERITIES.index(destination.min_severity) <= rank
        )
        for rank, severity in enumerate(SEVERITIES)
    }
    return lambda severity: told[severity]


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

"""Whether the brokers speak Kafka with us, and have our topics. A helper of `foreshock check --online`, no plug-in.

One connection to each broker that is named, by aiokafka and with the security that the source has: TLS, ApiVersions,
SASL, then Metadata. Nothing is joined, read or made. aiokafka's own client hides why a broker was of no use.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import create_conn  # type: ignore[import-untyped]
from aiokafka.errors import CorrelationIdError, KafkaError, for_code  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]

from detector.sources.kafka_settings import KafkaSettings

REACH_S = 5.0  # one broker: name, connection, TLS, login and answers together
BROKERS_MAX = 64  # that the cluster names and that are tried; further ones are not
ANSWER_BYTES_MAX = 100 << 20  # what says that its answer is longer speaks something else: "HTTP" is 1.2 GB
UNKNOWN_TOPIC = 3  # Kafka's code
NOT_KAFKA = "something answers there, but not in Kafka's words"
HANGS_UP = "it hangs up: it is no Kafka broker, or kafka.tls is not as it has it"


@dataclass(frozen=True, slots=True)
class Told:
    """What one broker said. why: '' = it speaks Kafka with us. brokers: (host, port) by id; topics: codes by name."""

    why: str = ""
    brokers: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    topics: Mapping[str, int] = field(default_factory=dict)


async def reach(settings: KafkaSettings) -> list[str]:
    """What keeps us from reading, a sentence each. Takes at most twice REACH_S."""
    library = logging.getLogger("aiokafka")
    level = library.level
    library.setLevel(logging.CRITICAL)  # what it would log is said here
    try:
        return await _reached(settings)
    finally:
        library.setLevel(level)


async def _reached(settings: KafkaSettings) -> list[str]:
    named = settings.bootstrap.split(",")
    answers = await asyncio.gather(*(_ask(settings, *_parted(place)) for place in named))
    lines = [f"kafka.bootstrap {place}: {told.why}" for place, told in zip(named, answers, strict=True) if told.why]
    told = next((told for told in answers if not told.why), None)
    if told is None:
        return lines
    lines += [f"kafka.topics {topic}: {_of_topic(code)}" for topic, code in told.topics.items() if code]
    return lines + await _advertised(settings, told, {_parted(place) for place in named})


async def _advertised(settings: KafkaSettings, told: Told, known: set[tuple[str, int]]) -> list[str]:
    """A cluster tells its clients where its brokers are: that is where records are read, whatever was asked first."""
    others = {node: place for node, place in sorted(told.brokers.items())[:BROKERS_MAX] if place not in known}
    answers = await asyncio.gather(*(_ask(settings, *place) for place in others.values()))
    return [
        f"kafka broker {node}, by its own cluster at {host}:{port} (advertised.listeners): {answer.why}"
        for (node, (host, port)), answer in zip(others.items(), answers, strict=True)
        if answer.why
    ]


async def _ask(settings: KafkaSettings, host: str, port: int) -> Told:
    connection: Any = None
    try:
        async with asyncio.timeout(REACH_S):
            connection = await create_conn(
                host,
                port,
                client_id=settings.client,
                request_timeout_ms=int(REACH_S * 2000),  # ours ends first, and knows what it was that took so long
                **settings.security.client_arguments(),
            )
            # by name, and without making what is not there
            answer = await connection.send(MetadataRequest(list(settings.topics), allow_auto_topic_creation=False))
        return Told(
            brokers={int(node): (str(host), int(port)) for node, host, port, *_ in answer.brokers},
            topics={str(topic): int(code) for code, topic, *_ in answer.topics},
        )
    except TimeoutError:
        return Told(f"no answer of a Kafka broker within {REACH_S:g} s")
    except (OSError, KafkaError) as error:
        return Told(_why(error))
    except Exception as error:  # an answer that is no Kafka's may break aiokafka's decoding anywhere
        return Told(f"{NOT_KAFKA} ({type(error).__name__})")
    finally:
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def _why(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, KafkaError) else None
    if isinstance(cause, asyncio.IncompleteReadError):
        if (cause.expected or 0) > ANSWER_BYTES_MAX:
            return NOT_KAFKA
        return HANGS_UP
    if isinstance(error, CorrelationIdError) or (cause is not None and not isinstance(cause, OSError)):
        return NOT_KAFKA
    if isinstance(cause, OSError):
        error = cause
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return HANGS_UP
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"no TLS can be agreed on with it: {error.reason.replace('_', ' ').lower()}"
    if isinstance(error, OSError):
        # asyncio puts its own sentence where the system's stands; several addresses that failed have no number
        number = error.errno or 0
        said = os.strerror(number) if number > 0 else error.strerror or str(error)
        return f"cannot connect: {said}"
    kind = type(error).__name__
    return f"{kind}: {str(error).removeprefix(kind).lstrip(': ')}"


def _of_topic(code: int) -> str:
    if code == UNKNOWN_TOPIC:
        return "there is no such topic, or it is not shown to us"
    return f"it cannot be read: {for_code(code).__name__}"


def _parted(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)

"""[kafka]: where events come from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from detector.wiring.section import HostPorts, Name, Names, Section, one_of
from detector.wiring.units import Duration, Size

BYTES_MAX = Size.of("1GiB")  # Kafka counts an answer's bytes in 31 bits


def start_ns(text: str) -> int | Literal["earliest", "latest"]:
    """start_at as the source takes it: a word, or ns since the epoch. ValueError with a sentence.

    >>> start_ns("latest"), start_ns("2026-11-22T10:00:00Z")
    ('latest', 1795341600000000000)
    """
    words: dict[str, Literal["earliest", "latest"]] = {"earliest": "earliest", "latest": "latest"}
    if text in words:
        return words[text]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.year < 1970:
        raise ValueError("say earliest, latest, or an instant with its zone, like 2026-11-22T10:00:00Z")
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000


def _start(text: str) -> str:
    start_ns(text)
    return text


StartAt = Annotated[str, AfterValidator(_start)]


class Tls(Section):
    """How the broker's connection is encrypted."""

    enabled: bool = Field(default=False, description="Encrypt the connection to the broker, and check whose it is.")
    ca_file: Path | None = Field(
        default=None,
        description="Certificates that are trusted, PEM; without it the system's.",
        examples=["/etc/kafka/ca.pem"],
    )
    cert_file: Path | None = Field(
        default=None,
        description="Our own certificate, PEM, where the broker asks for one.",
        examples=["/etc/kafka/us.pem"],
    )
    key_file: Path | None = Field(
        default=None, description="The private key of cert_file, PEM.", examples=["/etc/kafka/us.key"]
    )

    key_password: SecretStr | None = Field(default=None, description="Opens key_file.", examples=["..."])
    key_password_file: Path | None = Field(
        default=None, description="File that holds key_password.", examples=["/run/secrets/kafka-key"]
    )

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        one_of(self, "key_password")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        return self


class Sasl(Section):
    """How we log in to the broker."""

    mechanism: Literal["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="none", description="How to log in; PLAIN only over TLS, because it sends the password as it is."
    )
    username: str = Field(default="", description="Who logs in.")
    password: SecretStr | None = Field(default=None, description="The password.", examples=["..."])
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password: better than the password here.",
        examples=["/run/secrets/kafka"],
    )

    @model_validator(mode="after")
    def _complete(self) -> Sasl:
        one_of(self, "password")
        given = self.password is not None or self.password_file is not None
        if self.mechanism != "none" and not (self.username and given):
            raise ValueError(f"{self.mechanism} needs username and password (or password_file)")
        return self


class Kafka(Section):
    """Where events come from."""

    bootstrap: HostPorts = Field(
        default=("127.0.0.1:9092",), description="Brokers to ask first, host:port; one that answers is enough."
    )
    topics: Names = Field(
        default=("market.events",), description="Topics with events. A market must keep to one partition of each."
    )
    group_id: Name = Field(
        default="foreshock",
        description="Consumer group. Daemons of one group share the partitions; of two groups see all twice.",
    )
    member: str = Field(
        default="",
        max_length=249,
        description="Name of this member, the same after a restart, so that nothing is handed round. "
        "No two daemons have the same: both would read everything.",
    )
    start_at: StartAt = Field(
        default="latest",
        description="Where a partition without saved state begins: earliest, latest, or an instant like "
        "2026-11-22T10:00:00Z. A new daemon should not page last week.",
    )
    isolation: Literal["read_committed", "read_uncommitted"] = Field(
        default="read_committed", description="Whether aborted transactions of the exchange stay unseen."
    )
    session_timeout: Duration = Field(
        default=Duration.of("15s"),
        ge=Duration.of("1s"),
        le=Duration.of("30m"),
        description="Silent this long, the group takes our partitions away; brokers refuse more than half an hour.",
    )
    heartbeat_interval: Duration = Field(
        default=Duration.of("3s"),
        ge=Duration.of("100ms"),
        description="How often we say we are here; at most a third of session_timeout.",
    )
    rebalance_timeout: Duration = Field(
        default=Duration.of("60s"),
        ge=Duration.of("1s"),
        le=Duration.of("1h"),
        description="Time a member has to hand over its partitions; meanwhile nobody reads them.",
    )
    request_timeout: Duration = Field(
        default=Duration.of("15s"),
        ge=Duration.of("100ms"),
        le=Duration.of("1h"),
        description="A request unanswered this long has failed, and so has every one that takes longer.",
    )
    idle_after: Duration = Field(
        default=Duration.of("2s"),
        ge=Duration.of("10ms"),
        le=Duration.of("1d"),
        description="A partition read to its end and quiet this long holds up no other.",
    )
    batch_max: int = Field(
        default=32_768,
        ge=1,
        le=1_000_000,
        description="Records in one batch: some 10 ms of work, so that heartbeats get out.",
    )
    batch_bytes_max: Size = Field(
        default=Size.of("4MiB"), ge=Size.of("1KiB"), le=BYTES_MAX, description="Bytes in one batch."
    )
    fetch_bytes_max: Size = Field(
        default=Size.of("8MiB"),
        ge=Size.of("1KiB"),
        le=BYTES_MAX,
        description="One answer of a broker; bounds memory in catching up.",
    )
    partition_fetch_bytes_max: Size = Field(
        default=Size.of("1MiB"),
        ge=Size.of("1KiB"),
        le=BYTES_MAX,
        description="One partition's part of an answer.",
    )
    read_ahead: bool = Field(
        default=True,
        description="Fetch and unpack the next records while the engine works on the last: quicker on two cores.",
    )
    tls: Tls = Field(default=Tls(), description=str(Tls.__doc__))
    sasl: Sasl = Field(default=Sasl(), description=str(Sasl.__doc__))

    @model_validator(mode="after")
    def _related(self) -> Kafka:
        if self.heartbeat_interval * 3 > self.session_timeout:
            raise ValueError(
                "heartbeat_interval must be at most a third of session_timeout, or one lost beat costs us all"
            )
        if self.sasl.mechanism == "PLAIN" and not self.tls.enabled:
            raise ValueError("sasl.mechanism PLAIN sends the password as it is: set tls.enabled, or use SCRAM")
        return self

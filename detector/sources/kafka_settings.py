"""What the Kafka source is told by the configuration. A helper of kafka.py, no plug-in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

ReaderName = Literal["auto", "in_place", "values", "records"]


@dataclass(frozen=True, slots=True)
class Security:
    """How to reach the brokers.

    protocol     one of PROTOCOLS
    ca_file      trusted certificates; '' = those of the system
    certificate_file, key_file, key_password   our own certificate, for mutual TLS
    mechanism, username, password              SASL, one of MECHANISMS
    insecure     allow what sends a password readably: PLAIN without TLS
    """

    protocol: str = "PLAINTEXT"
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    key_password: str = field(default="", repr=False)
    mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    insecure: bool = False

    def __post_init__(self) -> None:
        """ValueError with a sentence when the settings contradict each other."""
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"security protocol {self.protocol!r} is none of {', '.join(PROTOCOLS)}")
        if self.protocol.startswith("SASL"):
            if self.mechanism not in MECHANISMS:
                raise ValueError(f"SASL mechanism {self.mechanism!r} is none of {', '.join(MECHANISMS)}")
            if not self.username or not self.password:
                raise ValueError(f"{self.protocol} needs a username and a password")
            if self.protocol == "SASL_PLAINTEXT" and self.mechanism == "PLAIN" and not self.insecure:
                raise ValueError("SASL PLAIN without TLS sends the password readably: use SASL_SSL, or say insecure")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("a client certificate needs both certificate_file and key_file")

    def client_arguments(self) -> dict[str, Any]:
        """What aiokafka's clients take. Raises OSError or ssl.SSLError when a file cannot be read."""
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=self.ca_file or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file, self.key_password or None)
            arguments["ssl_context"] = context
        if self.protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password
        return arguments


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where to read, how much at a time, and when to give up on a connection.

    topics            every topic that carries events
    group             consumer group; '' = none: this process reads every partition
    member            static membership: a restart within session_timeout_ms causes no rebalance; '' = dynamic
    start_at          for a partition nobody has a position for: earliest, latest, or ns since the epoch
    reader            auto = the fastest that passes its self-check; or one of them, for tests and emergencies
    batch_max         records of one RecordBatch; batch_bytes_max its bytes (one record batch of Kafka may exceed it)
    inflated_bytes_max  what one compressed record batch may unpack to; more is taken for a bomb and quarantined
    poll_batches_max  RecordBatches of one poll
    corrupt_tries     how often an unreadable batch is fetched before it is quarantined: skipped, and said so
    idle_after_s      a partition read to its end and quiet this long is idle; said again every idle_every_s
    stalled_after_s   no answer to any fetch for this long: the connection is made anew
    backoff_first_s   of reconnecting, doubled up to backoff_max_s, full jitter
    """

    bootstrap: str
    topics: tuple[str, ...]
    group: str = "foreshock"
    member: str = ""
    client: str = "foreshock"
    start_at: Literal["earliest", "latest"] | int = "latest"
    security: Security = field(default_factory=Security)
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    reader: ReaderName = "auto"
    rack: str = ""
    batch_max: int = 32_768
    batch_bytes_max: int = 4 << 20
    inflated_bytes_max: int = 32 << 20
    poll_batches_max: int = 16
    fetch_bytes_max: int = 8 << 20
    partition_fetch_bytes_max: int = 1 << 20
    fetch_wait_ms: int = 100
    corrupt_tries: int = 3
    idle_after_s: float = 2.0
    idle_every_s: float = 0.2
    session_timeout_ms: int = 15_000
    heartbeat_interval_ms: int = 3_000
    rebalance_timeout_ms: int = 60_000
    poll_interval_max_ms: int = 300_000
    request_timeout_ms: int = 15_000
    stalled_after_s: float = 20.0
    backoff_first_s: float = 0.25
    backoff_max_s: float = 15.0

    def __post_init__(self) -> None:
        """ValueError with a sentence when a number cannot be meant."""
        if not self.bootstrap:
            raise ValueError("kafka.bootstrap names no broker")
        if not self.topics or len(set(self.topics)) != len(self.topics):
            raise ValueError("kafka.topics names each topic once, and at least one")
        for name in ("batch_max", "batch_bytes_max", "inflated_bytes_max", "poll_batches_max", "corrupt_tries"):
            if getattr(self, name) < 1:
                raise ValueError(f"kafka.{name} is at least 1")
        if not 0 < self.backoff_first_s <= self.backoff_max_s:
            raise ValueError("kafka.backoff_first_s is above 0 and at most kafka.backoff_max_s")
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError(
                "kafka.session_timeout_ms holds at least three heartbeats, or one lost packet is a rebalance"
            )
        if isinstance(self.start_at, int) and self.start_at < 0:
            raise ValueError("kafka.start_at as a time is nanoseconds since the epoch")

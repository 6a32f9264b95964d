"""The whole configuration, as types: every key with its unit, its default and why. Only this room knows it.

config/foreshock.toml is written from these lines (`foreshock config template`), and a test holds the two together.
Keys without a default are shown there as comments, with the example given here.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import NoDecode

from detector.wiring.units import Duration, Size

SeverityName: TypeAlias = Literal["info", "warning", "critical"]


def _listed(value: object) -> object:
    """A list, or its text with commas, as an environment variable has it."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


HostPort = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$")]
HostPorts = Annotated[tuple[HostPort, ...], NoDecode, BeforeValidator(_listed), Field(min_length=1)]
Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_listed), Field(min_length=1)]
Cidrs = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]


class Section(BaseModel):
    """A table of the file. Unknown keys are errors; errors never show what was written, it may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


def one_of(section: Section, key: str) -> Section:
    """A secret stands in the file itself or in a file of its own, not in both."""
    if getattr(section, key) is not None and getattr(section, f"{key}_file") is not None:
        raise ValueError(f"give {key} or {key}_file, not both")
    return section


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

    @model_validator(mode="after")
    def _pair(self) -> Tls:
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
        description="Name of this member, the same after a restart, so that nothing is handed round.",
    )
    start_at: Literal["earliest", "latest"] = Field(
        default="latest",
        description="Where a partition without saved state begins; a new daemon should not page last week.",
    )
    isolation: Literal["read_committed", "read_uncommitted"] = Field(
        default="read_committed", description="Whether aborted transactions of the exchange stay unseen."
    )
    session_timeout: Duration = Field(
        default=Duration.of("15s"), description="Silent this long, the group takes our partitions away."
    )
    heartbeat_interval: Duration = Field(
        default=Duration.of("3s"), description="How often we say we are here; at most a third of session_timeout."
    )
    rebalance_timeout: Duration = Field(
        default=Duration.of("60s"), description="Time a member has to hand over its partitions."
    )
    request_timeout: Duration = Field(
        default=Duration.of("15s"), description="A request unanswered this long has failed."
    )
    batch_max: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Records in one batch: about 20 ms of work, so that heartbeats get through.",
    )
    fetch_bytes_max: Size = Field(
        default=Size.of("8MiB"), description="One answer of a broker; bounds memory in catching up."
    )
    partition_fetch_bytes_max: Size = Field(default=Size.of("1MiB"), description="One partition's part of an answer.")
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


class Input(Section):
    """The language of the feed, and how far its clock is trusted."""

    format: Name = Field(default="native", description="Language of the messages: a file's name in detector/formats.")
    lateness: Duration = Field(
        default=Duration.of("500ms"),
        description="An event this much older than the newest is still counted; all alerts wait as long.",
    )
    time_jump_max: Duration = Field(
        default=Duration.of("10m"),
        description="An event further ahead than this of its neighbours is refused: one bad clock is not all.",
    )
    message_bytes_max: Size = Field(default=Size.of("64KiB"), description="A longer message is not read but rejected.")
    mapping: dict[str, Any] = Field(
        default={}, description='For format = "mapped": where in a message each field stands (docs/formats.md).'
    )


class Windows(Section):
    """The span of event time that is judged at once."""

    width: Duration = Field(
        default=Duration.of("1s"), description="Shorter sees bursts sooner, longer is calmer; 1s is what was measured."
    )
    silence_max: int = Field(
        default=900,
        ge=60,
        description="Windows of complete silence walked through one by one; a longer gap is jumped over.",
    )


class Limits(Section):
    """Sizes that nothing outgrows. At each the daemon goes on, counts it and says so; it never grows without end."""

    markets_max: int = Field(default=4096, ge=1, le=65536, description="Markets. Events of further ones are refused.")
    orders_max: int = Field(
        default=1 << 24,
        ge=1024,
        description="Open orders over all markets, 48 bytes each. Further orders are not booked.",
    )
    levels_max: int = Field(
        default=16384, ge=64, description="Price levels per market and side. An order at one more is not booked."
    )
    participants_per_market_max: int = Field(
        default=65536, ge=64, description="Accounts remembered per market. The longest idle is forgotten first."
    )
    makers_max: int = Field(
        default=32, ge=1, le=256, description="Market makers watched per market; the weakest gives up its seat."
    )
    staged_events_max: int = Field(
        default=500_000, ge=10_000, description="Events of one partition read ahead of the others before it is paused."
    )


class Budget(Section):
    """False pages allowed, over all detectors, for one market in one week. The limits are set so that it is kept."""

    info: float = Field(
        default=7.0, gt=0, le=10_000, description="Pages per market-week at info: one a day, to look at, not to wake."
    )
    warning: float = Field(default=1.0, gt=0, le=10_000, description="Pages per market-week at warning.")
    critical: float = Field(
        default=0.1, gt=0, le=10_000, description="Pages per market-week at critical: what wakes somebody."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Budget:
        if not self.critical <= self.warning <= self.info:
            raise ValueError("the rarer the graver: critical <= warning <= info")
        return self


class Incidents(Section):
    """Which scores belong together, and how often somebody is told."""

    venue: Name = Field(default="exchange", description="Name of the exchange; part of every incident's id.")
    join: Duration = Field(
        default=Duration.of("10m"), description="A crossing this long after an incident's last still belongs to it."
    )
    together: Duration = Field(
        default=Duration.of("5s"), description="Markets that cross within this are hit by one thing."
    )
    hold: Duration = Field(default=Duration.of("60s"), description="Quiet this long, an incident is resolved.")
    update: Duration = Field(
        default=Duration.of("60s"), description="An open incident is told again at most this often."
    )
    open_max: int = Field(
        default=256, ge=1, description="Open incidents; one more, and the weakest is counted but not told."
    )
    timeline_max: int = Field(default=50, ge=1, le=1000, description="Steps kept of an incident's story.")
    evidence_max: int = Field(
        default=24, ge=1, le=200, description="Rows of evidence in an alert; an alert has at most 20 KB."
    )
    contributors_max: int = Field(default=8, ge=0, le=100, description="Accounts named (as pseudonyms) in an alert.")


class State(Section):
    """What survives a crash."""

    directory: Path = Field(default=Path("state"), description="Directory of the state file; made with mode 0700.")
    snapshot_every: Duration = Field(
        default=Duration.of("5s"), description="How often all that was learned is saved: what a restart reads again."
    )
    commit_every: Duration = Field(
        default=Duration.of("100ms"),
        description="An alert is durable, and then sent, at most this long after it was found.",
    )
    ballast: Size = Field(
        default=Size.of("32MiB"), description="Kept beside the state file and given up when the disk is full."
    )
    incidents_max: int = Field(default=10_000, ge=100, description="Incidents kept; the oldest resolved go first.")
    dead_letters_max: int = Field(
        default=10_000, ge=0, description="Unreadable messages kept (4 KiB of each); the oldest go first."
    )
    outbox_max: int = Field(
        default=100_000, ge=100, description="Alerts waiting for a destination; past it the least grave give way."
    )
    finished_keep: Duration = Field(
        default=Duration.of("7d"), description="How long delivered and dead alerts are kept to look at."
    )


class Delivery(Section):
    """How alerts are sent. Each destination has its own queue, so a slow one delays nobody else."""

    timeout: Duration = Field(default=Duration.of("10s"), description="One attempt, connecting and reading together.")
    backoff_min: Duration = Field(
        default=Duration.of("1s"), description="Wait after the first failure; doubles, with full jitter."
    )
    backoff_max: Duration = Field(default=Duration.of("5m"), description="Longest wait between attempts.")
    give_up_after: Duration = Field(
        default=Duration.of("24h"), description="Undelivered this long, an alert is dead: shown, not sent."
    )
    concurrency: int = Field(
        default=4, ge=1, le=64, description="Attempts at once to one destination, never two of one incident."
    )
    stale_after: Duration = Field(
        default=Duration.of("120s"), description="An alert later than this says how late it is."
    )

    @model_validator(mode="after")
    def _related(self) -> Delivery:
        if self.backoff_min > self.backoff_max:
            raise ValueError("backoff_min must not be longer than backoff_max")
        return self


class Destination(Section):
    """What all destinations share."""

    min_severity: SeverityName = Field(default="info", description="Alerts below this are not sent here.")


class WebhookDestination(Destination):
    """Signed HTTP POSTs (Standard Webhooks)."""

    type: Literal["webhook"]
    url: SecretStr = Field(description="Where to, https. Its path may hold a token, so it is treated as a secret.")
    secret: SecretStr | None = Field(default=None, description="Key of the signature, whsec_ and base64.")
    secret_file: Path | None = Field(
        default=None, description="File that holds the key; a second line is the key being retired."
    )
    allow_http: bool = Field(default=False, description="Allow http://: only for a receiver on this machine.")
    allow_cidrs: Cidrs = Field(
        default=(), description="Private networks it may connect to; without, public addresses only."
    )

    @model_validator(mode="after")
    def _complete(self) -> WebhookDestination:
        one_of(self, "secret")
        url = self.url.get_secret_value()
        if not url.startswith("https://" if not self.allow_http else ("http://", "https://")):
            raise ValueError("url must begin with https:// (allow_http = true permits http://)")
        if self.secret is None and self.secret_file is None:
            raise ValueError("give secret_file (or secret): a receiver must be able to tell our alerts from anybody's")
        return self


class JsonlDestination(Destination):
    """A file, one alert a line."""

    type: Literal["jsonl"]
    path: Path = Field(description="The file; lines are added.")


class StdoutDestination(Destination):
    """The daemon's standard output, one alert a line."""

    type: Literal["stdout"]


AnyDestination: TypeAlias = Annotated[
    WebhookDestination | JsonlDestination | StdoutDestination, Field(discriminator="type")
]


class Http(Section):
    """The page, its API, health and metrics."""

    bind: HostPort = Field(default="127.0.0.1:9464", description="Where it listens. Loopback unless a token is set.")
    token: SecretStr | None = Field(
        default=None, description="Bearer token that every request must carry.", examples=["..."]
    )
    token_file: Path | None = Field(
        default=None, description="File that holds the token.", examples=["/run/secrets/foreshock"]
    )
    hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(), description="Names it may be called by besides its own address; others are refused (DNS rebinding)."
    )

    @model_validator(mode="after")
    def _guarded(self) -> Http:
        one_of(self, "token")
        host = self.bind.rpartition(":")[0]
        loopback = host in ("localhost", "[::1]") or host.startswith("127.")
        if not loopback and self.token is None and self.token_file is None:
            raise ValueError(f"{self.bind} can be reached from other machines: give token_file, or bind to 127.0.0.1")
        return self


class Log(Section):
    """What the daemon says, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least grave line that is written."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, json elsewhere."
    )


class Privacy(Section):
    """Accounts leave this machine only as keyed pseudonyms."""

    key_file: Path | None = Field(
        default=None,
        description="File with the pseudonyms' key, 32 bytes or more; without it one is made in state.directory.",
        examples=["/run/secrets/pseudonyms"],
    )


class Settings(Section):
    """Everything. Durations and sizes are texts with a unit; a key's environment variable is FORESHOCK_SECTION__KEY."""

    kafka: Kafka = Kafka()
    input: Input = Input()
    windows: Windows = Windows()
    limits: Limits = Limits()
    budget: Budget = Budget()
    incidents: Incidents = Incidents()
    detectors: dict[str, dict[str, Any]] = Field(
        default={},
        description="A table each; by name of a file in detector/anomaly. One that is not named runs as it ships.",
    )
    state: State = State()
    delivery: Delivery = Delivery()
    destinations: dict[Name, AnyDestination] = Field(
        default={}, description="Who is told: a table each, under a name of your own."
    )
    http: Http = Http()
    log: Log = Log()
    privacy: Privacy = Privacy()

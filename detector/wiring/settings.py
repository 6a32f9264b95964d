"""The whole configuration, as types: every key with its unit, its default and why. Only this room knows it.

config/foreshock.toml is written from these lines (`foreshock config template`), and a test holds the two together.
Keys without a default are shown there as comments, with the example given here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from detector.model.windows import OPEN_MAX
from detector.wiring.calendar_section import Calendar
from detector.wiring.destination_section import AnyDestination
from detector.wiring.kafka_section import Kafka
from detector.wiring.section import HostPort, Link, Name, Section, is_loopback, listed, one_of, parted
from detector.wiring.units import Duration, Size

EARLY_NS_MIN = 10_000_000
ROWS_MAX = 10_000_000  # of one kind in the state file, each of them up to some KiB


def open_windows(width_ns: int, lateness_ns: int) -> int:
    """Windows open at once: the one that is due, and those an event may fall in before lateness has passed its end."""
    return 2 + (lateness_ns - 1) // width_ns if lateness_ns > 0 else 1


class Input(Section):
    """The language of the feed, and how far its clock is trusted."""

    format: Name = Field(default="native", description="Language of the messages: a file's name in detector/formats.")
    lateness: Duration = Field(
        default=Duration.of("500ms"),
        le=Duration.of("1h"),
        description="An event this much older than the newest is still counted; all alerts wait as long. It reaches "
        "over fewer than 60 windows, each of which is kept open for it.",
    )
    early: Duration = Field(
        default=Duration.of("100ms"),
        le=Duration.of("1h"),
        description="Open windows are looked into this often in event time: a burst beyond doubt is told before its "
        "window ends. 0s: never; else at least 10ms.",
    )
    time_jump_max: Duration = Field(
        default=Duration.of("5s"),
        le=Duration.of("1d"),
        description="A record that leaps further ahead waits for those that follow, and is put at the clock when they "
        "or the log's own time contradict it: some bad timestamps must not move everybody's time (docs/adr/0049).",
    )
    message_bytes_max: Size = Field(
        default=Size.of("64KiB"),
        ge=Size.of("1KiB"),
        le=Size.of("32MiB"),
        description="A longer message is not read but rejected; Kafka's batches are unpacked to 32MiB at most.",
    )
    mapping: dict[str, Any] = Field(
        default={}, description="For a format of your own called mapped: where in a message each field stands."
    )

    @model_validator(mode="after")
    def _early_enough(self) -> Input:
        if 0 < self.early.ns < EARLY_NS_MIN:
            raise ValueError(f"early = {self.early}: 0s (never) or at least 10ms; each look costs some 50 us")
        return self


class Windows(Section):
    """The span of event time that is judged at once."""

    width: Duration = Field(
        default=Duration.of("1s"),
        ge=Duration.of("10ms"),
        le=Duration.of("1h"),
        description="Shorter sees bursts sooner, longer is calmer; 1s is what was measured. Of windows "
        "too short for a detector's work, it falls behind.",
    )
    silence_max: int = Field(
        default=900,
        ge=60,
        le=86_400,
        description="Windows of complete silence walked through one by one; a longer gap is jumped over.",
    )


class Limits(Section):
    """Sizes that nothing outgrows. At each the daemon goes on, counts it and says so; it never grows without end."""

    markets_max: int = Field(default=4096, ge=1, le=65536, description="Markets. Events of further ones are refused.")
    orders_max: int = Field(
        default=1 << 24,
        ge=1024,
        le=1 << 28,
        description="Open orders over all markets, 60 to 80 bytes each. Further orders are not booked.",
    )
    levels_max: int = Field(
        default=16384,
        ge=64,
        le=1 << 20,
        description="Price levels per market and side. An order at one more is not booked.",
    )
    participants_per_market_max: int = Field(
        default=65536,
        ge=64,
        le=1 << 22,
        description="Accounts remembered per market. The longest idle is forgotten first.",
    )
    makers_max: int = Field(
        default=32, ge=1, le=256, description="Market makers watched per market; the weakest gives up its seat."
    )
    staged_events_max: int = Field(
        default=500_000,
        ge=10_000,
        le=100_000_000,
        description="Events of one partition read ahead of the others before it is paused.",
    )


class Budget(Section):
    """False pages allowed, over all detectors, for one market in one week. The limits are set so that it is kept. An
    incident over several markets is one page, paid for by the market whose crossing opened it."""

    info: float = Field(
        default=7.0, gt=0, le=10_000, description="Pages per market-week at info: one a day, to look at, not to wake."
    )
    warning: float = Field(default=1.0, gt=0, le=10_000, description="Pages per market-week at warning.")
    critical: float = Field(
        default=0.1, gt=0, le=10_000, description="Pages per market-week at critical: what wakes somebody."
    )
    audit_evidence: float = Field(
        default=20.0,
        gt=1.0,
        le=1e6,
        description="So much evidence that more came than promised, and it is said; kept promises reach it once in "
        "so many times.",
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
        default=256, ge=1, le=65_536, description="Open incidents; one more, and the weakest is counted but not told."
    )
    timeline_max: int = Field(default=50, ge=1, le=1000, description="Steps kept of an incident's story.")
    evidence_max: int = Field(
        default=24, ge=1, le=200, description="Rows of evidence in an alert; an alert has at most 20 KB."
    )
    context_max: int = Field(
        default=6,
        ge=0,
        le=30,
        description="Features told beside the evidence, because they are unusual, too; they decide nothing.",
    )
    second_opinion: bool = Field(
        default=True,
        description="Ask PyOD's ECOD how unusual it finds what is told; decides nothing. Costs 250 MB of memory.",
    )
    contributors_max: int = Field(default=8, ge=0, le=100, description="Accounts named (as pseudonyms) in an alert.")
    page_link: Link = Field(
        default="",
        description="Where you show an incident, if you do, {incident_id} standing for its id; in alerts as "
        "links.incident.",
    )
    runbook_link: Link = Field(
        default="", description="What to do then, {incident_id} standing for its id; in alerts as links.runbook."
    )


class State(Section):
    """What survives a crash."""

    directory: Path = Field(default=Path("state"), description="Directory of the state file; made with mode 0700.")
    snapshot_every: Duration = Field(
        default=Duration.of("5s"),
        ge=Duration.of("100ms"),
        le=Duration.of("1d"),
        description="How often all that was learned is saved: what a restart reads again.",
    )
    save_share: float = Field(
        default=0.05,
        gt=0.0,
        le=1.0,
        description="At most this part of a core is spent on saving; a large state is saved less often for it.",
    )
    commit_every: Duration = Field(
        default=Duration.of("100ms"),
        ge=Duration.of("1ms"),
        le=Duration.of("1m"),
        description="An alert is durable, and then sent, at most this long after it was found.",
    )
    ballast: Size = Field(
        default=Size.of("32MiB"),
        le=Size.of("64GiB"),
        description="Kept beside the state file and given up when the disk is full; 0B: nothing is.",
    )
    incidents_max: int = Field(
        default=10_000, ge=100, le=ROWS_MAX, description="Incidents kept; the oldest resolved go first."
    )
    dead_letters_max: int = Field(
        default=10_000, ge=0, le=ROWS_MAX, description="Unreadable messages kept (4 KiB of each); the oldest go first."
    )
    outbox_max: int = Field(
        default=100_000,
        ge=100,
        le=ROWS_MAX,
        description="Alerts waiting for one destination; past it its least grave give way.",
    )
    finished_keep: Duration = Field(
        default=Duration.of("7d"),
        le=Duration.of("3650d"),
        description="How long delivered and dead alerts are kept to look at.",
    )


class Delivery(Section):
    """How alerts are sent. Each destination has its own queue, so a slow one delays nobody else."""

    timeout: Duration = Field(
        default=Duration.of("10s"),
        ge=Duration.of("100ms"),
        le=Duration.of("10m"),
        description="One attempt, connecting and reading together; the alerts behind it wait.",
    )
    give_up_after: Duration = Field(
        default=Duration.of("24h"),
        ge=Duration.of("1s"),
        le=Duration.of("365d"),
        description="Undelivered this long, an alert is given up: told, and listed by `foreshock outbox ls`.",
    )
    concurrency: int = Field(
        default=4, ge=1, le=64, description="Attempts at once to one destination, never two of one incident."
    )
    late_after: Duration = Field(
        default=Duration.of("5s"), description="An alert delivered later than this says by how much it is late."
    )


class Http(Section):
    """Health and metrics over HTTP. Incidents are shown by `foreshock incident ls`, not here."""

    bind: HostPort = Field(default="127.0.0.1:9464", description="Where it listens. Loopback unless a token is set.")
    token: SecretStr | None = Field(
        default=None, description="Bearer token that every request must carry.", examples=["..."]
    )
    token_file: Path | None = Field(
        default=None, description="File that holds the token.", examples=["/run/secrets/foreshock"]
    )
    hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = Field(
        default=(), description="Names it may be called by besides its own address; others are refused (DNS rebinding)."
    )

    @model_validator(mode="after")
    def _guarded(self) -> Http:
        one_of(self, "token")
        token = self.token_file is not None or (self.token is not None and self.token.get_secret_value() != "")
        if not token and not is_loopback(parted(self.bind)[0]):
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
    calendar: Calendar = Calendar()
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

    @model_validator(mode="after")
    def _related(self) -> Settings:
        width, lateness = self.windows.width, self.input.lateness
        if open_windows(width.ns, lateness.ns) > OPEN_MAX:
            raise ValueError(
                f"input.lateness {lateness} keeps more than {OPEN_MAX} windows of {width} open: at most "
                f"{Duration((OPEN_MAX - 1) * width.ns)} of it, or a longer windows.width"
            )
        return self

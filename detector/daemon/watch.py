"""Watch: is it getting anywhere? Feeds the watchdog, sends heartbeats, tells of a stalled source, knows the health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import structlog

from detector.daemon import notices, systemd
from detector.daemon.delivery import Delivery
from detector.daemon.health import Check, Health
from detector.daemon.ledger import Ledger
from detector.daemon.telemetry import Telemetry
from detector.daemon.troubles import NAMED_MAX, Troubles
from detector.model.events import Reject
from detector.sinks.base import Parcel
from detector.sources.base import Partition, Source
from detector.sources.positions import Notice
from detector.store.store import Store

LOOK_EVERY_S = 1.0
DAMAGE_MAX = 120  # characters of what the database says of its damage, page by page
WARM_S = 3_600.0  # so long after a cold start that it was one is not over: what is normal is not known by then
UNREAD_MIN = 10  # records none of which can be read: the feed is not what it was
PAUSED_S = 5.0  # the whole process stood still for this long: stopped, or starved

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Durations in seconds. heartbeats: destinations that expect one."""

    stalled_after_s: float
    hung_after_s: float
    heartbeat_every_s: float
    heartbeats: Sequence[str] = ()


class Reached(Protocol):
    """An engine, as far as progress goes."""

    @property
    def watermark_ns(self) -> int: ...


@runtime_checkable
class Reporting(Protocol):
    """A source that has more to say than records."""

    def take_notices(self) -> tuple[Notice, ...]: ...
    def lag(self) -> Mapping[Partition, int]: ...


class Watched(Protocol):
    """The service, as it is seen from here."""

    source: Source
    store: Store
    delivery: Delivery
    ledger: Ledger
    telemetry: Telemetry

    @property
    def engine(self) -> Reached | None: ...
    def partitions(self) -> tuple[Partition, ...]: ...
    def checks(self) -> tuple[Check, ...]: ...
    def spawn(self, work: Coroutine[Any, Any, object]) -> None: ...


class Watch:
    """One task beside the service's loop, and the facts that the loop leaves here."""

    def __init__(self, service: Watched, settings: WatchSettings) -> None:
        self._service = service
        self._settings = settings
        self._heartbeats = tuple(settings.heartbeats)
        self._task: asyncio.Task[None] | None = None
        self._started = False
        self._stopping = False
        self._cold = ""  # why nothing of what was learned could be used
        self._what = "state"
        now = time.monotonic()
        self._readable = now  # when a record could be read last ...
        self._unread = 0  # ... and how many could not since, and why not
        self._unread_why = ""
        self._began = now
        self._turned = now
        self._heard = now
        self._saved = now
        self._beat = now
        self._beaten: tuple[int, int] = (0, 0)
        self._turns = 0
        self.troubles = Troubles(service)

    def started(self) -> None:
        """The source is open; the loop begins."""
        self._started = True
        self._service.delivery.trouble = self.troubles.destination
        self._service.delivery.lost = self.troubles.lost
        self._turned = self._heard = self._saved = self._readable = self._began = time.monotonic()
        systemd.notify("READY=1")
        self._task = asyncio.create_task(self._run(), name="watch")
        if self._cold:
            why = self._cold
            if left := self._service.ledger.firing:  # a cold engine does not know them
                more = f" and {len(left) - NAMED_MAX} more" if len(left) > NAMED_MAX else ""
                why += f". Nobody will be told that these end, close them by hand: {', '.join(left[:NAMED_MAX])}{more}"
            self.troubles.trouble(self._what, why)

    def cold(self, kept: str) -> None:
        """No saved state could be used. kept: the name of a copy of it, '' = there is none."""
        copied = f"; {kept} beside it is a copy of what it was" if kept else ""
        self._cold = f"Starting cold: the saved state cannot be used, and what is normal is learned anew{copied}"

    def damaged(self, moved_to: str, why: str) -> None:
        """The state file was."""
        self._what = "state_file"
        why = " ".join(why.split())[:DAMAGE_MAX]
        self._cold = (
            f"The state file was damaged ({why}) and is {moved_to} now: what was learned, where to go on, what was open"
            " and which alerts waited is not known any more. What came meanwhile is skipped unless kafka.start_at says"
            " otherwise; close by hand what is open at the receivers"
        )

    def read(self, records: int, rejects: Sequence[Reject]) -> None:
        """So many records were looked at, and these could not be read."""
        if records > len({(one.topic, one.partition, one.offset) for one in rejects}):
            self._readable, self._unread = time.monotonic(), 0
            self.troubles.trouble("feed", "")
        elif rejects:
            self._unread, self._unread_why = self._unread + records, rejects[-1].reason.partition(":")[0]

    def heard(self) -> None:
        """The source said something, if only that there is nothing."""
        self._heard = time.monotonic()
        self.troubles.trouble("source", "")

    def turned(self) -> None:
        """The loop went round."""
        self._turned = time.monotonic()
        self._turns += 1

    def saved(self) -> None:
        """A checkpoint is durable."""
        self._saved = time.monotonic()
        if time.monotonic() - self._began >= WARM_S:
            self.troubles.trouble("state", "")
            self.troubles.trouble("state_file", "")

    def stopping(self) -> None:
        """A signal came."""
        self._stopping = True
        systemd.notify("STOPPING=1")

    def end(self) -> None:
        """The loop is over."""
        self._service.delivery.trouble = self._service.delivery.lost = None
        if self._task is not None:
            self._task.cancel()

    def health(self) -> Health:
        """As it stands now."""
        settings, service = self._settings, self._service
        now = time.monotonic()
        turn_s, heard_s = now - self._turned, now - self._heard
        live = not self._started or turn_s < settings.hung_after_s
        source_ok = heard_s < settings.stalled_after_s
        readable = self._unread < UNREAD_MIN or now - self._readable < settings.stalled_after_s
        checks = (
            Check("readable", readable, self._unreadable()),
            Check("started", self._started, "the state is being restored"),
            Check("stopping", not self._stopping, "it was asked to stop"),
            Check("loop", live, f"the loop has not gone round for {turn_s:.0f} s"),
            Check("source", source_ok, f"the source has said nothing for {heard_s:.0f} s"),
            *service.checks(),
        )
        progress: dict[str, int | float | str | None] = {
            "watermark_ns": service.engine.watermark_ns if service.engine is not None else 0,
            "turns": self._turns,
            "source_age_s": round(heard_s, 3),
            "checkpoint_age_s": round(now - self._saved, 3),
            "partitions": len(service.partitions()),
        }
        for standing in service.delivery.standings():
            progress[f"destination_{standing.destination}"] = standing.mood
        return Health(live, self._started, tuple(Check(c.name, c.ok, "" if c.ok else c.why) for c in checks), progress)

    async def _run(self) -> None:
        feed_s = systemd.watchdog_s()
        last = time.monotonic()
        fed = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            if now - last > LOOK_EVERY_S + PAUSED_S:
                log.warning("the process stood still", seconds=round(now - last, 1))
            last = now
            health, broken = self.health(), self._service.ledger.broken
            self._gauges(now)
            self._listen()
            if feed_s and health.live and now - fed >= min(feed_s, self._settings.hung_after_s) / 2:
                fed = now
                systemd.notify("WATCHDOG=1")
            if now - self._heard >= self._settings.stalled_after_s:
                self.troubles.trouble(
                    "source", f"it has said nothing for {now - self._heard:.0f} s; nothing is being watched"
                )
            if self._unread >= UNREAD_MIN and now - self._readable >= self._settings.stalled_after_s:
                self.troubles.trouble("feed", self._unreadable())
            spent = self._service.store.ballast_spent
            self.troubles.trouble("disk", "The disk was full: the space that was kept for this is in use" * spent)
            self.troubles.trouble("store", broken and f"{broken}; alerts are sent at once, but kept in memory only")
            self.troubles.look()
            if self._heartbeats and now - self._beat >= self._settings.heartbeat_every_s:
                await self._heartbeat(now, health)

    async def _heartbeat(self, now: float, health: Health) -> None:
        """Only after progress since the last one: what watches us must notice a loop that turns on nothing."""
        self._beat = now
        engine = self._service.engine
        reached = (engine.watermark_ns if engine is not None else 0, self._turns)
        if reached[0] == self._beaten[0] or reached[1] == self._beaten[1]:
            log.warning("heartbeat withheld: no progress since the last one")
            return
        self._beaten = reached
        alert = notices.heartbeat(time.time(), health.progress)
        parcel = Parcel(alert.key, str(alert.data["incident_id"]), "info", alert.body())
        await self._service.delivery.send_now(parcel, self._heartbeats)

    def _unreadable(self) -> str:
        return f"records come, and none of the last {self._unread} can be read ({self._unread_why})"

    def _listen(self) -> None:
        source, telemetry = self._service.source, self._service.telemetry
        if isinstance(source, Reporting):
            for notice in source.take_notices():
                telemetry.notice(notice.kind)
                self.troubles.tell(notice)
            telemetry.lag(source.lag())

    def _gauges(self, now: float) -> None:
        telemetry, engine = self._service.telemetry, self._service.engine
        telemetry.fetch_age.set(now - self._heard)
        telemetry.snapshot_age.set(now - self._saved)
        if engine is not None and engine.watermark_ns:
            telemetry.watermark_age.set(time.time() - engine.watermark_ns / 1e9)

"""Watch: is it getting anywhere? Feeds the watchdog, sends heartbeats, tells of a stalled source, knows the health."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import structlog

from detector.daemon import notices, systemd
from detector.daemon.delivery import Delivery
from detector.daemon.health import Check, Health
from detector.daemon.ledger import Ledger, letters, undurable
from detector.daemon.telemetry import Telemetry
from detector.model.incident import Severity
from detector.sinks.base import Delivery as Result
from detector.sinks.base import Outcome, Parcel
from detector.sources.base import Partition, Source
from detector.sources.positions import Notice, NoticeKind
from detector.store.rows import Letter, StoreError
from detector.store.store import Store

LOOK_EVERY_S = 1.0
PAUSED_S = 5.0  # the whole process stood still for this long: stopped, or starved
NOTICE_EVERY_S = 600.0  # a trouble that comes and goes is told again at most this often
NAMED_MAX = 10  # incidents in one sentence
PUT_AGAIN_S = 10.0  # neither the disk nor the destination took a word about ourselves

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Durations in seconds. heartbeats: destinations that expect one."""

    stalled_after_s: float
    hung_after_s: float
    heartbeat_every_s: float
    heartbeats: Sequence[str] = ()


@dataclass(slots=True)
class _Trouble:
    """One, as it is and as on-call knows it. began: wall-clock seconds, part of its name; told_s: monotonic seconds."""

    without: str  # a destination that is not told
    why: str = ""
    firing: bool = False
    began: int = 0
    told_s: float = -math.inf


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
        self._cold = False
        now = time.monotonic()
        self._turned = now
        self._heard = now
        self._saved = now
        self._beat = now
        self._beaten: tuple[int, int] = (0, 0)
        self._turns = 0
        self._troubles: dict[str, _Trouble] = {}
        self._noticed: dict[str, float] = {}  # place in the log -> when it was told, monotonic seconds

    def started(self) -> None:
        """The source is open; the loop begins."""
        self._started = True
        self._service.delivery.trouble = self.destination
        self._turned = self._heard = self._saved = time.monotonic()
        systemd.notify("READY=1")
        self._task = asyncio.create_task(self._run(), name="watch")
        if self._cold:
            why = "starting cold: the saved state cannot be used, and what is normal is learned anew"
            if left := self._service.ledger.firing:  # a cold engine does not know them
                more = f" and {len(left) - NAMED_MAX} more" if len(left) > NAMED_MAX else ""
                why += f". Nobody will be told that these end, close them by hand: {', '.join(left[:NAMED_MAX])}{more}"
            self.trouble("state", why)

    def cold(self) -> None:
        """No saved state could be used."""
        self._cold = True

    def heard(self) -> None:
        """The source said something, if only that there is nothing."""
        self._heard = time.monotonic()
        self.trouble("source", "")

    def turned(self) -> None:
        """The loop went round."""
        self._turned = time.monotonic()
        self._turns += 1

    def saved(self) -> None:
        """A checkpoint is durable."""
        self._saved = time.monotonic()
        if self._cold:
            self._cold = False
            self.trouble("state", "")

    def stopping(self) -> None:
        """A signal came."""
        self._stopping = True
        systemd.notify("STOPPING=1")

    def end(self) -> None:
        """The loop is over."""
        self._service.delivery.trouble = None
        if self._task is not None:
            self._task.cancel()

    def health(self) -> Health:
        """As it stands now."""
        settings, service = self._settings, self._service
        now = time.monotonic()
        turn_s, heard_s = now - self._turned, now - self._heard
        live = not self._started or turn_s < settings.hung_after_s
        source_ok = heard_s < settings.stalled_after_s
        checks = (
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

    def destination(self, name: str, why: str) -> None:
        """Delivery's word that a destination is in trouble (or, with '', well again)."""
        self.trouble(f"destination_{name}", why, without=name)

    def trouble(self, what: str, why: str, *, without: str = "") -> None:
        """Tell on-call that the daemon itself is unwell, or well again: a change, once, past `without`."""
        known = self._troubles.setdefault(what, _Trouble(without))
        known.why = why
        self._catch_up(what, known)

    def _catch_up(self, what: str, known: _Trouble) -> None:
        """Say what on-call does not know. What came back in its quiet time waits, and is told if it lasts."""
        firing, now_s = bool(known.why), time.monotonic()
        if firing == known.firing or (firing and now_s - known.told_s < NOTICE_EVERY_S):
            return
        now = time.time()
        known.firing, known.told_s = firing, now_s
        known.began = int(now) if firing else known.began
        title = f"foreshock: {what.replace('_', ' ')} " + ("in trouble" if firing else "well again")
        alert = notices.degraded(
            f"{what}_{known.began}", now, title, notices.meaning(what, known.why),
            firing=firing, seq=1 if firing else 2, severity=notices.severity(what).label,
        )  # fmt: skip
        names = [name for name in self._service.ledger.route(alert) if name != known.without]
        self._service.spawn(self._put(letters(alert, names), now))

    def tell(self, notice: Notice) -> None:
        """What an operator must know of the log: records lost, a topic made anew. Told once for each place."""
        self._service.telemetry.notice(notice.kind)
        where = f"{notice.kind}_{notice.topic}_{notice.partition}"
        now_s = time.monotonic()
        if notice.kind is NoticeKind.FALLBACK or now_s - self._noticed.get(where, -math.inf) < NOTICE_EVERY_S:
            return
        now = time.time()
        self._noticed[where] = now_s
        title, name = f"foreshock: {notice.kind} on {notice.topic}/{notice.partition}", f"{where}_{notice.from_offset}"
        written: list[Letter] = []
        unread = notice.kind in (
            NoticeKind.TRUNCATED,
            NoticeKind.HELD,
        )  # a partition that nobody reads until somebody decides
        severity = (Severity.CRITICAL if unread else Severity.WARNING).label
        # it is over when it is told; but receivers drop an end that nothing began
        for seq, firing in ((1, True), (2, False)):
            alert = notices.degraded(
                name, now, title, notice.detail, firing=firing, seq=seq, severity=severity, momentary=True
            )
            written += letters(alert, self._service.ledger.route(alert))
        self._service.spawn(self._put(written, now))

    async def _put(self, written: Sequence[Letter], at_s: float) -> None:
        """Or past the outbox while the disk takes nothing, until either has it: that very word may be what is told."""
        service = self._service
        while written:
            try:
                await service.store.put(written, at_s)
                service.delivery.wake()
                return
            except StoreError:
                send = service.delivery.send_now
                answers = await asyncio.gather(*(send(undurable(one), [one.destination]) for one in written))
            written = [one for one, answer in zip(written, answers, strict=True) if _again(answer)]
            await asyncio.sleep(PUT_AGAIN_S)

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
                self.trouble("source", f"it has said nothing for {now - self._heard:.0f} s; nothing is being watched")
            self.trouble("store", broken and f"{broken}; alerts are sent at once, but kept in memory only")
            for what, known in self._troubles.items():
                self._catch_up(what, known)
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

    def _listen(self) -> None:
        source, telemetry = self._service.source, self._service.telemetry
        if isinstance(source, Reporting):
            for notice in source.take_notices():
                self.tell(notice)
            telemetry.lag(source.lag())

    def _gauges(self, now: float) -> None:
        telemetry, engine = self._service.telemetry, self._service.engine
        telemetry.fetch_age.set(now - self._heard)
        telemetry.snapshot_age.set(now - self._saved)
        if engine is not None and engine.watermark_ns:
            telemetry.watermark_age.set(time.time() - engine.watermark_ns / 1e9)


def _again(answer: Mapping[str, Outcome]) -> bool:
    return any(outcome.delivery is Result.RETRY for outcome in answer.values())

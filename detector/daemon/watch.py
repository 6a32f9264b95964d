"""Watch: is it getting anywhere? Feeds the watchdog, sends heartbeats, tells of a stalled source, knows the health."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from detector.daemon import notices, systemd
from detector.daemon.health import Check, Health
from detector.daemon.ledger import letters
from detector.sinks.base import Parcel
from detector.store.rows import Letter, StoreError

if TYPE_CHECKING:
    from detector.daemon.service import Service

LOOK_EVERY_S = 1.0
PAUSED_S = 5.0  # the whole process stood still for this long: stopped, or starved
NOTICE_EVERY_S = 600.0  # a trouble that comes and goes is told again at most this often

log = structlog.get_logger()


class Watch:
    """One task beside the service's loop, and the facts that the loop leaves here."""

    def __init__(self, service: Service, heartbeats: Sequence[str]) -> None:
        self._service = service
        self._heartbeats = tuple(heartbeats)
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
        self._troubles: dict[str, tuple[int, bool, float]] = {}  # name -> (began, firing, told)

    def started(self) -> None:
        """The source is open; the loop begins."""
        self._started = True
        self._service.delivery.trouble = self.destination
        self._turned = self._heard = self._saved = time.monotonic()
        systemd.notify("READY=1")
        self._task = asyncio.create_task(self._run(), name="watch")
        if self._cold:
            self.trouble("state", "starting cold: the saved state cannot be used, and what is normal is learned anew")

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
        settings, service = self._service.settings, self._service
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
        now = time.time()
        began, firing, told = self._troubles.get(what, (0, False, 0.0))
        if bool(why) == firing or (why and abs(now - told) < NOTICE_EVERY_S):
            return
        began = int(now) if why else began
        self._troubles[what] = (began, bool(why), now)
        title = f"foreshock: {what.replace('_', ' ')} " + ("in trouble" if why else "well again")
        alert = notices.degraded(
            f"{what}_{began}", now, title, why or "It works again.", firing=bool(why), seq=1 if why else 2,
            severity="warning",
        )  # fmt: skip
        names = [name for name in self._service.ledger.route(alert) if name != without]
        self._service.spawn(self._put(letters(alert, names), now))

    async def _put(self, written: Sequence[Letter], at_s: float) -> None:
        service = self._service
        with contextlib.suppress(StoreError):  # then it stands in the log, which has said why
            await service.store.put(written, at_s)
            service.delivery.wake()

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
            health = self.health()
            self._gauges(now)
            if feed_s and health.live and now - fed >= min(feed_s, self._service.settings.hung_after_s) / 2:
                fed = now
                systemd.notify("WATCHDOG=1")
            if now - self._heard >= self._service.settings.stalled_after_s:
                self.trouble("source", f"it has said nothing for {now - self._heard:.0f} s; nothing is being watched")
            if self._heartbeats and now - self._beat >= self._service.settings.heartbeat_every_s:
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

    def _gauges(self, now: float) -> None:
        telemetry, engine = self._service.telemetry, self._service.engine
        telemetry.fetch_age.set(now - self._heard)
        telemetry.snapshot_age.set(now - self._saved)
        if engine is not None and engine.watermark_ns:
            telemetry.watermark_age.set(time.time() - engine.watermark_ns / 1e9)

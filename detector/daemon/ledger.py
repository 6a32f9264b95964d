"""Ledger: what the engine said, made durable. Alerts at once, rejects soon, state with its offsets every few seconds.

After a crash the engine starts at the last state and makes the alerts since then again, with the same keys; the outbox
ignores those it has. So an alert never waits for a state to be written, and is never told twice under two names.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import structlog

from detector.daemon.telemetry import Telemetry
from detector.engine.step import Step
from detector.model.alert import Alert
from detector.model.events import Reject
from detector.sinks.base import Parcel
from detector.store.rows import Checkpoint, IncidentRow, Letter, Partition, StoreError, StoreUnusable
from detector.store.store import Store

ALERTS_HELD_MAX = 1_000  # in memory while the disk takes nothing; then the oldest, sent directly, are forgotten
REJECTS_HELD_MAX = 10_000  # between two commits; then the oldest are forgotten and only counted

Route = Callable[[Alert], Sequence[str]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Held:
    """An alert not durable yet. told_directly: it was sent past the outbox, because the disk takes nothing."""

    alert: Alert
    destinations: tuple[str, ...]
    told_directly: bool = False


class Ledger:
    """`take` what a step gave, then `commit`; `checkpoint` now and then. A broken disk is said once and waited for."""

    def __init__(
        self, store: Store, route: Route, telemetry: Telemetry, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self.route = route
        self._telemetry = telemetry
        self._clock = clock
        self._alerts: deque[Held] = deque(maxlen=ALERTS_HELD_MAX)
        self._rejects: deque[Reject] = deque(maxlen=REJECTS_HELD_MAX)
        self._firing: dict[str, str] = {}
        self.broken = ""  # why the disk takes nothing, '' = it does

    async def start(self) -> None:
        """Learn what was firing when the last process ended."""
        self._firing = {
            row.incident_id: row.severity for row in await self._store.incidents() if row.status == "firing"
        }
        self._gauge()

    @property
    def firing(self) -> tuple[str, ...]:
        """Incidents that were told and not resolved, sorted."""
        return tuple(sorted(self._firing))

    @property
    def urgent(self) -> bool:
        """An alert waits to be durable."""
        return bool(self._alerts)

    @property
    def waiting(self) -> bool:
        """Anything does."""
        return bool(self._alerts or self._rejects)

    def take(self, step: Step) -> None:
        """Remember until the next commit."""
        self._telemetry.counted(step.counts)
        self._telemetry.audited(step.audit)
        for alert in step.alerts:
            self._alerts.append(Held(alert, tuple(self.route(alert))))
        for reject in step.rejects:
            self._telemetry.reject(reject.reason)
            self._rejects.append(reject)

    async def commit(self) -> bool:
        """Small rows, one transaction. True: they are durable; False: they are still held."""
        began = time.monotonic()
        done = await self._write(None, {}, {}, "")
        self._telemetry.commit.observe(time.monotonic() - began)
        return done

    async def checkpoint(
        self, state: bytes, positions: Mapping[Partition, int], logs: Mapping[Partition, str], config_rev: str
    ) -> bool:
        """State, its offsets and the logs they are of, and with them everything held: nothing the state has behind it
        may be missing."""
        if not await self._write(state, positions, logs, config_rev):
            return False
        self._telemetry.snapshot_bytes.set(len(state))
        self._telemetry.snapshot_at.set(self._clock())
        return True

    def told_directly(self) -> list[Held]:
        """Alerts to be sent past the outbox, each only once: the disk does not take them."""
        fresh = [held for held in self._alerts if not held.told_directly]
        marked = [Held(held.alert, held.destinations, told_directly=True) for held in self._alerts]
        self._alerts = deque(marked, maxlen=ALERTS_HELD_MAX)
        return fresh

    async def _write(
        self,
        state: bytes | None,
        positions: Mapping[Partition, int],
        logs: Mapping[Partition, str],
        config_rev: str,
    ) -> bool:
        alerts, rejects = list(self._alerts), list(self._rejects)
        checkpoint = Checkpoint(
            at_s=self._clock(),
            state=state,
            positions=positions,
            logs=logs,
            config_rev=config_rev,
            incidents=tuple(_incident(held.alert) for held in alerts if _is_incident(held.alert)),
            letters=tuple(letter for held in alerts for letter in letters(held.alert, held.destinations)),
            rejects=tuple(rejects),
        )
        try:
            await self._store.commit(checkpoint)
        except StoreUnusable:
            raise
        except StoreError as error:
            self._telemetry.store_errors.inc()
            if not self.broken:
                log.error("the state file takes nothing; alerts are sent without it", why=str(error))
            self.broken = str(error)
            self._telemetry.held.set(len(self._alerts))
            return False
        if self.broken:
            log.info("the state file works again")
            self.broken = ""
        self._forget(alerts, rejects)
        return True

    def _forget(self, alerts: list[Held], rejects: list[Reject]) -> None:
        """What is durable. More may have come meanwhile: it stands behind what was written."""
        written = {held.alert.key for held in alerts}
        while self._alerts and self._alerts[0].alert.key in written:
            self._told(self._alerts.popleft().alert)
        gone = {id(reject) for reject in rejects}
        while self._rejects and id(self._rejects[0]) in gone:
            self._rejects.popleft()
        self._telemetry.held.set(len(self._alerts))
        if alerts:
            self._gauge()

    def _told(self, alert: Alert) -> None:
        data = alert.data
        severity = str(data.get("severity", "info"))
        self._telemetry.alert(str(data.get("kind", "")), severity, str(data.get("reason", "")))
        if (at_s := _seconds(alert.timestamp)) is not None:
            self._telemetry.latency.observe(max(0.0, self._clock() - at_s))
        if _is_incident(alert):
            if data.get("status") == "firing":
                self._firing[str(data["incident_id"])] = severity
            else:
                self._firing.pop(str(data["incident_id"]), None)

    def _gauge(self) -> None:
        counts = dict.fromkeys(("info", "warning", "critical"), 0)
        for severity in self._firing.values():
            counts[severity] = counts.get(severity, 0) + 1
        for severity, number in counts.items():
            self._telemetry.open.labels(severity).set(number)


def letters(alert: Alert, destinations: Sequence[str]) -> list[Letter]:
    """One for each destination, all with the same body."""
    body = alert.body()
    incident_id, seq = str(alert.data.get("incident_id", alert.key)), alert.data.get("seq", 0)
    assert isinstance(seq, int), "an alert's seq counts its incident's transitions"
    severity = str(alert.data.get("severity", "info"))
    return [Letter(alert.key, name, incident_id, seq, severity, body) for name in destinations]


def undurable(letter: Letter) -> Parcel:
    """To be sent past the outbox, which the disk does not take: it says so."""
    alert = msgspec.json.decode(letter.body, type=dict[str, Any])
    alert["data"]["durability"] = "degraded"
    return Parcel(letter.key, letter.incident_id, letter.severity, msgspec.json.encode(alert))


def _incident(alert: Alert) -> IncidentRow:
    data = alert.data
    return IncidentRow(
        str(data["incident_id"]),
        int(data["seq"]),
        str(data.get("status", "")),
        str(data.get("severity", "info")),
        msgspec.json.encode(data),
    )


def _is_incident(alert: Alert) -> bool:
    return alert.type.startswith("foreshock.incident.")


def _seconds(timestamp: str) -> float | None:
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None

"""One alert of each kind that a destination is sent, as the engine and the daemon write them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from detector.daemon import notices
from detector.incidents.alerting import Alerting
from detector.incidents.notice import once
from detector.incidents.settings import IncidentSettings
from detector.model.alert import Alert
from detector.model.incident import Incident, Reason, Severity
from detector.sinks.base import Outcome, Parcel
from detector.sinks.http import HttpSink
from tests.golden.test_incident_texts import INCIDENTS
from tests.sinks.chaos import Chaos, answers, chaos

HERE = ["127.0.0.0/8"]
BURST = INCIDENTS["cancel_burst"]
LINKS = {"incident": "https://page.example/i/{incident_id}?a=1&b=2", "runbook": "https://runbook.example/"}
AT_S = 1_795_343_000.0


def alert_of(incident: Incident) -> Alert:
    told = Alerting(IncidentSettings(), b"the key of the golden texts", "rev", "1.0", links=LINKS)
    return told.alert(incident)


def next_of(reason: Reason, seq: int, **changes: Any) -> Alert:
    return alert_of(replace(BURST, reason=reason, seq=seq, **changes))


def audit(severity: str = "info") -> Alert:
    alert = notices.degraded("budget_warning_1", AT_S, "More than promised", "", firing=True, seq=1, severity=severity)
    alert.data["audit"] = {
        "severity": "warning", "promised": 0.5, "realised": 2.0, "pages": 4, "market_weeks": 2.0, "days": 7,
        "against": 9.0, "features": [{"feature": "cancel_rate", "pages": 4}], "markets": [{"market": "X", "pages": 4}],
    }  # fmt: skip
    return alert


ALERTS: dict[str, Alert] = {
    "opened": alert_of(BURST),
    "updated": next_of(Reason.UPDATED, 2),
    "updated at info": next_of(Reason.UPDATED, 2, severity=Severity.INFO),
    "escalated": next_of(Reason.ESCALATED, 2),
    "acknowledged": next_of(Reason.ACKNOWLEDGED, 2),
    "resolved": next_of(Reason.RESOLVED, 3, ended_ns=BURST.started_ns + 101_000_000_000),
    "reopened": next_of(Reason.OPENED, 4),
    "test": notices.test("here", AT_S)[0],
    "degraded": notices.degraded("store_1", AT_S, "store in trouble", "Why.", firing=True, seq=1, severity="warning"),
    "well again": notices.degraded(
        "store_1", AT_S + 9, "store well again", "", firing=False, seq=2, severity="warning"
    ),
    "momentary": once("foreshock.degraded", "degraded_gap", "2026-11-22T10:00:00Z", "warning", "Gap", "", version="")[
        0
    ],
    "momentary end": once(
        "foreshock.degraded", "degraded_gap", "2026-11-22T10:00:00Z", "warning", "Gap", "", version=""
    )[1],
    "audit": audit(),
    "heartbeat": notices.heartbeat(AT_S, {"turns": 1}),
}


def parcel(alert: Alert) -> Parcel:
    return Parcel(alert.key, str(alert.data["incident_id"]), str(alert.data["severity"]), alert.body())


def with_data(name: str = "opened", **changes: Any) -> Alert:
    """That alert with other fields: what names an exchange may give its markets."""
    alert = ALERTS[name]
    return Alert(key=alert.key, type=alert.type, timestamp=alert.timestamp, data=alert.data | changes)


@asynccontextmanager
async def started(sink: HttpSink) -> AsyncIterator[HttpSink]:
    await sink.start()
    try:
        yield sink
    finally:
        await sink.close()


async def answered(make: type[HttpSink], status: int, *lines: str, **settings: Any) -> Outcome:
    """What the sink makes of an answer."""
    async with (
        chaos(answers(status, *lines)) as server,
        started(make("there", url=server.url, allow_cidrs=HERE, timeout_s=2.0, **settings)) as sink,
    ):
        return await sink.send(parcel(ALERTS["opened"]))


def bodies(make: type[HttpSink], *alerts: Alert, status: int = 200, **settings: Any) -> list[Any]:
    """What a local receiver gets, one after the other; what the sink leaves out is not sent."""

    async def sent() -> Chaos:
        async with chaos(answers(status)) as server:
            async with started(make("there", url=server.url, allow_cidrs=HERE, timeout_s=2.0, **settings)) as sink:
                for alert in alerts:
                    if sink.wants(alert):
                        await sink.send(parcel(alert))
            return server

    return [json.loads(request.body) for request in asyncio.run(sent()).requests]

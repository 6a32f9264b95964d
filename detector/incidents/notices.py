"""Notices: alerts about this daemon and not about a market: heartbeat, test, degraded. Built from what they are told.

`at_ns` is the caller's clock: these are not functions of the log, and their ids are stable only over retries.
"""

from __future__ import annotations

from collections.abc import Mapping

from detector.incidents.alerting import SCHEMA
from detector.incidents.identity import MILLISECOND_NS, incident_id
from detector.incidents.words import instant, plain
from detector.model.alert import Alert
from detector.model.incident import Severity

Fact = str | int | float | bool | None


def heartbeat(at_ns: int, facts: Mapping[str, Fact], *, version: str = "") -> Alert:
    """foreshock.heartbeat: alive and getting on. `facts` say how far (events a minute, watermark, lag): a heartbeat
    without progress must not be sent, its absence is the alarm."""
    return Alert(
        key=f"heartbeat_{at_ns // MILLISECOND_NS}",
        type="foreshock.heartbeat",
        timestamp=instant(at_ns),
        data={
            "schema": SCHEMA,
            "status": "alive",
            "severity": Severity.INFO.label,
            "title": "foreshock is running",
            "summary": "Nothing to do. When these stop coming, foreshock has stopped or sees no events.",
            "progress": dict(facts),
            "delayed_by_s": 0,
            "version": version,
        },
    )


def test(
    at_ns: int, destination: str, *, severity: Severity = Severity.INFO, config_rev: str = "", version: str = ""
) -> Alert:
    """foreshock.test: somebody tries whether this destination is heard."""
    return _notice(
        "test", at_ns, at_ns, destination, "firing", severity,
        f"Test of {plain(destination)}: nothing has happened",
        f"Somebody asked foreshock to try {plain(destination)}. Nothing is wrong, there is nothing to do.",
        config_rev, version,
    )  # fmt: skip


def degraded(
    at_ns: int,
    since_ns: int,
    component: str,
    title: str,
    summary: str,
    *,
    severity: Severity = Severity.WARNING,
    resolved: bool = False,
    venue: str = "exchange",
    config_rev: str = "",
    version: str = "",
) -> Alert:
    """foreshock.degraded: a part of this daemon does not do its work (`component`: "source", "detector cancel_burst").

    The id is made of venue, component and `since_ns`: the all-clear (`resolved`) closes what the first one opened.
    """
    status = "resolved" if resolved else "firing"
    return _notice(
        "degraded", at_ns, since_ns, component, status, severity, title, summary, config_rev, version, venue
    )  # fmt: skip


test.__test__ = False  # type: ignore[attr-defined]  # pytest: an alert named test, not a test


def _notice(
    what: str,
    at_ns: int,
    since_ns: int,
    component: str,
    status: str,
    severity: Severity,
    title: str,
    summary: str,
    config_rev: str,
    version: str,
    venue: str = "",
) -> Alert:
    name = incident_id(venue, what, "1", component, since_ns)
    seq = 2 if status == "resolved" else 1
    return Alert(
        key=f"{name}_{seq}",
        type=f"foreshock.{what}",
        timestamp=instant(at_ns),
        data={
            "schema": SCHEMA,
            "incident_id": name,
            "seq": seq,
            "status": status,
            "reason": "resolved" if status == "resolved" else "opened",
            "severity": severity.label,
            "kind": "feed" if what == "degraded" else what,
            "component": plain(component),
            "title": plain(title),
            "summary": plain(summary),
            "started_at": instant(since_ns),
            "ended_at": instant(at_ns) if status == "resolved" else None,
            "delayed_by_s": 0,
            "config_rev": config_rev,
            "version": version,
        },
    )

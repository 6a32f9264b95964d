"""What the daemon says about itself in the contract's form: a test, a heartbeat, a word that something is degraded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from detector import __version__
from detector.model.alert import Alert

Fact = int | float | str | None


def test(destination: str, at_s: float) -> Alert:
    """What `foreshock webhook test DESTINATION` sends."""
    return _notice(
        "foreshock.test", f"test_{destination}_{int(at_s * 1000)}", at_s, "info",
        f"Test of {destination}", "If you can read this, alerts reach you here. Nothing has happened on the exchange.",
    )  # fmt: skip


def heartbeat(at_s: float, progress: Mapping[str, Fact]) -> Alert:
    """For a dead man's switch: sent only while the pipeline makes progress, so its absence is the alarm."""
    return _notice(
        "foreshock.heartbeat", f"heartbeat_{int(at_s)}", at_s, "info",
        "foreshock is watching", "The pipeline made progress since the last heartbeat.", progress,
    )  # fmt: skip


def degraded(what: str, at_s: float, title: str, summary: str, *, firing: bool, seq: int, severity: str) -> Alert:
    """The daemon itself is unwell (firing) or well again. `what` names the trouble; seq counts its transitions."""
    return _notice(
        "foreshock.degraded", f"degraded_{what}", at_s, severity, title, summary, firing=firing, seq=seq,
    )  # fmt: skip


def _notice(
    kind: str,
    incident_id: str,
    at_s: float,
    severity: str,
    title: str,
    summary: str,
    progress: Mapping[str, Fact] | None = None,
    *,
    firing: bool = False,
    seq: int = 1,
) -> Alert:
    incident_id = "".join(c if c.isalnum() and c.isascii() else "_" for c in incident_id)
    at = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data: dict[str, object] = {
        "schema": 1,
        "incident_id": incident_id,
        "seq": seq,
        "status": "firing" if firing else "resolved",
        "reason": "opened" if firing else "resolved",
        "severity": severity,
        "kind": "feed",
        "markets": [],
        "detectors": [],
        "title": title,
        "summary": summary,
        "started_at": at,
        "detected_at": at,
        "ended_at": None if firing else at,
        "evidence": [],
        "delayed_by_s": 0,
        "version": __version__,
    }
    if progress is not None:
        data["progress"] = dict(progress)
    return Alert(key=f"{incident_id}_{seq}", type=kind, timestamp=at, data=data)

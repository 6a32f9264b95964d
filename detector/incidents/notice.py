"""Notice: what is told of the watch itself and of no market, in the contract's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detector.incidents.audit import Finding
from detector.incidents.explain import SUMMARY_MAX, TITLE_MAX, cut
from detector.incidents.lateness import WINDOWS, WrongClock
from detector.incidents.words import instant
from detector.model.alert import Alert
from detector.model.incident import Severity
from detector.model.restart import Anew, Restart

SPENDERS = 5  # features and markets that are named
DIGITS = 4


def notice(
    kind: str,
    incident_id: str,
    at: str,
    severity: str,
    title: str,
    summary: str,
    *,
    version: str,
    firing: bool = False,
    seq: int = 1,
    momentary: bool = False,
    more: Mapping[str, Any] | None = None,
) -> Alert:
    """An Alert of `kind` about ourselves alone. at: as the contract writes times; momentary: it is over when it is
    told (see `once`); more: stands behind the rest."""
    incident_id = "".join(c if c.isalnum() and c.isascii() else "_" for c in incident_id)
    data: dict[str, Any] = {
        "schema": 1,
        "incident_id": incident_id,
        "seq": seq,
        "status": "firing" if firing else "resolved",
        "reason": "opened" if firing else "resolved",
        "severity": severity,
        "kind": "feed",
        "markets": [],
        "detectors": [],
        "title": cut(title, TITLE_MAX),
        "summary": cut(summary, SUMMARY_MAX),
        "started_at": at,
        "detected_at": at,
        "ended_at": None if firing else at,
        "evidence": [],
        "delayed_by_s": 0,
        "version": version,
        **(more or {}),
        **({"momentary": True} if momentary else {}),
    }
    return Alert(key=f"{incident_id}_{seq}", type=kind, timestamp=at, data=data)


def once(
    kind: str, incident_id: str, at: str, severity: str, title: str, summary: str, **rest: Any
) -> tuple[Alert, ...]:
    """As notice, of what is over when it is told: it fires, and ends at once. A receiver that opens something for what
    fires drops an end that nothing began; one that would show it for no longer than it lasts knows by `momentary`."""
    return tuple(
        notice(kind, incident_id, at, severity, title, summary, firing=firing, seq=seq, momentary=True, **rest)
        for seq, firing in ((1, True), (2, False))
    )


def audited(finding: Finding, version: str) -> Alert:
    """foreshock.degraded: a promised number of pages is broken, or kept again. Info, whatever severity it is about:
    nobody is woken because somebody was woken too often."""
    recent = finding.recent
    label = recent.severity.label
    more = {
        "audit": {
            "severity": label,
            "promised": _number(recent.promised),
            "realised": _number(recent.realised),
            "pages": recent.pages,
            "market_weeks": _number(recent.market_weeks),
            "days": finding.days,
            "against": _number(recent.evidence),
            "features": [{"feature": name, "pages": pages} for name, pages in finding.features[:SPENDERS]],
            "markets": [{"market": name, "pages": pages} for name, pages in finding.markets[:SPENDERS]],
        }
    }
    return notice(
        "foreshock.degraded", f"degraded_budget_{label}_{finding.name}", instant(finding.at_ns),
        Severity.INFO.label, *_words(finding, label), version=version, firing=finding.broken,
        seq=1 if finding.broken else 2, more=more,
    )  # fmt: skip


def wrong_clock(found: WrongClock, version: str) -> tuple[Alert, ...]:
    """foreshock.degraded: events whose clock cannot be right. A warning: what hides behind them is not seen."""
    at, label = instant(found.at_ns), Severity.WARNING.label
    if found.back_ns:
        summary = (
            f"The log goes on {found.back_ns / 1e9:.0f} s before where its clock was: that was wrong, or the log is "
            "read anew. What was told of the time in between stands."
        )
        title = "foreshock: event time went back"
        return once(
            "foreshock.degraded", f"degraded_clock_back_{found.since_ns}", at, label, title, summary, version=version
        )
    title = f"foreshock: {found.late + found.skewed} of {found.events} events have a wrong clock"
    if not found.firing:
        title = "foreshock: events are in time again"
    summary = (
        f"Of the events of the last {WINDOWS} windows {found.late} came after their window had closed, and count "
        f"in none; {found.skewed} lay too far ahead, and count at the clock of the others. Look for a market or a "
        "gateway whose clock is wrong; input.lateness is what is waited for."
    )
    word = notice(
        "foreshock.degraded", f"degraded_clock_late_{found.since_ns}", at, label, title, summary, version=version,
        firing=found.firing, seq=1 if found.firing else 2,
    )  # fmt: skip
    return (word,)


def begun_anew(restart: Restart, version: str) -> tuple[Alert, ...]:
    """foreshock.degraded: a market's feed began anew and its books followed. It is over when it is told."""
    again = f" It began anew {restart.times} times since this was last told." if restart.times > 1 else ""
    return once(
        "foreshock.degraded", f"degraded_{restart.what.value}_{restart.market}_{restart.at_ns}",
        instant(restart.at_ns), Severity.WARNING.label, f"foreshock: {restart.market}: {ANEW[restart.what]}",
        f"{SINCE[restart.what].format(before=restart.before, after=restart.after)}{again}",
        version=version, more={"markets": [restart.market]},
    )  # fmt: skip


ANEW = {
    Anew.NUMBERS: "its sequence numbers began again",
    Anew.SCALE: "its book was emptied for values of another scale",
}
SINCE = {
    Anew.NUMBERS: (
        "It had reached number {before}. Then came lower ones, event after event, rising, at later times: the "
        "exchange began to count anew, or one number was wrong. They are taken as they come, and have reached {after}. "
        "The first few dozen went unread: its book may be wrong until a snapshot comes."
    ),
    Anew.SCALE: (
        "It had shown {before}. Dozens of events did not fit beside that in 64 bits, but beside each other: one value "
        "was wrong. Its book is built anew from what comes, now {after}; what rested is unknown until a snapshot comes."
    ),
}


def _words(finding: Finding, label: str) -> tuple[str, str]:
    """(title, summary)."""
    recent = finding.recent
    days = "day" if finding.days == 1 else f"{finding.days} days"
    count = (
        f"{recent.pages} incidents at {label} or above in the last {days} of {recent.market_weeks:.3g} market-weeks: "
        f"{recent.realised:.2g} a market-week, {recent.promised:g} promised."
    )
    if not finding.broken:
        return f"foreshock: the promise at {label} is kept again", f"{count} It is audited anew from here."
    return (
        f"foreshock: more incidents at {label} than promised: {recent.realised:.2g} a market-week, "
        f"{recent.promised:g} promised",
        f"{count} Most began with {_listed(finding.features)}; on {_listed(finding.markets)}. True ones count, too. If "
        "they were not: a smaller budget_share of that detector, or a smaller [budget], tells less.",
    )


def _listed(spent: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({pages})" for name, pages in spent[:SPENDERS]) or "nothing that is known"


def _number(value: float) -> float:
    """As it is read."""
    return float(f"{value:.{DIGITS}g}")

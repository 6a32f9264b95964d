"""Summary: what a replay found, as plain data. The --json output, and what the tables and the report are made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from detector.engine.step import Step
from detector.incidents.audit import Standing
from detector.model.alert import Alert
from detector.model.incident import Severity
from replay.instant import SECOND_NS, format_instant
from replay.judge import Episode, Finding, Told, Verdict, episodes, tell
from replay.run import Tally

BODIES_MAX = 500  # incidents whose last alert is kept whole, for the report: the gravest ones


class Collector:
    """Hears the whole replay: every alert in short, and the last alert of the gravest incidents whole."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.promises: tuple[Standing, ...] = ()
        self._bodies: dict[str, Alert] = {}

    def take(self, step: Step, tally: Tally) -> None:
        """Remember the step's alerts, and how the promises stand."""
        self.promises = step.audit or self.promises
        for alert in step.alerts:
            told = tell({"type": alert.type, "timestamp": alert.timestamp, "data": alert.data})
            if told is None:
                continue
            self.told.append(told)
            self._bodies[told.incident_id] = alert
        if len(self._bodies) > 2 * BODIES_MAX:
            self._bodies = {str(alert.data["incident_id"]): alert for alert in self.bodies}

    def close(self) -> None:
        """Nothing was opened."""

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """The incidents so far."""
        return episodes(self.told)

    @property
    def bodies(self) -> list[Alert]:
        """The last alert of each incident, at most BODIES_MAX: the gravest, in the order they were detected."""
        ranked = sorted(self._bodies.values(), key=lambda alert: (-_rank(alert), str(alert.data["detected_at"])))
        return sorted(ranked[:BODIES_MAX], key=lambda alert: str(alert.data["detected_at"]))


def summarise(
    tally: Tally, collector: Collector, verdict: Verdict | None, elapsed_s: float, paths: Sequence[str]
) -> dict[str, Any]:
    """What --json prints. elapsed_s: of the wall."""
    found = collector.episodes
    begin_ns, end_ns = tally.span_ns
    events = tally.counts.get("events", 0)
    return {
        "paths": list(paths),
        "from": format_instant(begin_ns) if end_ns else None,
        "to": format_instant(end_ns) if end_ns else None,
        "markets": sorted(tally.observed_ns),
        "records": tally.counts.get("records", 0),
        "events": events,
        "late": tally.counts.get("late", 0),
        "rejects": dict(sorted(tally.rejects.items(), key=lambda item: (-item[1], item[0]))),
        "counts": dict(sorted(tally.counts.items())),
        "alerts": tally.alerts,
        "incidents": {severity.label: sum(e.severity == severity for e in found) for severity in Severity},
        "budget": {standing.severity.label: _promise(standing) for standing in collector.promises},
        "elapsed_s": round(elapsed_s, 3),
        "events_per_s": round(events / elapsed_s) if elapsed_s > 0 else None,
        "damage": list(tally.damage),
        "verdict": verdict_data(verdict) if verdict is not None else None,
    }


def _promise(standing: Standing) -> dict[str, Any]:
    """A promised number of pages and what came; every page counts, true ones too."""
    return {
        "promised": standing.promised,
        "realised": _number(standing.realised),
        "pages": standing.pages,
        "market_weeks": standing.market_weeks,
        "evidence": standing.evidence,
        "broken": standing.broken_ns > 0,
    }


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain data; times in ISO-8601, leads in seconds (> 0: before the label's start)."""
    lead_ns = verdict.median_lead_ns
    return {
        "labels": [_finding(finding) for finding in verdict.findings],
        "caught": sum(finding.first is not None for finding in verdict.findings),
        "recall": verdict.recall,
        "recall_paged": verdict.recall_paged,
        "median_lead_s": None if lead_ns is None else lead_ns / SECOND_NS,
        "false": {
            rate.severity.label: {
                "count": rate.count,
                "or_worse": rate.or_worse,
                "per_market_day": _number(rate.per_market_day),
                "low": _number(rate.low),
                "high": _number(rate.high),
            }
            for rate in verdict.false
        },
        "confounders": [{"name": c.name, "labels": c.labels, "fired": c.fired} for c in verdict.confounders],
        "false_incidents": [
            {
                "incident_id": episode.incident_id,
                "at": format_instant(episode.opened_ns),
                "severity": episode.severity.label,
                "kind": episode.kind,
                "markets": list(episode.markets),
                "title": episode.title,
            }
            for episode in verdict.false_episodes
        ],
        "market_days": verdict.market_days,
        "market_weeks_observed": verdict.observed_market_days / 7,
        "early_s": verdict.early_ns / SECOND_NS,
        "grace_s": verdict.grace_ns / SECOND_NS,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    label, first, since_ns = finding.label, finding.first, finding.firing_since_ns
    return {
        "name": label.name,
        "kind": label.kind,
        "start": format_instant(label.start_ns),
        "end": format_instant(label.end_ns),
        "markets": list(label.markets) or None,
        "outcome": finding.outcome.value,
        "first_alert": format_instant(first.at_ns) if first else None,
        "incident_id": first.incident_id if first else None,
        "incident_kind": first.kind if first else None,
        "lead_s": None if finding.lead_ns is None else finding.lead_ns / SECOND_NS,
        "severity": finding.severity.label if finding.severity else None,
        "worst": finding.worst.label if finding.worst else None,
        "firing_since": None if since_ns is None else format_instant(since_ns),
    }


def _rank(alert: Alert) -> int:
    return int(Severity[str(alert.data["severity"]).upper()])


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value

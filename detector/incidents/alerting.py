"""Alerting: an incident's transition as the object that travels. Pure: its times are event times, its key its identity.

The fields and their order are the contract's. Others may follow them, each only where there is something to say:
`led_by` (which of several markets moved first, and how long before the next), `degraded` and `lacks` (true, and what
it is, when the feed lacks what the detectors like best), `phases` (planned ones it fell in), `context` (what else is
unusual there, without a share in any score), `second_opinion` (what another method makes of it), `reopened` (true,
when a resolved incident opens again) and `omitted` (how many rows were left out to stay within BODY_BYTES_MAX). A row
of evidence may say `without` and `level`: what its detector's score would be without it, and the score at which that
detector pages there (at info: at which it tells).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from detector.incidents.explain import summary, title
from detector.incidents.identity import pseudonym
from detector.incidents.settings import SECOND_NS, IncidentSettings
from detector.incidents.words import instant, rarity
from detector.model.alert import Alert
from detector.model.incident import Incident, Reason
from detector.model.score import Evidence

SCHEMA = 1
BODY_BYTES_MAX = 20_000  # the contract's 20 KB, with room for what delivery adds
FEWEST = {"evidence": 1, "timeline": 2, "position": 1, "markets": 8, "contributors": 1}
DIGITS = 6  # of a number in an alert; shares are left exact, so that they still add up to 1


class Alerting:
    """Incident -> Alert.

    pseudonym_key   accounts leave this machine only as keyed pseudonyms
    links           name -> address template with {incident_id}; empty templates are left out
    """

    def __init__(
        self,
        settings: IncidentSettings,
        pseudonym_key: bytes,
        config_rev: str = "",
        version: str = "",
        *,
        links: Mapping[str, str] | None = None,
    ) -> None:
        assert pseudonym_key, "the pseudonyms' key is empty: anybody could compute who is meant"
        self.settings = settings
        self.config_rev = config_rev
        self.version = version
        self.links = {name: template for name, template in (links or {}).items() if template}
        self._key = pseudonym_key

    def pseudonym(self, account: int) -> str:
        """What alerts call the account with this digest."""
        return pseudonym(self._key, account)

    def alert(self, incident: Incident) -> Alert:
        """What is told of this transition."""
        evidence = sorted(incident.evidence, key=lambda row: -row.share)
        data: dict[str, Any] = {
            "schema": SCHEMA,
            "incident_id": incident.incident_id,
            "seq": incident.seq,
            "status": "resolved" if incident.reason is Reason.RESOLVED else "firing",
            "reason": incident.reason.value,
            "severity": incident.severity.label,
            "kind": incident.kind,
            "markets": list(incident.markets),
            "detectors": list(incident.detectors),
            "title": title(incident),
            "summary": summary(incident, self.pseudonym),
            "score": _number(incident.peak),
            "expected_every": rarity(incident.every_s),
            "started_at": instant(incident.started_ns),
            "detected_at": instant(incident.detected_ns),
            "ended_at": None if incident.ended_ns is None else instant(incident.ended_ns),
            "evidence": [_evidence(row) for row in evidence],
            "contributors": [
                {"account": self.pseudonym(who.account), "share": who.share} for who in incident.contributors
            ],
            "timeline": [
                {
                    "at": instant(moment.at_ns),
                    "market": moment.market,
                    "detector": moment.detector,
                    "score": _number(moment.score),
                }
                for moment in incident.timeline
            ],
            "position": [
                {
                    "topic": place.topic,
                    "partition": place.partition,
                    "first_offset": place.first_offset,
                    "last_offset": place.last_offset,
                }
                for place in incident.position
            ],
            "links": {
                name: template.replace("{incident_id}", incident.incident_id) for name, template in self.links.items()
            },
            "warming": incident.warming,
            "delayed_by_s": 0,
            "config_rev": self.config_rev,
            "version": self.version,
        }
        lead = incident.led_by
        if lead is not None:
            data["led_by"] = {"market": lead.market, "next": lead.following, "by_s": lead.by_ns / SECOND_NS}
        if incident.lacks:
            data["degraded"] = True
            data["lacks"] = list(incident.lacks)
        if incident.phases:
            data["phases"] = list(incident.phases)
        if incident.context:
            data["context"] = [
                {
                    "market": row.market,
                    "feature": row.feature,
                    "unit": row.unit,
                    "meaning": row.meaning,
                    "observed": _number(row.observed),
                    "usual": _number(row.usual),
                    "deviations": _number(row.deviations),
                }
                for row in incident.context
            ]
        if incident.second_opinion is not None:
            opinion = incident.second_opinion
            data["second_opinion"] = {
                "method": opinion.method,
                "rank": opinion.rank,
                "of": opinion.of,
                "agrees": opinion.agrees,
            }
        if incident.reason is Reason.OPENED and incident.seq > 1:
            data["reopened"] = True
        # told by a person and not by the log: it must not take the number of a transition that is yet to come
        mark = "a" if incident.reason is Reason.ACKNOWLEDGED else ""
        return _fitted(
            Alert(
                key=f"{incident.incident_id}_{incident.seq}{mark}",
                type=f"foreshock.incident.{incident.reason.value}",
                timestamp=instant(incident.updated_ns),
                data=data,
            ),
            [(row.market, row.detector) for row in incident.evidence],
        )


def _evidence(row: Evidence) -> dict[str, Any]:
    against: dict[str, Any] = {}
    if row.level > 0:
        against = {"without": _number(row.without), "level": _number(row.level)}
    if row.since_ns:
        against["since"] = instant(row.since_ns)
    return {
        "market": row.market,
        "detector": row.detector,
        "feature": row.feature,
        "unit": row.unit,
        "observed": _number(row.observed),
        "expected": _number(row.expected),
        "low": _number(row.low),
        "high": _number(row.high),
        "share": row.share if isfinite(row.share) else 0.0,
        **against,
    }


def _number(value: float) -> float | None:
    """Six digits; what is no number is null."""
    return float(f"{value:.{DIGITS}g}") if isfinite(value) else None


def _fitted(alert: Alert, strongest: list[tuple[str, str]]) -> Alert:
    """The alert within BODY_BYTES_MAX: the largest list is halved until it fits, and `omitted` says by how many rows.

    strongest: (market, detector) of the evidence, strongest first; the weakest leave first and whole, so that the
    shares of those that stay still add up to 1.
    """
    data = alert.data
    omitted: dict[str, int] = {}
    while len(alert.body()) > BODY_BYTES_MAX:
        sizes = {name: len(msgspec.json.encode(data[name])) for name in FEWEST if len(data[name]) > FEWEST[name]}
        if not sizes:
            break  # only long names are left; a receiver still gets the whole truth
        name = max(sizes, key=lambda name: (sizes[name], name))
        before = data[name]
        keep = max(FEWEST[name], len(before) // 2)
        data[name] = _strongest(before, strongest, keep) if name == "evidence" else before[:keep]
        omitted[name] = omitted.get(name, 0) + len(before) - len(data[name])
        data["omitted"] = omitted
    return alert


def _strongest(rows: list[dict[str, Any]], strongest: list[tuple[str, str]], keep: int) -> list[dict[str, Any]]:
    kept: set[tuple[str, str]] = set()
    count = 0
    for pair in dict.fromkeys(strongest):
        size = sum((row["market"], row["detector"]) == pair for row in rows)
        if kept and count + size > keep:
            break
        kept.add(pair)
        count += size
    found = [row for row in rows if (row["market"], row["detector"]) in kept]
    return found if len(found) < len(rows) else rows[:keep]

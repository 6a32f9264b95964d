"""Judge: alerts against labels. What was caught, how early, and how often nothing was there. Pure functions.

An alert answers a label when it opened or raised an incident on one of the label's markets, not sooner than `early`
before its start and not later than `grace` after its end. An incident that opened sooner and is still open when the
label starts is "already firing": whoever was paged is awake, but the label earned nobody a page, so it does not count
as caught. A label on markets or in a time that were not replayed is "not observed", and counts in no recall. What an
incident told before the first alert that answers a label is false, as grave as that was, and all of it where none does;
also inside a label of kind "benign".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile
from typing import Any

from detector.model.incident import Severity
from replay.instant import SECOND_NS, parse_instant
from replay.labels import Label
from replay.poisson import poisson_interval

DAY_NS = 86_400 * SECOND_NS
GRACE_NS = 600 * SECOND_NS

_NEWS = ("opened", "escalated")  # reasons that call somebody; updates and all-clears do not


@dataclass(frozen=True, slots=True)
class Told:
    """One alert, as far as the judge cares."""

    at_ns: int
    incident_id: str
    reason: str
    severity: Severity
    kind: str
    markets: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Episode:
    """One incident as it was told: severity = the highest, markets = all it ever had; resolved_ns None = still open."""

    incident_id: str
    opened_ns: int
    resolved_ns: int | None
    severity: Severity
    kind: str
    markets: tuple[str, ...]
    title: str
    calls: tuple[Told, ...]


class Outcome(StrEnum):
    """What became of a label."""

    CAUGHT = "caught"
    ALREADY_FIRING = "already_firing"
    MISSED = "missed"
    NOT_OBSERVED = "not_observed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One label's verdict. lead_ns > 0: the first alert came that long before the label's start; < 0: after it.
    severity: of that alert; worst: of the gravest that answers.
    firing_since_ns: an incident on its markets was open already when it started."""

    label: Label
    outcome: Outcome
    first: Told | None = None
    lead_ns: int | None = None
    severity: Severity | None = None
    firing_since_ns: int | None = None
    worst: Severity | None = None


@dataclass(frozen=True, slots=True)
class FalseRate:
    """False incidents of one severity. count: that was their highest; or_worse: at least that high.
    per_market_day, low, high: of `or_worse`, with the exact Poisson 95 % interval; NaN where nothing was observed."""

    severity: Severity
    count: int
    or_worse: int
    per_market_day: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Confounder:
    """All benign labels of one name, and how many of them somebody was told of."""

    name: str
    labels: int
    fired: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything the judge says. market_days: observed time apart from labels; observed_market_days: all of it."""

    findings: tuple[Finding, ...]
    false: tuple[FalseRate, ...]
    false_episodes: tuple[Episode, ...]
    confounders: tuple[Confounder, ...]
    episodes: int
    market_days: float
    observed_market_days: float
    early_ns: int
    grace_ns: int

    def count(self, outcome: Outcome) -> int:
        """How many labels came out so."""
        return sum(finding.outcome is outcome for finding in self.findings)

    @property
    def recall(self) -> float | None:
        """Share of labels caught, of those that could be; None without such."""
        observed = len(self.findings) - self.count(Outcome.NOT_OBSERVED)
        return self.count(Outcome.CAUGHT) / observed if observed else None

    @property
    def recall_paged(self) -> float | None:
        """The same of those that a page told of: an alert at warning or above."""
        observed = len(self.findings) - self.count(Outcome.NOT_OBSERVED)
        paged = sum(finding.worst is not None and finding.worst >= Severity.WARNING for finding in self.findings)
        return paged / observed if observed else None

    @property
    def median_lead_ns(self) -> int | None:
        """Of the labels caught (the lower of two middles); None when none was."""
        leads = sorted(finding.lead_ns for finding in self.findings if finding.lead_ns is not None)
        return leads[(len(leads) - 1) // 2] if leads else None


def judge(
    alerts: Iterable[Told],
    labels: Sequence[Label],
    observed_ns: Mapping[str, tuple[int, int]],
    *,
    early_ns: int = 0,
    grace_ns: int = GRACE_NS,
) -> Verdict:
    """The verdict. `alerts`: in any order; `observed_ns`: per market, from when to when its events were seen."""
    assert early_ns >= 0 and grace_ns >= 0
    told = episodes(alerts)
    real = [label for label in labels if not label.benign]
    benign = [label for label in labels if label.benign]
    false = tuple(part for e in told if (part := _false_part(e, real, early_ns, grace_ns)) is not None)
    market_days = exposure_ns(observed_ns, real, early_ns, grace_ns) / DAY_NS
    return Verdict(
        findings=tuple(
            find(label, told, early_ns, grace_ns)
            if is_observed(label, observed_ns)
            else Finding(label, Outcome.NOT_OBSERVED)
            for label in real
        ),
        false=tuple(_false_rate(severity, false, market_days) for severity in Severity),
        false_episodes=false,
        confounders=_confounders(benign, false, grace_ns),
        episodes=len(told),
        market_days=market_days,
        observed_market_days=exposure_ns(observed_ns, [], 0, 0) / DAY_NS,
        early_ns=early_ns,
        grace_ns=grace_ns,
    )


def is_observed(label: Label, observed_ns: Mapping[str, tuple[int, int]]) -> bool:
    """Whether any of its markets was seen at any moment of it."""
    spans = [span for market, span in observed_ns.items() if label.touches((market,))]
    return any(begin_ns <= label.end_ns and label.start_ns <= end_ns for begin_ns, end_ns in spans)


def find(label: Label, told: Sequence[Episode], early_ns: int, grace_ns: int) -> Finding:
    """One label's verdict."""
    sooner = [
        episode.opened_ns
        for episode in told
        if episode.opened_ns < label.start_ns - early_ns
        and (episode.resolved_ns is None or episode.resolved_ns > label.start_ns)
        and label.touches(episode.markets)
    ]
    firing_since_ns = min(sooner, default=None)
    calls = [call for episode in told for call in episode.calls if answers(call, label, early_ns, grace_ns)]
    if calls:
        first = min(calls, key=lambda call: (call.at_ns, call.incident_id))
        worst = max(call.severity for call in calls)
        lead_ns = label.start_ns - first.at_ns
        return Finding(label, Outcome.CAUGHT, first, lead_ns, first.severity, firing_since_ns, worst)
    if firing_since_ns is not None:
        return Finding(label, Outcome.ALREADY_FIRING, firing_since_ns=firing_since_ns)
    return Finding(label, Outcome.MISSED)


def _false_part(episode: Episode, labels: Sequence[Label], early_ns: int, grace_ns: int) -> Episode | None:
    """The incident as far as it was told before anything of it answered a label; None where nothing was."""
    answering = (any(answers(call, label, early_ns, grace_ns) for label in labels) for call in episode.calls)
    calls = tuple(call for call, _ in takewhile(lambda told: not told[1], zip(episode.calls, answering, strict=True)))
    if len(calls) == len(episode.calls):
        return episode
    if not calls:
        return None
    worst = max(calls, key=lambda call: call.severity)
    return replace(episode, severity=worst.severity, title=worst.title, calls=calls)


def answers(call: Told, label: Label, early_ns: int, grace_ns: int) -> bool:
    """Whether an alert speaks of a label: the same market, and the time of it."""
    return label.start_ns - early_ns <= call.at_ns <= label.end_ns + grace_ns and label.touches(call.markets)


def tell(body: Mapping[str, Any]) -> Told | None:
    """What an alert's body (the contract's section 2) says; None for what is no incident (heartbeat, test)."""
    if not str(body["type"]).startswith("foreshock.incident."):
        return None
    data = body["data"]
    return Told(
        at_ns=parse_instant(body["timestamp"]),
        incident_id=str(data["incident_id"]),
        reason=str(data["reason"]),
        severity=Severity[str(data["severity"]).upper()],
        kind=str(data["kind"]),
        markets=tuple(data["markets"]),
        title=str(data.get("title", "")),
    )


def episodes(alerts: Iterable[Told]) -> tuple[Episode, ...]:
    """The incidents that alerts tell of, in the order they opened."""
    by_id: dict[str, list[Told]] = {}
    for alert in alerts:
        by_id.setdefault(alert.incident_id, []).append(alert)
    found = []
    for incident_id, alerts_of in by_id.items():
        alerts_of.sort(key=lambda alert: alert.at_ns)
        calls = tuple(alert for alert in alerts_of if alert.reason in _NEWS)
        if not calls:
            continue  # it opened before this log begins
        resolved = [alert.at_ns for alert in alerts_of if alert.reason == "resolved"]
        worst = max(calls, key=lambda alert: alert.severity)
        markets = tuple(dict.fromkeys(market for alert in alerts_of for market in alert.markets))
        found.append(
            Episode(
                incident_id,
                calls[0].at_ns,
                max(resolved, default=None),
                worst.severity,
                calls[0].kind,
                markets,
                worst.title,
                calls,
            )
        )
    return tuple(sorted(found, key=lambda episode: (episode.opened_ns, episode.incident_id)))


def exposure_ns(
    observed_ns: Mapping[str, tuple[int, int]], labels: Sequence[Label], early_ns: int, grace_ns: int
) -> int:
    """Market time observed apart from the labels (with their `early` and `grace`), all markets together."""
    total_ns = 0
    for market, (begin_ns, end_ns) in observed_ns.items():
        spans = sorted(
            (label.start_ns - early_ns, label.end_ns + grace_ns) for label in labels if label.touches((market,))
        )
        at_ns = begin_ns
        for start_ns, stop_ns in spans:
            total_ns += max(0, min(start_ns, end_ns) - at_ns)
            at_ns = max(at_ns, stop_ns)
        total_ns += max(0, end_ns - at_ns)
    return total_ns


def _false_rate(severity: Severity, false: Sequence[Episode], market_days: float) -> FalseRate:
    count = sum(episode.severity == severity for episode in false)
    or_worse = sum(episode.severity >= severity for episode in false)
    low, high = poisson_interval(or_worse)
    if market_days <= 0:
        return FalseRate(severity, count, or_worse, float("nan"), float("nan"), float("nan"))
    return FalseRate(severity, count, or_worse, or_worse / market_days, low / market_days, high / market_days)


def _confounders(benign: Sequence[Label], false: Sequence[Episode], grace_ns: int) -> tuple[Confounder, ...]:
    """Per name: a label fired when a false incident called inside it. No `early` here: before a harmless thing begins
    there is nothing to see."""
    names = dict.fromkeys(label.name for label in benign)
    return tuple(
        Confounder(
            name,
            sum(label.name == name for label in benign),
            sum(
                label.name == name and any(answers(call, label, 0, grace_ns) for e in false for call in e.calls)
                for label in benign
            ),
        )
        for name in names
    )

"""Episode: one incident while it lasts, and what of it is remembered between two windows and in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from detector.incidents.crossings import Crossing, family_of, rank
from detector.incidents.settings import SECOND_NS, IncidentSettings
from detector.model.incident import Contributor, Incident, Lead, Moment, Position, Reason, Severity
from detector.model.score import Evidence
from detector.model.state import State, Tree

UNSURE_NS = SECOND_NS  # what began is known this well where only its window is
MEMBER_PLAIN = 8  # numbers of a member, before what it remembers
EVIDENCE_FIELDS = tuple(Evidence.__dataclass_fields__)


@dataclass(slots=True)
class Member:
    """One detector on one market: since when, how strong at first and at worst, the why that was told last, and the
    why at its worst."""

    market: str
    detector: str
    since_ns: int
    first_excess: float
    last_ns: int
    peak: float
    peak_excess: float
    severity: int
    evidence: tuple[Evidence, ...] = ()
    began_ns: tuple[int, int] = (0, 0)  # between these it began; (0, 0) = known to a window only
    worst: tuple[Evidence, ...] = ()  # (): as it was told last

    def order(self) -> tuple[int, int, float, str, str]:
        """Who leads an incident: its own kind of trouble, earliest, strongest."""
        return (rank(self.detector), self.since_ns, -self.first_excess, self.market, self.detector)


@dataclass(slots=True)
class Episode:
    """An open incident, or one that was resolved so lately that a crossing may open it again.

    `markets`: last crossing per market, in the order they joined. `hovering_ns`: when a member last was above its info
    level less the margin. `told_severity` 0 = not told yet. `news`: something joined or rose since the last telling;
    `widened`: a market did; `settled`: the first update since it opened was told. `risen_ns`: when it last became
    graver than info: there a shock begins, though something weak was open before.
    """

    incident_id: str
    started_ns: int
    detected_ns: int
    opened_ns: int
    last_ns: int
    hovering_ns: int
    joined_ns: int
    risen_ns: int = 0
    told_ns: int = 0
    seq: int = 0
    severity: int = 0
    told_severity: int = 0
    reopened: int = 0
    updates: int = 0
    settled: bool = False
    score: float = 0.0
    peak: float = 0.0
    every_s: float = 0.0
    news: bool = False
    widened: bool = False
    warming: bool = False
    lacks: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    markets: dict[str, int] = field(default_factory=dict)
    members: dict[tuple[str, str], Member] = field(default_factory=dict)
    timeline: list[Moment] = field(default_factory=list)
    contributors: tuple[Contributor, ...] = ()
    position: tuple[Position, ...] = ()
    known: tuple[int, str] = (0, "")  # `family` of so many members: they are never fewer

    @property
    def family(self) -> str:
        """DRIFT: only what is normal has moved; FEED: nothing is heard; "": all else (crossings.family_of)."""
        if self.known[0] != len(self.members):
            self.known = (len(self.members), family_of(detector for _, detector in self.members))
        return self.known[1]

    def take(
        self,
        found: Sequence[Crossing],
        close_ns: int,
        settings: IncidentSettings,
        began: Callable[[str, str], tuple[int, int]] = lambda market, detector: (0, 0),
    ) -> int:
        """One market's crossings of this window. Returns how many were not listed, for want of room."""
        unlisted = 0
        market = found[0].market
        back = close_ns - self.markets.get(market, close_ns) > settings.join_ns
        if market not in self.markets or back:
            if market not in self.markets and len(self.markets) >= settings.members_max:
                return len(found)
            self.joined_ns = close_ns
            self.news = self.widened = True
        self.markets[market] = close_ns
        if self.last_ns < close_ns:
            self.score, self.warming = 0.0, False
        for crossing in found:
            if crossing.severity > max(self.severity, Severity.INFO):
                self.risen_ns = close_ns
            self.severity = max(self.severity, int(crossing.severity))
            self.score = max(self.score, crossing.value)
            self.peak = max(self.peak, crossing.value)
            self.every_s = max(self.every_s, crossing.every_s)
            self.warming = self.warming or crossing.warming
            unlisted += not self._listed(crossing, close_ns, settings, began, back=back)
        self.last_ns = self.hovering_ns = close_ns
        return unlisted

    def reopen(self, close_ns: int) -> None:
        """It was resolved and begins again: under its id, with the severity that is now."""
        self.reopened += 1
        self.opened_ns = close_ns
        self.severity = self.told_severity = 0
        self.settled = False
        for member in self.members.values():
            member.severity = 0

    def _listed(
        self,
        crossing: Crossing,
        close_ns: int,
        settings: IncidentSettings,
        began: Callable[[str, str], tuple[int, int]],
        *,
        back: bool,
    ) -> bool:
        key = (crossing.market, crossing.detector)
        member = self.members.get(key)
        new = member is None
        if member is None:
            if len(self.members) >= settings.members_max:
                return False
            member = self.members[key] = Member(
                *key, close_ns, crossing.excess, close_ns, crossing.value, crossing.excess, 0, (), began(*key)
            )
        moved = crossing.severity > member.severity
        if moved or back:
            self.news = True
            if len(self.timeline) < settings.timeline_max:
                self.timeline.append(Moment(close_ns, *key, crossing.value))
        if moved and (member.evidence or len(self.members) <= settings.evidence_max):
            member.evidence = crossing.evidence()
        member.last_ns = close_ns
        member.severity = max(member.severity, int(crossing.severity))
        if new or crossing.value > member.peak:
            member.peak = crossing.value
            member.worst = crossing.evidence() if member.evidence else ()
        member.peak_excess = max(member.peak_excess, crossing.excess)
        return True

    def explain(
        self, close_ns: int, found: Sequence[Crossing], settings: IncidentSettings, *, over: bool = False
    ) -> tuple[Evidence, ...]:
        """Evidence to be told: what crosses now by strength, then what did; members whole, their shares add to 1. Of
        what is over: each member at its worst, which may have come and gone between two tellings."""
        rows = 0
        for crossing in sorted(found, key=lambda crossing: (-crossing.excess, crossing.market, crossing.detector)):
            if rows >= settings.evidence_max:
                break
            member = self.members.get((crossing.market, crossing.detector))
            if member is not None:
                member.evidence = crossing.evidence() or member.evidence
                rows += len(member.evidence)
        told: list[Evidence] = []
        by_strength = sorted(
            self.members.values(),
            key=lambda member: (member.last_ns != close_ns, -member.peak_excess, member.market, member.detector),
        )
        for member in by_strength:
            evidence = (over and member.worst) or member.evidence
            if told and len(told) + len(evidence) > settings.evidence_max:
                member.evidence = member.worst = evidence = ()  # never told again before something stronger
            told.extend(evidence)
        return tuple(told[: settings.evidence_max])

    def lead(self) -> Member:
        """The member the incident is named after."""
        return min(self.members.values(), key=Member.order)

    def is_over(self, found: Sequence[Crossing], since_ns: int) -> bool:
        """For one of its markets, quiet since `since_ns`, which now crosses in another way than it did."""
        market = found[0].market
        kinds = {crossing.detector for crossing in found if rank(crossing.detector) == 0}
        return (
            self.markets.get(market, since_ns) < since_ns
            and bool(kinds)
            and not any((market, kind) in self.members for kind in kinds)
        )

    def tells_of(self, feature: str) -> bool:
        """That feature did most for what one of its members was told for."""
        return any(member.evidence and member.evidence[0].feature == feature for member in self.members.values())

    def led_by(self) -> Lead | None:
        """The market in which it began first, where that was before all others beyond doubt: its latest possible
        beginning lies before the earliest of every other. What is known to a window only began in it or the one
        before."""
        first: dict[str, tuple[int, int]] = {}
        for member in self.members.values():
            from_ns, to_ns = member.began_ns if member.began_ns[1] else (member.since_ns - UNSURE_NS, member.since_ns)
            known = first.get(member.market)
            if known is None or to_ns < known[1]:
                first[member.market] = (from_ns, to_ns)
        if len(first) < 2:
            return None
        (_, leader), *others = sorted((span[1], market) for market, span in first.items())
        next_ns, following = min((first[market][0], market) for _, market in others)
        if first[leader][1] > next_ns:
            return None
        middle = [sum(first[market]) // 2 for market in (leader, following)]
        return Lead(leader, following, middle[1] - middle[0])

    def incident(self, reason: Reason, now_ns: int, evidence: tuple[Evidence, ...]) -> Incident:
        """As it is told now."""
        leading = sorted(self.members.values(), key=Member.order)
        kind = leading[0].detector
        if len(self.markets) > 1 and not self.family:
            kind = "correlated"
        return Incident(
            incident_id=self.incident_id,
            seq=self.seq,
            reason=reason,
            severity=Severity(self.severity),
            kind=kind,
            markets=tuple(self.markets),
            detectors=tuple(dict.fromkeys(member.detector for member in leading)),
            score=self.score,
            peak=self.peak,
            started_ns=self.started_ns,
            detected_ns=self.detected_ns,
            updated_ns=now_ns,
            ended_ns=self.last_ns if reason is Reason.RESOLVED else None,
            evidence=evidence,
            timeline=tuple(self.timeline),
            contributors=self.contributors,
            position=self.position,
            warming=self.warming,
            lacks=self.lacks,
            phases=self.phases,
            every_s=self.every_s,
            led_by=self.led_by(),
        )

    def state(self) -> State:
        """For a checkpoint."""
        members: list[Tree] = [
            [
                *(m.market, m.detector, m.since_ns, m.first_excess, m.last_ns, m.peak, m.peak_excess, m.severity),
                _cells(m.evidence),
                list(m.began_ns),
                _cells(m.worst),
            ]
            for m in self.members.values()
        ]
        return {
            **{name: cast(Tree, getattr(self, name)) for name in PLAIN},
            "markets": [[market, last_ns] for market, last_ns in self.markets.items()],
            "members": members,
            "timeline": [[m.at_ns, m.market, m.detector, m.score] for m in self.timeline],
            "lacks": list(self.lacks),
            "phases": list(self.phases),
            "contributors": [[c.account, c.share, c.maker] for c in self.contributors],
            "position": [[p.topic, p.partition, p.first_offset, p.last_offset] for p in self.position],
        }


PLAIN = (
    "incident_id", "started_ns", "detected_ns", "opened_ns", "last_ns", "hovering_ns", "joined_ns",
    "risen_ns", "told_ns", "seq", "severity", "told_severity", "reopened", "updates", "settled", "score",
    "peak", "every_s", "news", "widened", "warming",
)  # fmt: skip


def from_state(state: State) -> Episode:
    """The episode that was saved."""
    episode = Episode(**{name: cast("int", state[name]) for name in PLAIN if name in state})  # type: ignore[arg-type]  # plain leaves
    for market, last_ns in _rows(state["markets"]):
        episode.markets[cast(str, market)] = cast(int, last_ns)
    for row in _rows(state["members"]):
        evidence, *later = row[MEMBER_PLAIN:]  # an older checkpoint has less of it
        member = Member(*row[:MEMBER_PLAIN])  # type: ignore[arg-type]  # likewise
        member.evidence = _evidence(evidence)
        if later:
            member.began_ns = cast("tuple[int, int]", tuple(cast("list[int]", later[0])))
        if len(later) > 1:
            member.worst = _evidence(later[1])
        episode.members[member.market, member.detector] = member
    episode.lacks = tuple(cast("list[str]", state["lacks"]))
    episode.phases = tuple(cast("list[str]", state["phases"]))
    episode.timeline = [Moment(*row) for row in _rows(state["timeline"])]  # type: ignore[arg-type]  # likewise
    episode.contributors = tuple(Contributor(*row) for row in _rows(state["contributors"]))  # type: ignore[arg-type]
    episode.position = tuple(Position(*row) for row in _rows(state["position"]))  # type: ignore[arg-type]  # likewise
    return episode


def _cells(evidence: Sequence[Evidence]) -> Tree:
    return [[getattr(row, name) for name in EVIDENCE_FIELDS] for row in evidence]


def _evidence(tree: Tree) -> tuple[Evidence, ...]:
    return tuple(Evidence(*cells) for cells in _rows(tree))  # type: ignore[arg-type]  # plain leaves


def _rows(tree: Tree) -> list[list[Tree]]:
    return cast("list[list[Tree]]", tree)

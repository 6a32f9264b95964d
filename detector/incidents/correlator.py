"""Correlator: scores of closed windows become incidents: opened, updated, escalated, resolved. A pure function of them.

Where a crossing (a score at or above its own info level) goes, first rule that fits:

1. The market has an incident: there, as long as its own last crossing is at most `join` ago. A weak one (info) does
   not keep a grave crossing from an incident of other markets that rule 2 or 3 finds, nor from WAVE_MARKETS that cross
   so at once; and where it has been quiet for `together`, from none: a shock is an incident of its own. Nor does one
   that goes on elsewhere, but was over for this market (quiet for `hold`), keep a grave crossing of another kind.
2. Another incident began, or became graver than info, in other markets at most `together` ago: there. One shock over
   fifty markets is one incident though its crossings arrive over several windows. Once WAVE_MARKETS are in, `together`
   is counted from the last that joined, for its own kinds: a spreading wave is one thing; two lone markets a minute
   apart are two, and so are two lone markets seconds apart that are not akin, or at once with other causes (kinship).
   What is slow is told of sooner on one market than on the next: an incident of warning or above also takes what is
   akin to it by the same strongest feature a while after the last that joined (kinship.alike).
3. One account, or the same few, stand behind a good part (SHARED_MIN) of both: there.
4. The market's incident was resolved, and its last crossing is at most `join` ago: that one opens again under its id.
5. All that is left in this window opens one incident.

While an incident of warning or above is younger than `together`, markets that are unusual at the same moment and in the
same way, but below their own level, join it too, if they are so unusual that at most COMPANIONS_FALSE of them would be
by chance: with the shock known, the question is no longer whether something happened but whom it hit. A weak incident
of theirs that has been quiet does not hold them back.

What joins others spends no budget of its own: an incident opens by a crossing that one detector's share of one market's
budget has paid for, companions never open one, and over however many markets it is one page. So correlation can only
lower the number of pages, and the budget needs no share for it.

A drift keeps to itself, beside whatever else is open in its market: it joins drifts, and nobody else joins it. A dead
feed does too, where nothing else is open. Incidents are never merged
afterwards: an id once told stays. How often one is told is bounded: severity rises twice at most each time it opens;
each reopening doubles how long it must be quiet, until nothing can reopen it; the first update waits until `together`
has passed, so that a shock is told twice and not once a second; later ones come `update` apart, or, where they name a
further market, `together`, twice and from then on four times that (`update` at most); `updates_max` in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, log10
from typing import cast

from detector.incidents.crossings import (
    DRIFT,
    FEED,
    Crossing,
    beyond_doubt,
    by_market,
    companions,
    family,
    near,
    rank,
)
from detector.incidents.episode import Episode, from_state
from detector.incidents.identity import incident_id
from detector.incidents.kinship import WAVE_MARKETS, apart, behind, neighbour, parted
from detector.incidents.owners import Owners
from detector.incidents.settings import Context, IncidentSettings
from detector.model.incident import Incident, Reason, Severity
from detector.model.score import Score
from detector.model.state import State, Tree

DOUBLINGS_MAX = 2  # of `together`, until an update that names a further market is told
COMPANIONS_FALSE = 0.5  # markets that join a shock by chance alone, at most, on average
FAMILIES = ("", FEED, DRIFT)
COUNTS = ("opened", "updated", "escalated", "resolved", "reopened", "not_opened", "not_listed", "went_back")


class Correlator:
    """See the module's docstring. `counts`: what happened since the first window, by name (COUNTS)."""

    def __init__(self, settings: IncidentSettings) -> None:
        self.settings = settings
        self.counts = dict.fromkeys(COUNTS, 0)
        self._close_ns = 0
        self._open: dict[str, Episode] = {}
        self._closed: dict[str, Episode] = {}  # resolved so lately that a crossing may open them again
        self._owners = Owners()
        self._rows: tuple[tuple[str, ...], dict[str, int]] = ((), {})  # where each market stands in a score

    def step(self, close_ns: int, width_ns: int, scores: Sequence[Score], context: Context) -> tuple[Incident, ...]:
        """What is to be told at this close, earliest incident first. One call per closed window, in their order."""
        crossing = by_market(scores)
        told = self._end_all(context) if close_ns <= self._close_ns else []
        self._close_ns = close_ns
        if not crossing and not self._open:
            return tuple(told)
        self._owners.release(close_ns, self.settings.join_ns)
        self._place(crossing, close_ns, width_ns, context)
        self._accompany(crossing, close_ns, width_ns, scores, context)
        for score in scores if self._open else ():
            for market in near(score, self.settings.quiet_margin):
                episode = self._owners.by(score.detector).get(market)
                if episode is not None and (market, score.detector) in episode.members:
                    episode.hovering_ns = close_ns
        for episode in sorted(self._open.values(), key=_age):
            reason = self._due(episode, close_ns, scores)
            if reason is not None:
                told.append(self._tell(episode, reason, close_ns, crossing, context))
        return tuple(told)

    def early(self, at_ns: int, width_ns: int, scores: Sequence[Score], context: Context) -> tuple[Incident, ...]:
        """What cannot wait for its window's close: an incident opens, or rises, where a score is so far beyond warning
        that nothing yet to come in the window takes it back. The close then finds the incident open."""
        crossing = by_market([score for score in scores if beyond_doubt(score)])
        if not crossing:
            return ()
        self._place(crossing, at_ns, width_ns, context, early=True)
        reasons = [(episode, self._worse(episode)) for episode in sorted(self._open.values(), key=_age)]
        return tuple(self._tell(episode, why, at_ns, crossing, context) for episode, why in reasons if why is not None)

    def critical_markets(self) -> frozenset[str]:
        """Markets in an incident that was told as critical: there is nothing graver to tell."""
        return frozenset(m for m, episode in self._owners.main.items() if episode.told_severity == Severity.CRITICAL)

    def open_markets(self) -> frozenset[str]:
        """Markets that are in an open incident now: nothing normal is learned there. A drift is no such incident."""
        return frozenset(self._owners.main)

    # where a crossing goes

    def _place(
        self,
        crossing: dict[str, list[Crossing]],
        close_ns: int,
        width_ns: int,
        context: Context,
        *,
        early: bool = False,
    ) -> None:
        for notes, owner in ((False, self._owners.main), (True, self._owners.noted)):
            own = {m: [one for one in found if (one.detector == DRIFT) == notes] for m, found in crossing.items()}
            self._put({m: found for m, found in own.items() if found}, owner, close_ns, width_ns, context, early=early)

    def _put(
        self,
        crossing: dict[str, list[Crossing]],
        owner: dict[str, Episode],
        close_ns: int,
        width_ns: int,
        context: Context,
        *,
        early: bool,
    ) -> None:
        """Of drifts alone, or of all else: by the module's rules. early: a second that seems to be unrelated waits for
        its window's close. Half a second in, two markets may have heard of different ones of the same few accounts."""
        together_ns = max(self.settings.together_ns, width_ns)  # neighbouring windows are together, however wide
        fresh: list[str] = []
        weak: list[str] = []  # these have an incident that nobody was paged for, and now cross gravely
        for market, found in crossing.items():
            graver = max(one.severity for one in found) > Severity.INFO
            held = owner.get(market)
            if held is None or (graver and held.is_over(found, close_ns - max(self.settings.hold_ns, together_ns))):
                fresh.append(market)
            elif not graver or held.severity > Severity.INFO:
                self._take(held, found, close_ns, context)
            else:
                (fresh if close_ns - held.last_ns > together_ns else weak).append(market)
        if not fresh and not weak:
            return
        if len(fresh) + len({owner[market].incident_id for market in weak}) >= WAVE_MARKETS:
            fresh, weak = [market for market in crossing if market in {*fresh, *weak}], []
        related: dict[str, list[Episode]] = {kept: [] for kept in FAMILIES}
        for episode in sorted(self._open.values(), key=_age):
            related[episode.family].append(episode)
        # found before anything joins, so that no market's place depends on another's of the same window
        at = (close_ns, width_ns, len(fresh))
        places = {
            market: neighbour(found, related[family(found)], at, self.settings, context)
            for market, found in ((market, crossing[market]) for market in fresh)
        }
        for market in weak:
            paged = [one for one in related[family(crossing[market])] if one.severity > Severity.INFO]
            places[market] = neighbour(crossing[market], paged, at, self.settings, context) or owner[market]
        for market, place in places.items():
            if place is not None:
                self._take(place, crossing[market], close_ns, context)
        left = [market for market in fresh if places[market] is None]
        for kept in FAMILIES:
            group = [market for market in left if family(crossing[market]) == kept]
            groups = parted(group, crossing, context) if group else []
            if early:
                lately = any(close_ns - max(e.opened_ns, e.risen_ns) <= self.settings.at_once_ns for e in related[kept])
                groups = [] if lately else groups[:1]
            for one in groups:
                self._open_for(one, crossing, close_ns, width_ns, context)

    def _accompany(
        self,
        crossing: dict[str, list[Crossing]],
        close_ns: int,
        width_ns: int,
        scores: Sequence[Score],
        context: Context,
    ) -> None:
        """Markets the newest shock hit too, more weakly. They are put into `crossing`, for the evidence."""
        together_ns = max(self.settings.together_ns, width_ns)
        grave = [one for one in self._open.values() if one.severity >= Severity.WARNING and not one.family]
        since_ns = close_ns - together_ns
        shocks = [one for one in sorted(grave, key=_age) if max(one.opened_ns, one.risen_ns) >= since_ns]
        if not shocks:
            return
        # who cannot say anything of a feed looks at nothing
        said = sum(not isnan(value) for one in scores if rank(one.detector) == 0 for value in one.values.tolist())
        rare = log10(max(1, said) * (together_ns // width_ns + 1) / COMPANIONS_FALSE)
        for market, found in companions(scores, rare).items():
            same = [one for one in found if one.detector in {detector for _, detector in shocks[-1].members}]
            owner = self._owners.main.get(market)
            quiet = owner is None or (owner.severity <= Severity.INFO and close_ns - owner.last_ns > together_ns)
            if quiet and same and not apart(same, shocks[-1], context):
                self._take(shocks[-1], same, close_ns, context)
                crossing[market] = [*crossing.get(market, ()), *same]

    def _take(self, episode: Episode, found: Sequence[Crossing], close_ns: int, context: Context) -> None:
        self.counts["not_listed"] += episode.take(found, close_ns, self.settings, context.began)
        if found[0].market in episode.markets:
            self._owners.of(episode)[found[0].market] = episode

    def _open_for(
        self, group: Sequence[str], crossing: dict[str, list[Crossing]], close_ns: int, width_ns: int, context: Context
    ) -> None:
        """Rules 4 and 5, for the markets of one window that belong nowhere yet (by name)."""
        severity = max(found.severity for market in group for found in crossing[market])
        episode = self._reopenable(group, close_ns, family(crossing[group[0]]))
        if not self._room(severity):
            self.counts["not_opened"] += 1
            return
        if episode is not None:
            del self._closed[episode.incident_id]
            episode.reopen(close_ns)
        else:
            anchor = crossing[group[0]][0]
            # of an early look: the first of the open windows that is unusual
            started_ns = min(found.score.close_ns for market in group for found in crossing[market]) - width_ns
            episode = Episode(
                incident_id=incident_id(
                    self.settings.venue, anchor.detector, self.settings.rule_rev, anchor.market, started_ns
                ),
                started_ns=started_ns,
                detected_ns=close_ns,
                opened_ns=close_ns,
                last_ns=0,
                hovering_ns=close_ns,
                joined_ns=close_ns,
            )
        self._open[episode.incident_id] = episode
        for market in group:
            self._take(episode, crossing[market], close_ns, context)

    def _reopenable(self, group: Sequence[str], close_ns: int, kept: str) -> Episode | None:
        """The lately resolved incident that at least half of these markets were in."""
        for gone in [i for i, e in self._closed.items() if close_ns - e.last_ns > self.settings.join_ns]:
            del self._closed[gone]
        best: tuple[int, int, str] | None = None
        for name, episode in self._closed.items():
            if episode.family != kept:
                continue
            known = sum(close_ns - episode.markets.get(m, -(1 << 62)) <= self.settings.join_ns for m in group)
            if 2 * known >= len(group):
                best = max(best or (0, 0, ""), (known, episode.last_ns, name))
        return self._closed[best[2]] if best is not None else None

    def _room(self, severity: Severity) -> bool:
        """At most `open_max` open; weak ones may take only half of it, warnings three quarters."""
        parts = {Severity.INFO: 2, Severity.WARNING: 3, Severity.CRITICAL: 4}[severity]
        return len(self._open) < max(1, self.settings.open_max * parts // 4)

    # when it is told

    def _due(self, episode: Episode, close_ns: int, scores: Sequence[Score]) -> Reason | None:
        if (worse := self._worse(episode)) is not None:
            return worse
        if self._over(episode, close_ns, scores):
            return Reason.RESOLVED
        due_ns = episode.told_ns + self.settings.update_ns
        if not episode.settled:
            due_ns = episode.opened_ns + self.settings.together_ns
        elif episode.widened:  # who is on call for that market waits for nothing else
            wait_ns = self.settings.together_ns << min(episode.updates, DOUBLINGS_MAX)
            due_ns = episode.told_ns + min(self.settings.update_ns, wait_ns)
        if episode.news and close_ns >= due_ns and episode.updates < self.settings.updates_max:
            return Reason.UPDATED
        return None

    def _worse(self, episode: Episode) -> Reason | None:
        if episode.told_severity == 0:
            return Reason.OPENED
        return Reason.ESCALATED if episode.severity > episode.told_severity else None

    def _over(self, episode: Episode, close_ns: int, scores: Sequence[Score]) -> bool:
        """Quiet for `hold`, and seen to be quiet: where scores cannot say, only `join` without a crossing ends it."""
        longest_ns = max(self.settings.hold_ns, self.settings.join_ns)
        if close_ns - episode.last_ns >= longest_ns:
            return True
        hold_ns = min(self.settings.hold_ns << episode.reopened, longest_ns)
        return close_ns - episode.hovering_ns >= hold_ns and self._seen(episode, scores)

    def _seen(self, episode: Episode, scores: Sequence[Score]) -> bool:
        """No member's score is NaN or gone."""
        owner = self._owners.of(episode)
        members = [key for key in episode.members if owner.get(key[0]) is episode]
        by_detector = {score.detector: score for score in scores}
        return all(
            detector in by_detector and self._says(by_detector[detector], market) for market, detector in members
        )

    def _says(self, score: Score, market: str) -> bool:
        if self._rows[0] is not score.markets:  # detectors share it, and it stays until a market is new
            self._rows = (score.markets, {name: row for row, name in enumerate(score.markets)})
        row = self._rows[1].get(market)
        return row is not None and not isnan(score.values[row])

    def _tell(
        self, episode: Episode, reason: Reason, close_ns: int, crossing: dict[str, list[Crossing]], context: Context
    ) -> Incident:
        owner, notes = self._owners.of(episode), episode.family == DRIFT
        found = [
            c
            for market in episode.markets
            if owner.get(market) is episode
            for c in crossing.get(market, ())
            if (c.detector == DRIFT) == notes
        ]
        if found:
            episode.contributors = behind(found, context, self.settings.contributors_max)
        markets = tuple(episode.markets)
        episode.position = context.positions(markets, episode.started_ns, max(episode.last_ns, episode.started_ns))
        lacking = {name for market in markets for name in context.lacks(market)}
        episode.lacks = tuple(sorted(lacking))
        if found:
            planned = {name for crossing in found for name in context.phases(crossing.market)}
            episode.phases = tuple(sorted(planned))
        episode.seq += 1
        episode.told_ns, episode.told_severity, episode.news = close_ns, episode.severity, False
        episode.widened = False
        over = reason is Reason.RESOLVED
        incident = episode.incident(reason, close_ns, episode.explain(close_ns, found, self.settings, over=over))
        self.counts[reason.value] += 1
        if reason is Reason.OPENED and episode.reopened:
            self.counts["reopened"] += 1
        if reason is Reason.UPDATED:
            episode.updates += 1
            episode.settled = True
        if over:
            self._close(episode)
        return incident

    # how it ends

    def _close(self, episode: Episode) -> None:
        del self._open[episode.incident_id]
        self._owners.forget(episode)
        self._closed[episode.incident_id] = episode
        while len(self._closed) > self.settings.open_max:
            del self._closed[min(self._closed, key=lambda name: (self._closed[name].last_ns, name))]

    def _end_all(self, context: Context) -> list[Incident]:
        """Event time began again at an earlier instant: nothing open can be followed to its end."""
        told = [
            self._tell(episode, Reason.RESOLVED, self._close_ns, {}, context)
            for episode in sorted(self._open.values(), key=_age)
        ]
        self.counts["went_back"] += self._close_ns > 0
        self._closed.clear()
        self._owners.look_again()
        return told

    # what is saved

    def state(self) -> State:
        """For a checkpoint."""
        return {
            "close_ns": self._close_ns,
            "counts": dict(self.counts),
            "open": [dict(episode.state()) for episode in self._open.values()],
            "closed": [dict(episode.state()) for episode in self._closed.values()],
            **self._owners.state(),
        }

    def restore(self, state: State) -> None:
        """Go on from a checkpoint."""
        self._close_ns = cast(int, state["close_ns"])
        self.counts = {**dict.fromkeys(COUNTS, 0), **cast("dict[str, int]", state["counts"])}
        self._open = _restored(state["open"])
        self._closed = _restored(state["closed"])
        self._owners = Owners()
        for name in ("owner", "noted"):
            self._owners.restore(cast("dict[str, str]", state.get(name, {})), self._open)


def _age(episode: Episode) -> tuple[int, str]:
    return (episode.started_ns, episode.incident_id)


def _restored(tree: Tree) -> dict[str, Episode]:
    return {e.incident_id: e for e in map(from_state, cast("list[State]", tree))}

"""Kinship: whether two crossings a few seconds apart are one trouble or two that happen to meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from detector.incidents.crossings import Crossing, rank
from detector.incidents.episode import Episode
from detector.incidents.settings import Context, IncidentSettings
from detector.model.incident import Contributor, Severity

WAVE_MARKETS = 3  # so many markets at once are no coincidence
SHARED_MIN = 0.25  # of both: accounts behind this much of two markets' trouble make them one
DOMINANT = 0.5  # a few accounts behind this much of one market's trouble are its cause
CONTRIBUTING_MAX = 8  # members whose accounts are asked for when an incident is told
FEW_MIN = 0.05  # of it: who has less is one of many
STRANGERS = 0.1  # accounts that have less of both together are not the same
CHANCE_MAX = 0.2  # that what is taken for the same trouble on another market has nothing to do with it
CAUSE_MIN = 0.1  # the same of a cause: a small market's busiest accounts have that much of it on any day


def neighbour(
    found: Sequence[Crossing],
    related: Sequence[Episode],
    at: tuple[int, int, int],
    settings: IncidentSettings,
    context: Context,
) -> Episode | None:
    """The open incident of other markets that one market's crossings belong to, of `related` (oldest first).

    at: this close, a window's width (ns), how many markets cross in this window and belong nowhere yet.
    """
    close_ns, width_ns, fresh = at
    together_ns = max(settings.together_ns, width_ns)
    at_once_ns = min(together_ns, max(settings.at_once_ns, width_ns))
    passed = [close_ns - _grew_ns(episode) for episode in related]
    near = sum(len(one.markets) for one, since_ns in zip(related, passed, strict=True) if since_ns <= together_ns)
    for episode, since_ns in zip(related, passed, strict=True):
        if since_ns > together_ns:
            if alike(found, episode, related, at, settings, context):
                return episode
            continue
        at_once = since_ns <= at_once_ns and not apart(found, episode, context)
        wave = near + fresh >= WAVE_MARKETS and _of_its_wave(found, episode, close_ns - together_ns)
        if wave or at_once or (since_ns > at_once_ns and akin(found, episode, context)):
            return episode
    if fresh >= WAVE_MARKETS or not any(episode.contributors for episode in related):
        return None  # a shock of its own, or nobody to share
    here = context.contributors(found[0].market, found[0].detector)
    overlaps = [(shared(here, episode.contributors), episode) for episode in related]
    best, episode = max(overlaps, key=lambda pair: pair[0])  # of equals the earliest
    return episode if best >= SHARED_MIN else None


def _of_its_wave(found: Sequence[Crossing], episode: Episode, lately_ns: int) -> bool:
    """A shock takes whatever crosses with it; what spreads for longer takes its own kinds only, or it would draw in
    all that happens anywhere."""
    return max(episode.opened_ns, episode.risen_ns) >= lately_ns or bool(_kinds(found) & _kinds_of(episode))


def _kinds(found: Sequence[Crossing]) -> set[str]:
    return {crossing.detector for crossing in found if rank(crossing.detector) == 0}


def _kinds_of(episode: Episode) -> set[str]:
    return {detector for _, detector in episode.members if rank(detector) == 0}


def _grew_ns(episode: Episode) -> int:
    """When it opened or became graver, or the last market joined, where it is a wave: a wave spreads."""
    wave_ns = episode.joined_ns if len(episode.markets) >= WAVE_MARKETS else 0
    return max(wave_ns, episode.opened_ns, episode.risen_ns)


def akin(found: Sequence[Crossing], episode: Episode, context: Context) -> bool:
    """One market's crossings may be of one cause with an incident that began in other markets seconds ago.

    Two of different kinds are two, unless one account stands behind both; two of one kind are one, unless a few
    accounts are the cause of each and none of them is in both. A sum of signs has no kind of its own.
    """
    kinds, theirs = _kinds(found), _kinds_of(episode)
    if not kinds or not theirs:
        return True
    here = context.contributors(found[0].market, found[0].detector)
    return shared(here, episode.contributors) >= SHARED_MIN or (
        bool(kinds & theirs) and not _other_causes(here, _now(episode, context))
    )


def alike(
    found: Sequence[Crossing],
    episode: Episode,
    related: Sequence[Episode],
    at: tuple[int, int, int],
    settings: IncidentSettings,
    context: Context,
) -> bool:
    """One market's crossings are of the same slow trouble that other markets were told of a while ago: by the same
    strongest feature, of one cause by their accounts or of WAVE_MARKETS in `related`, and too soon after the last that
    joined to have met by chance. How soon that is: within `alike`, or within what the feature sums over, and while so
    rare a score in any of the markets that are watched would come by chance with probability CHANCE_MAX at most. What
    nobody would be paged for stays by itself. at: as `neighbour`'s.
    """
    close_ns, width_ns, _ = at
    worst = max(found, key=lambda crossing: (crossing.severity, -rank(crossing.detector), crossing.excess))
    passed_ns = close_ns - _last_ns(episode)
    if min(worst.severity, episode.severity) <= Severity.INFO or passed_ns > settings.alike_max_ns:
        return False
    if episode.updates >= settings.updates_max:
        return False  # nobody would be told of this market
    feature, sums_ns = worst.cause(width_ns)
    chance_ns = CHANCE_MAX * worst.every_s * 1e9 / len(worst.score.markets)
    within_ns = min(max(settings.alike_ns, sums_ns), settings.alike_max_ns, chance_ns)
    if passed_ns > within_ns or not episode.tells_of(feature):
        return False
    lately = [one for one in related if one.severity > Severity.INFO and close_ns - _last_ns(one) <= within_ns]
    markets = sum(len(one.markets) for one in lately if one.tells_of(feature))
    return markets + 1 >= WAVE_MARKETS or akin(found, episode, context)


def _last_ns(episode: Episode) -> int:
    return max(episode.joined_ns, episode.opened_ns, episode.risen_ns)


def apart(found: Sequence[Crossing], episode: Episode, context: Context) -> bool:
    """That they are two is certain, however close: each has a few accounts as its cause, and none is in both."""
    if rank(found[0].detector) > 0:
        return False
    here = context.contributors(found[0].market, found[0].detector)
    return _other_causes(here, _now(episode, context))


def parted(group: Sequence[str], crossing: Mapping[str, Sequence[Crossing]], context: Context) -> list[list[str]]:
    """Markets that cross in one window and belong nowhere yet: as the incidents that they are. Two of them may be two
    (see `apart`); three are one shock."""
    if len(group) == 2 and all(rank(crossing[market][0].detector) == 0 for market in group):
        here, there = (context.contributors(market, crossing[market][0].detector) for market in group)
        if _other_causes(here, there):
            return [[market] for market in group]
    return [list(group)]


def shared(here: Sequence[Contributor], there: Sequence[Contributor]) -> float:
    """The largest part that one account has in both, or that the few accounts behind both have together."""
    shares = {contributor.account: contributor.share for contributor in there}
    one = max((min(c.share, shares.get(c.account, 0.0)) for c in here), default=0.0)
    return max(one, _overlap(_few(here, FEW_MIN), _few(there, FEW_MIN)))


def behind(found: Sequence[Crossing], context: Context, most: int) -> tuple[Contributor, ...]:
    """At most `most` accounts behind the strongest crossings, their shares weighed by the scores."""
    by_strength = sorted(found, key=lambda c: (rank(c.detector), -c.excess, c.market, c.detector))
    weight = 0.0
    shares: dict[int, float] = {}
    makers: set[int] = set()
    for crossing in by_strength[:CONTRIBUTING_MAX]:
        who = context.contributors(crossing.market, crossing.detector)
        weight += crossing.value if who else 0.0
        makers |= {contributor.account for contributor in who if contributor.maker}
        for contributor in who:
            shares[contributor.account] = shares.get(contributor.account, 0.0) + crossing.value * contributor.share
    largest = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:most] if weight > 0 else []
    return tuple(Contributor(account, min(1.0, share / weight), account in makers) for account, share in largest)


def _other_causes(here: Sequence[Contributor], there: Sequence[Contributor]) -> bool:
    least = min(sum(_few(one, CAUSE_MIN).values()) for one in (here, there))
    return least >= DOMINANT and _overlap(_few(here, FEW_MIN), _few(there, FEW_MIN)) < STRANGERS


def _overlap(few: Mapping[int, float], others: Mapping[int, float]) -> float:
    return sum(min(part, others.get(account, 0.0)) for account, part in few.items())


def _few(contributors: Iterable[Contributor], least: float) -> dict[int, float]:
    """The accounts that stand out, and their parts of what others than makers did: a market's makers do most of all
    that is done there, whatever happens."""
    told = list(contributors)
    rest = 1.0 - sum(one.share for one in told if one.maker)
    parts = {one.account: one.share / rest for one in told if not one.maker and rest > 0}
    return {account: min(1.0, part) for account, part in parts.items() if part >= least}


def _now(episode: Episode, context: Context) -> Sequence[Contributor]:
    """Who stands behind an incident by now: more is known than when it was told."""
    lead = episode.lead()
    return context.contributors(lead.market, lead.detector) or episode.contributors

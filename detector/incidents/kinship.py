"""Kinship: whether two crossings a few seconds apart are one trouble or two that happen to meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detector.incidents.crossings import Crossing, rank
from detector.incidents.episode import Episode
from detector.incidents.settings import Context
from detector.model.incident import Contributor

WAVE_MARKETS = 3  # so many markets at once are no coincidence
SHARED_MIN = 0.25  # of both: an account behind this much of two markets' trouble makes them one
DOMINANT = 0.5  # an account behind this much of one market's trouble is its cause


def akin(found: Sequence[Crossing], episode: Episode, fresh: int, context: Context) -> bool:
    """One market's crossings may be of one cause with an incident that began in other markets seconds ago.

    Three markets are one shock, whatever they show. Two of different kinds are two, unless one account stands behind
    both; two of one kind are one, unless another account is the cause of each. A sum of signs has no kind of its own.
    fresh: markets that begin in this window and belong nowhere yet.
    """
    if len(episode.markets) + fresh >= WAVE_MARKETS:
        return True
    kinds = {crossing.detector for crossing in found if rank(crossing.detector) == 0}
    theirs = {detector for _, detector in episode.members if rank(detector) == 0}
    if not kinds or not theirs:
        return True
    here = context.contributors(found[0].market, found[0].detector)
    if shared(here, episode.contributors) >= SHARED_MIN:
        return True
    return bool(kinds & theirs) and not (_has_cause(here) and _has_cause(episode.contributors))


def shared(here: Iterable[Contributor], there: Iterable[Contributor]) -> float:
    """The largest part that one account has in both."""
    shares = {contributor.account: contributor.share for contributor in there}
    return max((min(c.share, shares.get(c.account, 0.0)) for c in here), default=0.0)


def _has_cause(contributors: Iterable[Contributor]) -> bool:
    return any(contributor.share >= DOMINANT for contributor in contributors)

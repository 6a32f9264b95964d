"""Owners: which open incident each market is in. A drift stands beside whatever else is open there: two maps."""

from __future__ import annotations

from collections.abc import Mapping

from detector.incidents.crossings import DRIFT
from detector.incidents.episode import Episode
from detector.model.state import State, Tree


class Owners:
    """`main`, `noted`: market -> its open incident, and its open drift."""

    def __init__(self) -> None:
        self.main: dict[str, Episode] = {}
        self.noted: dict[str, Episode] = {}
        self._release_ns = 0  # before this no market can have been quiet for long: not saved, 0 = look

    def of(self, episode: Episode) -> dict[str, Episode]:
        """The map that an incident stands in."""
        return self.noted if episode.family == DRIFT else self.main

    def by(self, detector: str) -> dict[str, Episode]:
        """The map that a detector's crossings go by."""
        return self.noted if detector == DRIFT else self.main

    def release(self, close_ns: int, join_ns: int) -> None:
        """A market that has long been quiet inside an incident that goes on elsewhere is free again."""
        if close_ns <= self._release_ns:
            return  # the longest quiet of them is not quiet for long yet, and those that joined since are newer
        oldest_ns = close_ns
        for owner in (self.main, self.noted):
            for market in [m for m, e in owner.items() if close_ns - e.markets[m] > join_ns]:
                del owner[market]
            oldest_ns = min([oldest_ns, *(e.markets[m] for m, e in owner.items())])
        self._release_ns = min(oldest_ns, close_ns) + join_ns

    def forget(self, episode: Episode) -> None:
        """It is over."""
        owner = self.of(episode)
        for market in [m for m, e in owner.items() if e is episode]:
            del owner[market]

    def look_again(self) -> None:
        """Event time began again earlier: nothing is known of who has been quiet."""
        self._release_ns = 0

    def state(self) -> State:
        """For a checkpoint: incident ids."""
        return {
            name: dict[str, Tree]({market: owner[market].incident_id for market in sorted(owner)})
            for name, owner in (("owner", self.main), ("noted", self.noted))
        }

    def restore(self, saved: Mapping[str, str], opened: Mapping[str, Episode]) -> None:
        """Go on from either map of a checkpoint: each market to where its incident stands now."""
        for market, incident_id in saved.items():
            self.of(opened[incident_id])[market] = opened[incident_id]

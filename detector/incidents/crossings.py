"""Crossings: which scores of a closed window are beyond their own level. Nearly always none, and then nearly free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from detector.model.incident import Severity
from detector.model.score import Evidence, Score

EVERY_S_MAX = 1e15  # rarer than this is said as this
SCORE_MAX = 300.0  # a tail probability below the smallest double is this rare and no rarer
EARLY_MARGIN = 0.5  # an open window is beyond doubt when it is three times as rare as a warning asks for
DRIFT = "drift"  # tells that normal has moved: never more than info, and no part of anybody else's incident
FEED = "feed"  # tells of what is not seen: no part of what is
JOINT = "joint"  # adds up all streams: leads an incident only where no detector of its own kind does


@dataclass(frozen=True, slots=True)
class Crossing:
    """One detector beyond its info level in one market. `excess` = value - info level, the strength of it."""

    market: str
    detector: str
    value: float
    excess: float
    severity: Severity
    every_s: float
    warming: bool
    score: Score
    index: int

    def evidence(self) -> tuple[Evidence, ...]:
        """Why, and against which level; only while this window is the newest."""
        info, warning, _ = (float(level) for level in self.score.levels[:, self.index])
        level = info if self.severity <= Severity.INFO else warning
        return tuple(replace(row, level=level) for row in self.score.explain(self.index))

    def cause(self, width_ns: int) -> tuple[str, int]:
        """The feature that did most for it, and how long that one sums (ns). ("", 0) where there is no evidence."""
        rows = self.score.explain(self.index)
        if not rows:
            return ("", 0)
        feature = rows[0].feature
        sums = dict(zip(self.score.streams, self.score.scales, strict=False))
        return (feature, int(sums.get(feature, 0.0) * width_ns))


def rank(detector: str) -> int:
    """Who leads: a detector of a kind of trouble before the sum of all, that before a drift."""
    return {JOINT: 1, DRIFT: 2}.get(detector, 0)


def family(found: Sequence[Crossing]) -> str:
    """`family_of` the detectors that cross."""
    return family_of(crossing.detector for crossing in found)


def family_of(detectors: Iterable[str]) -> str:
    """Whom an incident takes in: drifts take drifts, dead feeds take dead feeds, all else takes all else ("").

    >>> [family_of(names) for names in (("drift", "drift"), ("feed",), ("feed", "joint"), ())]
    ['drift', 'feed', '', '']
    """
    names = sorted(dict.fromkeys(detectors))
    return names[0] if len(names) == 1 and names[0] in (DRIFT, FEED) else ""


def by_market(scores: Sequence[Score]) -> dict[str, list[Crossing]]:
    """All crossings: markets by name, in each the leading detector first. NaN (value or level) never crosses."""
    found: dict[tuple[str, str], Crossing] = {}
    for score in scores:
        for crossing in _of(score):
            key = (crossing.market, crossing.detector)
            known = found.get(key)
            if known is None or crossing.excess > known.excess:
                found[key] = crossing
    markets: dict[str, list[Crossing]] = {}
    for market, detector in sorted(found, key=lambda key: (key[0], rank(key[1]), key[1])):
        markets.setdefault(market, []).append(found[market, detector])
    return markets


def companions(scores: Sequence[Score], level: float) -> dict[str, list[Crossing]]:
    """Markets that stay below their own info level but reach `level`, as crossings of info strength, by name."""
    markets: dict[str, list[Crossing]] = {}
    for score in scores:
        if rank(score.detector) > 0:
            continue
        for index in np.flatnonzero((score.values >= level) & (score.values < score.levels[0])).tolist():
            market = score.markets[index]
            value, every_s = float(score.values[index]), float(score.every_s[index])
            warming = bool(score.warming[index])
            found = Crossing(market, score.detector, value, 0.0, Severity.INFO, every_s, warming, score, index)
            markets.setdefault(market, []).append(found)
    return {market: sorted(markets[market], key=lambda found: -found.value) for market in sorted(markets)}


def beyond_doubt(score: Score) -> bool:
    """Of one market's score of a window that is still open."""
    return bool((score.values >= score.levels[1] + EARLY_MARGIN).any())


def near(score: Score, margin: float) -> Iterator[str]:
    """Markets within `margin` of crossing, or beyond: too high to be called quiet."""
    mask = score.values >= score.levels[0] - margin
    if np.count_nonzero(mask):  # quicker than any() while there are a few hundred markets
        for index in np.flatnonzero(mask).tolist():
            yield score.markets[index]


def _of(score: Score) -> Iterator[Crossing]:
    mask = score.values >= score.levels[0]
    if not np.count_nonzero(mask):
        return
    for index in np.flatnonzero(mask).tolist():
        value = min(float(score.values[index]), SCORE_MAX)
        info, warning, critical = (float(level) for level in score.levels[:, index])
        if not isfinite(info):
            continue  # nothing is told here, whatever the value
        severity = Severity.INFO
        if score.detector != DRIFT:
            severity = (
                Severity.CRITICAL if value >= critical else Severity.WARNING if value >= warning else Severity.INFO
            )
        every_s = float(score.every_s[index])
        yield Crossing(
            market=score.markets[index],
            detector=score.detector,
            value=value,
            excess=max(0.0, value - info),
            severity=severity,
            every_s=min(every_s, EVERY_S_MAX) if every_s > 0 else 0.0,
            warming=bool(score.warming[index]),
            score=score,
            index=index,
        )

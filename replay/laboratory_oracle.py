"""The ceiling: what an oracle could recall that knows each class's statistic, scale and span, at the same false pages.

For every statistic and scale a rolling sum is held against the market's own centre and spread over all of the stream
that no incident touches (which nobody could know beforehand). The threshold is the score that the ten-minute maxima of
clean streams exceed as often as the promise allows in as many market-weeks: all looks in time are counted. The best
statistic and scale is then chosen for each class and third with hindsight, and the whole budget is its own: an upper
bound for single statistics, out of reach for a product that must watch for all classes at once. A combination of
several, or a feature that is not among ours, could still beat it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.balanced import INCIDENTS, THIRDS
from replay.instant import SECOND_NS
from replay.laboratory_windows import Recording

Values = npt.NDArray[np.float32]  # (W, M)

PROMISE = 1.0  # false pages per market-week
BLOCK_WINDOWS = 600
SETTLE_WINDOWS = 3600  # makers' habits are young before; nothing is planted there
SCALES = {  # windows summed, by statistic
    "cancels": (1, 2, 5, 10, 20),
    "cancels_by_others": (1, 2, 3, 5, 10, 20),
    "fleeting_cancels": (1, 2, 5, 10, 30),
    "new_cancellers": (1, 2, 5, 10, 20),
    "raises": (60, 180, 300, 600, 1800, 5400),
    "raised_far": (60, 180, 300, 600, 1800, 5400),
    "raise_surprise": (10, 180, 600, 900),
    "quotes_missing": (1, 5, 20, 60, 300, 1800),
    "quotes_pulled": (1, 5, 10, 20, 60, 300, 1800),
    "quotes_moved": (1, 5, 20, 60, 300),
    "quotes_leapt": (1, 5, 10, 20, 40, 60, 90, 300),
    "rise of quotes_missing": (2, 5, 10, 20, 60, 300),
    "rise of quotes_pulled": (2, 5, 10, 20, 60, 300),
    "rise of quotes_moved": (2, 5, 10, 20, 60, 300),
    "few levels": (5, 60, 300),
    "little depth": (5, 60, 300),
    "wide gap_bps": (5, 60, 300),
    "cancels + missing + raises": (300, 600, 1800, 5400),
}
CONDITIONED = (
    "cancels",
    "cancels_by_others",
    "fleeting_cancels",
    "new_cancellers",
    "raises",
    "raised_far",
)  # tried per acting account too
BOOK = {
    "few levels": ("levels",),
    "little depth": ("bid_depth_10_bps", "ask_depth_10_bps"),
    "wide gap_bps": ("gap_bps",),
}
SPREAD_MIN = 0.5  # of a root of a count, whose spread is about 1/2 where it is Poisson
SMALL = 3.0 / 8.0  # Anscombe 1948


@dataclass(slots=True)
class Ceilings:
    """Over clean recordings, for thresholds, and planted ones, for recall."""

    clean: Sequence[Recording]
    planted: Sequence[Recording]

    def rows(self) -> list[dict[str, Any]]:
        """One for each class and third: the best statistic's recall before the climax, which it was, and how many."""
        labels = [[row for row in one.labels if not row["confounder"]] for one in self.planted]
        keys = [(row["class"], row["third"]) for group in labels for row in group]
        best: dict[tuple[str, str], tuple[float, str]] = {}
        of_class: dict[str, tuple[float, str]] = {}
        for name, scale, conditioned in _statistics():
            threshold = self._threshold(name, scale, conditioned)
            early = [
                hit
                for one, group in zip(self.planted, labels, strict=True)
                for hit in _early(one, statistic(one, name, scale, conditioned), threshold, group)
            ]
            told = f"{name}, {scale} s{', per account' if conditioned else ''}"
            for key in set(keys):
                share = float(np.mean([hit for hit, own in zip(early, keys, strict=True) if own == key]))
                best[key] = max(best.get(key, (0.0, "")), (share, told), key=_first)
            for chosen in {own[0] for own in keys}:
                share = float(np.mean([hit for hit, own in zip(early, keys, strict=True) if own[0] == chosen]))
                of_class[chosen] = max(of_class.get(chosen, (0.0, "")), (share, told), key=_first)
        return [
            {
                "class": name,
                "third": third,
                "planted": keys.count((name, third)),
                "ceiling": round(best[name, third][0], 3),
                "by": best[name, third][1],
                "class_by": of_class[name][1],
            }
            for name in INCIDENTS
            for third in THIRDS
            if (name, third) in best
        ]

    def _threshold(self, name: str, scale: int, conditioned: bool) -> float:
        """What the ten-minute maxima of clean streams exceed PROMISE times per market-week."""
        peaks = []
        weeks = 0.0
        for one in self.clean:
            score = statistic(one, name, scale, conditioned)[SETTLE_WINDOWS:]
            length = len(score) // BLOCK_WINDOWS * BLOCK_WINDOWS
            blocks = score[:length].reshape(-1, BLOCK_WINDOWS, score.shape[1])
            peaks.append(np.nan_to_num(np.nanmax(blocks, axis=1), nan=-np.inf).ravel())
            weeks += score.size / 604_800.0
        ranked = np.sort(np.concatenate(peaks))[::-1]
        return float(ranked[min(len(ranked) - 1, int(PROMISE * weeks))])


def _first(found: tuple[float, str]) -> float:
    """What the best is chosen by; of equals the first one stays."""
    return found[0]


def _statistics() -> Iterator[tuple[str, int, bool]]:
    for name, scales in SCALES.items():
        for scale in scales:
            yield name, scale, False
            if name in CONDITIONED:
                yield name, scale, True


def statistic(one: Recording, name: str, scale: int, conditioned: bool) -> Values:
    """(W, M): the rolling sum over `scale` windows, as a root, in spreads from its market's centre; NaN = planned
    phases and unseen markets."""
    if "+" in name:
        parts = [statistic(one, part, scale, False) for part in ("cancels", "quotes_missing", "raises")]
        return _standard(one, np.add.reduce([np.nan_to_num(part) for part in parts], dtype=np.float64), SPREAD_MIN)
    if name.startswith("rise of "):
        share = _share(one, name.removeprefix("rise of "), 1)
        before = np.concatenate((np.repeat(share[:1], scale, axis=0), share[:-scale]))
        return _hidden(one, _standard(one, share - before, floor=0.02))
    if name.startswith("quotes_"):
        return _hidden(one, _standard(one, _share(one, name, scale), floor=0.02))
    if name in BOOK:
        total = np.add.reduce([_rolling(one, column, scale) for column in BOOK[name]]) / scale
        sign = 1.0 if name.startswith("wide") else -1.0
        return _hidden(one, _standard(one, sign * np.log(np.maximum(total, 0.1)), floor=0.02))
    counts = _rolling(one, name, scale)
    if conditioned:
        activity = _rolling(one, "acting_accounts", scale)
        rate = counts.sum(axis=0) / np.maximum(activity.sum(axis=0), 1.0)
        expected = np.sqrt(rate * activity + SMALL)
        return _hidden(one, _standard(one, np.sqrt(counts + SMALL) - expected, SPREAD_MIN))
    return _hidden(one, _standard(one, np.sqrt(counts + SMALL), SPREAD_MIN))


def _share(one: Recording, name: str, scale: int) -> npt.NDArray[np.float64]:
    """(W, M): quotes missing or moved, as a mean share over `scale` windows."""
    counts = _rolling(one, name, scale)
    return counts / np.maximum(_rolling(one, "quotes_usual", scale), 1.0) if "missing" in name else counts / scale


def _rolling(one: Recording, name: str, scale: int) -> npt.NDArray[np.float64]:
    """(W, M) float64: the sum of the last `scale` windows, fewer at the beginning."""
    column: npt.NDArray[Any] = np.nan_to_num(one.column("quotes_outward" if name == "quotes_moved" else name))
    if name == "quotes_moved":  # how far out a window's new quotes were placed, on average
        column = column / np.maximum(np.nan_to_num(one.column("quotes_placed")), np.float32(1.0))
    total = np.cumsum(column, axis=0, dtype=np.float64)
    told = total.copy()
    told[scale:] -= total[:-scale]
    return told


def _standard(one: Recording, values: npt.NDArray[np.float64], floor: float) -> Values:
    """In spreads from each market's centre, both by quantiles of what lies outside all incidents."""
    step = max(1, len(values) // 5000)
    seen = values[SETTLE_WINDOWS::step].copy()
    seen_ns = one.close_ns[SETTLE_WINDOWS::step]
    for row in one.labels:
        if not row["confounder"]:
            touched = (seen_ns > row["start"]) & (seen_ns <= row["end"])
            seen[np.ix_(touched, [one.markets.index(name) for name in row["markets"]])] = np.nan
    low, centre, high = np.nanquantile(seen, (0.16, 0.5, 0.84), axis=0)
    return np.asarray((values - centre) / np.maximum((high - low) / 2.0, floor), np.float32)


def _hidden(one: Recording, score: Values) -> Values:
    score[~(one.calm & one.fresh)] = np.nan
    return score


def _early(one: Recording, score: Values, threshold: float, labels: Sequence[dict[str, Any]]) -> list[bool]:
    """Of each label: whether the score crosses on one of its markets after the onset and by the climax."""
    places = {name: i for i, name in enumerate(one.markets)}
    first_ns = int(one.close_ns[0])
    found = []
    for row in labels:
        # windows close at whole seconds: the first after the onset, the last at the climax or before
        first = max(0, -((first_ns - row["start"]) // SECOND_NS))
        last = (row["climax"] - first_ns) // SECOND_NS
        seen = score[first : last + 1, [places[name] for name in row["markets"]]]
        with np.errstate(invalid="ignore"):
            found.append(bool((seen > threshold).any()))
    return found

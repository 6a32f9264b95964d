"""A story of scores: which detector stands how high on which market in which second. Told to a correlator window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from detector.incidents.correlator import Correlator
from detector.incidents.settings import SECOND_NS, Context, IncidentSettings
from detector.model.incident import Contributor, Incident, Position
from detector.model.score import Evidence, Score

START_NS = 1_700_000_000 * SECOND_NS
QUIET = 0.5
LEVELS = (3.0, 4.0, 5.0)  # info, warning, critical
DETECTORS = ("cancel_burst", "leverage_spike", "thin_book", "joint", "drift", "feed")

Window: TypeAlias = Mapping[tuple[str, str], float]  # (market, detector) -> value; NaN = cannot say


def evidence_of(market: str, detector: str, value: float) -> tuple[Evidence, ...]:
    """Two features whose shares depend on the value, so that a test sees which window was explained."""
    rows = {
        "cancel_burst": (("cancels", "1/s", 412.0, 31.0, 12.0, 66.0), ("fleeting_cancels", "1/s", 41.0, 3.0, 0.5, 7.0)),
        "leverage_spike": (("raises", "1/min", 9.0, 1.5, 0.0, 5.0), ("raise_surprise", "nats/min", 4.0, 0.5, 0.0, 2.0)),
        "thin_book": (("quotes_missing", "orders", 40.0, 12.0, 4.0, 22.0), ("quotes_moved", "orders", 30.0, 4.0, 0, 9)),
        "joint": (
            ("cancel_burst.cancels", "nats", 5.0, 0.0, 0.0, 1.0),
            ("thin_book.taken", "nats", 3.0, 0.0, 0.0, 1.0),
        ),
    }.get(detector, (("queue_age", "s", 7.0, 2.0, 1.0, 4.0), ("other", "", 1.0, 0.2, 0.1, 0.5)))
    share = 1.0 / (1.0 + math.exp(-value))
    return tuple(
        Evidence(market, detector, *row, share=part, meaning="how long orders wait" if row[0] == "queue_age" else "")
        for row, part in zip(rows, (share, 1.0 - share), strict=True)
    )


def scores(close_ns: int, window: Window, markets: Sequence[str], detectors: Sequence[str] = DETECTORS) -> list[Score]:
    """One Score per detector, with the markets in the order given."""
    place = {market: index for index, market in enumerate(markets)}
    made = []
    for detector in detectors:
        values = np.full(len(markets), QUIET)
        for (market, name), value in window.items():
            if name == detector:
                values[place[market]] = value
        made.append(_score(detector, close_ns, tuple(markets), values))
    return made


class Quiet:
    """Scores of windows in which nothing happens, made once: most of every story."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], list[Score]] = {}

    def scores(self, markets: tuple[str, ...]) -> list[Score]:
        """Every detector at QUIET; close_ns is not theirs, and nobody reads it."""
        if markets not in self._made:
            self._made[markets] = scores(START_NS, {}, markets)
        return self._made[markets]


def _score(detector: str, close_ns: int, markets: tuple[str, ...], values: np.ndarray) -> Score:
    count = len(markets)

    def explain(index: int) -> tuple[Evidence, ...]:
        return evidence_of(markets[index], detector, float(values[index]))

    return Score(
        detector=detector,
        close_ns=close_ns,
        markets=markets,
        values=values,
        levels=np.repeat(np.array(LEVELS)[:, None], count, axis=1),
        every_s=10.0 ** np.clip(np.nan_to_num(values), 0.0, 20.0),
        warming=np.array([market.startswith("NEW") for market in markets], np.bool_),
        surprises=values[:, None],
        residuals=values[:, None],
        streams=(detector,),
        explain=explain,
    )


def nobody(_market: str, _detector: str) -> tuple[Contributor, ...]:
    return ()


def context(who: Callable[[str, str], tuple[Contributor, ...]] = nobody) -> Context:
    def positions(markets: tuple[str, ...], from_ns: int, to_ns: int) -> tuple[Position, ...]:
        return (Position("orders", 0, (from_ns - START_NS) // SECOND_NS + 100, (to_ns - START_NS) // SECOND_NS + 100),)

    return Context(
        who,
        positions,
        lambda market: ("accounts", "order ids") if market.startswith("BARE") else (),
        lambda market: ("funding",) if market.startswith("PAID") else (),
    )


QUIET_WINDOWS = Quiet()


class Told:
    """A correlator and all it has told. `windows[s]` is what happens in second s; missing seconds are quiet."""

    def __init__(
        self,
        markets: Sequence[str],
        settings: IncidentSettings | None = None,
        who: Callable[[str, str], tuple[Contributor, ...]] = nobody,
    ) -> None:
        self.markets = tuple(markets)
        self.correlator = Correlator(settings or IncidentSettings())
        self.context = context(who)
        self.incidents: list[Incident] = []
        self.second = 0

    def run(self, windows: Mapping[int, Window] | Sequence[Window], until: int | None = None) -> list[Incident]:
        """Go on to second `until` (excluded; default: after the last window). Returns what these seconds told."""
        by_second = windows if isinstance(windows, Mapping) else dict(enumerate(windows))
        end = until if until is not None else max(by_second, default=-1) + 1
        told: list[Incident] = []
        while self.second < end:
            close_ns = START_NS + (self.second + 1) * SECOND_NS
            window = by_second.get(self.second)
            made = scores(close_ns, window, self.markets) if window else QUIET_WINDOWS.scores(self.markets)
            told.extend(self.correlator.step(close_ns, SECOND_NS, made, self.context))
            self.second += 1
        self.incidents.extend(told)
        return told

    def reasons(self) -> list[str]:
        return [incident.reason.value for incident in self.incidents]

    def ids(self) -> set[str]:
        return {incident.incident_id for incident in self.incidents}


def during(first: int, last: int, crossing: Window) -> dict[int, Window]:
    """The same window in every second from `first` to `last`, both included."""
    return dict.fromkeys(range(first, last + 1), crossing)

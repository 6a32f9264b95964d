"""Audit: whether the promised number of pages is kept, judged as they come. It reads what is told and decides nothing.

For each severity the pages of at least that gravity are counted against the market-weeks watched. With a promise of p a
market-week, kept as long as the rate never exceeds p,

    M = factor^pages * exp(-(factor - 1) * p * market_weeks),      factor > 1,

is a supermartingale; so is its mean over FACTORS and over the day d on which the rate may have risen (each weighs
1 / d (d + 1)), because each part begins at 1. That mean is the evidence. Whenever one looks, the chance that it ever
comes to 20 while the promise is kept is at most 1 in 20 (Ville, 1939; Shin, Ramdas and Rinaldo, E-detectors, 2023).

Every page counts: nobody tells the log which were true. An exchange with an incident every day is told so, too; what
each feature and market spent stands beside it. A page is an incident that comes to a severity for the first time since
it opened, over however many markets; a drift is none, it never pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.model.incident import Incident, Reason, Severity
from detector.model.state import State

FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)  # how many times the promise the rate may be
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
WEEK_NS = 7 * DAY_NS
FIRST_NS = DAY_NS  # a promise for a week is not judged within its first day ...
PAGES_MIN = 5  # ... nor by fewer pages
DAYS_KEPT = 7  # what the last days spent, by feature and market; and so long a broken promise must be kept again
NAMED_MAX = 512  # markets a day that are told apart; what others spent stands under OTHERS
OTHERS = "others"
WEALTH_MAX = 1e12  # evidence beyond this says nothing more
AT_ONCE_MAX = 100  # pages of one window that count as evidence: less of it is never wrong
DRIFT = "drift"

SEVERITIES = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Standing:
    """One promise as it stands. pages and market_weeks since the audit began; evidence: against it, 20 = broken;
    broken_ns: since when it counts as broken, 0 = kept."""

    severity: Severity
    promised: float
    pages: int
    market_weeks: float
    evidence: float
    broken_ns: int = 0

    @property
    def realised(self) -> float:
        """Pages a market-week; NaN before anything was watched."""
        return self.pages / self.market_weeks if self.market_weeks > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that is broken now, or kept again: to be told. recent: the last days' standing (its evidence is that of
    the whole); features, markets: who spent how many of those pages, most first; name: of this breach, the same when it
    is over: when it was found and which market spent most. A cold start or another instance has another one."""

    at_ns: int
    name: str
    broken: bool
    recent: Standing
    days: int
    features: tuple[tuple[str, int], ...]
    markets: tuple[tuple[str, int], ...]


class Day:
    """What one day came to. pages int (severities)."""

    def __init__(self) -> None:
        self.weeks = 0.0
        self.pages = np.zeros(len(SEVERITIES), np.int64)
        self.features: tuple[Counter[str], ...] = tuple(Counter() for _ in SEVERITIES)
        self.markets: tuple[Counter[str], ...] = tuple(Counter() for _ in SEVERITIES)


class Audit:
    """`take` what is told, `close` each window. promised: pages a market-week at info, warning and critical; evidence:
    from which on a promise counts as broken."""

    def __init__(
        self,
        promised: Sequence[float],
        evidence: float = 20.0,
        *,
        first_ns: int = FIRST_NS,
        pages_min: int = PAGES_MIN,
    ) -> None:
        assert len(promised) == len(SEVERITIES), "a promise for each severity"
        assert evidence > 1.0, "evidence of 1 is none"
        self._promised = np.array(promised, np.float64)
        self._enough = evidence
        self._not_before_ns = first_ns
        self._pages_min = pages_min
        self._factors = np.array(FACTORS)
        self._faded = (-1.0, np.ones(0))
        self._wealth = np.zeros((len(SEVERITIES), len(FACTORS)))  # of the parts that have begun
        self._began = np.zeros(len(SEVERITIES), np.int64)  # days begun, since when each is audited
        self._first_ns = self._day_ns = 0
        self._pages = np.zeros(len(SEVERITIES), np.int64)
        self._weeks = 0.0
        self._fresh = np.zeros(len(SEVERITIES), np.int64)  # pages since the last close
        self._told: dict[str, int] = {}  # incident -> gravest severity told since it opened
        self._days = [Day()]
        self._broken_ns = np.zeros(len(SEVERITIES), np.int64)
        self._names = [""] * len(SEVERITIES)

    def take(self, told: Sequence[Incident]) -> None:
        """What is told just now."""
        for incident in told:
            if incident.reason is Reason.RESOLVED:
                self._told.pop(incident.incident_id, None)
            elif incident.reason in (Reason.OPENED, Reason.ESCALATED) and incident.kind != DRIFT:
                before = self._told.get(incident.incident_id, 0)
                self._told[incident.incident_id] = int(incident.severity)
                first = incident.evidence[0] if incident.evidence else None
                feature = f"{first.detector}.{first.feature}" if first is not None else incident.kind
                market = first.market if first is not None else incident.markets[0]
                for row in range(before, int(incident.severity)):
                    self._fresh[row] += 1
                    _count(self._days[-1].features[row], feature)
                    _count(self._days[-1].markets[row], market)

    def close(self, close_ns: int, width_ns: int, watched: int) -> tuple[Finding, ...]:
        """A window ends in which `watched` markets were in their normal state. What is to be told of the promises."""
        if close_ns <= self._day_ns:  # event time began again at an earlier instant: the day goes on from there
            back_ns = self._day_ns - (close_ns - width_ns)
            self._first_ns -= back_ns
            self._broken_ns[self._broken_ns > 0] = np.maximum(1, self._broken_ns[self._broken_ns > 0] - back_ns)
            self._day_ns = close_ns - width_ns
        if not self._began.any():
            self._first_ns = self._day_ns = close_ns - width_ns
            self._begin_day(range(len(SEVERITIES)))
        elif close_ns - self._day_ns > DAY_NS:
            self._day_ns += (close_ns - 1 - self._day_ns) // DAY_NS * DAY_NS
            self._days = [*self._days, Day()][-DAYS_KEPT:]
            self._begin_day(range(len(SEVERITIES)))
        weeks = watched * width_ns / WEEK_NS
        pages, self._fresh = self._fresh, np.zeros(len(SEVERITIES), np.int64)
        today = self._days[-1]
        today.weeks += weeks
        today.pages += pages
        self._weeks += weeks
        self._pages += pages
        self._wealth *= self._fading(weeks)
        if pages.any():
            grown = self._wealth * self._factors ** np.minimum(pages, AT_ONCE_MAX)[:, None]
            self._wealth = np.minimum(grown, WEALTH_MAX)
        if close_ns - self._first_ns < self._not_before_ns:
            return ()
        due = (self._evidence() >= self._enough) | (self._broken_ns > 0)
        return tuple(filter(None, (self._found(int(row), close_ns) for row in np.flatnonzero(due))))

    def _fading(self, weeks: float) -> npt.NDArray[np.float64]:
        """float64 (severities, FACTORS): what is left of each part after market-weeks without a page. Nearly every
        window watches as many markets as the one before it."""
        if weeks != self._faded[0]:
            self._faded = (weeks, np.exp(-np.outer(self._promised * weeks, self._factors - 1.0)))
        return self._faded[1]

    def standings(self) -> tuple[Standing, ...]:
        """Each promise as it stands."""
        return tuple(
            Standing(
                severity, float(self._promised[row]), int(self._pages[row]), self._weeks,
                float(self._evidence()[row]), int(self._broken_ns[row]),
            )
            for row, severity in enumerate(SEVERITIES)
        )  # fmt: skip

    def _evidence(self) -> npt.NDArray[np.float64]:
        """float64 (severities): what has begun, and 1 for each part that has not."""
        evidence: npt.NDArray[np.float64] = self._wealth.mean(axis=1) + 1.0 / (self._began + 1.0)
        return evidence

    def _begin_day(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._began[row] += 1
            self._wealth[row] += 1.0 / (self._began[row] * (self._began[row] + 1.0))

    def _found(self, row: int, close_ns: int) -> Finding | None:
        recent = self._recent(row)
        if not self._broken_ns[row]:
            if self._evidence()[row] < self._enough or self._pages[row] < self._pages_min:
                return None
            self._broken_ns[row] = close_ns
        else:
            kept = recent.pages <= recent.promised * recent.market_weeks
            if not kept or close_ns - self._broken_ns[row] < DAYS_KEPT * DAY_NS:
                return None
            # it is audited anew from here
            self._broken_ns[row] = 0
            self._wealth[row] = 0.0
            self._began[row] = 0
            self._begin_day([row])
        features: Counter[str] = sum((day.features[row] for day in self._days), Counter())
        markets: Counter[str] = sum((day.markets[row] for day in self._days), Counter())
        spent = _most(markets)
        if self._broken_ns[row]:
            self._names[row] = f"{close_ns // SECOND_NS}_{spent[0][0] if spent else OTHERS}"
        return Finding(
            close_ns, self._names[row], bool(self._broken_ns[row]), recent, len(self._days), _most(features), spent,
        )  # fmt: skip

    def _recent(self, row: int) -> Standing:
        pages = sum(int(day.pages[row]) for day in self._days)
        weeks = sum(day.weeks for day in self._days)
        evidence, broken_ns = float(self._evidence()[row]), int(self._broken_ns[row])
        return Standing(SEVERITIES[row], float(self._promised[row]), pages, weeks, evidence, broken_ns)

    def state(self) -> State:
        """For a checkpoint."""
        return {
            "promised": self._promised,
            "wealth": self._wealth,
            "began": self._began,
            "times": [self._first_ns, self._day_ns],
            "pages": self._pages,
            "weeks": self._weeks,
            "fresh": self._fresh,
            "told": dict(self._told),
            "broken_ns": self._broken_ns,
            "names": list(self._names),
            "days": [
                {
                    "weeks": day.weeks,
                    "pages": day.pages,
                    "features": [dict(counted) for counted in day.features],
                    "markets": [dict(counted) for counted in day.markets],
                }
                for day in self._days
            ],
        }

    def restore(self, state: State) -> None:
        """From a checkpoint. With other promises the audit begins anew, and only remembers what is open."""
        told = state["told"]
        assert isinstance(told, dict)
        self._told = {str(key): int(str(value)) for key, value in told.items()}
        if not np.array_equal(np.asarray(state["promised"]), self._promised):
            return
        times, days, names = state["times"], state["days"], state["names"]
        assert isinstance(times, list) and isinstance(days, list) and isinstance(names, list)
        self._names = [str(name) for name in names]
        self._wealth, self._began = np.array(state["wealth"]), np.array(state["began"])
        self._first_ns, self._day_ns = (int(str(time)) for time in times)
        self._pages, self._weeks = np.array(state["pages"]), float(str(state["weeks"]))
        self._fresh, self._broken_ns = np.array(state["fresh"]), np.array(state["broken_ns"])
        self._days = []
        for saved in days:
            assert isinstance(saved, dict)
            day = Day()
            day.weeks, day.pages = float(str(saved["weeks"])), np.array(saved["pages"])
            day.features, day.markets = _counters(saved["features"]), _counters(saved["markets"])
            self._days.append(day)


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < NAMED_MAX else OTHERS] += 1


def _most(counter: Counter[str]) -> tuple[tuple[str, int], ...]:
    """The most first, ties by name."""
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _counters(saved: object) -> tuple[Counter[str], ...]:
    assert isinstance(saved, list)
    return tuple(Counter({str(name): int(number) for name, number in one.items()}) for one in saved)

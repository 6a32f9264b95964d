"""One stream through the real engine: the simulated exchange's rows straight into Pipeline.take, and what came of it.

Besides the engine's own pages, shadow correlators are told what would have crossed at other promised budgets: the same
scores against levels recomputed from the same peaks. They differ from a run at that budget in one thing only: what the
engine pauses learning for is its own open incidents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.incidents.correlator import Correlator
from detector.incidents.settings import Context
from detector.kernels import kernel
from detector.kernels.digest import digest_word
from detector.model.events import EventBatch, EventColumn, Flag
from detector.model.incident import Incident, Reason, Severity
from detector.model.score import Score
from detector.wiring.build import build_pipeline, digest_key, incident_settings
from detector.wiring.config import Configuration, of
from replay.exchange import Exchange
from replay.feed import arrivals
from replay.scenario import Scenario

PROMISES = (0.25, 0.5, 1.0, 2.0, 4.0)  # pages per market-week at warning
INFO, CRITICAL = 7.0, 0.1  # x the promise, as shipped
BLOCKS_PER_WEEK = 1008.0
KEY = b"foreshock laboratory"  # the accounts are made up
CHUNK_S = 60.0
SAMPLE_WINDOWS = 10  # what peers are given: means over this many windows
CALIBRATION = (2.0, 3.0, 4.0)  # -log10 p
SETTLED_S = 3600  # calibration is counted after this


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody is called: an incident that opened at warning or above, or rose. `page`: for the first time since it
    opened; `feature`: the first row of its evidence."""

    at_ns: int
    incident_id: str
    page: bool
    severity: int
    kind: str
    markets: tuple[str, ...]
    feature: str


@dataclass(slots=True)
class Run:
    """What one stream came to. calls: by promise. observed, beyond: per detector, windows with something to say and
    those at each CALIBRATION score. samples float32 (samples, M, F) of `features`, closing at sample_ns."""

    kind: str
    seed: int
    scenario: Scenario
    labels: list[dict[str, Any]]
    calls: dict[float, list[Call]]
    events: int = 0
    observed: dict[str, int] = field(default_factory=dict)
    beyond: dict[str, list[int]] = field(default_factory=dict)
    samples: Any = None
    sample_ns: Any = None
    features: tuple[str, ...] = ()
    cpu_s: float = 0.0

    @property
    def market_weeks(self) -> float:
        """Of the whole stream."""
        return len(self.scenario.markets) * self.scenario.duration_s / (7 * 86_400.0)


class Callers:
    """Incidents as told, one after the other, to the calls they make."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._paged: set[str] = set()

    def take(self, incidents: Sequence[Incident]) -> None:
        """See Call."""
        for incident in incidents:
            if incident.reason is Reason.RESOLVED:
                self._paged.discard(incident.incident_id)
            if incident.reason not in (Reason.OPENED, Reason.ESCALATED) or incident.severity < Severity.WARNING:
                continue
            first = incident.evidence[0].feature if incident.evidence else ""
            self.calls.append(
                Call(
                    incident.updated_ns,
                    incident.incident_id,
                    incident.incident_id not in self._paged,
                    int(incident.severity),
                    incident.kind,
                    incident.markets,
                    first.rpartition(".")[2],
                )
            )
            self._paged.add(incident.incident_id)


class Shadowed(Correlator):
    """The engine's correlator, and others beside it that live with other promises."""

    def __init__(self, config: Configuration, promises: Sequence[float], budgets: dict[str, Any]) -> None:
        super().__init__(incident_settings(config))
        self.shadows = [(promise, Correlator(incident_settings(config)), Callers()) for promise in promises]
        self._own = {name: _reduced(own) for name, own in budgets.items()}
        self._wanted = {
            (name, promise): _reduced(np.array([INFO * promise, promise, CRITICAL * promise]) * own[1])
            for name, own in budgets.items()
            for promise in {1.0, *promises}
        }

    def step(self, close_ns: int, width_ns: int, scores: Sequence[Score], context: Context) -> tuple[Incident, ...]:
        """See Correlator.step."""
        loosest = max((promise for promise, _, _ in self.shadows), default=1.0)
        # nearly always nothing crosses anywhere, and then most of the work is saved
        crossed = any((score.values >= self._levels(score, loosest)[0]).any() for score in scores)
        for promise, correlator, callers in self.shadows:
            if crossed or correlator.open_markets():
                told = correlator.step(close_ns, width_ns, [self.at(score, promise) for score in scores], context)
                callers.take(told)
        return super().step(close_ns, width_ns, scores, context)

    def at(self, score: Score, promise: float) -> Score:
        """The score with the levels of another promise."""
        return replace(score, levels=self._levels(score, promise))

    def _levels(self, score: Score, promise: float) -> npt.NDArray[np.float64]:
        """float64 (3, M): the Gumbel line through the score's own two levels; its own where it has no warning level."""
        if score.levels[1, 0] == np.inf:
            return score.levels
        own, wanted = self._own[score.detector], self._wanted[score.detector, promise]
        spread = (score.levels[1] - score.levels[0]) / (own[1] - own[0])
        levels: npt.NDArray[np.float64] = score.levels[1] + spread * (wanted - own[1])[:, None]
        return levels


def _reduced(budgets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where the return level of each budget lies on a Gumbel of place 0 and spread 1 (detector/anomaly/budget.py)."""
    reduced: npt.NDArray[np.float64] = -np.log(-np.log1p(-np.clip(budgets / BLOCKS_PER_WEEK, 1e-12, 0.999)))
    return reduced


def run(
    kind: str, scenario: Scenario, seed: int, *, promises: Sequence[float] = PROMISES, sampled: bool = False
) -> Run:
    """One stream: `scenario` from `seed`, through an engine as shipped. `sampled`: keep what peers need."""
    import time

    started_s = time.process_time()
    config = of({})
    exchange = Exchange(scenario, seed)
    pipeline = build_pipeline(config, pseudonym_key=KEY, format_name="native", keep_scored=True)
    budgets = {
        detector.name: np.asarray(detector.budgets) for detector in pipeline.detectors if hasattr(detector, "budgets")
    }
    budgets.setdefault("drift", np.ones(3))
    shipped = config.settings.budget.warning
    pipeline.correlator = Shadowed(config, [p for p in promises if p != shipped], budgets)
    callers = Callers()
    result = Run(kind, seed, scenario, exchange.labels(), {})
    result.features = tuple(feature.name for feature in pipeline.shard.features)
    sampler = Sampler(len(exchange.markets), len(result.features)) if sampled else None
    for batch in batches_of(exchange):
        result.events += len(batch.events)
        _note(pipeline.take([({}, batch)]), result, callers, sampler, scenario)
    _note(pipeline.finish(), result, callers, sampler, scenario)
    result.calls = {shipped: callers.calls} | {p: told.calls for p, _, told in pipeline.correlator.shadows}
    if sampler is not None:
        result.samples, result.sample_ns = sampler.done()
    result.cpu_s = time.process_time() - started_s
    return result


def batches_of(exchange: Exchange) -> Iterator[EventBatch]:
    """The whole stream, a minute of event time at once, as a decoder would hand it over."""
    key = digest_key(KEY)
    offset = 0
    for events in arrivals(exchange, CHUNK_S):
        if len(events):
            batch = _batch(events, exchange.markets, offset, key)
            offset = batch.next_offset
            yield batch


def _batch(events: EventColumn, markets: tuple[str, ...], offset: int, key: tuple[int, int]) -> EventBatch:
    """Account and order numbers as keyed digests, offsets by message."""
    events = events.copy()
    for name in ("order", "account", "taker"):
        events[name] = _digests(np.ascontiguousarray(events[name]), np.uint64(key[0]), np.uint64(key[1]))
    inside = (events["flags"] & Flag.SNAPSHOT) != 0
    events["offset"] = offset - 1 + np.cumsum(~inside)
    first, last = int(events["offset"][0]), int(events["offset"][-1])
    return EventBatch("laboratory", 0, first, last + 1, markets, events, (), {}, last + 1 - first)


@kernel
def _digest_all(numbers: Any, key0: Any, key1: Any) -> Any:
    """In place: uint64 (rows), 0 = none stays."""
    for i in range(len(numbers)):
        if numbers[i] != 0:
            numbers[i] = digest_word(numbers[i], key0, key1)


def _digests(numbers: npt.NDArray[np.uint64], key0: np.uint64, key1: np.uint64) -> npt.NDArray[np.uint64]:
    _digest_all(numbers, key0, key1)
    return numbers


def _note(step: Any, result: Run, callers: Callers, sampler: Sampler | None, scenario: Scenario) -> None:
    callers.take(step.incidents)
    if not step.scored:
        return
    markets = len(scenario.markets)
    settled_ns = scenario.start_ns + SETTLED_S * 1_000_000_000
    for number, first in enumerate(step.scored[0].scores):
        rows = [one.scores[number].values for one in step.scored if one.windows.close_ns > settled_ns]
        if not rows or first.detector == "drift":
            continue
        values = np.concatenate(rows)
        result.observed[first.detector] = result.observed.get(first.detector, 0) + int((~np.isnan(values)).sum())
        beyond = result.beyond.setdefault(first.detector, [0] * len(CALIBRATION))
        for k, score in enumerate(CALIBRATION):
            beyond[k] += int((values >= score).sum())
    if sampler is not None:
        for one in step.scored:
            if len(one.windows.markets) == markets:
                sampler.take(one.windows, scenario.names)


class Sampler:
    """Means over SAMPLE_WINDOWS windows; NaN where a market was in a planned phase or unseen."""

    def __init__(self, markets: int, features: int) -> None:
        self._sum = np.zeros((markets, features))
        self._count = 0
        self._rows: list[npt.NDArray[np.float32]] = []
        self._ns: list[int] = []
        self._order: Any = None

    def take(self, windows: Any, names: tuple[str, ...]) -> None:
        """One window, all markets there."""
        if self._order is None:
            self._order = [windows.markets.index(name) for name in names]
        values = np.where((windows.calm & windows.fresh)[:, None], windows.values, np.nan)
        self._sum += values[self._order]
        self._count += 1
        if self._count == SAMPLE_WINDOWS:
            self._rows.append((self._sum / SAMPLE_WINDOWS).astype(np.float32))
            self._ns.append(windows.close_ns)
            self._sum[:] = 0.0
            self._count = 0

    def done(self) -> tuple[Any, Any]:
        """(samples, sample_ns)."""
        return np.array(self._rows), np.array(self._ns, np.int64)

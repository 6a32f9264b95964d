"""One stream through the real engine: the simulated exchange's rows straight into Pipeline.take, and what came of it.

Besides the engine's own pages, shadow correlators are told what would have crossed at other promised budgets: the same
scores against levels recomputed from the same peaks. They differ from a run at that budget in one thing only: what the
engine pauses learning for is its own open incidents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import Detector
from detector.anomaly.budget import spreads_above
from detector.engine.pipeline import Pipeline
from detector.engine.step import Step
from detector.incidents.correlator import Correlator
from detector.incidents.settings import Context
from detector.kernels import kernel
from detector.kernels.digest import digest_word
from detector.model.events import EventBatch, EventColumn, Flag
from detector.model.incident import Incident
from detector.model.score import Score
from detector.wiring.build import build_pipeline, digest_key, incident_settings
from detector.wiring.config import Configuration, of
from replay.exchange import Exchange
from replay.feed import arrivals
from replay.laboratory_tally import Callers, Run, Tally
from replay.scenario import Scenario

PROMISES = (0.25, 0.5, 1.0, 2.0, 4.0)  # pages per market-week at warning
INFO, CRITICAL = 7.0, 0.1  # x the promise, as shipped
KEY = b"foreshock laboratory"  # the accounts are made up
CHUNK_S = 60.0

Through = Callable[[EventColumn], EventColumn]


class Shadowed(Correlator):
    """The engine's correlator, and others beside it that live with other promises."""

    def __init__(self, config: Configuration, promises: Sequence[float], budgets: dict[str, Any]) -> None:
        """budgets: of `budgets_of`."""
        super().__init__(incident_settings(config))
        self.shadows = [(promise, Correlator(incident_settings(config)), Callers()) for promise in promises]
        self._own = {name: _above(name, own) for name, own in budgets.items()}
        self._wanted = {
            (name, promise): _above(name, np.array([INFO * promise, promise, CRITICAL * promise]) * own[1])
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
        """float64 (3, M): the law's line through the score's own two levels; its own where it has no warning level."""
        if score.levels[1, 0] == np.inf:
            return score.levels
        own, wanted = self._own[score.detector], self._wanted[score.detector, promise]
        spread = (score.levels[1] - score.levels[0]) / (own[1] - own[0])
        levels: npt.NDArray[np.float64] = score.levels[1] + spread * (wanted - own[1])[:, None]
        return levels


def _above(name: str, budgets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64 (3): where a detector's levels lie, up to a place and a spread. A dead feed's are plain logarithms."""
    return -np.log(budgets) if name == "feed" else spreads_above(budgets)


def budgets_of(detectors: Sequence[Detector]) -> dict[str, npt.NDArray[np.float64]]:
    """float64 (3) by name: pages a market-week at info, warning and critical; one a week each where none is."""
    return {one.name: np.asarray(getattr(one, "budgets", np.ones(3))) for one in detectors}


def run(
    kind: str,
    scenario: Scenario,
    seed: int,
    *,
    promises: Sequence[float] = PROMISES,
    sampled: bool = False,
    through: Through | None = None,
) -> Run:
    """One stream: `scenario` from `seed`, through an engine as shipped. `sampled`: keep what peers need. through: what
    the feed makes of the exchange's rows, None = it tells them as they are."""
    started_s = time.process_time()
    config = of({})
    exchange = Exchange(scenario, seed)
    pipeline = build_pipeline(config, pseudonym_key=KEY, format_name="native", keep_scored=True)
    budgets = budgets_of(pipeline.detectors)
    shipped = config.settings.budget.warning
    shadowed = pipeline.correlator = Shadowed(config, [p for p in promises if p != shipped], budgets)
    callers = Callers()
    result = Run(kind, seed, scenario, exchange.labels(), {})
    tally = Tally(result, scenario, sampled=sampled)
    for step in steps(pipeline, exchange, through):
        callers.take(step.incidents)
        result.audit = step.audit or result.audit
        result.audit_said += [(one.broken_ns, one.severity) for one in step.audit if one.broken_ns]
        for one in step.scored:
            tally.take(one.windows, one.scores)
    tally.done()
    result.audit_said = sorted(set(result.audit_said))
    result.notes = callers.notes
    result.events = exchange.rows
    result.calls = {shipped: callers.calls} | {p: told.calls for p, _, told in shadowed.shadows}
    result.cpu_s = time.process_time() - started_s
    return result


def steps(pipeline: Pipeline, exchange: Exchange, through: Through | None = None) -> Iterator[Step]:
    """The whole stream through the engine."""
    for batch in batches_of(exchange, through):
        yield pipeline.take([({}, batch)])
    yield pipeline.finish()


def batches_of(exchange: Exchange, through: Through | None = None) -> Iterator[EventBatch]:
    """The whole stream, a minute of event time at once, as a decoder would hand it over."""
    key = digest_key(KEY)
    offset = 0
    for told in arrivals(exchange, CHUNK_S):
        events = told if through is None else through(told)
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


def digests_of(accounts: Sequence[str]) -> frozenset[int]:
    """What the engine calls the accounts that a label names ("a17")."""
    key = digest_key(KEY)
    numbers = np.array([int(account[1:]) for account in accounts], np.uint64)
    return frozenset(_digests(numbers, np.uint64(key[0]), np.uint64(key[1])).tolist())

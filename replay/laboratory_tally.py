"""What came of a stream: who was called and when, how often each score was reached, and the samples peers are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.incidents.audit import Standing
from detector.model.incident import Incident, Reason, Severity
from detector.model.score import Score
from detector.model.windows import Windows
from replay.scenario import Scenario

SAMPLE_WINDOWS = 10  # what peers are given: means over this many windows
CALIBRATION = (2.0, 3.0, 4.0)  # -log10 p
SETTLED_NS = 3_600_000_000_000  # calibration is counted after this
FLUSH_WINDOWS = 120


WIDTH_NS, LATENESS_NS = 1_000_000_000, 500_000_000  # windows.width and input.lateness, as shipped


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody is called: an incident that opened at warning or above, or rose, or an update that names more markets.

    page: for the first time since it opened; feature: the first row of its evidence, and of_market: the first about
    each market; accounts: digests of its contributors, the largest first; led_by: the market that moved first, where
    one did; joined: an update, not graver
    """

    at_ns: int
    incident_id: str
    page: bool
    severity: int
    kind: str
    markets: tuple[str, ...]
    feature: str
    accounts: tuple[int, ...] = ()
    led_by: str = ""
    joined: bool = False
    of_market: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Run:
    """What one stream came to.

    calls: by promise; notes: drifts, at info; observed, beyond: per detector, windows with something to say and those
    at each CALIBRATION score
    samples float32 (samples, M, F) of `features`, residuals the same of the detectors' `streams`, margins float32
    (samples, M) the largest score over its warning level: all closing at sample_ns, None where nobody asked for them
    audit: the promises as they stand at the end; audit_said: when one was said to be broken, and which
    """

    kind: str
    seed: int
    scenario: Scenario
    labels: list[dict[str, Any]]
    calls: dict[float, list[Call]]
    events: int = 0
    observed: dict[str, int] = field(default_factory=dict)
    beyond: dict[str, list[int]] = field(default_factory=dict)
    samples: Any = None
    residuals: Any = None
    margins: Any = None
    sample_ns: Any = None
    features: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    cpu_s: float = 0.0
    notes: list[Call] = field(default_factory=list)
    audit: tuple[Standing, ...] = ()
    audit_said: list[tuple[int, Severity]] = field(default_factory=list)

    @property
    def market_weeks(self) -> float:
        """Of the whole stream."""
        return len(self.scenario.markets) * self.scenario.duration_s / (7 * 86_400.0)


class Callers:
    """Incidents as told, one after the other, to the calls they make."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.notes: list[Call] = []  # drifts that opened: never more than info
        self._paged: dict[str, set[str]] = {}  # by incident, the markets that were named

    def take(self, incidents: Sequence[Incident]) -> None:
        """See Call."""
        for incident in incidents:
            if incident.reason is Reason.RESOLVED:
                self._paged.pop(incident.incident_id, None)
            if incident.kind == "drift" and incident.reason is Reason.OPENED:
                self.notes.append(self._call(incident))
            named = self._paged.get(incident.incident_id, set())
            worse = incident.reason in (Reason.OPENED, Reason.ESCALATED)
            more = incident.reason is Reason.UPDATED and bool(named) and not named.issuperset(incident.markets)
            if incident.severity >= Severity.WARNING and (worse or more):
                self.calls.append(self._call(incident))
                self._paged[incident.incident_id] = named | set(incident.markets)

    def _call(self, incident: Incident) -> Call:
        first = incident.evidence[0].feature if incident.evidence else ""
        about = {row.market: row.feature for row in reversed(incident.evidence)}
        return Call(
            _told_ns(incident.updated_ns),
            incident.incident_id,
            incident.incident_id not in self._paged,
            int(incident.severity),
            incident.kind,
            incident.markets,
            first.rpartition(".")[2],
            tuple(who.account for who in incident.contributors),
            incident.led_by.market if incident.led_by is not None else "",
            incident.reason is Reason.UPDATED,
            tuple((market, feature.rpartition(".")[2]) for market, feature in sorted(about.items())),
        )


def _told_ns(updated_ns: int) -> int:
    """When somebody could have been told, in event time: a window's close is known `input.lateness` after its end; an
    early look at once."""
    return updated_ns + (LATENESS_NS if updated_ns % WIDTH_NS == 0 else 0)


class Tally:
    """Counts into a Run, window by window."""

    def __init__(self, result: Run, scenario: Scenario, *, sampled: bool) -> None:
        self._result = result
        self._scenario = scenario
        self._waiting: dict[str, list[npt.NDArray[np.float64]]] = {}
        self._features = Sampler(scenario.names) if sampled else None
        self._residuals = Sampler(scenario.names) if sampled else None
        self._margins = Sampler(scenario.names, largest=True) if sampled else None

    def take(self, windows: Windows, scores: Sequence[Score]) -> None:
        """One window and what was said of it."""
        if windows.close_ns > self._scenario.start_ns + SETTLED_NS:
            for score in scores:
                if score.detector not in ("drift", "feed"):
                    kept = self._waiting.setdefault(score.detector, [])
                    kept.append(score.values)
                    if len(kept) >= FLUSH_WINDOWS:
                        self._flush(score.detector)
        if self._features is None or self._residuals is None or self._margins is None:
            return
        if len(windows.markets) != len(self._scenario.names):
            return
        usable = windows.calm & windows.fresh
        self._features.take(windows, windows.values, usable)
        self._residuals.take(windows, np.concatenate([score.residuals for score in scores], axis=1), usable)
        margins = np.stack([score.values - score.levels[1] for score in scores])
        self._margins.take(windows, np.fmax.reduce(margins)[:, None], usable)
        self._result.features = tuple(feature.name for feature in windows.features)
        self._result.streams = tuple(stream for score in scores for stream in score.streams)

    def done(self) -> None:
        """The stream is over."""
        for detector in tuple(self._waiting):
            self._flush(detector)
        if self._features is not None and self._residuals is not None and self._margins is not None:
            self._result.samples, self._result.sample_ns = self._features.done()
            self._result.residuals, _ = self._residuals.done()
            self._result.margins = self._margins.done()[0][:, :, 0]

    def _flush(self, detector: str) -> None:
        values = np.concatenate(self._waiting[detector] or [np.zeros(0)])
        self._waiting[detector].clear()
        self._result.observed[detector] = self._result.observed.get(detector, 0) + int((~np.isnan(values)).sum())
        beyond = self._result.beyond.setdefault(detector, [0] * len(CALIBRATION))
        for k, score in enumerate(CALIBRATION):
            beyond[k] += int((values >= score).sum())


class Sampler:
    """Means over SAMPLE_WINDOWS windows, or the largest; NaN where a market was in a planned phase or unseen."""

    def __init__(self, names: tuple[str, ...], *, largest: bool = False) -> None:
        self._names = names
        self._largest = largest
        self._sum: Any = None
        self._count = 0
        self._rows: list[npt.NDArray[np.float32]] = []
        self._ns: list[int] = []
        self._order: Any = None

    def take(self, windows: Windows, values: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_]) -> None:
        """float64 (M, F) of one window, all markets there."""
        if self._order is None:
            self._order = [windows.markets.index(name) for name in self._names]
        said = np.where(usable[:, None], values, np.nan)
        if self._count == 0:
            self._sum = said
        else:
            self._sum = np.fmax(self._sum, said) if self._largest else self._sum + said
        self._count += 1
        if self._count == SAMPLE_WINDOWS:
            row = self._sum[self._order]
            self._rows.append((row if self._largest else row / SAMPLE_WINDOWS).astype(np.float32))
            self._ns.append(windows.close_ns)
            self._count = 0

    def done(self) -> tuple[Any, Any]:
        """(float32 (samples, M, F), int64 (samples) close_ns)."""
        return np.array(self._rows), np.array(self._ns, np.int64)

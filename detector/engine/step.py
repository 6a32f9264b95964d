"""Step: what one turn of the engine gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detector.incidents.audit import Standing
from detector.model.alert import Alert
from detector.model.events import Reject
from detector.model.incident import Incident
from detector.model.score import Score
from detector.model.windows import Windows


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One closed window with every detector's score of it."""

    windows: Windows
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """alerts and incidents in event-time order; `scored` is filled only when the pipeline was asked to keep it;
    counts: what happened, by name (events, records, late, unknown_order, ...). Among the alerts may be words about the
    promised number of pages, which belong to no incident; audit: each promise as it stands, when a window closed."""

    alerts: tuple[Alert, ...] = ()
    incidents: tuple[Incident, ...] = ()
    rejects: tuple[Reject, ...] = ()
    scored: tuple[Scored, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    audit: tuple[Standing, ...] = ()

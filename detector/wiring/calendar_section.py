"""The calendar's part of the configuration: the funding minute, and phases an operator plans."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from detector.engine.calendar import Calendar as EngineCalendar
from detector.engine.calendar import Phase
from detector.wiring.section import Name, Section, listed
from detector.wiring.units import Duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PHASES_MAX = 256


class Funding(Section):
    """The minute in which funding is paid."""

    every: Duration = Field(default=Duration.of("8h"), description="From midnight UTC on; 0s = there is no funding.")
    before: Duration = Field(default=Duration.of("30s"), description="Positions are moved this long before.")
    after: Duration = Field(default=Duration.of("60s"), description="And this long after.")

    @model_validator(mode="after")
    def _fits(self) -> Funding:
        if 0 < self.every.ns <= self.before.ns + self.after.ns:
            raise ValueError("longer than the time between two of them: nothing else would be left")
        return self


class PlannedPhase(Section):
    """A phase planned by an operator: a listing, an expiry, a maintenance."""

    start: AwareDatetime = Field(description="When it begins, with a time zone.")
    lasts: Duration = Field(description="How long, with the time that its bursts take to calm.")
    every: Duration = Field(default=Duration.of("0s"), description="Begins again each time this has passed; 0s = once.")
    markets: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = Field(
        default=(), description="The markets it concerns; none = all."
    )
    closed: bool = Field(default=False, description="Trading stands still: nothing is scored, silence is expected.")

    @model_validator(mode="after")
    def _fits(self) -> PlannedPhase:
        if self.lasts.ns == 0 or 0 < self.every.ns <= self.lasts.ns:
            raise ValueError("lasts: longer than nothing, and shorter than every")
        return self


class Calendar(Section):
    """Phases known beforehand, by event time. In them nothing is learned, and a page takes what else is critical."""

    phases: dict[Name, PlannedPhase] = Field(
        default={},
        max_length=PHASES_MAX,
        description="A table each, its name shown in alerts: [calendar.phases.upgrade] with "
        'start = "2026-12-01T03:00:00Z", lasts = "30m", and if need be every, markets, closed = true.',
    )
    funding: Funding = Funding()


def build_calendar(told: Calendar) -> EngineCalendar:
    """What the engine is told."""
    phases = [
        Phase(name, _ns(phase.start), phase.lasts.ns, phase.every.ns, phase.markets, phase.closed)
        for name, phase in sorted(told.phases.items())
    ]
    funding = told.funding
    if funding.every.ns > 0 and funding.before.ns + funding.after.ns > 0:
        lasts_ns = funding.before.ns + funding.after.ns
        phases.append(Phase("funding", -funding.before.ns, lasts_ns, funding.every.ns))
    return EngineCalendar(phases)


def _ns(moment: datetime) -> int:
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000

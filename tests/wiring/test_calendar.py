"""The calendar in the configuration: what is written there is what the engine is told."""

from __future__ import annotations

from typing import Any

import pytest

from detector.engine.calendar import Phase
from detector.wiring.build import build_pipeline
from detector.wiring.calendar_section import build_calendar
from detector.wiring.config import ConfigurationError, of

MINUTE_NS = 60 * 10**9
UPGRADE = {"start": "2026-12-01T03:00:00Z", "lasts": "30m", "closed": True}


def phases(calendar: dict[str, Any]) -> tuple[Phase, ...]:
    return build_calendar(of({"calendar": calendar}).settings.calendar).phases


def test_funding_is_paid_every_eight_hours_from_midnight_unless_it_is_said_otherwise() -> None:
    (funding,) = phases({})
    assert (funding.name, funding.markets, funding.closed) == ("funding", (), False)
    midnight_ns = 20_000 * 24 * 60 * MINUTE_NS
    for hour in range(24):
        at_ns = midnight_ns + hour * 60 * MINUTE_NS
        assert funding.touches(at_ns - 1, at_ns) is (hour % 8 == 0)
        assert not funding.touches(at_ns + MINUTE_NS, at_ns + 2 * MINUTE_NS)
    assert phases({"funding": {"every": "0s"}}) == ()


def test_a_phase_is_told_as_it_is_written() -> None:
    (upgrade,) = phases({"funding": {"every": "0s"}, "phases": {"upgrade": UPGRADE}})
    assert upgrade == Phase("upgrade", 1_796_094_000 * 10**9, 30 * MINUTE_NS, closed=True)
    assert build_pipeline(of({"calendar": {"phases": {"upgrade": UPGRADE}}}), pseudonym_key=b"k" * 32).shard.calendar


def test_a_calendar_changes_what_is_found_and_so_the_revision() -> None:
    assert of({}).config_rev != of({"calendar": {"phases": {"upgrade": UPGRADE}}}).config_rev


@pytest.mark.parametrize(
    ("phase", "key", "word"),
    [
        ({"start": "2026-12-01T03:00:00", "lasts": "30m"}, "calendar.phases.x.start", "timezone"),
        ({"start": "2026-12-01T03:00:00Z"}, "calendar.phases.x.lasts", "missing"),
        ({"start": "2026-12-01T03:00:00Z", "lasts": "2h", "every": "1h"}, "calendar.phases.x", "shorter than every"),
        ({"start": "2026-12-01T03:00:00Z", "lasts": "2h", "market": "A"}, "calendar.phases.x.market", "markets"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(phase: dict[str, Any], key: str, word: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        of({"calendar": {"phases": {"x": phase}}})
    (problem,) = caught.value.problems
    assert problem.key == key and word in problem.sentence

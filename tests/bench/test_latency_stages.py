"""Where an alert waits: the clocks are where the daemon passes, and their spans add up to the whole latency."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from bench.latency_stages import MOMENTS, SENT, STAGES, Moments, report, spans, watch
from detector.daemon.delivery import _Route
from detector.daemon.ledger import Ledger
from detector.daemon.service import Service
from tests.daemon.house import House
from tests.daemon.story import CountingEngine, ListSource, Remembering, expected_keys


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    """Clocks on the classes, taken off again at the end. The engine is a counter here."""
    monkeypatch.setattr("detector.engine.pipeline.Pipeline", CountingEngine)
    for kind, name in ((Service, "_poll"), (CountingEngine, "step"), (Ledger, "_write"), (_Route, "attempt")):
        monkeypatch.setattr(kind, name, getattr(kind, name))
    found: Moments = defaultdict(lambda: [0] * MOMENTS)
    watch(found)
    return found


async def test_every_alert_passes_every_clock_in_their_order(tmp_path: Path, moments: Moments) -> None:
    sink = Remembering("oncall")
    house = House(tmp_path, ListSource(100, partitions=2), sink)
    await house.open()
    expected = expected_keys(100, 2)
    assert await house.run_until(lambda: len(sink.got) == len(expected)) == 0
    assert set(moments) >= expected
    for key in expected:
        waited = spans(moments[key][0] - 1, moments[key], moments[key][SENT] + 1)
        assert waited is not None and len(waited) == len(STAGES) and min(waited) >= 0.0


def test_spans_add_up_to_the_latency_and_a_missing_moment_gives_none() -> None:
    at = [(stage + 1) ** 2 * 1_000_000 for stage in range(MOMENTS)]
    waited = spans(0, at, 50_000_000)
    assert waited is not None and sum(waited) == pytest.approx(50.0) and waited[:3] == [1.0, 3.0, 5.0]
    assert spans(0, [0, *at[1:]], 50_000_000) is None


def test_the_slowest_are_told_apart() -> None:
    rows = [[1.0] * len(STAGES) for _ in range(39)] + [[1.0] * (len(STAGES) - 1) + [200.0]]
    said = report("100ms", {"early": rows, "close": []})
    assert "told at an early look: 40 alerts" in said[1]
    assert said[-1] == "| posted | 1.0 | 122.4 | 100.5 |"

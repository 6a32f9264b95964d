"""The engine audits what it tells: every page once, early or at a window's close, against the windows it watched."""

from __future__ import annotations

from detector.model.incident import Incident, Reason, Severity
from tests.engine.story import Story, assigned, pipeline

WEEK_NS = 7 * 86_400 * 10**9


def came_to(incidents: list[Incident]) -> list[int]:
    """Pages at info, warning and critical."""
    counts, known = [0, 0, 0], dict[str, int]()
    for one in incidents:
        if one.reason in (Reason.OPENED, Reason.ESCALATED) and one.kind != "drift":
            before = known.get(one.incident_id, 0) if one.reason is Reason.ESCALATED else 0
            known[one.incident_id] = int(one.severity)
            for row in range(before, int(one.severity)):
                counts[row] += 1
    return counts


def test_what_was_told_is_what_was_audited() -> None:
    the_story = Story(5).busy(45).burst("ETH-PERP", 80.0, 300).busy(25, 45).burst("BTC-PERP", 110.0, 300)
    engine = assigned(pipeline(), the_story)
    steps = [engine.step([batch]) for batch in the_story.batches([50])]
    steps.append(engine.finish())
    incidents = [one for step in steps for one in step.incidents]
    last = [step.audit for step in steps if step.audit][-1]
    assert [standing.pages for standing in last] == came_to(incidents)
    assert last[Severity.WARNING - 1].pages > 0
    normal = sum(int(one.windows.normal.sum()) for step in steps for one in step.scored)
    width_ns = engine.settings.width_ns
    assert abs(last[0].market_weeks - normal * width_ns / WEEK_NS) < 1e-12


def test_a_step_that_closes_no_window_says_nothing_of_the_promises() -> None:
    the_story = Story(5).busy(10)
    engine = assigned(pipeline(), the_story)
    steps = [engine.step([batch]) for batch in the_story.batches([1])]
    closed = [bool(step.scored) for step in steps]
    assert [bool(step.audit) for step in steps] == closed
    assert any(closed)
    assert not all(closed)

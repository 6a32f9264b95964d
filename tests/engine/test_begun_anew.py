"""A market whose numbers begin again: what follows is told as ever, the restart is told, and the laws hold across it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.alert import Alert
from detector.model.records import RecordBatch
from detector.store.snapshot import decode, encode
from tests.engine.story import Story, assigned, pipeline, told
from tests.engine.test_laws import after


def story(seed: int, restart_s: float = 40.0, market: str = "ETH-PERP") -> Story:
    """Everything is numbered, and the numbers of one market begin again; a burst in it afterwards."""
    made = Story(seed).busy(80, rate=20).burst("ETH-PERP", 80.0, 300).busy(25, 81, rate=20)
    return numbered(made, market, restart_s)


def numbered(made: Story, market: str, restart_s: float) -> Story:
    numbers: dict[str, int] = {}
    first_ns = min(message["ts"] for _, message in made.messages)
    messages: list[tuple[int, dict[str, Any]]] = []
    restarted = False
    for partition, message in made.messages:
        name = message["market"]
        if name == market and not restarted and message["ts"] >= first_ns + int(restart_s * 1e9):
            restarted, numbers[name] = True, 0
        numbers[name] = numbers.get(name, 10**6) + 1
        messages.append((partition, {**message, "seq": numbers[name]}))
    made.messages = messages
    return made


def alerts_of(the_story: Story) -> tuple[list[Alert], float]:
    """What is told, and the most cancels of a window of ETH-PERP."""
    engine = assigned(pipeline(), the_story)
    steps = [*(engine.step([batch]) for batch in the_story.batches([97])), engine.finish()]
    market = engine.markets.index("ETH-PERP")
    most = max(s.windows.column("cancels")[market] for t in steps for s in t.scored if market < len(s.windows.markets))
    return [alert for step in steps for alert in step.alerts], float(most)


def test_a_restart_is_told_and_a_burst_after_it_is_heard() -> None:
    alerts, cancels = alerts_of(story(1))
    restarts = [alert for alert in alerts if "sequence numbers" in alert.data["title"]]
    assert [
        (alert.type, alert.data["markets"], alert.data["severity"], alert.data["status"]) for alert in restarts
    ] == [("foreshock.degraded", ["ETH-PERP"], "warning", status) for status in ("firing", "resolved")]
    assert len({alert.data["incident_id"] for alert in restarts}) == 1
    assert all(alert.data["momentary"] for alert in restarts), "its end says nothing that its beginning did not"
    assert "1000" in restarts[0].data["summary"]
    assert cancels > 150.0


def test_where_numbers_go_on_nothing_is_told() -> None:
    alerts, _ = alerts_of(story(1, market="none"))
    assert not any("sequence numbers" in alert.data["title"] for alert in alerts)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6), restart=st.integers(5, 90)
)
def test_in_any_chunks_and_any_parts_the_same_is_told(seed: int, sizes: list[int], restart: int) -> None:
    the_story = story(seed, float(restart))

    def run(parts: int, sizes: list[int]) -> Any:
        engine = assigned(pipeline(parts=parts), the_story)
        return told([*(engine.step([batch]) for batch in the_story.batches(sizes)), engine.finish()])

    assert run(1, [97]) == run(1, sizes) == run(3, [97])


@pytest.mark.parametrize("seed", [5, 6])
def test_a_daemon_that_restarts_amid_the_restart_tells_the_same(seed: int) -> None:
    the_story = story(seed)
    batches: list[RecordBatch] = list(the_story.batches([20]))
    engine = assigned(pipeline(), the_story)
    whole = told([*(engine.step([batch]) for batch in batches), engine.finish()])
    engine = assigned(pipeline(), the_story)
    steps = []
    for number, batch in enumerate(batches):
        steps.append(engine.step([batch]))
        if number % 3 == 0:
            positions, saved = dict(engine.positions()), encode(engine.state())
            engine = assigned(pipeline(), the_story)
            engine.restore(decode(saved))
            again = [part for b in batches[: number + 1] if (part := after(b, positions)) is not None]
            steps.extend(engine.step([part]) for part in again)
    steps.append(engine.finish())
    assert told(steps) == whole

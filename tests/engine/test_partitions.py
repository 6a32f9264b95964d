"""Partitions that say nothing: an empty one holds nothing up, and counts no time of its own."""

from __future__ import annotations

from detector.model.records import idle
from tests.engine.story import START_NS, Story, pipeline


def test_a_partition_that_never_had_a_record_holds_up_nothing_once_it_is_said_to_be_empty() -> None:
    story = Story(1, partitions=1).busy(20)
    engine = pipeline()
    engine.assign([("m", 0), ("m", 1)])
    for batch in story.batches([50]):
        engine.step([batch])
    assert engine.watermark_ns == 0, "an assigned partition may still have something to say"
    engine.step([idle("m", 1, 0, engine.event_ns(("m", 1)))])
    assert engine.watermark_ns > START_NS + 15 * 10**9


def test_idle_statements_are_counted_from_the_last_record_and_not_from_each_other() -> None:
    story = Story(1, partitions=1).busy(5)
    engine = pipeline()
    engine.assign([("m", 0)])
    for batch in story.batches([1000]):
        engine.step([batch])
    last_ns = engine.event_ns(("m", 0))
    engine.step([idle("m", 0, 1000, last_ns + 10**9)])
    assert engine.event_ns(("m", 0)) == last_ns


def test_a_live_source_that_goes_quiet_closes_its_windows() -> None:
    story = Story(1, partitions=1).busy(5)
    engine = pipeline()
    engine.assign([("m", 0)])
    for batch in story.batches([1000]):
        engine.step([batch])
    before_ns = engine.watermark_ns
    step = engine.step([idle("m", 0, 1000, engine.event_ns(("m", 0)) + 30 * 10**9)])
    assert engine.watermark_ns >= before_ns + 29 * 10**9
    assert len(step.scored) >= 29
    assert step.scored[-1].windows.idle

"""Partitions that say nothing: an empty one holds nothing up, and counts no time of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detector.engine.lane import OVER_NS, Lane
from detector.engine.quiet import SKEW_NS, reached_ns
from detector.model.records import RecordBatch, idle, pack
from detector.store.snapshot import decode, encode
from tests.engine.story import START_NS, Story, pipeline

HOUR_NS, S = 3600 * 10**9, 10**9


def test_a_partition_that_never_had_a_record_holds_up_nothing_once_it_is_said_to_be_empty() -> None:
    story = Story(1, partitions=1).busy(20)
    engine = pipeline()
    engine.assign([("m", 0), ("m", 1)])
    for batch in story.batches([50]):
        engine.step([batch])
    assert engine.watermark_ns == 0, "an assigned partition may still have something to say"
    engine.step([idle("m", 1, 0, engine.quiet_ns(("m", 1), 0.0, START_NS))])
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


def lane(clock_ns: int, broker_ns: int = 0, idle_ns: int = 0) -> Lane:
    made = Lane("m", 0, 5 * S)
    made.clock_ns, made.broker_ns, made.idle_ns = clock_ns, broker_ns, idle_ns
    return made


T = START_NS + 10 * HOUR_NS


@pytest.mark.parametrize(
    ("lanes", "now_ns", "reached"),
    [
        # its last record is an hour old, and the daemon listens for a second
        ([lane(T - HOUR_NS, T - HOUR_NS), lane(T)], T, T),
        ([lane(T - HOUR_NS, T - HOUR_NS), lane(T - 2 * HOUR_NS, idle_ns=T - 5 * S)], T, T - 5 * S),
        # the others are not read to their ends yet: what they have not reached, it has not either
        ([lane(T - HOUR_NS, T - HOUR_NS), lane(T - 2 * HOUR_NS)], T, T - HOUR_NS + S),
        # event time is not the wall clock's
        ([lane(T - HOUR_NS, T + HOUR_NS), lane(T)], T + 2 * HOUR_NS, T),
        # a clock that is wrong does not take it along
        ([lane(T - HOUR_NS, T - HOUR_NS), lane(T + 9 * HOUR_NS)], T, T + SKEW_NS),
        # a log without times of its own; one that is over
        ([lane(T - HOUR_NS), lane(T)], T, T - HOUR_NS + S),
        ([lane(T - HOUR_NS, T - HOUR_NS), lane(T, idle_ns=OVER_NS)], T, T - HOUR_NS + S),
        # empty ones
        ([lane(0), lane(T)], T, T),
        ([lane(0), lane(0)], T, 0),
        ([lane(T, T)], T, T + S),
    ],
)
def test_how_far_event_time_has_come_in_a_partition_that_has_been_quiet_for_a_second(
    lanes: list[Lane], now_ns: int, reached: int
) -> None:
    assert reached_ns({("m", at): one for at, one in enumerate(lanes)}, ("m", 0), 1.0, now_ns) == reached


def marks(partition: int, first: int, times_ns: list[int]) -> RecordBatch:
    """The log got each when it happened."""
    said: list[dict[str, Any]] = [{"type": "mark", "market": f"P{partition}", "price": 1, "ts": ts} for ts in times_ns]
    values, offsets = [json.dumps(one).encode() for one in said], range(first, first + len(said))
    return pack("m", partition, values, offsets, broker_ns=times_ns)


def test_after_an_hour_without_the_daemon_a_quiet_partition_holds_nobody_an_hour_back() -> None:
    engine = pipeline()
    engine.assign([("m", 0), ("m", 1)])
    before = [START_NS + second * S for second in range(60)]
    engine.step([marks(0, 0, before), marks(1, 0, before)])
    again = pipeline()
    again.restore(engine.state())
    again.assign([("m", 0), ("m", 1)])
    now_ns = START_NS + HOUR_NS
    at = again.positions()
    after = [*before[at["m", 0] :], *(now_ns + second * S for second in range(60))]
    again.step([marks(0, at["m", 0], after), marks(1, at["m", 1], before[at["m", 1] :])])
    again.step([idle("m", 1, 60, again.quiet_ns(("m", 1), 3.0, now_ns + 59 * S) - 2 * S)])
    assert again.watermark_ns >= now_ns + 50 * S


@pytest.mark.parametrize("told", [{("m", 0): 7}, {}])
def test_after_a_restore_it_goes_on_where_it_is_told(told: dict[tuple[str, int], int]) -> None:
    whole = Story(3, partitions=1).busy(20).batches([50])
    first, *rest = whole
    engine = pipeline()
    engine.step([first])
    again = pipeline()
    again.restore(decode(encode(engine.state())))
    assert again.positions() == engine.positions() != {}
    again.go_on(told)
    assert again.positions() == told, "also when it is saved before a record came"
    again.step([first])  # from its beginning, and it is not wrong afterwards about where it is
    again.step(rest)
    again.finish()
    assert again.positions() == {("m", 0): rest[-1].next_offset}

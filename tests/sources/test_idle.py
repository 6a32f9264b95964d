"""When a quiet partition is said to be idle, whatever the clock reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector.sources.idle import IdleClock

EVENT_NS = 10**18
HERE = ("t", 0)


@given(start_s=st.floats(0, 1e7), every_s=st.sampled_from([0.05, 0.1, 0.2, 0.3, 1.0]))
def test_the_first_statement_comes_as_soon_as_it_was_quiet_long_enough(start_s: float, every_s: float) -> None:
    clock = IdleClock(lambda partition, quiet_s: EVENT_NS + int(quiet_s * 1e9), 2.0, every_s)
    clock.busy(HERE, start_s)
    assert clock.idle_ns(HERE, start_s + 1.9) == 0
    assert clock.idle_ns(HERE, start_s + 2.1) >= EVENT_NS
    assert clock.idle_ns(HERE, start_s + 2.1 + every_s / 2) == 0
    assert clock.idle_ns(HERE, start_s + 2.2 + every_s) > EVENT_NS


def test_a_partition_whose_event_time_nobody_knows_is_not_said_to_be_idle() -> None:
    clock = IdleClock(lambda partition, quiet_s: 0, 2.0, 0.2)
    clock.busy(HERE, 5.0)
    assert clock.idle_ns(HERE, 100.0) == 0

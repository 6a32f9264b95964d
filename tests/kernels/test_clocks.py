"""Clocks in one loop against the same said by numpy, compiled and as plain Python."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.kernels import plain
from detector.kernels.clocks import NOT_ORDINARY, lay_clocks, meet
from detector.model.events import EventColumn, empty_events

LEAP_NS, BEHIND_NS = 20, 50
RECORDS = st.lists(st.tuples(st.integers(1, 120), st.integers(1, 3)), min_size=1, max_size=12)  # (time, rows)


def rows_of(records: list[tuple[int, int]]) -> tuple[EventColumn, npt.NDArray[np.int64]]:
    """The rows, the last of a record being its newest, and where each record begins."""
    events = empty_events(sum(rows for _, rows in records))
    begins = np.cumsum([0] + [rows for _, rows in records])
    for number, (time_ns, rows) in enumerate(records):
        events["offset"][begins[number] : begins[number + 1]] = 7 + number
        events["event_ns"][begins[number] : begins[number + 1]] = time_ns - np.arange(rows)[::-1] % 2
    return events, begins


@given(RECORDS, st.integers(0, 80), st.integers(0, 11))
@settings(max_examples=200, deadline=None)
def test_clocks_are_the_largest_times_so_far_unless_a_record_leaps_or_lies_far_behind(
    records: list[tuple[int, int]], clock_ns: int, first: int
) -> None:
    events, begins = rows_of(records)
    first = min(first, len(records) - 1)
    tops = np.array([time_ns for time_ns, _ in records[first:]])
    wanted = np.maximum.accumulate(np.maximum(tops, clock_ns))
    before = np.concatenate(([clock_ns or tops[0]], wanted[:-1]))
    ordinary = not (np.any(tops > before + LEAP_NS) or np.any(tops < before - BEHIND_NS))
    for lay in (lay_clocks, plain(lay_clocks)):
        clocks = np.zeros(len(events), np.int64)
        last = int(lay(events, int(begins[first]), clock_ns, LEAP_NS, BEHIND_NS, clocks))
        assert last == (wanted[-1] if ordinary else NOT_ORDINARY)
        if ordinary:
            assert np.array_equal(clocks[begins[first] :], np.repeat(wanted, [rows for _, rows in records[first:]]))


def test_a_market_is_met_once() -> None:
    events = empty_events(5)
    events["market"] = [3, 1, 3, 0, 1]
    for look in (meet, plain(meet)):
        met = np.zeros(4, np.uint8)
        assert (int(look(events, met)), int(look(events, met)), met.tolist()) == (3, 0, [1, 1, 0, 1])

"""Clocks in one loop against the same said by numpy, compiled and as plain Python."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.kernels import plain
from detector.kernels.clocks import AHEAD, BACK, BUSY, IDLE, NOT_ORDINARY, OVER, lay_clocks, meet, settle
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


TOPS = st.lists(st.sampled_from([1, 60, 65, 70, 75, 130, 131, 500]), min_size=1, max_size=40)


def settled(
    tops: list[int], stamps: list[int], clock_ns: int, follows: int, *, fast: bool = True
) -> tuple[list[int], list[int]]:
    """Clocks and fates of those that are decided: three go ahead together, five back, eight are asked."""
    clocks, fates = np.zeros(len(tops), np.int64), np.zeros(len(tops), np.uint8)
    times = np.array(tops, np.int64), np.array(stamps, np.int64)
    lay = settle if fast else plain(settle)
    done = int(lay(*times, clock_ns, 0, follows, LEAP_NS, BEHIND_NS, 3, 5, 8, clocks, fates))
    return clocks[:done].tolist(), fates[:done].tolist()


@given(TOPS, st.data(), st.sampled_from([BUSY, IDLE, OVER]))
@settings(max_examples=200, deadline=None)
def test_a_fate_depends_on_the_clock_before_and_on_what_follows(tops: list[int], data: st.DataObject, how: int) -> None:
    stamps = data.draw(st.lists(st.sampled_from([0, 1, 66, 500]), min_size=len(tops), max_size=len(tops)))
    clocks, fates = settled(tops, stamps, 62, how)
    assert (clocks, fates) == settled(tops, stamps, 62, how, fast=False)
    assert how != OVER or len(clocks) == len(tops)
    if clocks:
        at = data.draw(st.integers(0, len(clocks) - 1))
        assert settled(tops[at:], stamps[at:], [62, *clocks][at], how) == (clocks[at:], fates[at:])
        short = settled(tops[: at + 1], stamps[: at + 1], 62, BUSY)
        assert how != BUSY or short == (clocks[: len(short[0])], fates[: len(short[0])])


def test_leaps_alone_are_put_at_the_clock_and_three_move_it() -> None:
    assert settled([130, 131, 65, 66, 67], [0] * 5, 62, BUSY) == ([62, 62, 65, 66, 67], [AHEAD, AHEAD, 0, 0, 0])
    assert settled([130, 131, 132], [0] * 3, 62, BUSY) == ([130, 131, 132], [0, 0, 0])
    assert settled([130, 131], [0] * 2, 62, BUSY) == ([], [])
    assert settled([130], [66], 62, BUSY) == ([66], [AHEAD]), "the log's own time keeps to the clock"
    assert settled([130], [500], 62, BUSY) == ([], []), "or does not"
    assert settled([500, 1], [0] * 2, 62, OVER) == ([62, 62], [AHEAD, 0])
    assert settled([1, 2, 3, 4, 5], [0] * 5, 62, BUSY) == ([1, 2, 3, 4, 5], [BACK, 0, 0, 0, 0])


def test_a_market_is_met_once() -> None:
    events = empty_events(5)
    events["market"] = [3, 1, 3, 0, 1]
    for look in (meet, plain(meet)):
        met = np.zeros(4, np.uint8)
        assert (int(look(events, met)), int(look(events, met)), met.tolist()) == (3, 0, [1, 1, 0, 1])

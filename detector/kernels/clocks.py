"""Clocks: event time after each row of a decoded batch, and which markets the rows name, in one pass over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel

NOT_ORDINARY = -1


@kernel
def lay_clocks(events: Any, start: Any, clock_ns: Any, leap_ns: Any, behind_ns: Any, clocks: Any) -> Any:
    """Write the largest event time so far, as of each whole record, to clocks (int64 (rows)), from row `start` on;
    returns the last one. NOT_ORDINARY, and anything in `clocks`, when a record lies more than leap_ns ahead of the
    clock or more than behind_ns behind it: whoever knows what that means has to look.

    Rows of one record share their offset. clock_ns: before `start`, 0 = nothing came yet. There is a row at `start`.
    """
    now_ns = clock_ns if clock_ns != 0 else _top(events, start)[0]
    row = start
    while row < len(events):
        top_ns, stop = _top(events, row)
        if top_ns > now_ns + leap_ns or top_ns < now_ns - behind_ns:
            return np.int64(NOT_ORDINARY)
        now_ns = max(now_ns, top_ns)
        for at in range(row, stop):
            clocks[at] = now_ns
        row = stop
    return now_ns


@kernel
def _top(events: Any, row: Any) -> Any:
    """(the largest event time of the record that begins at `row`, the row after it)."""
    offset = events[row]["offset"]
    top_ns = events[row]["event_ns"]
    stop = row + 1
    while stop < len(events) and events[stop]["offset"] == offset:
        top_ns = max(top_ns, events[stop]["event_ns"])
        stop += 1
    return top_ns, stop


@kernel
def meet(events: Any, met: Any) -> Any:
    """Mark the rows' markets in met (uint8, by EVENT["market"]); how many were not marked before."""
    fresh = 0
    for row in range(len(events)):
        market = events[row]["market"]
        if met[market] == 0:
            met[market] = 1
            fresh += 1
    return fresh

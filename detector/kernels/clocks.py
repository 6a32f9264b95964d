"""Clocks: event time after each row of a decoded batch, and which markets the rows name, in one pass over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel

NOT_ORDINARY = -1
PLAIN, AHEAD, BACK = 0, 1, 2  # fates: time goes on; too far ahead, put at the clock; the log itself went back to here
BUSY, IDLE, OVER = 0, 1, 2  # what follows the last record: more; nothing for now; nothing ever


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
def settle(
    tops: Any,
    stamps: Any,
    clock_ns: Any,
    idle_ns: Any,
    follows: Any,
    leap_ns: Any,
    behind_ns: Any,
    ahead_records: Any,
    back_records: Any,
    held_max: Any,
    clocks: Any,
    fates: Any,
) -> Any:
    """Fates of records some of which are not ordinary; returns how many are decided: that of the next one depends on
    records that are still to come. What becomes of a record depends on the clock before it and on what follows, never
    on what was decided before: so whoever begins at any record with the clock that was there comes to the same.

    tops      int64 (records), largest event time of each
    stamps    int64 (records), the log's own time of each, 0 = unknown
    follows   BUSY, IDLE or OVER; idle_ns: as far as silence has moved time on
    clocks    int64 (records) out, after each; fates: uint8 (records) out
    """
    now_ns = clock_ns
    for at in range(len(tops)):
        top_ns, stamp_ns = tops[at], stamps[at]
        fate = PLAIN
        if now_ns == 0 or now_ns - behind_ns <= top_ns <= now_ns + leap_ns:
            now_ns = max(now_ns, top_ns)
        elif top_ns > now_ns:
            stamped = stamp_ns > 0 and top_ns > stamp_ns + leap_ns
            if stamped and now_ns - leap_ns <= stamp_ns <= now_ns + behind_ns:
                fate = AHEAD  # the log's own time keeps to the clock, and this record to neither
                now_ns = max(now_ns, stamp_ns)
            else:
                net, agree = _walk(tops, at, top_ns - leap_ns, True, ahead_records, held_max)
                borne_out = stamp_ns > 0 and stamp_ns - behind_ns <= top_ns <= stamp_ns + leap_ns
                if 0 < net < ahead_records:
                    unopposed = net == agree
                    if follows == OVER or top_ns <= idle_ns + leap_ns:
                        net = ahead_records if unopposed else 0
                    elif follows == IDLE and unopposed and (agree > 1 or borne_out):
                        net = ahead_records
                    else:
                        return at
                if net > 0:
                    now_ns = top_ns
                else:
                    fate = AHEAD
        else:
            net, agree = _walk(tops, at, now_ns - behind_ns, False, back_records, held_max)
            if 0 < net < back_records:
                if follows != OVER:
                    return at
                net = back_records if net == agree and agree >= ahead_records else 0
            if net > 0:
                now_ns = top_ns
                fate = BACK
        clocks[at] = now_ns
        fates[at] = fate
    return len(tops)


@kernel
def _walk(tops: Any, at: Any, bound_ns: Any, above: Any, needed: Any, held_max: Any) -> Any:
    """(net, agreeing) of record `at` and those after it: up for each that lies with it on its side of bound_ns, down
    for each that does not, until the net is 0 (it stands alone), `needed` (they all went), or nobody is left to ask.
    After held_max records it stands alone: as many say this as that."""
    net, agree = 0, 0
    for other in range(at, len(tops)):
        if (tops[other] >= bound_ns) == above:
            net += 1
            agree += 1
        else:
            net -= 1
        if net == 0 or net == needed:
            return net, agree
        if other - at + 1 >= held_max:
            return 0, agree
    return net, agree


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

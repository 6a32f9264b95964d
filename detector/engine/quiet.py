"""Quiet: how far event time has come in a partition that has nothing more to say, so that it holds nobody up.

Its last record's time, and as long as it was heard to be quiet since. That alone falls short of the time in which
nobody listened: after an hour in which the daemon was down, a partition that stays quiet would hold all windows an hour
back. So it is also where the others have come to, as far as the log's own time of its last record bears that out.
"""

from __future__ import annotations

from collections.abc import Mapping

from detector.engine.lane import OVER_NS, Lane
from detector.engine.spans import Partition

SECOND_NS = 1_000_000_000
SKEW_NS = 60 * SECOND_NS  # that clocks of machines are apart at most


def reached_ns(lanes: Mapping[Partition, Lane], partition: Partition, quiet_s: float, now_ns: int) -> int:
    """Event time, ns; 0 = unknown. quiet_s: heard to be quiet for so long; now_ns: the wall clock.

    Nothing is said here of the others' having been read to their ends: where they have not, they are behind, and no
    window closes before they are there.
    """
    others = (max(lane.clock_ns, lane.idle_ns) for key, lane in lanes.items() if key != partition)
    newest_ns = max((at_ns for at_ns in others if at_ns < OVER_NS), default=0)
    lane = lanes.get(partition)
    if lane is None or lane.clock_ns <= 0:
        return newest_ns  # an empty one must not hold up those that are not
    own_ns = lane.clock_ns + int(quiet_s * SECOND_NS)
    if lane.broker_ns <= 0:
        return own_ns
    # others whose clock is wrong do not take it along
    return max(own_ns, min(newest_ns, lane.clock_ns + (now_ns - lane.broker_ns) + SKEW_NS))

"""Where reading begins: positions that we keep ourselves, held against what a log still has. A helper, no plug-in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from detector.sources.base import Partition

DECIDE = "stop the daemon, say `foreshock position set` where to go on, and start it"


class NoticeKind(StrEnum):
    """What an operator has to know about the log, apart from its records."""

    GAP = "gap"  # records between the two offsets are gone (retention): the state has a hole, warm up again
    TRUNCATED = "truncated"  # the log ends before our position, or is another one: not read until somebody decides
    CORRUPT = "corrupt"  # a record batch cannot be read; it is fetched again
    QUARANTINED = "quarantined"  # it could not be read for good; skipped
    HELD = "held"  # it could not be read and nobody knows where it ends: not read until somebody decides
    FALLBACK = "fallback"  # a slower way of reading is used


@dataclass(frozen=True, slots=True)
class Notice:
    """`from_offset` <= the records in question < `to_offset`; `detail` is a sentence."""

    kind: NoticeKind
    topic: str
    partition: int
    from_offset: int
    to_offset: int
    detail: str


@dataclass(frozen=True, slots=True)
class Placing:
    """`offset`: where to seek. `held`: the partition must not be read."""

    offset: int
    held: bool = False
    notice: Notice | None = None


def place(
    partition: Partition, position: int | None, begin: int, end: int, start: int, *, another: bool = False
) -> Placing:
    """Decide where to read on.

    position  next offset by our own account, None = there is none
    begin     offset of the first record the log still has; end: of the one after the last
    start     where a partition without a position starts
    another   the log is not the one that the position is of, but has its name

    >>> place(("orders", 0), 7, 0, 10, 10).offset, place(("orders", 0), None, 0, 10, 10).offset
    (7, 10)
    >>> place(("orders", 0), 7, 9, 10, 10).notice.detail
    'records 7 to 8 are gone: retention was faster than we were'
    >>> place(("orders", 0), 7, 0, 5, 5).held, place(("orders", 0), 7, 0, 10, 10, another=True).held
    (True, True)
    """
    topic, number = partition
    if position is None:
        return Placing(min(max(start, begin), end))
    if another and position > 0:  # who has read nothing yet misses nothing
        detail = f"the topic was made anew since we read its records up to {position}; {DECIDE}"
        return Placing(end, held=True, notice=Notice(NoticeKind.TRUNCATED, topic, number, begin, position, detail))
    if position < begin:
        detail = f"records {position} to {begin - 1} are gone: retention was faster than we were"
        return Placing(begin, notice=Notice(NoticeKind.GAP, topic, number, position, begin, detail))
    if position > end:
        detail = (
            f"the log ends at {end}, before our position {position}: the topic was made anew or lost records; {DECIDE}"
        )
        return Placing(end, held=True, notice=Notice(NoticeKind.TRUNCATED, topic, number, end, position, detail))
    return Placing(position)

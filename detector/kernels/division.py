"""Division: rows told apart by whose they are. For work that is split among threads (engine/shards.py)."""

from __future__ import annotations

from typing import Any

from detector.kernels import kernel


@kernel
def take_own(events: Any, start: Any, stop: Any, owners: Any, owner: Any, own: Any) -> Any:
    """Copy rows of events[start:stop] whose market is `owner`'s to the front of `own`, in their order; how many.

    owners: int32, by EVENT["market"]. own: at least stop - start rows.
    """
    row = 0
    for i in range(start, stop):
        if owners[events[i]["market"]] == owner:
            own[row] = events[i]
            row += 1
    return row


@kernel
def first_without(events: Any, start: Any, stop: Any, owners: Any) -> Any:
    """The first row of events[start:stop] whose market has no owner yet (-1); `stop` when all have."""
    for i in range(start, stop):
        if owners[events[i]["market"]] < 0:
            return i
    return stop

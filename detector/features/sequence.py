"""Sequence: duplicates are dropped, gaps are counted, and what merely comes late is not taken for a duplicate.

A market's numbers rise, but gateways overtake each other: an order or a cancel whose number was passed over a moment
ago is applied when it comes, or the order it takes away would rest for ever. An old level is dropped:
levels are absolute.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.tables import SEEN_BITS, Count
from detector.kernels import kernel
from detector.model.events import Flag, Kind

_DUPLICATE, _GAP = int(Count.DUPLICATE), int(Count.SEQUENCE_GAP)
_BOOK, _LEVEL = int(Kind.BOOK), int(Kind.LEVEL)
_AFTER_GAP = int(Flag.AFTER_GAP)
_WORD = 64


@kernel
def _see(place: Any, seq: Any) -> Any:
    bit = seq % SEEN_BITS
    place["seen"][bit // _WORD] |= np.uint64(1) << np.uint64(bit % _WORD)


@kernel
def _unsee(place: Any, seq: Any) -> Any:
    bit = seq % SEEN_BITS
    place["seen"][bit // _WORD] &= ~(np.uint64(1) << np.uint64(bit % _WORD))


@kernel
def _was_seen(place: Any, seq: Any) -> Any:
    bit = seq % SEEN_BITS
    return (place["seen"][bit // _WORD] >> np.uint64(bit % _WORD)) & np.uint64(1) != np.uint64(0)


@kernel
def in_sequence(markets: Any, counts: Any, event: Any, market: Any) -> Any:
    """False for a duplicate, and for what is older than the last snapshot or than SEEN_BITS numbers. Counts gaps."""
    seq = event["seq"]
    if seq < 0:
        return True
    place = markets[market]
    if seq == place["now_seq"] and event["offset"] == place["seq_offset"]:
        return True  # a further row of the same record
    last = place["last_seq"]
    if last >= 0 and event["kind"] != _BOOK and seq <= last:
        old = last - seq >= SEEN_BITS or seq <= place["floor_seq"] or event["first_seq"] != seq
        if old or event["kind"] == _LEVEL or _was_seen(place, seq):
            counts[_DUPLICATE] += 1
            return False
        _see(place, seq)
    elif event["kind"] == _BOOK:
        place["floor_seq"] = seq
        place["last_seq"] = seq
    else:
        if last >= 0:
            if event["first_seq"] > last + 1:
                counts[_GAP] += 1
                event["flags"] |= _AFTER_GAP
            for passed in range(max(last + 1, seq - SEEN_BITS + 1), seq):
                _unsee(place, passed)
        else:
            place["floor_seq"] = seq - 1
        _see(place, seq)
        place["last_seq"] = seq
    place["now_seq"] = seq
    place["seq_offset"] = event["offset"]
    return True

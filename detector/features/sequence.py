"""Sequence: duplicates are dropped, gaps are counted, and what merely comes late is not taken for a duplicate.

A market's numbers rise, but gateways overtake each other: an order or a cancel whose number was passed over a moment
ago is applied when it comes, or the order it takes away would rest for ever. An old level is dropped:
levels are absolute.

Numbers also begin again, when a matching engine starts anew; and one wrong number, far too large, makes all that
follows look old. What is sent again carries the event times it had: none is later than all that was taken. So
RESTART_MIN events in a row that are older by number, newer by time, and whose own numbers rise are the truth, and
numbers begin again with them (docs/adr/0050).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.restarts import note_restart
from detector.features.tables import SEEN_BITS, Count
from detector.kernels import kernel
from detector.model.events import Flag, Kind

# a stray number is one, a snapshot that came before the changes it holds is followed by a few, a restart by all
RESTART_MIN = 32
_DUPLICATE, _GAP = int(Count.DUPLICATE), int(Count.SEQUENCE_GAP)
_OUT_OF_SEQUENCE, _RESTART = int(Count.OUT_OF_SEQUENCE), int(Count.SEQUENCE_RESTART)
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
def _begin_again(place: Any, seq: Any) -> Any:
    """One more event that is older by its number and newer by its time: whether it is one of so many in a row, with
    numbers that rise, that numbers have begun again. An overtaken one among them says neither."""
    if place["run"] == 0 or seq <= place["run_seq"] - SEEN_BITS:
        place["run"] = 0
    elif seq <= place["run_seq"]:
        return False
    place["run"] += 1
    place["run_seq"] = seq
    return place["run"] >= RESTART_MIN


@kernel
def in_sequence(markets: Any, counts: Any, event: Any, market: Any) -> Any:
    """False for a duplicate, and for what is older than the last snapshot or than SEEN_BITS numbers. Counts gaps, and
    numbers that begin again."""
    seq = event["seq"]
    if seq < 0:
        return True
    place = markets[market]
    newest_ns = max(place["numbered_ns"], event["event_ns"])
    if seq == place["now_seq"] and event["offset"] == place["seq_offset"]:
        place["numbered_ns"] = newest_ns
        return True  # a further row of the same record
    last = place["last_seq"]
    if event["kind"] == _BOOK:
        place["floor_seq"] = seq
        place["last_seq"] = seq
    elif event["event_ns"] <= place["era_ns"]:
        counts[_DUPLICATE] += 1
        return False
    elif last >= 0 and seq <= last:
        old = last - seq >= SEEN_BITS or seq <= place["floor_seq"] or event["first_seq"] != seq
        if old or event["kind"] == _LEVEL or _was_seen(place, seq):
            if seq == last or event["event_ns"] <= place["numbered_ns"]:
                counts[_DUPLICATE] += 1
                return False
            if not _begin_again(place, seq):
                counts[_DUPLICATE] += 1
                counts[_OUT_OF_SEQUENCE] += 1
                return False
            counts[_RESTART] += 1
            note_restart(place["renumbered"], event["event_ns"])
            event["flags"] |= _AFTER_GAP
            place["era_ns"] = place["numbered_ns"]
            place["before_seq"] = last
            place["floor_seq"] = seq - 1
            place["last_seq"] = seq
        _see(place, seq)
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
    place["numbered_ns"] = newest_ns
    place["run"] = 0
    return True

"""A place in the table of participants that is given to somebody else knows nothing of who had it before."""

from __future__ import annotations

import numpy as np

from detector.kernels.participants import PARTICIPANT, participant_of


def test_a_place_that_was_somebody_else_s_is_as_good_as_new() -> None:
    places = []
    for used in (False, True):
        participants = np.zeros(4, PARTICIPANT)
        if used:
            participants.view(np.uint8)[: PARTICIPANT.itemsize] = 0x3F
            participants[0]["account"], participants[0]["next"] = 0, -1
        use = np.array([1, 0] if used else [0, -1], np.int64)
        first, held, vain, need = np.full(1, -1, np.int32), *(np.zeros(1, np.int64) for _ in range(3))
        at = participant_of(np.zeros(8, np.uint64), participants, use, first, held, vain, need, 77, 0, 1_000, 3)
        assert at == 0 and held[0] == 1
        places.append(participants[0])
    new, again = places
    for name in PARTICIPANT.names or ():
        assert new[name] == again[name], name

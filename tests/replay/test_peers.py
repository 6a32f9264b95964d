"""Peers are worth beating: each ranks what is plainly unusual first. Captures that are not there say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.captures import rows
from bench.peer_scores import CHIEF, LEARN_SAMPLES
from bench.peers import PEERS, RAW_ONLY

LENGTH = 3 * LEARN_SAMPLES
AT = LENGTH - 200


@pytest.mark.parametrize("name", [name for name in PEERS if name != "random"])
@pytest.mark.parametrize("names", [CHIEF, ("a", "b", "c", "d")])
def test_a_peer_ranks_what_is_plainly_unusual_first(name: str, names: tuple[str, ...]) -> None:
    if names != CHIEF and name in RAW_ONLY:
        pytest.skip("it needs counts")
    dice = np.random.default_rng(3)
    values = dice.poisson(5.0, (LENGTH, 1, len(names))).astype(float)
    values[AT : AT + 3] += 60.0
    scores = PEERS[name](values, names)
    assert scores.shape == values.shape[:2] and np.isnan(scores[:LEARN_SAMPLES]).all()
    later = scores[LEARN_SAMPLES:, 0]
    rank = int(np.sum(later > np.nanmax(scores[AT : AT + 3, 0])))
    assert rank <= (30 if name == "River HalfSpaceTrees" else 2), f"rank {rank}"


def test_a_capture_that_is_not_there_is_skipped_with_a_reason(tmp_path: Path) -> None:
    assert [row["told"] for row in rows(tmp_path)] == ["skipped: it is not on this machine"] * 2

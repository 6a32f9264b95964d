"""Bursts by how long their orders live: every pair of life and amplitude is planted equally often, and told apart."""

from __future__ import annotations

from collections import Counter

import pytest

from replay import laboratory_lives
from replay.laboratory_lives import AMPLITUDES, LIVES_S, life_rows


def test_every_life_and_amplitude_is_planted_alike_and_the_short_lived_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = len(LIVES_S) * len(AMPLITUDES)
    for name, value in {"MARKETS": pairs, "ROUNDS": 2, "FIRST_S": 1200.0, "APART_S": 900.0}.items():
        monkeypatch.setattr(laboratory_lives, name, value)
    rows = life_rows(held_out=False)
    assert Counter((row["life_s"], row["amplitude"]) for row in rows).total() == pairs
    assert {row["planted"] for row in rows} == {2}
    assert all(row["early"] == 1.0 for row in rows if row["life_s"] == LIVES_S[0] and row["amplitude"] >= 15.0)
    named = [row["account_1"] for row in rows if row["early"] == 1.0]
    assert named == [1.0] * len(named), "the burst's own account is named first"

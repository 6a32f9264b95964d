"""Onset: when a rise of cancels began is told to the step it began in, and not told where that cannot be known."""

from __future__ import annotations

import numpy as np
import pytest

from detector.features.cancels import BEGUN, BLOCKS, PEAK_NS, _note_block
from detector.features.onset import onset
from detector.kernels import plain

FIRST = 17_000_000_000


def ring(counts: np.ndarray) -> np.void:
    """BEGUN with these many cancels a step, the first of them in step FIRST."""
    made = np.zeros(1, BEGUN)
    for step, count in enumerate(counts.tolist()):
        for _ in range(count):
            plain(_note_block)(made[0], FIRST + step)
    found: np.void = made[0]
    return found


@pytest.mark.parametrize("seed", range(20))
def test_a_burst_is_told_to_begin_within_a_step_of_where_it_did(seed: int) -> None:
    dice = np.random.default_rng(seed)
    began = int(dice.integers(20, 90))
    rates = np.where(np.arange(100) < began, 0.5, 15.0)
    counts = dice.poisson(rates)[: began + 20]  # a second of it is folded after the instant that is asked about
    from_ns, to_ns = onset(ring(counts), (FIRST + min(100, began + 10)) * PEAK_NS)
    assert from_ns - PEAK_NS <= (FIRST + began) * PEAK_NS < to_ns + PEAK_NS
    assert to_ns - from_ns <= 3 * PEAK_NS


def test_a_small_rise_may_have_begun_in_any_of_many_steps() -> None:
    dice = np.random.default_rng(3)
    counts = dice.poisson(np.where(np.arange(100) < 85, 0.3, 1.5))
    from_ns, to_ns = onset(ring(counts), (FIRST + 100) * PEAK_NS)
    assert to_ns - from_ns > 3 * PEAK_NS


def test_what_has_no_rise_or_was_up_before_all_that_is_kept_says_nothing() -> None:
    dice = np.random.default_rng(4)
    assert onset(ring(dice.poisson(np.full(100, 5.0))), (FIRST + 100) * PEAK_NS) == (0, 0)
    assert onset(ring(np.zeros(100, np.int64)), (FIRST + 100) * PEAK_NS) == (0, 0)


def test_a_ring_forgets_what_lies_a_whole_round_back_and_takes_what_comes_late() -> None:
    made = np.zeros(1, BEGUN)
    for step in (FIRST, FIRST + 3, FIRST + 1, FIRST + BLOCKS + 2, FIRST + BLOCKS + 1):
        plain(_note_block)(made[0], step)
    kept = {FIRST + 3: 1, FIRST + BLOCKS + 1: 1, FIRST + BLOCKS + 2: 1}
    steps = range(FIRST + 3, FIRST + BLOCKS + 3)
    assert [int(made[0]["counts"][step % BLOCKS]) for step in steps] == [kept.get(step, 0) for step in steps]
    plain(_note_block)(made[0], FIRST - 1000)  # time began again earlier
    assert int(made[0]["counts"].sum()) == 1

"""Drift: a lasting change is told with what and since when; what merely hangs together is not; and it is relearned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from detector.anomaly.base import score_all
from detector.anomaly.cancel_burst import CancelBurst
from detector.anomaly.drift import MINUTES, Drift, Params, _best_cuts, adwin_detects
from detector.anomaly.streams import RELEARN_KEEP
from detector.kernels import plain
from detector.model.score import Score
from detector.model.windows import Windows
from tests.anomaly.test_contract import MARKETS, windows

STREAMS = 3


def _noise(generator: np.random.Generator, count: int, rho: float) -> npt.NDArray[np.float64]:
    """float64 (count, MINUTES): an AR(1) of unit variance."""
    made = generator.normal(0.0, 1.0, (count, MINUTES))
    for minute in range(1, MINUTES):
        made[:, minute] = rho * made[:, minute - 1] + np.sqrt(1.0 - rho * rho) * made[:, minute]
    return made


def _told(minutes: npt.NDArray[np.float64], sums_min: float = 1.0) -> npt.NDArray[np.float64]:
    found = np.zeros((len(minutes), 3))
    _best_cuts(minutes, np.full(len(minutes), sums_min), 0.7, np.empty(MINUTES), np.empty(MINUTES), found)
    for one, row in zip(found, minutes, strict=True):
        if one[0] > 0 and not adwin_detects(row, 1e-5):
            one[:] = 0.0
    return found


def test_a_step_is_told_and_where_it_is() -> None:
    generator = np.random.default_rng(3)
    at = generator.integers(MINUTES - 110, MINUTES - 30, 300)
    minutes = 0.4 * _noise(generator, 300, 0.5) + 1.5 * (np.arange(MINUTES)[None, :] >= at[:, None])
    found = _told(minutes)
    assert (found[:, 0] > 0).mean() > 0.9
    said = found[:, 0] > 0
    assert np.median(np.abs(found[said, 0] - at[said])) <= 2
    assert abs(np.median(found[said, 2] - found[said, 1]) - 1.5) < 0.2


def test_what_creeps_up_over_three_hours_is_told() -> None:
    generator = np.random.default_rng(4)
    creep = np.clip((np.arange(MINUTES) - 60) / 180.0, 0.0, 1.0)
    minutes = 0.3 * _noise(generator, 300, 0.5) + 2.0 * creep[None, :]
    assert (_told(minutes)[:, 0] > 0).mean() > 0.8


def test_what_hangs_together_is_seldom_taken_for_a_change() -> None:
    generator = np.random.default_rng(5)
    for rho in (0.0, 0.5, 0.8, 0.9):
        assert (_told(0.6 * _noise(generator, 1500, rho))[:, 0] > 0).mean() < 0.003, rho


def test_a_sum_over_many_minutes_is_not_taken_for_a_change_either() -> None:
    generator = np.random.default_rng(8)
    for sums_min in (5, 15, 60):
        steps = generator.normal(0.0, 1.0, (1000, MINUTES + sums_min))
        total = np.cumsum(steps, axis=1)
        minutes = (total[:, sums_min:] - total[:, :-sums_min]) / np.sqrt(sums_min)
        assert (_told(minutes, float(sums_min))[:, 0] > 0).mean() < 0.003, sums_min


def test_a_market_that_is_too_young_or_says_nothing_is_not_looked_at() -> None:
    minutes = np.full((2, MINUTES), np.nan)
    minutes[1, -35:] = np.arange(35)
    assert not _told(minutes).any()


def test_the_compiled_cut_is_its_plain_twin() -> None:
    generator = np.random.default_rng(6)
    minutes = _noise(generator, 60, 0.6) + 3.0 * (
        np.arange(MINUTES)[None, :] >= generator.integers(0, 240, 60)[:, None]
    )
    minutes[generator.random(minutes.shape) < 0.1] = np.nan
    fast, slow = np.zeros((60, 3)), np.zeros((60, 3))
    one = _best_cuts(minutes, np.ones(60), 0.7, np.empty(MINUTES), np.empty(MINUTES), fast)
    other = plain(_best_cuts)(minutes, np.ones(60), 0.7, np.empty(MINUTES), np.empty(MINUTES), slow)
    assert 5 < (slow[:, 0] > 0).sum() < 60
    np.testing.assert_allclose(fast, slow, rtol=1e-12)
    assert abs(one - other) < 1e-12


def test_the_note_names_stream_and_time_and_is_told_once() -> None:
    generator = np.random.default_rng(7)
    drift, told = Drift(Params(), np.ones(3)), []
    for minute in range(300):
        level = 2.0 if minute >= 150 else 0.0
        for second in range(60):
            window = windows(60 * minute + second, generator)
            residuals = np.zeros((MARKETS, STREAMS))
            residuals[:, 1] = 0.4 * np.sin(minute)
            residuals[2, 1] += level
            score = drift.score(window, np.ones(MARKETS, np.bool_), (_before(window, residuals),))
            for market in np.flatnonzero(score.values >= score.levels[0]).tolist():
                told.append((minute, market, score.explain(market)[0], score.moved))
    assert [(market, row.feature) for _, market, row, _ in told] == [(2, "thin_book.b")]
    minute, _, row, moved = told[0]
    assert 160 <= minute <= 180
    assert moved == ((2, "thin_book.b"),)
    assert row.observed - row.expected > 1.5
    start = np.datetime64(int(windows(0, generator).close_ns), "ns") + np.timedelta64(150, "m")
    assert str(start)[:16].replace("T", " ") in row.meaning


def _before(window: Windows, residuals: npt.NDArray[np.float64]) -> Score:
    levels, blank = np.full((3, MARKETS), 9.0), np.zeros(MARKETS)
    return Score(
        detector="thin_book", close_ns=window.close_ns, markets=window.markets, values=blank, levels=levels,
        every_s=blank, warming=np.zeros(MARKETS, np.bool_), surprises=residuals, residuals=residuals,
        streams=("a", "b", "c"), explain=lambda market: (),
    )  # fmt: skip


def test_what_has_drifted_is_relearned_in_that_market_and_stream_only() -> None:
    detector, generator = CancelBurst(CancelBurst.Params(), np.ones(3)), np.random.default_rng(8)
    for number in range(300):
        detector.score(windows(number, generator), np.ones(MARKETS, np.bool_), ())
    before = [table["learned_a"].copy() for table in detector._tables]
    detector.relearn(2, "cancels_by_others")
    names = [stream.name for stream in detector.streams]
    for name, table, was in zip(names, detector._tables, before, strict=True):
        kept = np.ones(len(was))
        if name == "cancels_by_others":
            kept[2] = RELEARN_KEEP
        np.testing.assert_array_equal(table["learned_a"], was * kept)


class _Moved(Drift):
    """A drift detector that finds the same thing in every window."""

    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        return replace(super().score(windows, learn, before), moved=((2, "cancel_burst.cancels_by_others"),))


def test_what_a_detector_says_has_moved_is_relearned_by_its_owner_after_the_window() -> None:
    generator = np.random.default_rng(9)
    still = [CancelBurst(CancelBurst.Params(), np.ones(3)), Drift(Params(), np.ones(3))]
    moved = [CancelBurst(CancelBurst.Params(), np.ones(3)), _Moved(Params(), np.ones(3))]
    for number in range(200):
        window = windows(number, generator)
        for chain in (still, moved):
            scores = score_all(chain if number == 199 else [chain[0]], window, np.ones(MARKETS, np.bool_))
    assert [score.detector for score in scores] == ["cancel_burst", "drift"]
    kept = [table["learned_n"] for table in moved[0]._tables]
    for row, (one, other) in enumerate(zip(kept, (table["learned_n"] for table in still[0]._tables), strict=True)):
        ratio = np.ones(len(one))
        if moved[0].streams[row].name == "cancels_by_others":
            ratio[2] = RELEARN_KEEP
        np.testing.assert_array_equal(one, other * ratio)


def test_a_state_that_does_not_say_when_its_minutes_ended_is_left() -> None:
    old, new = Drift(Params(), np.ones(3)), Drift(Params(), np.ones(3))
    window = windows(0, np.random.default_rng(10))
    old.score(window, np.ones(MARKETS, np.bool_), (_before(window, np.zeros((MARKETS, STREAMS))),))
    state = dict(old.state())
    new.restore(state)
    assert new.state()["windows"] == 1
    new = Drift(Params(), np.ones(3))
    del state["ends"]
    new.restore(state)
    assert new.state()["windows"] == 0

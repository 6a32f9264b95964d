"""Drift: a lasting change is told with what and since when; what merely hangs together is not; and it is relearned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from detector.anomaly.base import score_all
from detector.anomaly.cancel_burst import CancelBurst
from detector.anomaly.drift import CUT, MINUTES, PACED_MARKETS, SINCE_MAX, STEPS, Drift, Params, best_cuts
from detector.anomaly.streams import RELEARN_KEEP
from detector.anomaly.watches import COLUMNS, WATCHES
from detector.kernels import plain
from detector.model.score import Score
from detector.model.windows import Windows
from tests.anomaly.test_contract import MARKETS, windows

MINUTE_NS = 60 * 10**9
START_NS = 1_700_000_040 * 10**9
USUAL = {  # of one minute: 60 windows
    "events": 600.0, "cancels": 300.0, "cancels_by_others": 45.0, "trades": 30.0, "quotes_usual": 6_000.0,
    "quotes_missing": 300.0, "bid_depth_25_bps": 6e7, "ask_depth_25_bps": 6e7, "raises": 0.0,
}  # fmt: skip

Said = list[tuple[int, int, str, float, float, int]]  # minute, market, watch, was, now, minutes since


def _noise(generator: np.random.Generator, count: int, steps: int, rho: float) -> npt.NDArray[np.float64]:
    """float64 (count, steps): an AR(1) of unit variance."""
    made = generator.normal(0.0, 1.0, (count, steps))
    for step in range(1, steps):
        made[:, step] = rho * made[:, step - 1] + np.sqrt(1.0 - rho * rho) * made[:, step]
    return made


class Days:
    """Minutes of many markets, at USUAL with noise; `lift` adds to the logarithm of a column."""

    def __init__(self, minutes: int, markets: int, seed: int, noise: float = 0.1, rho: float = 0.6) -> None:
        self.generator = np.random.default_rng(seed)
        wander = noise * _noise(self.generator, markets * len(COLUMNS), minutes, rho)
        self.logs = wander.reshape(markets, len(COLUMNS), minutes)

    def lift(self, column: str, market: int, from_minute: int, by: float, ramp: int = 1) -> None:
        rise = np.clip((np.arange(self.logs.shape[2]) - from_minute) / ramp, 0.0, 1.0)
        self.logs[market, COLUMNS.index(column)] += by * rise

    def told(self, drift: Drift | None = None, first: int = 0, last: int = 1 << 30) -> Said:
        drift = drift or Drift(Params(), np.ones(3))
        usual = np.array([USUAL[name] for name in COLUMNS])
        markets, _, minutes = self.logs.shape
        drift._make_room(markets)
        told: Said = []
        for minute in range(first, min(last, minutes)):
            drift._sums[:markets] = usual * np.exp(self.logs[:, :, minute])
            drift._sums[:markets, COLUMNS.index("raises")] = self.generator.poisson(0.2, markets)
            drift._said[:markets] = 60.0
            drift._windows += 60
            drift._told = {}
            at_ns = START_NS + (minute + 1) * MINUTE_NS
            drift._close_minute(markets, at_ns)
            for market, changes in drift._told.items():
                for one in changes:
                    since = (at_ns - one.since_ns) // MINUTE_NS
                    told.append((minute, market, WATCHES[one.watch].name, one.was, one.now, since))
        return told


def test_a_step_is_told_with_what_how_far_and_since_when_once() -> None:
    days = Days(900, 12, 3)
    for market in range(4):
        days.lift("cancels", market, 500 + 15 * market, 0.45)
    told = days.told()
    assert sorted({(market, watch) for _, market, watch, *_ in told}) == [(m, "requoting") for m in range(4)]
    assert len(told) == 4
    for minute, market, _, was, now, since in told:
        assert minute - 500 - 15 * market <= 60
        assert abs(minute - since - 500 - 15 * market) <= 10
        assert 0.3 < now - was < 0.7


def test_what_creeps_up_over_hours_is_told_while_it_creeps() -> None:
    days = Days(900, 12, 4)
    for market in range(6):
        days.lift("quotes_usual", market, 450, -0.6, ramp=240)
    first: dict[int, int] = {}
    for minute, market, watch, was, now, _ in days.told():
        assert (watch, now < was) == ("quotes_resting", True)
        first.setdefault(market, minute)
    assert set(first) == set(range(6))
    assert all(450 < minute < 690 for minute in first.values())


def test_what_drains_for_days_is_told_from_the_hours() -> None:
    days = Days(3600, 10, 5)
    for side in ("bid", "ask"):
        days.lift(f"{side}_depth_25_bps", 2, 1440, -1.6, ramp=2 * 1440)
    told = [(market, since) for _, market, watch, _, _, since in days.told() if watch == "depth"]
    assert [market for market, _ in told] == [2]
    assert told[0][1] > SINCE_MAX * MINUTES  # longer ago than what is kept in steps of minutes would say


def test_a_shared_evening_moves_nobody_and_one_market_that_falls_silent_is_told() -> None:
    days = Days(900, 12, 6)
    for market in range(12):
        days.lift("events", market, 400, -1.0, ramp=200)
    days.lift("events", 5, 500, -1.2)
    assert {(market, watch) for _, market, watch, *_ in days.told()} == {(5, "activity")}


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_what_hangs_together_is_seldom_taken_for_a_change(rho: float) -> None:
    days = Days(1440, 60, 7, noise=0.3, rho=rho)
    assert len(days.told()) <= 8  # of 60 market-days with five watches each: a note a market-week


def test_a_burst_of_two_minutes_moves_nothing() -> None:
    days = Days(600, 12, 8)
    for minute in (300, 301):
        days.logs[3, :, minute] += 3.0
    assert days.told() == []


def test_a_lone_market_is_judged_by_its_own_past() -> None:
    days = Days(900, PACED_MARKETS - 6, 9)
    days.lift("cancels", 1, 500, 0.5)
    assert {(market, watch) for _, market, watch, *_ in days.told()} == {(1, "requoting")}


def test_a_market_that_is_too_young_or_says_nothing_is_not_looked_at() -> None:
    days = Days(600, 12, 10)
    days.lift("cancels", 1, 30, 2.0)
    days.logs[2] = np.nan
    assert [row for row in days.told() if row[0] < 60 or row[1] == 2] == []


def test_the_compiled_cut_is_its_plain_twin() -> None:
    generator = np.random.default_rng(6)
    kept = _noise(generator, 60, STEPS[0], 0.6).reshape(12, 5, STEPS[0])
    kept += 3.0 * (np.arange(STEPS[0]) >= generator.integers(0, STEPS[0], (12, 5, 1)))
    kept[generator.random(kept.shape) < 0.1] = np.nan
    kept[3] = np.nan
    found = [np.full((12, 5), np.nan, CUT) for _ in range(2)]
    for made, kernel in zip(found, (best_cuts, plain(best_cuts)), strict=True):
        kernel(kept, np.empty(STEPS[0]), np.empty(STEPS[0]), made)
    assert np.isnan(found[0]["at"]).sum() == 5
    for name in CUT.names or ():
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-12)


def test_the_note_names_watch_and_time_and_is_learned_anew_unless_an_incident_is_open() -> None:
    generator = np.random.default_rng(7)
    told = []
    for learning in (True, False):
        drift = Drift(Params(), np.ones(3))
        for minute in range(240):
            for second in range(60):
                window = windows(60 * minute + second, generator)
                place = [feature.name for feature in window.features].index("cancels")
                window.values[:, place] = 40.0
                window.values[2, place] *= 3.0 if minute >= 150 else 1.0
                learn = np.full(MARKETS, learning)
                score = drift.score(window, learn, ())
                for market in np.flatnonzero(score.values >= score.levels[0]).tolist():
                    told.append((minute, market, score.explain(market)[0], score.moved))
    assert [(market, row.feature) for _, market, row, _ in told] == [(2, "requoting")] * 2
    minute, _, row, moved = told[0]
    assert 159 <= minute <= 180
    assert moved == ((2, "cancel_burst.cancels"),)
    assert told[1][3] == ()
    assert 2.0 < row.observed / row.expected < 4.0
    assert abs(row.since_ns - windows(150 * 60, generator).close_ns) < (MINUTES + 1) * MINUTE_NS


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


def test_every_watch_names_streams_that_there_are() -> None:
    from tests.anomaly.test_contract import detectors

    streams = {f"{one.name}.{stream.name}" for one in detectors() for stream in getattr(one, "streams", ())}
    assert {name for watch in WATCHES for name in watch.relearn} <= streams


def test_it_goes_on_from_its_state_and_leaves_that_of_other_watches() -> None:
    def story() -> Days:
        days = Days(400, 12, 11)
        days.lift("cancels", 3, 330, 0.5)
        return days

    whole, days = story().told(), story()
    first, second = Drift(Params(), np.ones(3)), Drift(Params(), np.ones(3))
    cut = 333  # in the middle of a step
    assert cut % MINUTES
    told = days.told(first, last=cut)
    second.restore(first.state())
    assert whole == told + days.told(second, first=cut) != []
    fresh = Drift(Params(), np.ones(3))
    fresh.restore({**first.state(), "watches": ["others"]})
    assert fresh.state()["windows"] == 0

"""Leverage in a lull: raises come as often as ever when fewer accounts act, and more often when more do."""

from __future__ import annotations

import numpy as np
import pytest

from detector.anomaly.baseline import STREAM, Measure, blank_streams, brought_up
from detector.anomaly.leverage_spike import LeverageSpike
from detector.anomaly.streams import Stream, StreamDetector
from detector.model.windows import Windows
from detector.wiring.build import build_detectors, build_groups
from detector.wiring.config import of

FEATURES = tuple(f for group in build_groups(2).values() for f in group.FEATURES)
NAMES = [feature.name for feature in FEATURES]
USUAL, LEARNED = 20.0, 6000


def leverage() -> LeverageSpike:
    (found,) = (one for one in build_detectors(of({})) if isinstance(one, LeverageSpike))
    return found


def following() -> StreamDetector:
    """The same, held against those who act now and nobody else."""

    class Following(LeverageSpike):
        @staticmethod
        def make(params: object) -> tuple[Stream, ...]:
            made = LeverageSpike.make(params)
            return tuple(
                Stream(**{n: getattr(s, n) for n in ("name", "unit", "meaning", "count", "activity", "weight")},
                       measure=s.measure._replace(floor=0.0))
                for s in made
            )  # fmt: skip

    shipped = leverage()
    return Following(shipped.params, shipped.budgets)


def far(detector: StreamDetector, windows: int, accounts: float, a_minute: float) -> float:
    """So many windows, the raises spread evenly over them; the score of raised_far in the last."""
    every, surprise = round(60.0 / a_minute), np.nan
    for number in range(windows):
        values = np.zeros((1, len(FEATURES)))
        raised = float(number % every == 0)
        told = {"acting_accounts": accounts, "raised_far": raised, "raises": raised, "trades": 1.0}
        for name, value in told.items():
            values[0, NAMES.index(name)] = value
        one = Windows(10**9 * (number + 1), 10**9, ("m",), FEATURES, values, np.array([True]), np.array([True]))
        surprise = float(detector.score(one, np.array([True]), ()).surprises[0, 0])
    return surprise


def test_in_a_lull_the_usual_number_of_raises_is_no_crowd() -> None:
    kept, followed = leverage(), following()
    for one in (kept, followed):
        assert far(one, LEARNED, USUAL, 2.0) < 0.7
    assert far(kept, 300, USUAL / 10.0, 2.0) < 0.7
    assert far(followed, 300, USUAL / 10.0, 2.0) > 2.0


def test_in_a_lull_a_crowd_is_a_crowd() -> None:
    one = leverage()
    far(one, LEARNED, USUAL, 2.0)
    assert far(one, 300, USUAL / 10.0, 20.0) > 4.0


@pytest.mark.parametrize("make", [leverage, following])
def test_where_more_act_more_may_raise(make: type[StreamDetector]) -> None:
    one = make()
    far(one, LEARNED, USUAL, 2.0)
    assert far(one, 300, 10.0 * USUAL, 20.0) < 0.7


def test_what_is_relearned_keeps_the_usual_activity() -> None:
    one = leverage()
    far(one, LEARNED, USUAL, 2.0)

    def usual() -> float:
        return float(one._tables["learned_a"][0, 0] / one._tables["learned_w"][0, 0])

    assert usual() == pytest.approx(USUAL)
    one.relearn(0, "raised_far")
    assert usual() == pytest.approx(USUAL)


def test_a_checkpoint_of_before_goes_on_with_the_usual_activity() -> None:
    one = leverage()
    far(one, LEARNED, USUAL, 2.0)
    older = np.dtype([(name, STREAM.fields[name][0]) for name in STREAM.names or () if name != "learned_w"], align=True)
    saved = dict(one.state())
    tables = np.zeros(one._tables.shape, older)
    for name in older.names or ():
        tables[name] = one._tables[name]
    again = leverage()
    again.restore(saved | {"tables": tables})
    row = again._tables[0, 0]
    # a window is learned from a minute late, so a few less taught than were seen
    assert row["learned_a"] / row["learned_w"] == pytest.approx(USUAL, rel=0.02)
    assert far(again, 300, USUAL / 10.0, 2.0) < 0.7
    again.restore(saved)
    assert again._tables.dtype == STREAM


def test_a_checkpoint_of_now_is_taken_as_it_is() -> None:
    measure = Measure(10.0, 0.0, 1.0, 1.0, 1.0, 0.1, 100.0, 1.0)
    now = np.stack([blank_streams(2, measure)])
    assert brought_up(now, [measure]) is now


def test_a_young_stream_is_held_against_the_windows_it_has_seen() -> None:
    """Not against as many as it sums one day: four raises in its first two minutes would be what is usual in five."""
    kept, followed = leverage(), following()
    assert far(kept, 120, USUAL, 2.0) == pytest.approx(far(followed, 120, USUAL, 2.0), abs=0.05)
    assert kept._tables["expected"][0, 0] == pytest.approx(followed._tables["expected"][0, 0], rel=0.05)

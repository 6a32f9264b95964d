"""What makers and accounts of the simulated exchange do where a scenario says so, and never do where it does not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from detector.model.events import EventColumn, Kind
from replay.incidents_plan import SECOND_NS
from replay.scenario import Scenario, ScenarioError, parse
from tests.replay.test_exchange import Book, everything, scenario, seconds_of, told


def resting_of_makers(events: EventColumn, of: Scenario) -> list[dict[int, list[int]]]:
    """The prices (ticks) of the orders that each maker has resting, every second."""
    found: list[dict[int, list[int]]] = []
    book = Book()
    for event, at_s in zip(events, seconds_of(events, of), strict=True):
        while len(found) < at_s:
            found.append({})
            for _, price, _, account in book.orders.values():
                if account <= 1000:
                    found[-1].setdefault(account, []).append(price)
        book.apply(event)
    return found


def test_makers_go_away_as_often_as_asked_and_come_back_after_half_a_minute() -> None:
    of = scenario(rate=20.0, seconds=3600.0, breaks_per_day=96.0)  # four an hour and maker, of eight
    resting = resting_of_makers(everything(of), of)
    makers = {account for held in resting for account in held}
    gone = {account: [account not in held for held in resting[5:]] for account in makers}
    breaks = sum(now and not before for one in gone.values() for before, now in pairwise(one))
    away = sum(sum(one) for one in gone.values())
    assert len(makers) == 8
    assert 15 <= breaks <= 50  # 32 are expected; of less than a second some are not seen
    assert 15.0 <= away / breaks <= 50.0
    assert all(account in resting[-1] or any(account in held for held in resting[-300:]) for account in makers)


def test_makers_leave_as_many_quotes_away_as_asked() -> None:
    whole, holed = (scenario(rate=50.0, seconds=600.0, unreplaced=part) for part in (0.0, 0.2))
    late = [resting_of_makers(everything(of), of)[300:] for of in (whole, holed)]
    counts = [sum(len(prices) for held in one for prices in held.values()) for one in late]
    assert 0.82 <= counts[1] / counts[0] <= 0.85  # away from one look to the next: 1 / (1 + 0.2) stand, not 1 - 0.2


def test_makers_stand_back_as_often_as_asked_and_come_back_after_a_minute() -> None:
    of = scenario(rate=20.0, seconds=3600.0, retreats_per_day=96.0)
    resting = resting_of_makers(everything(of), of)[5:]
    makers = {account for held in resting for account in held}
    wide = {account: [max(held[account]) - min(held[account]) for held in resting] for account in makers}
    back = {account: np.array(one) > 4.0 * np.median(one) for account, one in wide.items()}
    retreats = sum(now and not before for one in back.values() for before, now in pairwise(one.tolist()))
    assert len(makers) == 8
    assert 15 <= retreats <= 50
    assert 30.0 <= sum(one.sum() for one in back.values()) / retreats <= 100.0


def test_an_account_switches_its_leverage_to_and_fro_as_often_as_asked() -> None:
    of = scenario(rate=20.0, seconds=7200.0, toggles_per_day=48.0)  # four begin, but the one before must have ended
    events = everything(of)
    changes = events[events["kind"] == Kind.LEVERAGE]
    toggled = changes[np.isin(changes["previous"], [5.0, 25.0]) & np.isin(changes["leverage"], [5.0, 25.0])]
    by = {int(account): toggled[toggled["account"] == account] for account in np.unique(toggled["account"])}
    often = [one for one in by.values() if len(one) > 5]
    assert 1 <= len(often) <= 6
    assert all(np.all(one["leverage"][1:] == one["previous"][:-1]) for one in often)
    gaps_s = np.concatenate([np.diff(one["event_ns"]) for one in often]) / SECOND_NS
    assert 5.0 <= np.median(gaps_s) <= 10.0  # drawn anew each time, 10 s in the mean


def test_positions_of_all_sizes_follow_a_power_law_and_have_the_same_median() -> None:
    normal, heavy = (scenario(rate=1000.0, seconds=900.0, size_tail=index) for index in (0.0, 1.0))
    sizes = [np.log(one[one["kind"] == Kind.LEVERAGE]["notional"]) for one in (everything(normal), everything(heavy))]
    assert np.median(sizes[1]) == pytest.approx(np.median(sizes[0]), abs=0.3)
    beyond = [one[one > np.median(one) + 2.0] - np.median(one) - 2.0 for one in sizes]
    assert beyond[1].mean() == pytest.approx(1.0, rel=0.4)  # exponential in the logarithm
    assert beyond[0].mean() < 0.75


def test_robots_rest_their_grids_and_lay_them_anew_every_ten_minutes() -> None:
    of = scenario(rate=5.0, seconds=3600.0, grids=10)
    bare = scenario(rate=5.0, seconds=3600.0)
    events, without = everything(of), everything(bare)
    orders = [np.sum((one["kind"] == Kind.ORDER) & (one["flags"] == 0)) for one in (events, without)]
    assert orders[0] - orders[1] == pytest.approx(10 * 20 * 5.5, rel=0.2)  # first within ten minutes, then six times
    ordinary = events[(events["kind"] == Kind.CANCEL) & (events["account"] > 1000)]
    at_once = np.diff(ordinary["event_ns"]) < 1_000_000
    assert at_once.sum() > 0.5 * 10 * 20 * 4.5


def test_as_many_orders_as_asked_are_taken_back_just_after_a_minute_has_ended() -> None:
    shares = []
    for punctual in (0.0, 0.5):
        of = scenario(rate=200.0, seconds=600.0, punctual=punctual)
        events = everything(of)
        ordinary = events[(events["kind"] == Kind.CANCEL) & (events["account"] > 1000)]
        shares.append(float(np.mean(seconds_of(ordinary, of) % 60.0 < 1.0)))
    assert shares[0] < 0.03
    assert 0.3 < shares[1] - shares[0] < 0.5  # who waits for a minute to end trades more often before it does


def test_what_makers_and_accounts_never_do_draws_no_dice() -> None:
    of = scenario(rate=20.0, seconds=30.0)
    never = {
        "unreplaced": 0.0,
        "breaks_per_day": 0.0,
        "retreats_per_day": 0.0,
        "toggles_per_day": 0.0,
        "size_tail": 0.0,
        "grids": 0,
        "punctual": 0.0,
    }
    assert told(everything(of)) == told(everything(replace(of, **never)))
    assert told(everything(of)) != told(everything(replace(of, unreplaced=0.1)))


def test_how_makers_and_accounts_behave_has_its_bounds() -> None:
    markets = {"count": 1, "events_per_s": 5.0}
    wrong = {"unreplaced": 0.7, "breaks_per_day": -1, "retreats_per_day": 300, "toggles_per_day": 300}
    wrong |= {"size_tail": 9, "grids": 999, "punctual": 1.5}
    with pytest.raises(ScenarioError) as caught:
        parse("habits", {"markets": markets, "duration_s": 10, **wrong})
    assert all(f"{name}: {value}, wanted" in str(caught.value) for name, value in wrong.items())
    right = {"unreplaced": 0.05, "breaks_per_day": 4, "retreats_per_day": 4, "toggles_per_day": 4}
    right |= {"size_tail": 1, "grids": 3, "punctual": 0.5}
    made = parse("habits", {"markets": dict(markets), "duration_s": 10, **right})
    assert all(getattr(made, name) == value for name, value in right.items())

"""Features that are evidence: each against a few lines of Python that do the obvious thing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from random import Random
from statistics import median
from typing import Any

import numpy as np
import pytest

from detector.features.leverage import FAR_MAX
from detector.features.shape import EVERY_WINDOWS, SETTLED_SAMPLES
from detector.model.events import Flag, Kind
from tests.features.test_books import START_NS, Story, shard

SECOND_NS = 10**9
WINDOW = START_NS // SECOND_NS


class Told(Story):
    """Rows at instants of one second; `window` folds them in chunks and closes it."""

    def at(self, seconds: float, kind: Kind, **columns: Any) -> None:
        self.row(kind, **columns)
        self.rows[-1]["event_ns"] = START_NS + int(seconds * SECOND_NS)

    def pair(self, placed: float, cancelled: float, account: int, side: int = 1, price: str = "99.95") -> None:
        name = 1 + len(self.rows)
        self.at(placed, Kind.ORDER, order=name, side=side, price=price, qty="2", account=account)
        self.at(cancelled, Kind.CANCEL, order=name, flags=int(Flag.ALL), account=account)

    def window(self, chunk: int = 1 << 20) -> dict[str, float]:
        made = shard()
        self.rows.sort(key=lambda row: row["event_ns"])
        events = self.events()
        at = 0
        for window in range(int(events["event_ns"][0]) // SECOND_NS, WINDOW + 1):
            stop = int(np.searchsorted(events["event_ns"], (window + 1) * SECOND_NS))
            for begin in range(at, stop, chunk):
                made.fold(events, begin, min(begin + chunk, stop), ("M",), window)
            closed = made.close(window, idle=False)
            at = stop
        return {feature.name: float(closed.values[0, i]) for i, feature in enumerate(closed.features)}


def touch(story: Told) -> Told:
    """A best bid and ask that stay: the mid is 100."""
    story.at(0, Kind.ORDER, order=900_001, side=1, price="99.99", qty="1", account=99)
    story.at(0, Kind.ORDER, order=900_002, side=-1, price="100.01", qty="1", account=99)
    return story


def test_cancels_are_told_by_how_long_their_orders_rested() -> None:
    story = touch(Told(1, 2))
    for number, life_s in enumerate((0.01, 0.049, 0.051, 0.4, 0.99, 1.01, 2.5)):
        gone = 0.1 * number + 0.05
        story.pair(gone - life_s, gone, 3, 1, "99.90")
    found = story.window()
    assert (found["cancels"], found["fleeting_cancels"], found["young_cancels"]) == (7.0, 2.0, 5.0)


@pytest.mark.parametrize("seed", range(4))
def test_cancels_are_told_apart_as_plain_python_tells_them(seed: int) -> None:
    dice = Random(seed)
    story = touch(Told(seed, 2))
    cancels: list[tuple[float, int, int, float]] = []
    for _ in range(60):
        placed, account, side = dice.random() * 0.5, dice.randrange(1, 6), dice.choice((1, -1))
        away = dice.choice(("0.05", "0.30"))
        price = str(100 - float(away) if side > 0 else 100 + float(away))
        gone = placed + dice.random() * 0.4
        story.pair(placed, gone, account, side, price)
        cancels.append((gone, account, side, float(price)))
    found = story.window()
    by_account = Counter(account for _, account, _, _ in cancels)
    assert found["cancels"] == 60
    assert found["cancelled_bids"] == sum(side > 0 for _, _, side, _ in cancels)
    assert found["canceller_concentration"] == pytest.approx(sum((n / 60) ** 2 for n in by_account.values()))
    near = sum(2 * price for _, _, _, price in cancels if abs(price - 100) / 100 * 1e4 <= 10)
    assert found["cancelled_near"] == pytest.approx(near)
    assert found == pytest.approx(story.window(chunk=7), nan_ok=True)


def test_a_replacement_is_of_the_same_account_and_side_within_a_tenth_of_a_second() -> None:
    story = touch(Told(1, 2))
    story.pair(0.10, 0.20, account=1, side=1)
    for at_s, account, side in ((0.25, 1, 1), (0.26, 1, -1), (0.27, 2, 1), (0.31, 1, 1)):
        name = 1 + len(story.rows)
        price = "99.9" if side > 0 else "100.1"
        story.at(at_s, Kind.ORDER, order=name, side=side, price=price, qty="1", account=account)
    assert story.window()["replaced"] == 1.0


def test_the_peak_is_of_the_densest_tenth_of_a_second() -> None:
    story = touch(Told(1, 2))
    for i in range(5):
        story.pair(0.01, 0.1 + 0.15 * i, account=1)
    for i in range(12):
        story.pair(0.01, 0.8 + 0.005 * i, account=2)
    assert story.window()["cancel_peak"] == 12.0


def test_the_life_of_cancelled_orders_settles_at_their_median() -> None:
    dice = Random(5)
    story = touch(Told(1, 2))
    lives = [0.3 * math.exp(dice.gauss(-2.0, 0.7)) for _ in range(1500)]
    for life in lives:
        gone = 0.5 + 0.49 * dice.random()
        story.pair(max(0.001, gone - life), gone, account=dice.randrange(1, 9))
    assert story.window()["cancel_life"] == pytest.approx(median(lives), rel=0.25)


def raised(story: Told, at_s: float, account: int, before: float, now: float, notional: float) -> None:
    story.at(at_s, Kind.LEVERAGE, account=account, previous=before, leverage=now, notional=notional)


@pytest.mark.parametrize("seed", range(4))
def test_leverage_changes_are_weighed_by_the_position_at_stake(seed: int) -> None:
    dice = Random(seed)
    story = Told(seed, 2)
    rows = []
    for _ in range(40):
        before, now = float(dice.choice((2, 5, 10, 25))), float(dice.choice((3, 10, 20, 50, 100)))
        rows.append((dice.random() * 0.9, dice.randrange(1, 12), before, now, float(dice.randrange(100, 10_000))))
        raised(story, *rows[-1])
    found = story.window()
    assert found["changed_notional"] == pytest.approx(sum(row[4] for row in rows))
    assert found["leverage_change"] == pytest.approx(sum(row[4] * math.log(row[3] / row[2]) for row in rows))
    assert found["leverage_level"] == pytest.approx(sum(row[4] * row[3] for row in rows))
    assert found["above_20x"] == pytest.approx(sum(row[4] for row in rows if row[3] >= 20))
    assert found["above_50x"] == pytest.approx(sum(row[4] for row in rows if row[3] >= 50))
    assert found["raisers"] == len({row[1] for row in rows if row[3] > row[2]})


def settled(dice: Random, usual: tuple[float, ...]) -> Told:
    """A market of which it is known by how many times leverage is raised: anything from `usual`, with some noise."""
    story = Told(1, 2)
    for i in range(600):
        times = dice.choice(usual) * math.exp(dice.gauss(0.0, 0.05))
        raised(story, i * 0.001, 1000 + i, 10.0, 10.0 * times, 100.0)
        story.rows[-1]["event_ns"] -= 1800 * SECOND_NS
    return story


@pytest.mark.parametrize("usual", [(1.25, 1.5, 2.0), (2.0, 5.0, 10.0)])
def test_a_raise_weighs_one_where_it_goes_as_far_as_raises_go_there(usual: tuple[float, ...]) -> None:
    """Whether a venue's usual steps are small or large."""
    dice = Random(5)
    story = settled(dice, usual)
    for i in range(200):
        raised(story, 0.1 + i * 0.001, i, 10.0, 10.0 * dice.choice(usual), 100.0)
    found = story.window()
    assert found["raises"] == 200
    assert found["raised_far"] / 200 == pytest.approx(1.0, abs=0.2)


def test_a_raise_that_goes_further_than_any_weighs_more_but_not_without_end() -> None:
    further, furthest = settled(Random(5), (1.25, 1.5, 2.0)), settled(Random(5), (1.25, 1.5, 2.0))
    raised(further, 0.1, 3, 10.0, 22.0, 100.0)
    raised(furthest, 0.1, 3, 1.0, 125.0, 100.0)
    assert 2.0 < further.window()["raised_far"] < FAR_MAX
    assert furthest.window()["raised_far"] == FAR_MAX


def test_where_all_take_the_same_step_one_a_little_longer_is_nothing_special() -> None:
    story = Told(1, 2)
    for i in range(600):
        raised(story, i * 0.001, 1000 + i, 10.0, 20.0, 100.0)
        story.rows[-1]["event_ns"] -= 1800 * SECOND_NS
    raised(story, 0.1, 3, 10.0, 21.0, 100.0)
    assert story.window()["raised_far"] < 1.5


@pytest.mark.parametrize("before", [1.0, 10.0, 50.0])
def test_a_market_s_first_raise_to_twice_as_much_weighs_about_one(before: float) -> None:
    """Before anything is known of how far raises go there."""
    story = Told(1, 2)
    raised(story, 0.1, 3, before, 2.0 * before, 100.0)
    assert story.window()["raised_far"] == pytest.approx(1.0, abs=0.2)


def surprises(sizes: Sequence[float], last: Sequence[float]) -> float:
    """raise_surprise of a window with the `last` sizes (logarithms), in a market that has seen the others."""
    story = Told(1, 2)
    for i, size in enumerate((*sizes, *last)):
        raised(story, 0.0001 * i, 1000 + i, 10.0, 20.0, math.exp(8.0 + size))
        story.rows[-1]["event_ns"] -= 1800 * SECOND_NS if i < len(sizes) else 0
    return story.window()["raise_surprise"]


@pytest.mark.parametrize("seed", range(3))
def test_sizes_as_they_are_there_surprise_alike_whether_their_law_is_normal_or_a_power_law(seed: int) -> None:
    dice = Random(seed)
    for draw in (partial(dice.gauss, 0.0, 1.3), lambda: dice.choice((-1, 1)) * dice.expovariate(1.0)):
        known, fresh = ([draw() for _ in range(3000)] for _ in range(2))
        # of a surprise that is exponential, what lies beyond 2 comes to exp(-2)
        assert surprises(known, fresh) / len(fresh) == pytest.approx(math.exp(-2.0), rel=0.35)


def test_a_position_larger_than_any_surprises_the_less_the_more_sizes_differ() -> None:
    dice = Random(7)
    normal = [dice.gauss(0.0, 1.3) for _ in range(2000)]
    power = [dice.choice((-1, 1)) * dice.expovariate(1.0) for _ in range(2000)]
    large = [surprises(sizes, [math.log(1000.0)]) for sizes in (normal, power)]
    assert large[0] > 7.0
    assert 3.0 < large[1] < 7.0  # -ln(1 / 2000), less the 2 that are free
    assert surprises((), [math.log(1000.0)]) == 0.0, "a market's first is as large as any"


def test_whales_do_not_soon_teach_that_whales_are_nothing() -> None:
    dice = Random(8)
    sizes = [dice.gauss(0.0, 1.3) for _ in range(400)]
    one = surprises(sizes, [math.log(300.0)])
    assert surprises(sizes, [math.log(300.0)] * 6) > 4.0 * one
    assert surprises([*sizes, 30.0], [math.log(300.0)]) > 0.75 * one, "nor does one that is as large as a mistake"


def switched(*leverages: float, since_s: float = 0.1) -> dict[str, float]:
    """One account's leverages, one after the other; the last two within one window, those before `since_s` earlier."""
    story = Told(1, 2)
    for i, (before, now) in enumerate(pairwise(leverages)):
        last = i >= len(leverages) - 3
        raised(story, 0.5 + 0.001 * i - (0.0 if last else since_s), 7, before, now, 100.0)
    return story.window()


def test_who_switches_to_and_fro_raises_once() -> None:
    assert switched(5.0, 20.0, 5.0, 20.0, 5.0, 20.0)["raises"] == 1.0
    assert switched(5.0, 20.0, 5.0, 10.0, 5.0, 20.0)["raises"] == 1.0
    again = switched(5.0, 20.0, 5.0, 20.0, since_s=600.0)
    assert (again["raises"], again["raised_far"], again["raised_notional"], again["raisers"]) == (0.0, 0.0, 0.0, 0.0)
    assert again["cuts"] == 1.0
    assert again["changed_notional"] == 200.0, "it is told all the same"


def test_who_raises_further_than_before_raises_by_that_much() -> None:
    rest = switched(5.0, 20.0, 5.0, 40.0, since_s=600.0)
    assert rest["raises"] == 1.0
    assert rest["raised_far"] == pytest.approx(switched(20.0, 20.0, 40.0)["raised_far"], rel=0.4)
    assert rest["raised_far"] < 0.5 * switched(5.0, 5.0, 40.0)["raised_far"]


def test_an_hour_later_the_same_raise_counts_again() -> None:
    assert switched(5.0, 20.0, 5.0, 20.0, since_s=3590.0)["raises"] == 0.0
    assert switched(5.0, 20.0, 5.0, 20.0, since_s=3610.0)["raises"] == 1.0


@pytest.mark.parametrize("leverage", [1.1, 33.333, 33.337, 100.0])
def test_leverages_that_are_no_whole_numbers_are_not_taken_for_higher_ones(leverage: float) -> None:
    assert switched(1.0, leverage, 1.0, leverage, 1.0, leverage)["raises"] == 1.0


def test_a_first_leverage_beyond_all_bounds_is_the_highest_there_is() -> None:
    assert switched(1.0, 1e9, 1.0, 1e9, 1.0, 1e9)["raises"] <= 3.0


def test_leverages_like_those_of_the_day_have_no_shift_and_others_do() -> None:
    same, other = Told(1, 2), Told(1, 2)
    for story in (same, other):
        for i in range(300):
            raised(story, i * 0.001, 1 + i % 9, 2.0, 5.0, 100.0)
            story.rows[-1]["event_ns"] -= 1800 * SECOND_NS
    for i in range(30):
        raised(same, 0.5 + i * 0.01, i, 2.0, 5.0, 100.0)
        raised(other, 0.5 + i * 0.01, i, 2.0, 100.0, 100.0)
    assert same.window()["leverage_shift"] < 0.02
    assert other.window()["leverage_shift"] > 1.0


Book = list[tuple[float, float]]  # price, quantity


def ladder(dice: Random, side: int) -> Book:
    return [(100 - side * (0.005 + step * 0.01), float(dice.randrange(20, 60))) for step in range(48)]


def looked_at(books: list[tuple[Book, Book]]) -> dict[str, float]:
    """Each book stands for EVERY_WINDOWS windows in turn; the features after the last."""
    made = shard()
    window = WINDOW
    for bids, asks in books:
        story = Told(1, 2)
        story.at(0, Kind.BOOK)
        for number, (side, price, quantity) in enumerate(
            [(1, *level) for level in bids] + [(-1, *level) for level in asks]
        ):
            story.at(0, Kind.ORDER, order=1 + number, side=side, price=f"{price:.3f}", qty=str(quantity),
                     flags=int(Flag.SNAPSHOT))  # fmt: skip
        events = story.events()
        events["event_ns"] = window * SECOND_NS
        made.fold(events, 0, len(events), ("M",), window)
        for _ in range(EVERY_WINDOWS):
            closed = made.close(window, idle=False)
            window += 1
    return {feature.name: float(closed.values[0, i]) for i, feature in enumerate(closed.features)}


@pytest.mark.parametrize("seed", range(3))
def test_the_shape_of_a_book_is_what_plain_python_makes_of_its_levels(seed: int) -> None:
    dice = Random(seed)
    books = [(ladder(dice, 1), ladder(dice, -1)) for _ in range(int(SETTLED_SAMPLES))]
    hole = [level for level in ladder(dice, 1) if not 0.2 < 100 - level[0] < 0.33]
    last = (hole, ladder(dice, -1))
    found = looked_at([*books, last])
    cost = 0.0
    for side, levels in zip((1, -1), last, strict=True):
        wanted = 50_000.0
        for price, quantity in levels:
            taken = min(wanted, price * quantity)
            cost += taken * side * (100 - price) / 100 * 1e4 / 50_000.0
            wanted -= taken
        assert wanted == 0
    assert found["round_trip"] == pytest.approx(cost, rel=1e-9)
    near = [p * q for levels in last for p, q in levels if abs(100 - p) / 100 * 1e4 < 10 - 1e-9]
    assert found["level_concentration"] == pytest.approx(sum(n * n for n in near) / sum(near) ** 2)
    assert found["thin_run"] == 13.0
    thin, n = found["thin_run"], 100
    p = thin / n
    spread = 98 * p * p * (1 - p * p) + 4 * 48 * (p**3 - p**4)
    assert found["thin_clustering"] == pytest.approx((thin - 1 - 98 * p * p) / math.sqrt(spread), rel=0.05)


def test_a_book_as_usual_is_neither_thin_nor_clustered() -> None:
    dice = Random(9)
    found = looked_at([(ladder(dice, 1), ladder(dice, -1)) for _ in range(int(SETTLED_SAMPLES) + 1)])
    assert (found["thin_run"], found["thin_clustering"]) == (0.0, 0.0)


def test_of_a_book_with_an_empty_side_no_shape_is_told() -> None:
    found = looked_at([(ladder(Random(1), 1), [])])
    assert all(math.isnan(found[name]) for name in ("round_trip", "thin_run", "thin_clustering", "level_concentration"))


def test_what_cannot_be_bought_near_the_mid_costs_as_if_it_were_far_away() -> None:
    thin = ([(99.99, 1.0)], [(100.01, 1.0)])
    assert looked_at([thin])["round_trip"] == pytest.approx(2 * 100.0, rel=0.01)
    assert np.isfinite(looked_at([thin])["level_concentration"])

"""Orders that had stood, taken back and laid anew at once: nobody's burst, whoever does it. All others' cancels are."""

from __future__ import annotations

import numpy as np
import pytest

from detector.anomaly.cancel_burst import CancelBurst
from detector.features.cancels import AGAIN, SWEEP_FROM, TAKEN_MAX
from detector.model.windows import Windows
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from tests.anomaly.test_conditioning import FEATURES, NAMES, START_NS, detector
from tests.features.quoting import Market

FEW = 3  # orders at once: too few for a seat among the makers


def laid(market: Market, at_s: float, first: int, orders: int = FEW, apart_s: float = 0.001) -> None:
    for number in range(orders):
        market.quote(at_s + apart_s * number, 9, 1000 + first + number)


def standing() -> Market:
    """The account's orders have stood for five seconds."""
    market = Market(makers=1).ordinary(60)
    laid(market, market.second, 0)
    return market.ordinary(5)


def others(stood_s: float = 5.0, gap_s: float = 0.05, again: int = FEW, orders: int = FEW) -> float:
    """cancels_by_others of an account without a seat that takes back `orders` after `stood_s` seconds, and lays `again`
    new ones `gap_s` later."""
    market = Market(makers=1).ordinary(60)
    laid(market, market.second + 0.5 - stood_s % 1.0, 0, orders)
    market.ordinary(int(stood_s) + 1)
    at_s = market.second - 0.5 if stood_s < 1.0 else market.second + 0.5
    market.second = int(at_s)
    for number in range(orders):
        market.cancel(at_s + 0.0001 * number, 9, 1000 + number)
    if again:
        laid(market, at_s + 0.0001 * orders + gap_s, 5000, again)
    market.second += 1
    return sum(market.columns("cancels_by_others", 1))


def test_orders_laid_anew_at_once_were_moved() -> None:
    assert others() == 0.0


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (others(again=0), "none is laid"),
        (others(gap_s=0.3), "laid too late"),
        (others(stood_s=0.3), "they had hardly rested"),
    ],
)
def test_all_other_cancels_are_a_stranger_s(told: float, why: str) -> None:
    assert told == FEW, why


def test_each_new_order_moves_one() -> None:
    assert others(again=2) == 1.0
    assert others(again=FEW + 2) == 0.0


def renewed(times: int, stood_s: int = 5, apart_s: float = 0.0005, again_s: float = 0.01) -> float:
    """cancels_by_others of an account without a seat that takes back and lays anew each of its FEW orders so many times,
    all within a moment."""
    market = Market(makers=1).ordinary(60)
    laid(market, market.second + 0.05, 0)
    market.ordinary(stood_s)
    for number in range(FEW * times):
        at_s = market.second + 0.1 + (number // FEW) * again_s + (number % FEW) * apart_s
        market.cancel(at_s, 9, 1000 + number)
        market.quote(at_s - 0.0009, 9, 1000 + FEW + number)  # told a moment after
    market.second += 1
    return sum(market.columns("cancels_by_others", 1))


def test_orders_laid_anew_may_be_moved_again_at_once_a_few_times_for_each_that_had_stood() -> None:
    assert [renewed(times) for times in (1, 1 + AGAIN, 2 + AGAIN, 5 + AGAIN)] == [0.0, 0.0, FEW, 4 * FEW]


def test_who_laid_its_orders_a_while_ago_does_not_move_them_again() -> None:
    assert renewed(2, again_s=0.3) == FEW, "the first sweep is over"
    assert renewed(2, stood_s=0) == 2 * FEW, "none had stood"


def placed_first(ahead_s: float, new: int = 1, old: int = 1, stood_s: int = 5, arrives_s: float = 0.0) -> float:
    """cancels_by_others of an account without a seat that lays new orders before it takes old ones back; those are told
    so much later than they happened. Negative: before."""
    market = Market(makers=1).ordinary(60)
    laid(market, market.second + 0.1, 0, old)
    market.ordinary(stood_s)
    at_s = market.second + 0.5
    laid(market, at_s - ahead_s, 5000, new)
    for number in range(old):
        market.cancel(at_s + 0.0001 * number, 9, 1000 + number)
    market.second += 1
    market.arrival = lambda told: (
        told["ts"] + (arrives_s * 1e9 if told["type"] == "cancel" and told["account"] == "m9" else 0)
    )
    return sum(market.columns("cancels_by_others", 1))


def test_the_new_orders_may_be_laid_first() -> None:
    assert placed_first(0.1) == 0.0
    assert placed_first(0.1, new=2) == 0.0
    assert placed_first(0.1, old=2) == 1.0, "each moves one"
    assert placed_first(0.4) == 1.0, "too long before"
    assert placed_first(0.3, stood_s=0) == 1.0, "it had not stood"


def test_an_order_that_was_laid_first_replaces_one_and_no_more() -> None:
    def told(then: str) -> float:
        """An account without a seat, whose orders have stood, says: o = a new order, c = an old one taken back, y = the
        newest taken back."""
        market = standing()
        at_s, old, new = market.second + 0.1, 1000, 5000
        for word in then:
            at_s += 0.01
            if word == "o":
                new += 1
                market.quote(at_s, 9, new)
            else:
                market.cancel(at_s + 0.002, 9, new if word == "y" else old)
                old += word == "c"
        market.second += 1
        return market.column("cancels_by_others")

    assert told("oc") == told("co") == 0.0
    assert told("oco") == told("coo") == 0.0, "the second one replaces nothing"
    assert told("occ") == 1.0
    assert told("ococ") == told("coco") == 0.0
    assert told("oy") == 1.0, "what hardly rested is no quote that was moved"
    assert told("cooy") == told("cocooy") == 1.0, "nor is its own order what it was moved to"


@pytest.mark.parametrize("arrives_s", [-0.3, 0.3])
def test_which_of_them_arrives_first_does_not_matter(arrives_s: float) -> None:
    assert placed_first(0.1, arrives_s=arrives_s) == placed_first(-0.1, arrives_s=arrives_s) == 0.0


@pytest.mark.parametrize("rounds", [1, 3])
def test_orders_of_minutes_ago_are_not_taken_for_new_ones(rounds: int) -> None:
    """Instants are told apart within eighteen minutes."""
    market = Market(makers=1).ordinary(60)
    laid(market, market.second, 0, 2)
    market.ordinary(5)
    laid(market, market.second + 0.9, 5000, 1)
    for _ in range(rounds):
        market.second += 400
        market.ordinary(5)
    for number in range(2):
        market.cancel(market.second + 0.1, 9, 1000 + number)
    market.second += 1
    assert market.column("cancels_by_others") == 2.0


@pytest.mark.parametrize("reason", ["expired", "self_trade", "liquidation", "admin"])
def test_what_the_venue_took_away_nobody_took_back(reason: str) -> None:
    told = []
    for why in (reason, "user"):
        market = standing()
        for number in range(FEW):
            market.cancel(market.second + 0.1 + 0.001 * number, 9, 1000 + number, why)
        market.second += 1
        names = ("cancels", "cancels_by_others", "new_cancellers")
        told.append([market.column(name) - market.columns(name, 2)[0] for name in names])
    (cancels, others, first), (same, by_choice, chosen) = told
    assert cancels == same and (others, by_choice) == (0.0, FEW) and (first, chosen) == (0.0, 1.0)


def test_what_was_taken_back_a_while_ago_is_not_moved_by_what_is_laid_now() -> None:
    market = standing()
    for number, at_s in enumerate((0.1, 0.2, 0.6)):
        market.cancel(market.second + at_s, 9, 1000 + number)
    laid(market, market.second + 0.65, 5000)
    market.second += 1
    assert market.column("cancels_by_others") == 2.0


def test_a_sweep_that_a_window_cuts_off_is_told_as_unsettled_and_taken_off_in_the_next_one() -> None:
    def told(laid_anew: bool, at_s: float = 0.9) -> list[list[float]]:
        market = standing()
        for number in range(FEW):
            market.cancel(market.second + at_s, 9, 1000 + number)
        if laid_anew:
            laid(market, market.second + at_s + 0.2, 5000)
        market.second += 2
        return [market.columns(name, 2) for name in ("cancels_by_others", "cancels_unsettled", "cancels_relaid")]

    assert told(laid_anew=True) == [[SWEEP_FROM, 0.0], [FEW - SWEEP_FROM, 0.0], [0.0, FEW]]
    assert told(laid_anew=False) == [[SWEEP_FROM, 0.0], [FEW - SWEEP_FROM, 0.0], [0.0, 0.0]]
    assert told(laid_anew=False, at_s=0.7) == [[FEW, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert told(laid_anew=True, at_s=0.76) == [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_of_a_sweep_that_a_window_cuts_in_two_each_window_has_its_own() -> None:
    market = standing()
    for number, at_s in enumerate((0.998, 0.999, 1.001)):
        market.cancel(market.second + at_s, 9, 1000 + number)
    laid(market, market.second + 1.05, 5000)
    market.second += 2
    assert market.columns("cancels_by_others", 2) == [2.0, 0.0]
    assert market.columns("cancels_relaid", 2) == [0.0, 2.0]


def test_a_maker_s_own_moves_are_none_of_it() -> None:
    assert Market(makers=2).ordinary(400).columns("cancels_relaid", 20) == [0.0] * 20


def test_the_detector_counts_what_is_not_laid_anew_a_window_later() -> None:
    found = detector("cancel_burst")
    assert isinstance(found, CancelBurst)
    names = [NAMES.index(name) for name in ("cancels_by_others", "cancels_unsettled", "cancels_relaid")]
    rows = ((2.0, 18.0, 0.0), (1.0, 0.0, 20.0), (2.0, 18.0, 0.0), (1.0, 0.0, 8.0), (np.nan, np.nan, np.nan))
    told = []
    for number, row in enumerate(rows):
        values = np.zeros((1, len(FEATURES)))
        values[:, names] = row
        every = np.ones(1, np.bool_)
        windows = Windows(START_NS + number * 10**9, 10**9, ("m",), FEATURES, values, every, every)
        told.append(float(found._late(windows)[0]))
    assert told[:4] == [0.0, 0.0, 0.0, 10.0] and np.isnan(told[4])


def test_another_account_s_orders_move_nothing() -> None:
    market = standing()
    for number in range(FEW):
        market.cancel(market.second + 0.1, 9, 1000 + number)
        market.quote(market.second + 0.15, 8, 2000 + number)
    market.second += 1
    assert market.column("cancels_by_others") == FEW


def test_of_more_than_can_be_counted_the_rest_are_a_stranger_s_cancels() -> None:
    orders = TAKEN_MAX + 45
    market = Market(makers=1)
    for level in range(100):  # the only seat's maker keeps it
        market.quote(0.001 * level, 0, 100 + level)
    market.ordinary(60)
    laid(market, market.second, 0, orders)
    market.ordinary(5)
    for number in range(orders):
        market.cancel(market.second + 0.1 + 0.0001 * number, 9, 1000 + number)
    laid(market, market.second + 0.15, 5000, orders, apart_s=0.0002)
    market.say(market.second + 3.0, type="mark", price=market.middle)
    one_seat = of({"limits": {"makers_max": 1}})
    engine = build_pipeline(one_seat, pseudonym_key=b"k" * 32, format_name="native", keep_scored=True)
    scored = engine.step([market.batch()]).scored
    told = [one.windows.column("cancels_by_others")[0] for one in scored]
    assert max(told) == orders - TAKEN_MAX


def test_what_was_moved_is_told_whichever_half_came_first() -> None:
    def moved(new_first: bool, at_s: float = 0.1, new: int = FEW) -> list[float]:
        """cancels_moved, and all cancels, of an account without a seat whose orders had stood."""
        market = standing()
        if new_first:
            laid(market, market.second + at_s, 5000, new)
        for number in range(FEW):
            market.cancel(market.second + at_s + 0.02 + 0.001 * number, 9, 1000 + number)
        if not new_first:
            laid(market, market.second + at_s + 0.05, 5000, new)
        market.second += 1
        return [market.column(name) for name in ("cancels_moved", "cancels")]

    (moved_, all_), none = moved(False), moved(False, new=0)
    assert moved_ == FEW and none == [0.0, all_]
    assert moved(False, new=1) == [1.0, all_]
    assert moved(True, new=1) == [1.0, all_], "more at once are a maker's"
    assert moved(False, at_s=0.85) == [FEW, all_], "so near the end of the window that some were unsettled"


def test_a_maker_s_moves_and_the_venue_s_cancels_are_nothing_that_others_moved() -> None:
    assert Market(makers=2).ordinary(400).columns("cancels_moved", 20) == [0.0] * 20
    market = standing()
    for number in range(FEW):
        market.cancel(market.second + 0.1 + 0.001 * number, 9, 1000 + number, "expired")
    laid(market, market.second + 0.15, 5000)
    market.second += 1
    assert market.column("cancels_moved") == 0.0


def test_all_cancels_are_scored_without_what_was_moved() -> None:
    found = detector("cancel_burst")
    assert isinstance(found, CancelBurst)
    names = ("cancels", "cancels_moved", "cancels_unsettled", "cancels_relaid")
    rows = ((30.0, 20.0, 5.0, 0.0), (4.0, 0.0, 0.0, 2.0), (4.0, 0.0, 0.0, 0.0))
    told = []
    for number, row in enumerate(rows):
        values = np.zeros((1, len(FEATURES)))
        values[:, [NAMES.index(name) for name in names]] = row
        every = np.ones(1, np.bool_)
        windows = Windows(START_NS + number * 10**9, 10**9, ("m",), FEATURES, values, every, every)
        told.append(float(found._for_good(windows, found._late(windows))[0]))
    assert told == [5.0, 7.0, 4.0]


def test_a_look_into_an_open_window_counts_no_cancels_that_may_yet_be_moves() -> None:
    found = detector("cancel_burst")
    assert isinstance(found, CancelBurst)
    values = np.zeros((1, len(FEATURES)))
    for name, count in (("cancels", 30.0), ("young_cancels", 10.0), ("cancels_by_others", 25.0)):
        values[0, NAMES.index(name)] = count
    every = np.ones(1, np.bool_)
    found.score(Windows(START_NS, 10**9, ("m",), FEATURES, np.zeros((1, len(FEATURES))), every, every), every, ())
    seen = found.foreseen(Windows(START_NS + 10**9, 10**9, ("m",), FEATURES, values, every, every), 0.5)
    assert [seen.column(name)[0] for name in ("cancels_by_others", "cancels")] == [5.0, 10.0]

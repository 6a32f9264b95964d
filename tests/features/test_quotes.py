"""What makers did with their quotes: moved, traded away, or taken back for good; and how far out they place new ones."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from random import Random

import pytest

from detector.features.makers import PART_MAX, ROUGHNESS2, ROUGHNESS_SHARE
from tests.features.quoting import LEVELS, SETTLED_S, START_NS, Market


def test_a_quote_that_is_moved_is_not_pulled() -> None:
    assert Market().ordinary(SETTLED_S).column("quotes_pulled") == pytest.approx(0.0, abs=0.01)


def test_a_quote_that_traded_is_not_pulled_though_it_is_missing() -> None:
    market = Market().ordinary(SETTLED_S)
    for maker in range(5):
        for level in (7, 8, 9):
            market.fill(market.second, maker, level)
    market.ordinary(3, levels=LEVELS)
    assert market.column("quotes_missing") > 12.0
    assert market.column("quotes_pulled") == pytest.approx(0.0, abs=0.02)


def test_quotes_taken_back_and_not_replaced_are_pulled_and_their_share_is_told() -> None:
    market = Market().ordinary(SETTLED_S)
    for maker in range(5):
        for level in (3, 4, 5):
            market.cancel(market.second, maker, level)
    market.second += 3
    assert market.column("quotes_pulled") == pytest.approx(3 / 12, abs=0.03)


@pytest.mark.parametrize(("reason", "pulled"), [("self_trade", 0.0), ("user", 3 / 12), ("expired", 3 / 12)])
def test_what_its_own_order_met_was_as_good_as_traded(reason: str, pulled: float) -> None:
    market = Market().ordinary(SETTLED_S)
    for maker in range(5):
        for level in (3, 4, 5):
            market.cancel(market.second, maker, level, reason)
    market.second += 3
    assert market.column("quotes_pulled") == pytest.approx(pulled, abs=0.03)


def _without(market: Market, makers: Iterable[int]) -> float:
    """quotes_pulled, three seconds after these makers took back all they had."""
    for maker in makers:
        for level in range(2 * LEVELS):
            market.cancel(market.second, maker, level)
    market.second += 3
    return market.column("quotes_pulled")


def test_one_maker_that_leaves_is_noise() -> None:
    assert _without(Market().ordinary(SETTLED_S), [0]) == pytest.approx(0.0, abs=0.01)


def test_of_several_that_leave_each_counts_up_to_a_few_of_its_own_strays() -> None:
    found = [_without(Market().ordinary(SETTLED_S), range(makers)) for makers in (2, 3, 4, 5)]
    each = PART_MAX * sqrt(ROUGHNESS2 + (12 * ROUGHNESS_SHARE) ** 2) / 12  # of its quotes; these makers never stray
    assert found == pytest.approx([each * makers / 5 for makers in (2, 3, 4, 5)], rel=0.1)


@pytest.mark.parametrize("few", [0, 1])
def test_the_largest_part_counts_no_more_than_the_next_one(few: int) -> None:
    market = Market().ordinary(SETTLED_S)
    market.cancel(market.second, few, 3)
    found = _without(market, [1 - few])
    assert found == pytest.approx(2 / 60, rel=0.15)


def test_of_two_makers_one_that_leaves_is_noise() -> None:
    assert _without(Market(makers=2).ordinary(SETTLED_S), [1]) == pytest.approx(0.0, abs=0.01)


def test_one_that_is_most_of_the_book_counts_in_full() -> None:
    large = Market()
    large.qty[0] = 8.0  # of 12 in all
    assert _without(large.ordinary(SETTLED_S), [0]) == pytest.approx(1 / 5, abs=0.03)
    not_most = Market()
    not_most.qty[0] = 4.0
    assert _without(not_most.ordinary(SETTLED_S), [0]) == pytest.approx(0.0, abs=0.01)


def test_who_has_quoted_more_for_minutes_is_most_of_the_book() -> None:
    market = Market().ordinary(100)
    market.qty[0] = 20.0
    assert _without(market.ordinary(SETTLED_S), [0]) == pytest.approx(1 / 5, abs=0.03)
    market = Market().ordinary(SETTLED_S)
    market.qty[0] = 20.0
    assert _without(market.ordinary(20), [0]) == pytest.approx(0.0, abs=0.01)


def test_who_is_most_of_the_book_stays_so_where_quantities_become_finer() -> None:
    market = Market()
    market.qty[0] = 8.0
    market.ordinary(SETTLED_S - 2)
    market.qty = {0: 8.0001, 1: 1.0001}
    assert _without(market.ordinary(2), [0]) == pytest.approx(1 / 5, abs=0.03)
    market = Market().ordinary(SETTLED_S - 2)
    market.qty[1] = 1.0001
    assert _without(market.ordinary(2), [0]) == pytest.approx(0.0, abs=0.01)


def test_the_only_maker_counts_in_full() -> None:
    assert _without(Market(makers=1).ordinary(SETTLED_S), [0]) == pytest.approx(1.0, abs=0.05)


def test_who_has_all_quotes_again_has_pulled_none() -> None:
    market = Market().ordinary(SETTLED_S)
    for maker in range(5):
        for level in (3, 4, 5):
            market.cancel(market.second, maker, level)
    market.second += 3
    market.ordinary(15)
    assert market.column("quotes_pulled") == pytest.approx(0.0, abs=0.02)


def test_where_quotes_are_renewed_and_traded_many_times_a_second_what_is_taken_back_still_counts() -> None:
    """Whatever is taken back there is soon followed by a new quote: in the place of one that traded."""
    market = Market()
    gone: tuple[int, ...] = ()
    for second in range(SETTLED_S + 20):
        if second == SETTLED_S:
            gone = (3, 4, 5)
            for maker in range(5):
                for number, level in enumerate(gone):
                    market.cancel(market.second + 0.013 + 0.05 * number + 0.1 * maker, maker, level)
        for tenth in range(1, 10):
            for maker in range(5):
                at_s = market.second + 0.1 * tenth + 0.01 * maker
                level = (second * 9 + tenth + maker) % (2 * LEVELS)
                if tenth % 3 == 0 and (maker, level) in market.live:
                    market.fill(at_s, maker, level)  # and renewed at the next look, not at once
                elif level not in gone:
                    market.quote(at_s, maker, level)
        market.second += 1
    assert market.column("quotes_pulled") == pytest.approx(3 / 12, abs=0.08)


def test_a_move_whose_cancel_comes_after_its_new_quote_pulls_nothing_while_traded_quotes_are_missing() -> None:
    market = Market().ordinary(SETTLED_S)
    began = START_NS + market.second * 10**9
    for maker in range(5):
        for level in (7, 8, 9):
            market.fill(market.second - 0.05, maker, level)
    market.ordinary(20, levels=LEVELS)  # the others are moved, with what was first arriving last
    late = {"cancel": 3e8, "order": 0.0}
    market.arrival = lambda message: message["ts"] + (late.get(message["type"], 0.0) if message["ts"] >= began else 0.0)
    assert max(market.columns("quotes_missing", 10)) > 12.0
    assert max(market.columns("quotes_pulled", 10)) == pytest.approx(0.0, abs=0.02)


def test_an_account_whose_orders_come_and_go_at_random_is_no_measure() -> None:
    """It acts so often that a cancel is soon followed by an order, as if it moved quotes."""
    market, dice = Market(), Random(7)
    for second in range(2 * SETTLED_S):
        market.ordinary(1)
        for _ in range(8):
            at_s = market.second - dice.random()
            own = [level for maker, level in market.live if maker == 9]
            if own and dice.random() < len(own) / 20:
                market.cancel(at_s, 9, dice.choice(own))
            else:
                market.quote(at_s, 9, 100 + second * 8 + len(market.messages))
    own = [level for maker, level in market.live if maker == 9]
    for number, level in enumerate(own):  # all of them, in a few seconds
        market.cancel(market.second + 0.4 * number, 9, level)
    market.ordinary(6)
    assert market.column("quotes_pulled") == pytest.approx(0.0, abs=0.01)


def test_an_account_that_never_replaces_what_it_takes_back_is_no_measure() -> None:
    market = Market()
    for second in range(SETTLED_S):
        market.ordinary(1)
        if second % 7 == 0:  # eight orders that are taken back within five seconds, again and again
            for level in range(100, 108):
                market.quote(market.second + 0.01, 9, level)
        if second % 7 == 5:
            for level in range(100, 108):
                market.cancel(market.second + 0.01, 9, level)
    assert market.column("quotes_pulled") == pytest.approx(0.0, abs=0.03)


def test_quotes_placed_behind_a_hole_are_further_out_than_usual() -> None:
    usual = Market().ordinary(SETTLED_S)
    assert usual.column("quotes_outward") / usual.column("quotes_placed") == pytest.approx(1.0, abs=0.5)
    behind = Market().ordinary(SETTLED_S)
    behind.hole = 30
    behind.ordinary(5)
    assert behind.column("quotes_outward") / behind.column("quotes_placed") > 5.0


def leapt(market: Market) -> tuple[float, float]:
    """quotes_leapt of the last whole window, and of how many it is known."""
    return market.column("quotes_leapt"), market.column("quotes_requoted")


def test_quotes_moved_behind_a_hole_on_both_sides_leap_once() -> None:
    market = Market().ordinary(SETTLED_S)
    assert leapt(market) == (0.0, 5.0)
    market.hole = 40
    assert leapt(market.ordinary(1)) == (0.0, 5.0)  # bids alone, as yet
    assert sum(market.ordinary(3).columns("quotes_leapt", 3)) == 5.0
    assert sum(market.ordinary(2 * LEVELS).columns("quotes_leapt", 2 * LEVELS)) == 0.0


def test_a_price_that_moves_away_lets_no_quote_leap() -> None:
    market = Market().ordinary(SETTLED_S)
    for _ in range(2 * LEVELS):
        market.middle += 4
        market.ordinary(1)
        assert market.column("quotes_leapt") == 0.0


def test_a_maker_that_goes_on_to_leap_has_leapt_once() -> None:
    market = Market().ordinary(SETTLED_S)
    for second in range(28):
        market.hole = 40 if second % 4 < 2 else 0
        market.ordinary(1)
    assert sum(market.columns("quotes_leapt", 28)) == 5.0


def test_a_maker_leaps_anew_when_it_had_come_back_a_while_ago() -> None:
    market = Market().ordinary(SETTLED_S)
    for market.hole, seconds in ((40, 2 * LEVELS), (0, 30), (120, 2 * LEVELS)):
        market.ordinary(seconds)
    assert sum(market.columns("quotes_leapt", 30 + 4 * LEVELS)) == 10.0


@pytest.mark.parametrize("jump", [100, -100])
def test_a_jump_lets_no_quote_leap_while_the_mid_lags_or_when_it_has_followed(jump: int) -> None:
    market = Market().ordinary(SETTLED_S)
    market.middle += jump
    market.ordinary(4 * LEVELS)
    assert market.columns("quotes_leapt", 4 * LEVELS) == [0.0] * 4 * LEVELS


def test_in_a_sweep_quotes_are_held_against_the_mean_of_those_taken_back() -> None:
    market = Market().ordinary(SETTLED_S)
    for far, wanted in ((0, (0.0, 60.0)), (40, (5.0, 60.0))):
        market.hole = far
        for maker in range(5):
            levels = [level for level in range(2 * LEVELS) if (maker, level) in market.live]
            for level in levels:
                market.cancel(market.second + 0.1 * maker, maker, level)
            for level in reversed(levels):
                market.quote(market.second + 0.1 * maker + 0.05, maker, level)
        market.second += 1
        assert leapt(market) == wanted


@pytest.mark.parametrize(("levels", "wanted"), [((0, LEVELS), (5.0, 10.0)), ((0,), (0.0, 5.0))])
def test_quotes_amended_far_out_leap_where_both_sides_do(levels: tuple[int, ...], wanted: tuple[float, float]) -> None:
    market = Market().ordinary(SETTLED_S)
    for maker in range(5):
        for level in levels:
            side, price = ("buy", 9_950) if level < LEVELS else ("sell", 10_050)
            fields = {"order_id": market.live[maker, level], "side": side, "price": price, "qty": 1}
            market.say(market.second + 0.1 * maker, type="order", account=f"m{maker}", **fields)
    market.second += 1
    assert leapt(market) == wanted


def test_what_went_to_the_other_side_is_not_what_the_next_quote_replaces() -> None:
    market = Market().ordinary(SETTLED_S)
    for maker in range(5):
        at_s = market.second + 0.1 * maker
        market.hole = 0
        market.cancel(at_s, maker, LEVELS - 1)  # the bid furthest out comes back as an ask
        market.quote(at_s + 0.001, maker, 3 * LEVELS - 1)
        market.hole = 33  # a leap from where the nearest was, and none from between it and the furthest
        for level in (0, LEVELS):
            market.quote(at_s + 0.02, maker, level)
    market.second += 1
    assert leapt(market) == (5.0, 10.0)


def test_a_quote_that_is_placed_before_the_old_one_is_taken_back_is_moved() -> None:
    market = Market().ordinary(SETTLED_S)
    for _ in range(20):  # the habit is new: half of these until it is believed
        for maker in range(5):
            level = (market.second + maker) % (2 * LEVELS)
            old = market.live.pop((maker, level))
            market.quote(market.second + 0.1 * maker, maker, level)
            market.say(market.second + 0.1 * maker + 0.05, type="cancel", order_id=old, account=f"m{maker}")
        market.second += 1
    assert market.column("quotes_pulled") == pytest.approx(0.0, abs=0.02)
    assert leapt(market) == (0.0, 5.0)


def test_an_order_that_comes_after_its_own_cancel_does_not_rest() -> None:
    market = Market().ordinary(30)
    levels = market.column("levels")
    late = {"order_id": "late", "account": "m1"}
    market.say(market.second + 0.1, type="cancel", **late)
    market.say(market.second + 0.3, type="order", side="buy", price=9_996.5, qty=1, **late)
    market.second += 1
    assert market.column("levels") == levels


def sweep(market: Market, maker: int = 7) -> Market:
    """All quotes of one maker taken back and placed anew within half a second; another second begins."""
    for level in range(2 * LEVELS):
        market.quote(market.second + 0.4 + 0.01 * level, maker, level)
    market.second += 1
    return market


def test_a_slow_makers_first_sweep_is_no_burst_by_a_stranger() -> None:
    assert sweep(sweep(Market().ordinary(5)).ordinary(SETTLED_S)).column("cancels_by_others") == 0.0
    young = sweep(sweep(Market().ordinary(SETTLED_S)).ordinary(20))
    for level in range(2 * LEVELS):
        young.cancel(young.second + 0.1, 7, level)
    young.second += 1
    assert young.column("cancels_by_others") == 0.0, "by then it is known for what it is"


def newcomer(market: Market, maker: int = 8) -> Market:
    """Somebody's first quotes, all at once, half a second before the next second begins."""
    for level in range(2 * LEVELS):
        market.quote(market.second + 0.5, maker, level)
    market.second += 1
    return market


@pytest.mark.parametrize("after_s", [1.6, 5.4])
def test_a_newcomers_first_moves_are_no_burst_by_a_stranger(after_s: float) -> None:
    market = newcomer(Market().ordinary(SETTLED_S))
    at_s = market.second - 0.5 + after_s
    for level in range(2 * LEVELS):
        market.quote(at_s + 0.005 * level, 8, level)
    market.second = int(at_s) + 1
    assert market.columns("cancels_by_others", 2) == [0.0, 0.0]


def test_a_newcomer_that_clears_its_side_before_it_quotes_anew_is_no_burst() -> None:
    market = newcomer(Market().ordinary(SETTLED_S)).ordinary(3)
    for level in range(LEVELS):
        market.cancel(market.second + 0.2, 8, level)
    for level in range(LEVELS):
        market.quote(market.second + 0.21, 8, level)
    market.second += 1
    assert market.column("cancels_by_others") == 0.0


@pytest.mark.parametrize("resting", [5, 20])
def test_who_places_and_pulls_at_once_is_a_stranger_unless_it_was_here_before_us(resting: int) -> None:
    def told(market_age_s: int) -> float:
        market = Market().ordinary(market_age_s)
        for number in range(10 * resting):  # each rests for .4 s
            at_s = market.second + 0.01 + 0.4 * number / resting
            market.quote(at_s, 9, 1000 + number)
            if number >= resting:
                market.cancel(at_s, 9, 1000 + number - resting)
        market.second += 4
        return sum(market.columns("cancels_by_others", 4))

    assert told(SETTLED_S) == 9.0 * resting
    assert told(5) < 4.5 * resting


def test_what_a_newcomer_takes_back_for_good_counts_and_what_it_flickers_too() -> None:
    leaving = newcomer(Market().ordinary(SETTLED_S))
    for level in range(2 * LEVELS):
        leaving.cancel(leaving.second + 0.2, 8, level)
    leaving.second += 1
    assert leaving.column("cancels_by_others") == 2.0 * LEVELS
    for after_s in (-0.4, 0.1, 30.1):
        flickering = newcomer(Market().ordinary(SETTLED_S))
        at_s = flickering.second + after_s
        for pair in range(20):
            flickering.quote(at_s + 0.01 * pair, 8, 100)
            flickering.cancel(at_s + 0.01 * pair + 0.002, 8, 100)
        flickering.second = int(at_s) + 1
        assert flickering.column("cancels_by_others") == 20.0


def test_who_clears_its_quotes_for_a_halt_is_a_maker_after_it() -> None:
    def after_a_clearing(halted: bool) -> float:
        market = sweep(sweep(Market().ordinary(5)).ordinary(SETTLED_S)).ordinary(10)
        if halted:
            market.say(market.second, type="status", status="halted")
        for level in range(2 * LEVELS):
            market.cancel(market.second + 0.1, 7, level)
        market.ordinary(600)
        if halted:
            market.say(market.second, type="status", status="resumed")
        sweep(market).ordinary(30)
        for level in range(2 * LEVELS):
            market.cancel(market.second + 0.1, 7, level)
        market.second += 1
        return market.column("cancels_by_others")

    assert after_a_clearing(halted=True) == 0.0
    assert after_a_clearing(halted=False) > 0.0

"""Who is watched as a maker where there are more than seats: who moves quotes, and whoever has most resting, for long.
Who is known as one."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from detector.features.makers import KNOWN_SAMPLES, ON_TRIAL, PROVEN, SEAT_ORDERS, seat, wants_seat
from detector.features.quotes import MOVES_MIN, MOVES_TO_LEAVES
from detector.features.tables import Limits, make
from tests.features.quoting import SETTLED_S, Market

SEATS = 4


def held(makers: Any) -> Any:
    """With how many orders each seat is held."""
    moving = (makers["moves"] >= MOVES_MIN) & (makers["moves"] * makers["usual"] >= MOVES_TO_LEAVES * makers["leaves"])
    return makers["usual"] * np.where(moving, PROVEN, np.where(makers["samples"] < KNOWN_SAMPLES, ON_TRIAL, 1.0))


@pytest.mark.parametrize("seed", range(20))
def test_no_search_is_spared_that_would_have_found_a_seat(seed: int) -> None:
    dice = Random(seed)
    tables = make(Limits(makers_max=SEATS), 1, 10**9)
    people = tables.participants[:12]
    people["seat"] = -1
    for _ in range(400):
        who = dice.randrange(len(people))
        people[who]["bid_orders"] = dice.choice((0, 3, 4, 7, 8, 9, 16, 17, 40))
        if dice.random() < 0.1:  # as the end of a window does: what is usual moves, and the floor is told anew
            taken = tables.makers[0]["participant"] >= 0
            tables.makers[0]["usual"] = [dice.choice((0.4, 4.0, 8.0, 20.0)) for _ in range(SEATS)]
            tables.makers[0]["moves"] = [dice.choice((0, 0, 3, 4)) for _ in range(SEATS)]
            tables.makers[0]["samples"] = [dice.choice((10, 299, 300)) for _ in range(SEATS)]
            tables.markets[0]["seat_floor"] = held(tables.makers[0]).min() if taken.all() else 0.0
        count = int(people[who]["bid_orders"])
        free = bool((tables.makers[0]["participant"] < 0).any())
        weakest = float(held(tables.makers[0]).min())
        may = people[who]["seat"] < 0 and count >= SEAT_ORDERS and (free or weakest < 0.5 * count)
        if wants_seat(tables, 0, who):
            seat(tables, 0, who)
        assert (people[who]["seat"] >= 0) >= may, "a seat was there to be had"
        taken_by = {int(one): place for place, one in enumerate(tables.makers[0]["participant"]) if one >= 0}
        assert {who: int(people[who]["seat"]) for who in range(len(people)) if people[who]["seat"] >= 0} == taken_by


def test_who_was_seated_a_moment_ago_keeps_its_place_against_its_like() -> None:
    tables = make(Limits(makers_max=1), 1, 10**9)
    people = tables.participants[:4]
    people["seat"], people["bid_orders"] = -1, (6, 6, 24, 25)
    for who in range(4):
        if wants_seat(tables, 0, who):
            seat(tables, 0, who)
        assert people["seat"].tolist() == ([-1, -1, -1, 0] if who == 3 else [0, -1, -1, -1])
    assert np.array_equal(tables.makers[0]["usual"], [25.0])


@pytest.mark.parametrize(("moves", "leaves", "orders"), [(0, 0, 13), (3, 0, 13), (4, 0, 97), (4, 6, 97), (4, 7, 13)])
def test_one_that_moves_quotes_keeps_its_seat_against_many_that_rest(moves: int, leaves: int, orders: int) -> None:
    """orders: so many take the seat of six, and one less do not."""
    for count, seated in ((orders - 1, 0), (orders, 1)):
        tables = make(Limits(makers_max=1), 1, 10**9)
        people = tables.participants[:2]
        people["seat"], people["bid_orders"] = -1, (6, count)
        seat(tables, 0, 0)
        for name, value in (("moves", moves), ("leaves", leaves), ("samples", KNOWN_SAMPLES)):
            tables.makers[0][name] = value
        tables.markets[0]["seat_floor"] = 0.0  # not known
        if wants_seat(tables, 0, 1):
            seat(tables, 0, 1)
        assert int(people[1]["seat"] >= 0) == seated


@pytest.mark.parametrize(("seconds", "known"), [(120, False), (320, True)])
def test_who_places_and_pulls_at_once_is_known_after_five_minutes(seconds: int, known: bool) -> None:
    market, resting = Market().ordinary(SETTLED_S), 5
    for second in range(seconds):
        for place in range(resting):  # each rests for .8 s
            at_s = market.second + 0.25 + 0.14 * place
            market.quote(at_s, 9, 1000 + second * resting + place)
            if (9, 1000 + (second - 1) * resting + place) in market.live:
                market.cancel(at_s - 0.2, 9, 1000 + (second - 1) * resting + place)
        market.ordinary(1)
    assert market.column("cancels_by_others") == (0.0 if known else resting)

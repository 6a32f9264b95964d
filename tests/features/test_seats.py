"""Who is watched as a maker where there are more than seats: who moves quotes, and whoever has most resting, for long.
Who is known as one."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from detector.features.quotes import MOVES_MIN, MOVES_TO_LEAVES
from detector.features.seats import (
    KNOWN_SAMPLES,
    MOVES_TO_SWEEPS,
    ON_TRIAL,
    PROVEN,
    SEAT_ORDERS,
    learn_renewing,
    note_taken_back,
    seat,
    wants_seat,
)
from detector.features.tables import Limits, make
from detector.kernels import kernel
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from tests.features.quoting import SETTLED_S, Market

SEATS, SECOND_NS = 4, 1_000_000_000
NOW_NS = 7 * (1 << 16) * SECOND_NS  # when seconds, as they are kept, begin anew


def held(makers: Any) -> Any:
    """What each seat is held with."""
    moves, usual = makers["moves"], makers["usual"]
    proven = (moves >= MOVES_MIN) & (moves * usual >= MOVES_TO_LEAVES * makers["leaves"])
    proven &= moves >= MOVES_TO_SWEEPS * usual * makers["sweeps"]
    strength = usual * (1.0 + makers["renews"])
    return strength * np.where(proven, PROVEN, np.where(makers["samples"] < KNOWN_SAMPLES, ON_TRIAL, 1.0))


def sit(tables: Any, who: int, now_ns: int = NOW_NS) -> None:
    """As the fold does when it has placed an order."""
    if wants_seat(tables, 0, who, now_ns):
        seat(tables, 0, who, now_ns)


@kernel
def renewed(tables: Any, who: Any, from_ns: Any, to_ns: Any, step_ns: Any) -> Any:
    """It takes back an order that had stood, every so often."""
    for at_ns in range(from_ns, to_ns, step_ns):
        note_taken_back(tables.participants[who], at_ns)


@kernel
def learned(tables: Any, place: Any, who: Any, now_ns: Any) -> Any:
    """How it renews its quotes as the window ends."""
    learn_renewing(tables.makers[0, place], tables.participants[who], now_ns)
    return tables.makers[0, place]["renews"]


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
            tables.makers[0]["renews"] = [dice.choice((0.0, 0.0, 1.5, 40.0)) for _ in range(SEATS)]
            tables.makers[0]["sweeps"] = [dice.choice((0, 0, 1)) for _ in range(SEATS)]
            tables.markets[0]["seat_floor"] = held(tables.makers[0]).min() if taken.all() else 0.0
        count = int(people[who]["bid_orders"])
        free = bool((tables.makers[0]["participant"] < 0).any())
        weakest = float(held(tables.makers[0]).min())
        may = people[who]["seat"] < 0 and count >= SEAT_ORDERS and (free or weakest < 0.5 * count)
        sit(tables, who)
        assert (people[who]["seat"] >= 0) >= may, "a seat was there to be had"
        taken_by = {int(one): place for place, one in enumerate(tables.makers[0]["participant"]) if one >= 0}
        assert {who: int(people[who]["seat"]) for who in range(len(people)) if people[who]["seat"] >= 0} == taken_by


def test_who_was_seated_a_moment_ago_keeps_its_place_against_its_like() -> None:
    tables = make(Limits(makers_max=1), 1, 10**9)
    people = tables.participants[:4]
    people["seat"], people["bid_orders"] = -1, (6, 6, 24, 25)
    for who in range(4):
        sit(tables, who)
        assert people["seat"].tolist() == ([-1, -1, -1, 0] if who == 3 else [0, -1, -1, -1])
    assert np.array_equal(tables.makers[0]["usual"], [25.0])


@pytest.mark.parametrize(
    ("moves", "leaves", "sweeps", "renews", "orders"),
    [
        (0, 0, 0, 0.0, 13),
        (3, 0, 0, 0.0, 13),
        (4, 0, 0, 0.0, 97),
        (4, 6, 0, 0.0, 97),
        (4, 7, 0, 0.0, 13),
        (23, 0, 1, 0.0, 13),  # it goes with all of them
        (24, 0, 1, 0.0, 97),
        (0, 0, 0, 1.5, 31),
        (4, 0, 0, 1.5, 241),
    ],
)
def test_one_that_moves_quotes_keeps_its_seat_against_many_that_rest(
    moves: int, leaves: int, sweeps: int, renews: float, orders: int
) -> None:
    """orders: so many take the seat of six, and one less do not."""
    for count, seated in ((orders - 1, 0), (orders, 1)):
        tables = make(Limits(makers_max=1), 1, 10**9)
        people = tables.participants[:2]
        people["seat"], people["bid_orders"] = -1, (6, count)
        sit(tables, 0)
        told = {"moves": moves, "leaves": leaves, "sweeps": sweeps, "renews": renews, "samples": KNOWN_SAMPLES}
        for name, value in told.items():
            tables.makers[0][name] = value
        tables.markets[0]["seat_floor"] = 0.0  # not known
        sit(tables, 1)
        assert int(people[1]["seat"] >= 0) == seated


@pytest.mark.parametrize(("every_s", "seated"), [(5, True), (15, True), (600, False)])
def test_a_newcomer_that_renews_its_quotes_takes_the_seat_of_a_robot(every_s: int, seated: bool) -> None:
    """The robot rests twenty, and lays all of them anew every ten minutes; the newcomer quotes eight."""
    tables = make(Limits(makers_max=1), 1, 10**9)
    people = tables.participants[:2]
    people["seat"], people["bid_orders"] = -1, (20, 8)
    began_ns = NOW_NS - 1200 * SECOND_NS
    sit(tables, 0, began_ns)
    renewed(tables, 0, began_ns, NOW_NS, 600 * SECOND_NS)
    assert learned(tables, 0, 0, NOW_NS - 600 * SECOND_NS) == 1.0
    tables.makers[0]["samples"], tables.makers[0]["moves"], tables.makers[0]["sweeps"] = 1200, 40, 2
    tables.markets[0]["seat_floor"] = 0.0
    renewed(tables, 1, began_ns, NOW_NS, every_s * SECOND_NS)
    sit(tables, 1)
    assert int(people[1]["seat"] >= 0) == seated
    if seated:  # nothing of who was there before
        maker = tables.makers[0, 0]
        assert (maker["sweeps"], maker["moves"]) == (0, 0) and 20.0 < maker["renews"] < 240.0


def test_taking_back_counts_once_a_second_and_fades_in_ten_minutes() -> None:
    tables = make(Limits(makers_max=1), 1, 10**9)
    people = tables.participants[:1]
    people["seat"], people["bid_orders"] = -1, 8
    sit(tables, 0)
    renewed(tables, 0, NOW_NS, NOW_NS + 1, SECOND_NS)
    assert learned(tables, 0, 0, NOW_NS) == 1.0, "the first one counts, whatever the second"
    people["taken_back"] = 0
    began_ns = NOW_NS - 100 * SECOND_NS  # over the instant at which seconds begin anew
    renewed(tables, 0, began_ns, NOW_NS + 100 * SECOND_NS, SECOND_NS // 10)
    most = learned(tables, 0, 0, NOW_NS + 99 * SECOND_NS)
    assert 165.0 < most <= 200.0
    counted = int(people[0]["taken_back"])
    renewed(tables, 0, NOW_NS + 40 * SECOND_NS, NOW_NS + 50 * SECOND_NS, SECOND_NS)  # they come late
    assert people[0]["taken_back"] == counted
    for passed_s, left in ((300, 0.5), (600, 0.0)):
        tables.makers[0]["renews"] = 0.0
        assert abs(learned(tables, 0, 0, NOW_NS + (99 + passed_s) * SECOND_NS) - left * most) <= 1.0 / 64


def test_who_stops_renewing_keeps_its_seat_for_hours() -> None:
    tables = make(Limits(makers_max=1), 1, 10**9)
    people = tables.participants[:1]
    people["seat"], people["bid_orders"] = -1, 8
    sit(tables, 0)
    tables.makers[0]["renews"] = 40.0
    for window in range(3600):
        kept = learned(tables, 0, 0, NOW_NS + window * SECOND_NS)
    assert 30.0 < kept < 32.0


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


def rows_after(market: Market) -> tuple[Any, Any]:
    """The market's makers, and the participants in their seats."""
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    engine.step([market.batch()])
    makers = engine.shard.tables.makers[0]
    makers = makers[makers["participant"] >= 0]
    return makers, engine.shard.tables.participants[makers["participant"]]


def test_orders_that_had_stood_count_when_they_are_taken_back_or_amended() -> None:
    market = Market().ordinary(60)
    for tenth in range(100):  # one rests quotes, and places and pulls others at once; one amends its own
        at_s = market.second - 30 + 0.1 * tenth
        if tenth < 4:
            market.quote(at_s, 8, tenth)
            market.quote(at_s, 9, tenth)
        market.quote(at_s + 0.02, 8, 100 + tenth)
        market.cancel(at_s + 0.06, 8, 100 + tenth)
        fields = {"side": "buy", "price": 9_900 - tenth, "qty": 1.0, "account": "m9"}
        market.say(at_s + 0.05, type="order", order_id=market.live[9, min(tenth, 3)], **fields)
    makers, people = rows_after(market)
    assert len(makers) == 7
    assert np.allclose(np.sort(makers["renews"]), np.sort(people["taken_back"] / 64), atol=1.0), (
        "learned as windows end"
    )
    assert sorted(round(float(one)) for one in people["taken_back"] / 64) == [0, 10, 47, 47, 47, 47, 47]


@pytest.mark.parametrize(("reason", "renewed"), [("user", 1), ("self_trade", 0), ("expired", 0)])
def test_what_the_venue_takes_away_is_not_renewed(reason: str, renewed: int) -> None:
    market = Market(makers=1).ordinary(60)
    for level in range(4):
        market.quote(market.second - 30, 9, level)
    market.cancel(market.second - 1, 9, 0, reason)
    _, people = rows_after(market)
    assert sorted(round(float(one)) for one in people["taken_back"] / 64)[0] == renewed


@pytest.mark.parametrize("halted", [False, True])
def test_who_goes_with_all_of_its_quotes_at_once_has_swept_them_unless_for_a_halt(halted: bool) -> None:
    market = Market(makers=1)
    for again in range(3):
        for level in range(12):
            market.quote(20.0 * again + 0.01 * level, 0, level)
        if halted:
            market.say(20.0 * again + 10.0, type="status", status="halted")
        for level in range(12):
            market.cancel(20.0 * again + 11.0, 0, level)
        for tenth in range(80):  # silence is no record, and a leap ahead waits for those that follow
            market.say(20.0 * again + 12.0 + 0.1 * tenth, type="mark", price=market.middle)
    makers, _ = rows_after(market)
    assert makers["sweeps"].tolist() == [0 if halted else 3]

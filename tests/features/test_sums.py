"""Sums of what rests are exact, however large the values: what would not add up in 64 bits is refused."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.shard import Shard
from detector.model.events import Effect, Kind
from tests.features.test_books import START_NS, Story, booked, shard

PRICES = ("100", "4e17", "3e18", "101", "7e16")
QUANTITIES = ("4e18", "1", "9e17", "3e15", "2.5", "0.001")


def sums(books: Shard) -> tuple[Counter[tuple[int, int]], Counter[tuple[str, int]]]:
    """Of the orders that rest, in Python's own numbers: lots by (run, key); lots and prices by account."""
    levels: Counter[tuple[int, int]] = Counter()
    accounts: Counter[tuple[str, int]] = Counter()
    for row, market in enumerate(books.tables.order_markets.tolist()):
        order = books.tables.orders[row]
        if market != 0 or order["qty_lots"] == 0:
            continue
        run, price, lots = int(order["run"]), int(order["price_ticks"]), int(order["qty_lots"])
        levels[run, -price if run else price] += lots
        accounts["ask_lots" if run else "bid_lots", int(order["participant"])] += lots
        accounts["ask_price_sum" if run else "bid_price_sum", int(order["participant"])] += price
    return levels, accounts


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 120))
def test_levels_and_accounts_hold_the_sums_of_their_orders_however_large(seed: int, count: int) -> None:
    random, story = Random(seed), Story(0, 2)
    prices, quantities = random.sample(PRICES, 2), random.sample(QUANTITIES, 3)
    for number in range(count):
        if random.random() < 0.3:
            story.row(Kind.CANCEL, order=1 + random.randrange(count), flags=16)
        else:
            side, price = random.choice((1, -1)), random.choice(prices)
            name = 1 + (number if random.random() < 0.9 else random.randrange(count))
            story.row(Kind.ORDER, order=name, side=side, price=price, qty=random.choice(quantities), account=number % 3)
    books = booked(story)
    levels, accounts = sums(books)
    held = {
        (run, int(level["key"])): int(level["qty_lots"])
        for run, place in enumerate(books.tables.runs[:2])
        for level in books.tables.levels[place["start"] : place["start"] + place["count"]]
    }
    assert held == dict(levels)
    for (name, participant), total in accounts.items():
        assert participant < 0 or int(books.tables.participants[participant][name]) == total


def test_an_order_that_its_level_cannot_hold_is_refused_and_counted() -> None:
    story = Story(0, 2)
    for number in range(1, 5):
        story.row(Kind.ORDER, order=number, side=1, price="100", qty="4e18")
    books, events = shard(), story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    assert events["effect"].tolist() == [Effect.PLACED, *[Effect.REFUSED] * 3]
    assert books.counts()["out_of_scale"] == 3
    assert int(books.tables.levels[books.tables.runs[0]["start"]]["qty_lots"]) == 4 * 10**18


def test_a_trade_too_many_explains_as_much_as_can_be_held() -> None:
    story = Story(0, 2)
    story.row(Kind.LEVEL, side=1, price="100", qty="4e18")
    for _ in range(4):
        story.row(Kind.TRADE, side=-1, price="100", qty="4e18")
    story.row(Kind.LEVEL, side=1, price="100", qty="0")
    books, events = shard(), story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    assert events["effect"][5] == Effect.FILLED

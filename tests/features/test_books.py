"""The compiled books against a plain dictionary that does the obvious thing."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.shard import Shard
from detector.features.tables import Limits
from detector.formats.rows import exact
from detector.model.events import Kind, Side, empty_events
from detector.wiring.build import build_groups

START_NS = 1_790_000_000 * 10**9
BPS = (5, 10, 25, 50)


class Story:
    """The same events twice: as EVENT rows, and as the obvious books."""

    def __init__(self, seed: int, decimals: int) -> None:
        self.random = Random(seed)
        self.decimals = decimals
        self.rows: list[dict[str, Any]] = []
        self.orders: dict[int, tuple[int, Decimal, Decimal]] = {}

    def price(self, side: int) -> str:
        away = Decimal(self.random.randrange(1, 3000)).scaleb(-self.random.randrange(1, self.decimals + 1))
        return str(Decimal(100) - min(away, Decimal(60)) if side > 0 else Decimal(100) + away)

    def run(self, count: int) -> Story:
        for number in range(1, count + 1):
            what = self.random.random()
            if what < 0.55 or not self.orders:
                side = self.random.choice((1, -1))
                name = number if self.random.random() < 0.9 or not self.orders else self.random.choice([*self.orders])
                price, quantity = self.price(side), str(self.random.randrange(1, 500) / 4)
                self.orders[name] = (side, Decimal(price), Decimal(quantity))
                self.row(Kind.ORDER, order=name, side=side, price=price, qty=quantity)
            elif what < 0.8:
                name = self.random.choice([*self.orders])
                del self.orders[name]
                self.row(Kind.CANCEL, order=name, flags=16)
            else:
                name = self.random.choice([*self.orders])
                side, price_, left = self.orders[name]
                taken = Decimal(self.random.randrange(1, 100)) / 4
                self.row(Kind.FILL, order=name, price=str(price_), qty=str(taken))
                if taken >= left:
                    del self.orders[name]
                else:
                    self.orders[name] = (side, price_, left - taken)
        return self

    def row(self, kind: Kind, **columns: Any) -> None:
        for name in ("price", "qty"):
            if name in columns:
                ticks, decimals = exact(columns.pop(name))
                columns["price_ticks" if name == "price" else "qty_lots"] = ticks
                columns[f"{name}_decimals"] = decimals
        self.rows.append({"kind": int(kind), "event_ns": START_NS + len(self.rows) * 1000, **columns})

    def events(self) -> Any:
        events = empty_events(len(self.rows))
        for i, row in enumerate(self.rows):
            events["offset"][i] = i
            for name, value in row.items():
                events[name][i] = value
        return events

    def depth(self, side: Side, bps: int, mid: Decimal) -> Decimal:
        total = Decimal(0)
        for order_side, price, quantity in self.orders.values():
            away = (mid - price if side > 0 else price - mid) / mid * 10_000
            if order_side == side and away <= bps:
                total += price * quantity
        return total


def shard(limits: Limits | None = None) -> Shard:
    return Shard(build_groups(2), limits or Limits(), 2, 10**9)


def best(story: Story, side: Side) -> Decimal | None:
    prices = [price for s, price, _ in story.orders.values() if s == side]
    return (max(prices) if side > 0 else min(prices)) if prices else None


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 400), decimals=st.integers(1, 8))
def test_books_hold_exactly_what_the_obvious_books_hold(seed: int, count: int, decimals: int) -> None:
    story = Story(seed, decimals).run(count)
    books = shard()
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    windows = books.close(START_NS // 10**9, False)
    values = {f.name: windows.values[0, i] for i, f in enumerate(windows.features)}
    bid, ask = best(story, Side.BUY), best(story, Side.SELL)
    assert int(books.tables.order_use[0]) == len(story.orders)
    if bid is None or ask is None:
        assert np.isnan(values["mid"])
        return
    mid = (bid + ask) / 2
    assert values["mid"] == pytest.approx(float(mid), rel=1e-12)
    for side, word in ((Side.BUY, "bid"), (Side.SELL, "ask")):
        for bps in BPS:
            expected = float(story.depth(side, bps, mid))
            assert values[f"{word}_depth_{bps}_bps"] == pytest.approx(expected, rel=1e-9, abs=1e-9), (word, bps)


@pytest.mark.parametrize(
    ("price", "quantity"),
    [("0.00000001", "1000000000000"), ("61800.2", "0.00000001"), ("0.000000000001", "3"), ("1e9", "1e12")],
)
def test_a_market_may_trade_at_the_smallest_price_or_hold_the_largest_level(price: str, quantity: str) -> None:
    story = Story(0, 2)
    story.row(Kind.ORDER, order=1, side=1, price=price, qty=quantity)
    story.row(Kind.ORDER, order=2, side=1, price=price, qty=quantity)
    story.row(Kind.CANCEL, order=1, flags=16)
    books = shard()
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    place = books.tables.markets[0]
    run = books.tables.runs[0]
    level = books.tables.levels[run["start"]]
    assert run["count"] == 1
    assert Decimal(int(level["key"])) / 10 ** int(place["price_decimals"]) == Decimal(price)
    assert Decimal(int(level["qty_lots"])) / 10 ** int(place["qty_decimals"]) == Decimal(quantity)


def test_what_cannot_be_held_beside_the_rest_is_refused_and_the_rest_stays() -> None:
    story = Story(0, 2)
    story.row(Kind.ORDER, order=1, side=1, price="1", qty="1000000000000")
    story.row(Kind.ORDER, order=2, side=1, price="1", qty="0.000000000001")
    story.row(Kind.ORDER, order=3, side=1, price="1", qty="5")
    books = shard()
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    assert books.counts()["out_of_scale"] == 1
    assert int(books.tables.order_use[0]) == 2


def test_tables_at_their_limits_refuse_count_and_live_on() -> None:
    story = Story(0, 2)
    for number in range(1, 400):
        story.row(Kind.ORDER, order=number, side=1, price=str(100 - number / 4), qty="1", account=number)
    books = shard(Limits(orders_max=300, levels_max=64, participants_per_market_max=50))
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    counts = books.counts()
    assert counts["levels_full"] > 0 and counts["participants_full"] > 0
    assert int(books.tables.runs["count"][0]) == 64
    assert int(books.tables.held[0]) == 50


def test_a_vain_search_for_idle_accounts_is_not_repeated_for_each_new_one() -> None:
    """32 accounts with an order each, then strangers: two go unnamed before the one that has become idle gives way."""
    story = Story(0, 2)
    for number in range(1, 33):
        story.row(Kind.ORDER, order=number, side=1, price="100", qty="1", account=number)
    story.row(Kind.LEVERAGE, account=100, leverage=5.0)
    story.row(Kind.CANCEL, order=1, account=1, flags=16)
    for stranger in (101, 102, 103):
        story.row(Kind.LEVERAGE, account=stranger, leverage=5.0)
    books = shard(Limits(participants_per_market_max=32))
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    assert (events["participant"][[32, 34, 35, 36]] >= 0).tolist() == [False, False, False, True]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 300))
def test_what_an_account_has_resting_is_the_sum_of_its_orders(seed: int, count: int) -> None:
    story = Story(seed, 4).run(count)
    owner = {}
    for row in story.rows:
        if row["kind"] == Kind.ORDER:
            row["account"] = owner.setdefault(row["order"], 1 + row["order"] % 7)
    books = shard()
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    scale = int(books.tables.markets["qty_scale"][0])
    held = int(books.tables.participant_use[0])
    for who in books.tables.participants[:held]:
        own = [order for name, order in story.orders.items() if owner[name] == who["account"]]
        for side, orders, lots in ((Side.BUY, "bid_orders", "bid_lots"), (Side.SELL, "ask_orders", "ask_lots")):
            mine = [quantity for s, _, quantity in own if s == side]
            assert who[orders] == len(mine)
            assert int(who[lots]) == sum(mine) * scale


def test_cancels_of_unknown_orders_and_crossed_books_are_counted_and_not_fatal() -> None:
    story = Story(0, 2)
    story.row(Kind.CANCEL, order=99, flags=16)
    story.row(Kind.ORDER, order=1, side=1, price="101", qty="1")
    story.row(Kind.ORDER, order=2, side=-1, price="100", qty="1")
    books = shard()
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    assert books.counts()["unknown_order"] == 1
    assert books.counts()["crossed"] == 1


def numbered(*numbers: int) -> Story:
    """An order for each number, in the order they come."""
    story = Story(0, 2)
    for number in numbers:
        story.row(Kind.ORDER, order=number, side=1, price="99", qty="1", seq=number, first_seq=number)
    return story


def booked(story: Story) -> Shard:
    books = shard()
    events = story.events()
    books.fold(events, 0, len(events), ("M",), START_NS // 10**9)
    return books


def test_an_event_whose_number_was_passed_over_is_late_and_no_duplicate() -> None:
    books = booked(numbered(1, 2, 5, 3, 4, 6))
    assert int(books.tables.order_use[0]) == 6
    assert books.counts()["duplicate"] == 0
    assert books.counts()["sequence_gap"] == 1


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_each_number_of_the_last_thousand_is_taken_once(numbers: list[int]) -> None:
    books = booked(numbered(*[number + 1 for number in numbers]))
    taken: set[int] = set()
    last = 0
    for number in (number + 1 for number in numbers):
        if number > last or (last - number < 1024 and number >= numbers[0] + 1):
            taken.add(number)
        last = max(last, number)
    assert int(books.tables.order_use[0]) == len(taken)


def test_after_a_snapshot_what_is_older_than_it_is_dropped() -> None:
    story = numbered(1, 2, 9)
    story.row(Kind.BOOK, seq=10, first_seq=10)
    story.row(Kind.ORDER, order=7, side=1, price="99", qty="1", seq=7, first_seq=7)
    story.row(Kind.ORDER, order=11, side=1, price="99", qty="1", seq=11, first_seq=11)
    books = booked(story)
    assert int(books.tables.order_use[0]) == 1
    assert books.counts()["duplicate"] == 1

"""One extreme value: what does not fit beside it is refused for a moment, and then the market has another scale."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.shard import Shard
from detector.features.scale import RESCALE_MIN
from detector.features.tables import from_state, to_state
from detector.model.events import Kind
from detector.model.restart import Anew
from tests.features.test_books import START_NS, Story, booked, shard

ORDINARY = {"price": "100.25", "qty": "5000000"}
OUTLIERS = [{"price": "4e16", "qty": "1"}, {"price": "100", "qty": "0.000000000001"}, {"price": "4e18", "qty": "1"}]


def orders(story: Story, count: int, price: str, qty: str) -> Story:
    for _ in range(count):
        story.row(Kind.ORDER, order=1 + len(story.rows), side=1, price=price, qty=qty, account=7)
    return story


def held(books: Shard) -> list[tuple[Decimal, Decimal]]:
    """Each level of the bids: price and quantity."""
    place, run = books.tables.markets[0], books.tables.runs[0]
    return [
        (
            Decimal(int(level["key"])).scaleb(-int(place["price_decimals"])),
            Decimal(int(level["qty_lots"])).scaleb(-int(place["qty_decimals"])),
        )
        for level in books.tables.levels[run["start"] : run["start"] + run["count"]]
    ]


@pytest.mark.parametrize("outlier", OUTLIERS, ids=str)
@pytest.mark.parametrize("whole", [0, 100], ids=["at first", "after whole numbers"])
def test_after_a_moment_the_market_has_the_scale_of_what_follows(outlier: dict[str, str], whole: int) -> None:
    story = orders(orders(Story(0, 2), whole, "100", "2"), 1, **outlier)
    books = booked(orders(story, RESCALE_MIN + 9, **ORDINARY))
    assert books.counts()["out_of_scale"] == RESCALE_MIN - 1
    assert books.counts()["scale_restart"] == 1
    assert held(books) == [(Decimal("100.25"), Decimal(50_000_000))]
    who = books.tables.participants[0]
    assert (who["bid_orders"], who["bid_lots"]) == (10, 50_000_000 * int(books.tables.markets[0]["qty_scale"]))
    (told,) = books.restarts(START_NS + 10**9)
    assert (told.what, told.times, told.market) == (Anew.SCALE, 1, "M")
    assert f"{float(outlier['price']):.6g}" in told.before or outlier["price"] == "100"
    assert told.after.startswith("prices up to 100.25 in ")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), outlier=st.sampled_from(OUTLIERS), first=st.integers(0, 300))
def test_the_book_is_then_what_it_would_be_without_the_outlier(seed: int, outlier: dict[str, str], first: int) -> None:
    """Ordinary values are of many sizes, some of which do fit beside the outlier: they count for neither."""
    random = Random(seed)
    story, twin = Story(0, 2), Story(0, 2)
    for number in range(600):
        price = str(Decimal(10_000 + random.randrange(100)) / random.choice((1, 10, 100)))
        qty = random.choice(("5000000", "3", "2500000.5", "70000000"))
        for each in (story, twin):
            each.row(Kind.ORDER, order=1 + number, side=1, price=price, qty=qty)
        if number == first:
            story.row(Kind.ORDER, order=9999, side=1, **outlier)
    for each in (story, twin):
        each.row(Kind.BOOK)
        orders(each, 3, **ORDINARY)
    assert held(booked(story)) == held(booked(twin))


def test_extreme_values_among_many_are_refused_and_change_nothing() -> None:
    """The other way round: a market whose fine prices are ordinary, and one in five that does not fit."""
    story = Story(0, 2)
    for _ in range(100):
        orders(orders(story, 4, "100.25", "1"), 1, "4e17", "1")
    books = booked(story)
    assert books.counts()["out_of_scale"] == 100 and books.counts()["scale_restart"] == 0
    assert held(books) == [(Decimal("100.25"), Decimal(400))]


def test_a_checkpoint_on_the_way_to_another_scale_changes_nothing() -> None:
    events: Any = orders(orders(Story(0, 2), 1, **OUTLIERS[0]), 60, **ORDINARY).events()
    for cut in (1, 5, RESCALE_MIN, RESCALE_MIN + 1):
        books = shard()
        twice = events.copy()
        books.fold(twice, 0, cut, ("M",), START_NS // 10**9)
        again = shard()
        again.market("M")
        again.tables = from_state(again.tables, to_state(books.tables))
        again.fold(twice, cut, len(events), ("M",), START_NS // 10**9)
        assert held(again) == held(booked(orders(orders(Story(0, 2), 1, **OUTLIERS[0]), 60, **ORDINARY)))

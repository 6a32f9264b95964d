"""How far out makers place their quotes: what one of them does alone is nothing, what several do counts."""

from __future__ import annotations

import numpy as np
import pytest

from detector.features.tables import from_state, to_state
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from tests.features.quoting import LEVELS, SETTLED_S, Market

BACK_TICKS = 32  # ten times as far as the 3.5 that are usual
SECONDS = 30


def outward(market: Market) -> float:
    """How far out quotes are of late, x usual; all makers place alike, one quote a second."""
    out, placed = (sum(market.columns(name, SECONDS // 2)) for name in ("quotes_outward", "quotes_placed"))
    assert placed == SECONDS // 2 * market.makers
    return out / placed


def with_back(makers: int, market: Market | None = None) -> Market:
    market = market or Market()
    market.ordinary(SETTLED_S)
    market.back = dict.fromkeys(range(makers), BACK_TICKS)
    return market.ordinary(SECONDS)


def test_one_maker_that_stands_back_is_nothing() -> None:
    assert outward(with_back(0)) == pytest.approx(1.0, abs=0.02)
    assert outward(with_back(1)) == pytest.approx(1.0, abs=0.1)


def test_of_several_that_stand_back_each_counts_as_far_as_the_next_one_is() -> None:
    assert outward(with_back(2)) == pytest.approx((3 + 2 * 10) / 5, rel=0.1)
    market = Market().ordinary(SETTLED_S)
    market.back = {0: BACK_TICKS, 1: 7}  # three times as far
    assert outward(market.ordinary(SECONDS)) == pytest.approx((3 + 2 * 3) / 5, rel=0.1)


def test_who_stays_where_it_was_as_others_come_nearer_counts_as_usual() -> None:
    market = Market()
    market.hole = 2
    market.ordinary(SETTLED_S)
    market.back = dict.fromkeys(range(1, 5), -2)
    assert outward(market.ordinary(SECONDS)) == pytest.approx((1.0 + 4.0 * 3.5 / 5.5) / 5.0, rel=0.02)


def test_all_of_them_count_in_full() -> None:
    assert outward(with_back(5)) == pytest.approx(10.0, rel=0.1)


def test_one_that_is_most_of_the_book_counts_in_full() -> None:
    large = Market()
    large.qty[0] = 8.0  # of 12 in all
    assert outward(with_back(1, large)) == pytest.approx((4 + 10) / 5, rel=0.1)
    assert outward(with_back(1, Market(makers=1))) == pytest.approx(10.0, rel=0.1)


def test_who_has_stood_back_and_left_is_no_measure_of_the_others() -> None:
    market = with_back(1)
    for level in range(2 * LEVELS):
        market.cancel(market.second, 0, level)
    market.second += 1
    market.back = {1: BACK_TICKS}
    for _ in range(SECONDS):
        for maker in range(1, 5):
            market.quote(market.second + 0.1 * maker, maker, (market.second + maker) % (2 * LEVELS))
        market.say(market.second + 0.9, type="mark", price=market.middle)
        market.second += 1
    out, placed = (sum(market.columns(name, SECONDS // 2)) for name in ("quotes_outward", "quotes_placed"))
    assert out / placed == pytest.approx(1.0, abs=0.1)


def test_a_checkpoint_that_knows_nothing_of_it_is_read() -> None:
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    engine.step([with_back(2).batch()])
    tables = engine.shard.tables
    now, saved = tables.makers, to_state(tables)
    names = [name for name in now.dtype.names if name not in ("outward", "outward_others")]
    older = np.zeros(now.shape, [(name, now.dtype[name]) for name in names])
    for name in names:
        older[name] = now[name]
    restored = from_state(tables, {**saved, "makers": older}).makers
    assert all(np.array_equal(restored[name], now[name]) for name in names)
    assert now["outward"].max() > 5.0 and not restored["outward"].any()

"""Slots against a dictionary: whatever is put, dropped and moved, every place is found where its key says."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.kernels.orders import ORDER, order_add, order_find, order_remove, orders_enter
from detector.kernels.slots import MISSING, place_near, slot_drop, slot_put, slots_move

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=120)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_slots_hold_what_a_dictionary_holds(steps: list[tuple[bool, int]]) -> None:
    """Tags fall on few slots near the table's end, so that runs are long and go round."""
    slots = np.zeros(16, np.uint64)
    held: dict[int, int] = {}
    for put, number in steps:
        tag = (number % 5) * 16 + 13 + number % 3
        if put and number not in held and len(held) < len(slots) // 2:
            slot_put(slots, np.uint64(tag), number)
            held[number] = tag
        elif not put and number in held:
            slot_drop(slots, np.uint64(held.pop(number)), number)
        assert words(slots) == sorted(place for place in held)
        for tag in set(held.values()):
            assert held[int(place_near(slots, np.uint64(tag)))] == tag
    larger = np.zeros(32, np.uint64)
    slots_move(slots, larger)
    for number, tag in held.items():
        slot_drop(larger, np.uint64(tag), number)
    assert not larger.any()
    assert all(place_near(slots, np.uint64(tag)) == MISSING for tag in range(100) if tag not in held.values())


def words(slots: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> list[int]:
    """Places that stand in the table."""
    return sorted(int(word & np.uint64(0xFFFFFFFF)) - 1 for word in slots if word)


@pytest.mark.parametrize("seed", range(5))
def test_orders_of_two_markets_with_the_same_numbers_are_told_apart(seed: int) -> None:
    random = Random(seed)
    orders, markets, slots = np.zeros(64, ORDER), np.zeros(64, np.int32), np.zeros(128, np.uint64)
    use = np.array([0, 0, -1], np.int64)
    held: dict[tuple[int, int], int] = {}
    for _ in range(2000):
        key = (random.randrange(1, 60), random.randrange(2))
        row = int(order_find(slots, orders, np.uint64(key[0]), key[1]))
        assert row == held.get(key, MISSING), seed
        if row >= 0:
            order_remove(slots, orders, markets, use, row)
            del held[key]
        elif len(held) < 64:
            held[key] = int(order_add(slots, orders, markets, use, np.uint64(key[0]), key[1], 1))
        assert use[0] == len(held)
    entered, again = np.zeros(128, np.uint64), np.zeros(64, np.int32)
    orders_enter(entered, orders, again, int(use[1]))
    assert all(order_find(entered, orders, np.uint64(order), market) == row for (order, market), row in held.items())
    assert np.array_equal(again[: use[1]], markets[: use[1]])

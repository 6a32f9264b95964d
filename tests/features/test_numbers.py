"""A record's numbers, column by column."""

from __future__ import annotations

import numpy as np
import pytest

from detector.features.base import numbers
from detector.features.book import Book
from detector.features.cancels import Cancels
from detector.features.tables import SAMPLE


@pytest.mark.parametrize("markets", [0, 1, 2, 7])
def test_they_are_the_callers_own_however_few_markets_there_are(markets: int) -> None:
    records = np.zeros(markets, [("a", "<f8"), ("b", "<f8", (2,)), ("c", "<f8")])
    records["b"] = [2.0, 3.0]
    told = numbers(records)
    assert told.shape == (4, markets) and told.flags.c_contiguous
    assert (told == np.array([[0.0], [2.0], [3.0], [0.0]])).all()
    told[:] = 9.0
    assert not (records["a"] == 9.0).any()


def test_groups_that_read_numbers_by_their_place_find_what_they_name() -> None:
    """A field put somewhere else would be told under another one's name."""
    sizes = [SAMPLE.fields[name][0].itemsize for name in SAMPLE.names or ()] if SAMPLE.fields else []
    assert set(sizes) <= {8, 32} and sum(sizes) == SAMPLE.itemsize
    assert (SAMPLE.names or ())[:6] == ("bid", "ask", "bid_depth", "ask_depth", "gap_bps", "levels")
    assert len(Book.FEATURES) == 12  # four depths a side
    assert (SAMPLE.names or ())[-4:] == ("quotes_missing", "quotes_usual", "quotes_pulled", "quotes_weight")
    counted = Cancels.STATE.names or ()
    assert counted[:8] == ("cancels", "fleeting", "new_cancellers", "notional", "near", "bids", "replaced", "peak")
    assert counted[-5:] == ("young", "others", "unsettled", "relaid", "moved") and Cancels.STATE.itemsize == 8 * len(
        counted
    )
    named = [feature.name for feature in Cancels.FEATURES][8:]
    assert named[:3] == ["cancel_life", "cancels_by_others", "young_cancels"]
    assert named[3:] == ["cancels_unsettled", "cancels_relaid", "cancels_moved"]
    assert counted.index("young") == 10  # read where it is told

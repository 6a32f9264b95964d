"""The binance format: REST snapshots find their market and their place among the updates."""

from __future__ import annotations

import numpy as np
import pytest

from detector.formats import binance_places
from detector.formats.binance import Binance
from detector.model.events import Flag, Kind
from tests.formats.binance_lines import (
    KEY,
    MS,
    decode,
    depth,
    levels,
    line,
    reason,
    snapshot,
    ticker,
)


def test_a_snapshot_takes_the_market_of_its_partition_and_lies_under_the_newer_updates() -> None:
    said = [
        line(depth(1, 10, 0, [["100", "9"]])),
        line(depth(11, 20, 10, [["99", "5"], ["98", "0"]], [["101", "2"]], at=2_000)),
        line(snapshot(10, [["100", "1"], ["98", "4"], ["97", "1"]], [["101", "1"]], T=1_500), receive_ns=5),
        line(depth(21, 30, 20, [["100", "0"]], at=3_000)),
    ]
    batch = decode(said)
    assert levels(batch, "BTCUSDT") == {(1, 99.0): 5.0, (1, 97.0): 1.0, (-1, 101.0): 2.0}
    book = batch.events[batch.events["offset"] == 2]
    assert book["kind"].tolist() == [Kind.BOOK] + [Kind.LEVEL] * 4
    assert (book["flags"] == Flag.SNAPSHOT).all()
    assert (book["seq"] == 20).all()
    assert (book["event_ns"] == 2_000 * MS).all()
    assert batch.events["first_seq"][-1] == 21
    assert not batch.skipped


def test_a_snapshot_newer_than_every_update_stands_at_its_own_number() -> None:
    batch = decode([line(depth(1, 10, 0, [["100", "9"]])), line(snapshot(15, [["100", "1"]], [["101", "1"]], T=1_500))])
    book = batch.events[batch.events["offset"] == 1]
    assert (book["seq"] == 15).all()
    assert (book["event_ns"] == 1_500 * MS).all()


def test_a_snapshot_without_a_time_happened_at_the_last_event_of_its_market_not_at_the_recorders_clock() -> None:
    said = [line(depth(1, 10, None, [["100", "9"]], at=998)), line(snapshot(12, [["100", "1"]], []), receive_ns=77)]
    assert decode(said).events["event_ns"].tolist() == [1_000 * MS] * 3
    quiet = [line(ticker(10, "100", "101", spot=True)), line(snapshot(12, [["100", "1"]], []), receive_ns=77)]
    assert decode(quiet).events["event_ns"].tolist() == [77] * 2


def test_a_snapshot_from_before_the_first_update_is_counted() -> None:
    batch = decode([line(depth(51, 60, 50, [["100", "9"]])), line(snapshot(10, [["100", "1"]], []))])
    assert batch.skipped == {"snapshot_before_the_first_update": 1}


def test_an_older_snapshot_does_not_set_back_a_whole_book_but_mends_a_broken_one() -> None:
    decoder = Binance(KEY)
    decode([line(depth(1, 10, 0, [["100", "9"]])), line(snapshot(10, [["100", "1"]], []))], decoder)
    whole = decode([line(depth(11, 20, 10, [["100", "2"]])), line(snapshot(15, [["100", "1"]], []))], decoder, at=2)
    assert whole.skipped == {"snapshot_behind_the_book": 1}
    broken = decode([line(depth(31, 40, 30, [["100", "3"]])), line(snapshot(35, [["99", "1"]], []))], decoder, at=4)
    assert levels(broken, "BTCUSDT") == {(1, 100.0): 3.0, (1, 99.0): 1.0}


def test_three_markets_on_one_partition_each_get_their_own_snapshot() -> None:
    """The numbers of two perpetuals lie close together and the prices of spot and perpetual do."""
    said = [
        line(depth(1, 50_000_000, None, [["100.4", "1"]])),
        line(ticker(50_000_001, "100.4", "100.5", spot=True)),
        line(depth(1, 5_000_000_000_000, 0, [["100.0", "1"]])),
        line(ticker(5_000_000_000_050, "100.0", "100.1")),
        line(depth(1, 5_000_000_000_020, 0, [["7.0", "1"]], s="ETHUSDT")),
        line(ticker(5_000_000_000_060, "7.0", "7.1", s="ETHUSDT")),
        line(snapshot(5_000_000_000_070, [["7.01", "8"]], [["7.09", "8"]])),
        line(snapshot(50_000_009, [["100.41", "8"]], [])),
        line(snapshot(5_000_000_000_030, [["100.02", "8"]], [["100.09", "8"]])),
    ]
    batch = decode(said)
    books = batch.events[batch.events["kind"] == Kind.BOOK]
    assert [batch.markets[market] for market in books["market"]] == ["ETHUSDT", "BTCUSDT-SPOT", "BTCUSDT"]


def test_a_snapshot_nobody_can_place_is_rejected() -> None:
    book = line(snapshot(10, [["100", "1"]], [["101", "1"]]))
    assert reason(book) == "snapshot_without_market"
    twins = [line(ticker(10, "100", "101", s=name)) for name in ("BTCUSDT", "BTCUSDC")]
    assert [reject.reason for reject in decode([*twins, book]).rejects] == ["snapshot_ambiguous"]
    far = [line(ticker(10, "200", "201")), book]
    assert [reject.reason for reject in decode(far).rejects] == ["snapshot_without_market"]
    apart = [line(ticker(10**13, "100", "101")), book]
    assert [reject.reason for reject in decode(apart).rejects] == ["snapshot_without_market"]


def test_a_snapshot_on_another_partition_than_its_updates_is_not_guessed() -> None:
    decoder = Binance(KEY)
    decode([line(depth(1, 10, 0, [["100", "9"]]))], decoder, topic="one")
    other = decode([line(snapshot(10, [["100", "1"]], []))], decoder, topic="two")
    assert [reject.reason for reject in other.rejects] == ["snapshot_without_market"]


def test_a_coin_margined_snapshot_says_its_market_itself() -> None:
    batch = decode([line(snapshot(10, [["100", "1"]], [], symbol="BTCUSD_PERP", pair="BTCUSD", T=4, E=5))])
    assert (batch.markets, batch.events["event_ns"].tolist()) == (("BTCUSD_PERP",), [4 * MS] * 2)


def test_updates_without_levels_leave_no_gap_in_the_chain() -> None:
    said = [depth(1, 10, 0, [["1", "1"]]), depth(11, 12, 10), depth(13, 14, 12), depth(15, 20, 14, [["1", "2"]])]
    assert decode([line(one) for one in said]).events["first_seq"].tolist() == [1, 11]
    said[3] = depth(17, 20, 16, [["1", "2"]])  # here one is really missing
    assert decode([line(one) for one in said]).events["first_seq"].tolist() == [1, 17]


def test_the_updates_that_wait_for_a_snapshot_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_places, "HELD_LEVELS_MAX", 10)
    place = binance_places.Place()
    quotes = binance_places.Quotes(*(np.ones(4, kind) for _, kind in binance_places._COLUMNS))
    for at in range(50):
        place.update(at, at, quotes)
        assert place.held_levels == sum(len(held[2]) for held in place.held) <= 10

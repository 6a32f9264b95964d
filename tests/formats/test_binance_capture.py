"""The binance format on the real capture: what it says is what a plain reader of the same lines finds.

The capture is not part of the project (see the skip reason); about 235 s of three markets, with one REST snapshot each.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.formats.binance import Binance
from detector.model.events import EventBatch, Kind, Side
from detector.model.records import pack

CAPTURE = Path(__file__).parents[3] / "shared" / "data" / "binance_20240808"
FILES = {"usdm_btcusdt": "BTCUSDT", "usdm_ethusdt": "ETHUSDT", "spot_btcusdt": "BTCUSDT-SPOT"}
CHUNK = 5_000

pytestmark = pytest.mark.skipif(not CAPTURE.is_dir(), reason="the Binance capture is not on this machine")


@cache
def lines(name: str) -> list[bytes]:
    return gzip.decompress((CAPTURE / f"{name}.ndjson.gz").read_bytes()).splitlines()


def decode(decoder: Binance, topic: str, said: list[bytes]) -> list[EventBatch]:
    chunks = range(0, len(said), CHUNK)
    return [
        decoder.decode(pack(topic, 0, said[at : at + CHUNK], range(at, at + len(said[at : at + CHUNK]))))
        for at in chunks
    ]


@cache
def decoded(name: str) -> tuple[Any, Counter[str], tuple[str, ...]]:
    batches = decode(Binance(), name, lines(name))
    skipped: Counter[str] = Counter()
    for batch in batches:
        assert batch.rejects == ()
        skipped.update(batch.skipped)
    return np.concatenate([batch.events for batch in batches]), skipped, batches[-1].markets


@cache
def plain(name: str) -> list[Message]:
    return [json.loads(one.partition(b" ")[2]) for one in lines(name)]


Message = dict[str, Any]


@pytest.mark.parametrize("name", FILES)
def test_every_message_is_counted_once(name: str) -> None:
    events, skipped, markets = decoded(name)
    messages = [message.get("data", message) for message in plain(name)]
    depth = [message for message in messages if message.get("e") == "depthUpdate"]
    trades = [message for message in messages if message.get("e") == "trade"]
    tickers = [message for message in messages if "A" in message]
    assert len(depth) + len(trades) + len(tickers) + 1 == len(messages)
    kinds = Counter(events["kind"].tolist())
    assert kinds[Kind.TRADE] == len(trades)
    assert kinds[Kind.BOOK] == 1
    assert skipped == {"bookTicker": len(tickers)}
    assert markets == (FILES[name],)
    updates = events[(events["kind"] == Kind.LEVEL) & (events["flags"] == 0)]
    assert len(updates) == sum(len(message["a"]) + len(message["b"]) for message in depth)
    assert len(np.unique(updates["offset"])) == len(depth)
    bought = sum(not message["m"] for message in trades)
    assert np.count_nonzero((events["kind"] == Kind.TRADE) & (events["side"] == int(Side.BUY))) == bought
    last_ms = max(said.get("T", said["E"]) for said in depth + trades)
    assert events["event_ns"].max() == last_ms * 1_000_000


@pytest.mark.parametrize("name", FILES)
def test_the_chain_of_numbers_is_whole_also_over_the_snapshot(name: str) -> None:
    events = decoded(name)[0]
    rows = events[events["seq"] >= 0]
    _, firsts = np.unique(rows["offset"], return_index=True)
    messages = rows[firsts]
    assert (messages["first_seq"][1:] <= messages["seq"][:-1] + 1).all()
    assert (np.diff(messages["seq"]) >= 0).all()


@pytest.mark.parametrize("name", FILES)
def test_numbers_are_exact(name: str) -> None:
    events = decoded(name)[0]
    told = iter(events[events["kind"] == Kind.TRADE])
    for message in plain(name):
        said = message.get("data", message)
        if said.get("e") != "trade":
            continue
        event = next(told)
        for text, ticks, decimals in (
            (said["p"], event["price_ticks"], event["price_decimals"]),
            (said["q"], event["qty_lots"], event["qty_decimals"]),
        ):
            whole, _, part = text.partition(".")
            assert int(ticks) * 10 ** (len(part) - int(decimals)) == int(whole + part)


@pytest.mark.parametrize("name", FILES)
def test_the_book_of_the_levels_is_the_book_the_venue_shows(name: str) -> None:
    """After each update the best bid and ask are those of the bookTicker with the same number, or, of the spot feed, which
    tells of 100 ms at once, those of the last one up to that number."""
    events = decoded(name)[0]
    tickers = [said for message in plain(name) if "A" in (said := message.get("data", message))]
    numbers = np.array([said["u"] for said in tickers])
    assert (np.diff(numbers) >= 0).all()
    rows = events[(events["kind"] == Kind.LEVEL) | (events["kind"] == Kind.BOOK)]
    prices = rows["price_ticks"] / 10.0 ** rows["price_decimals"]
    starts = np.flatnonzero(np.diff(rows["offset"], prepend=-1))
    books: dict[int, set[float]] = {1: set(), -1: set()}
    seen = right = 0
    known = False
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True):
        if rows["kind"][start] == Kind.BOOK:
            books = {1: set(), -1: set()}
            known = True
            start += 1
        for side, price, lots in zip(
            rows["side"][start:end].tolist(),
            prices[start:end].tolist(),
            rows["qty_lots"][start:end].tolist(),
            strict=True,
        ):
            (books[side].add if lots else books[side].discard)(price)
        at = int(np.searchsorted(numbers, rows["seq"][start], side="right")) - 1
        if known and at >= 0:
            seen += 1
            right += (max(books[1]), min(books[-1])) == (float(tickers[at]["b"]), float(tickers[at]["a"]))
    assert seen > 2_000
    assert right / seen > 0.99


def test_one_partition_with_all_three_markets_says_what_three_topics_say() -> None:
    """The spot capture began 1.1 s before the others; every market's snapshot finds its own book either way."""
    merged = sorted(
        (int(one.partition(b" ")[0]), place, number, name)
        for place, name in enumerate(FILES)
        for number, one in enumerate(lines(name))
    )
    batches = decode(Binance(), "all", [lines(name)[number] for _, _, number, name in merged])
    events = np.concatenate([batch.events for batch in batches])
    markets = batches[-1].markets
    assert sorted(markets) == sorted(FILES.values())
    assert not any(batch.rejects for batch in batches)
    for name, market in FILES.items():
        alone = decoded(name)[0].copy()
        together = events[events["market"] == markets.index(market)].copy()
        for column in (alone, together):
            column["offset"] = 0
            column["market"] = 0
        assert alone.tobytes() == together.tobytes()

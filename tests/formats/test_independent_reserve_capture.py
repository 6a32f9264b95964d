"""The independent_reserve format on the real capture, which is not part of the project."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from detector.formats.independent_reserve import IndependentReserve
from detector.kernels.digest import digest
from detector.model.events import Kind
from detector.model.records import pack

CAPTURE = Path(__file__).parents[3] / "shared" / "data" / "independent_reserve_l3"
MS = 1_000_000


@pytest.mark.skipif(not CAPTURE.is_dir(), reason="the Independent Reserve capture is not on this machine")
def test_the_capture_says_what_a_plain_reader_finds() -> None:
    """831 new orders and 832 cancels in 30 s, every channel's numbers in a row, and five starting books."""
    said = (CAPTURE / "INDEPENDENT_RESERVE.ws.1.0").read_bytes().splitlines()
    decoder = IndependentReserve()
    batch = decoder.decode(pack("ws", 0, said, range(len(said))))
    messages = [json.loads(one.partition(b": ")[2]) for one in said if not one.startswith(b"wss")]
    events = Counter(message["Event"] for message in messages)
    assert not batch.rejects
    kinds = Counter(batch.events["kind"].tolist())
    assert (kinds[Kind.ORDER], kinds[Kind.CANCEL]) == (events["NewOrder"], events["OrderCanceled"]) == (831, 832)
    assert sum(batch.skipped.values()) == len(said) - 831 - 832
    for market in range(len(batch.markets)):
        numbers = batch.events["seq"][batch.events["market"] == market]
        assert (np.diff(numbers) == 1).all()
    currency = dict(market.split("-") for market in batch.markets)
    assert currency == {"DOT": "NZD", "MATIC": "USD", "ETH": "AUD", "BCH": "SGD", "PMGT": "NZD"}
    orders = iter(batch.events)
    for message in messages:
        if message["Event"] in ("NewOrder", "OrderCanceled"):
            event = next(orders)
            assert event["event_ns"] == message["Time"] * MS
            assert event["order"] == digest(message["Data"]["OrderGuid"].encode(), (0, 0))
            if message["Event"] == "NewOrder":
                price = message["Data"]["Price"][currency[message["Channel"][10:].upper()].lower()]
                assert event["price_ticks"] / 10 ** int(event["price_decimals"]) == price
                assert event["qty_lots"] / 10 ** int(event["qty_decimals"]) == message["Data"]["Volume"]
    asked = [one for one in (CAPTURE / "INDEPENDENT_RESERVE.http.0.0").read_bytes().splitlines() if one]
    books = decoder.decode(pack("http", 0, asked, range(len(asked))))
    assert not books.rejects
    drawn = [json.loads(one.partition(b" -> ")[2].partition(b": ")[2]) for one in asked]
    held = [order for one in drawn for order in one["BuyOrders"] + one["SellOrders"]]
    assert Counter(books.events["kind"].tolist()) == {
        Kind.BOOK: 5,
        Kind.ORDER: sum(order["Price"] > 0 for order in held),
    }
    assert books.markets == batch.markets


@pytest.mark.skipif(not CAPTURE.is_dir(), reason="the Independent Reserve capture is not on this machine")
def test_a_book_of_the_capture_and_the_orders_told_before_it_agree() -> None:
    """By event time the stream leads up to each book: its orders are those told and not cancelled, at the same prices."""
    decoder = IndependentReserve()
    batches = []
    for name in ("ws.1.0", "http.0.0"):
        said = (CAPTURE / f"INDEPENDENT_RESERVE.{name}").read_bytes().splitlines()
        batches.append(decoder.decode(pack(name, 0, said, range(len(said)))))
    told_events, books = batches[0].events, batches[1].events
    agreed = 0
    for start in books[books["kind"] == Kind.BOOK]:
        market, drawn_ns = start["market"], start["event_ns"]
        held = {
            int(row["order"]): (
                row["side"],
                row["price_ticks"],
                row["price_decimals"],
                row["qty_lots"],
                row["qty_decimals"],
            )
            for row in books[(books["market"] == market) & (books["kind"] == Kind.ORDER)]
        }
        before = told_events[(told_events["market"] == market) & (told_events["event_ns"] <= drawn_ns - 500 * MS)]
        last = {int(row["order"]): row for row in before}
        for order, row in last.items():
            if row["kind"] == Kind.CANCEL:
                assert order not in held
            elif order in held:
                assert held[order] == (
                    row["side"],
                    row["price_ticks"],
                    row["price_decimals"],
                    row["qty_lots"],
                    row["qty_decimals"],
                )
                agreed += 1
    assert agreed >= 20

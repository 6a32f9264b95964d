"""Synthetic lines in Binance's words, for the tests of the binance format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.formats.binance import Binance
from detector.model.events import EventBatch, Kind
from detector.model.records import pack

KEY = (3, 5)
MS = 1_000_000
Message = dict[str, Any]


def line(message: Any, stream: str = "", receive_ns: int = 0) -> bytes:
    wrapped = {"stream": stream, "data": message} if stream else message
    head = f"{receive_ns} " if receive_ns else ""
    return (head + json.dumps(wrapped, separators=(",", ":"))).encode()


def depth(
    first: int,
    last: int,
    before: int | None = None,
    bids: Any = (),
    asks: Any = (),
    at: int = 1_000,
    s: str = "BTCUSDT",
) -> Message:
    """A perpetual's update when `before` is given, else a spot one."""
    update: Message = {"e": "depthUpdate", "E": at + 2, "s": s, "U": first, "u": last, "b": list(bids), "a": list(asks)}
    return update if before is None else {**update, "T": at, "pu": before}


def ticker(u: int, bid: str, ask: str, spot: bool = False, s: str = "BTCUSDT") -> Message:
    said: Message = {"u": u, "s": s, "b": bid, "B": "1", "a": ask, "A": "1"}
    return said if spot else {"e": "bookTicker", "T": 999, "E": 999, **said}


def trade(price: str, qty: str, sell: bool, spot: bool = False, kind: str = "trade", **more: Any) -> Message:
    said: Message = {"e": kind, "E": 1_001, "T": 1_000, "s": "BTCUSDT", "t": 1, "p": price, "q": qty, "m": sell}
    return {**said, "M": True, **more} if spot else {**said, "X": "MARKET", **more}


def snapshot(last: int, bids: Any, asks: Any, **more: Any) -> Message:
    return {"lastUpdateId": last, "bids": list(bids), "asks": list(asks), **more}


def decode(lines: Sequence[bytes], decoder: Binance | None = None, topic: str = "t", at: int = 0) -> EventBatch:
    return (decoder or Binance(KEY)).decode(pack(topic, 0, lines, list(range(at, at + len(lines)))))


def only(message: Any, **more: Any) -> tuple[np.void, EventBatch]:
    batch = decode([line(message, **more)])
    assert not batch.rejects, batch.rejects
    assert len(batch.events) == 1
    return batch.events[0], batch


def reason(message: Any) -> str:
    batch = decode([message if isinstance(message, bytes) else line(message)])
    assert len(batch.events) == 0
    return batch.rejects[0].reason


def levels(batch: EventBatch, name: str) -> dict[tuple[int, float], float]:
    """The book a plain reader would hold of one market after the batch."""
    market = batch.markets.index(name)
    book: dict[tuple[int, float], float] = {}
    for event in batch.events[batch.events["market"] == market]:
        if event["kind"] == Kind.BOOK:
            book = {}
        if event["kind"] == Kind.LEVEL:
            key = (int(event["side"]), event["price_ticks"] / 10.0 ** event["price_decimals"])
            book[key] = event["qty_lots"] / 10.0 ** event["qty_decimals"]
    return {key: lots for key, lots in book.items() if lots}


def order(execution: str, **more: Any) -> Message:
    said: Message = {
        "s": "BTCUSDT",
        "c": "web",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "2.5",
        "p": "100",
        "x": execution,
    }
    return {
        "e": "ORDER_TRADE_UPDATE",
        "T": 4,
        "E": 5,
        "o": {**said, "X": "NEW", "i": 77, "l": "0", "z": "0", "T": 4, **more},
    }

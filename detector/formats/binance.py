"""The binance format: recorded `<receive ns> <raw JSON>` lines or the bare JSON of Binance's market and user streams.

Spot and perpetual of one pair have the same symbol on the wire; spot is told by its shape and its market is named
"BTCUSDT-SPOT", so that they never share a book, not even on one partition. Books are price levels: there are no order
ids, so a cancel is a decrease no trade explains. The market a REST snapshot belongs to: formats/binance_places.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from detector.formats.base import Format
from detector.formats.binance_orders import account_update, leverage_change, order_update
from detector.formats.binance_places import PLACES_MAX, Place, load, market_of, save
from detector.formats.binance_words import SPOT, decimal, event_ns_of, sequence, side_of, text
from detector.formats.rows import EVENT_NS_MAX, Markets, Rows, Unreadable, exact, read_quotes, text_of, values
from detector.model.events import EventBatch, Flag, Kind, Side
from detector.model.records import RecordBatch
from detector.model.state import State, Tree

# only part of a book (the best 5, 10 or 20 levels), or one with other orders in it, under the name of the whole one
_OTHER_DEPTH = re.compile(r"@(depth(5|10|20)|rpiDepth)(@|$)")
# known, and of no use here; any other type is counted as unknown_type, since a hostile feed could name millions
_OF_NO_INTEREST = frozenset(
    {
        "24hrMiniTicker",
        "24hrTicker",
        "1hTicker",
        "4hTicker",
        "1dTicker",
        "kline",
        "continuous_kline",
        "indexPrice_kline",
        "markPrice_kline",
        "indexPriceUpdate",
        "compositeIndex",
        "contractInfo",
        "assetIndexUpdate",
        "avgPrice",
        "listenKeyExpired",
        "MARGIN_CALL",
        "TRADE_LITE",
        "STRATEGY_UPDATE",
        "GRID_UPDATE",
        "CONDITIONAL_ORDER_TRIGGER_REJECT",
        "ALGO_UPDATE",
        "executionReport",
        "outboundAccountPosition",
        "balanceUpdate",
        "listStatus",
    }
)

_JSON = msgspec.json.Decoder(float_hook=str)  # a float stays the text it was: nothing is rounded

Places = dict[str, Place]
Reader = Callable[["Binance", Rows, Places, dict[str, Any]], None]


class Binance(Format):
    """Market streams of spot, USD-M and COIN-M, the REST depth snapshot, and the futures user stream.

    A record is one message, enveloped (`{"stream": ..., "data": ...}`) or bare; a message may be an array of them.
    Where it is wrong: perpetuals with nearly the same price (BTCUSDT, BTCUSDC) whose snapshots share one partition
    cannot be told apart (reject snapshot_ambiguous); give each market a topic or partition of its own.

    >>> from detector.model.records import pack
    >>> line = b'1700000000000000000 {"e":"trade","E":5,"T":4,"s":"BTCUSDT","t":1,"p":"9.50","q":"2","m":true}'
    >>> batch = Binance().decode(pack("btc", 0, [line], [0]))
    >>> batch.markets, batch.events[["price_ticks", "side", "event_ns"]].tolist()
    (('BTCUSDT',), [(95, -1, 4000000)])
    """

    def __init__(self, key: tuple[int, int] = (0, 0), markets_max: int = 4096) -> None:
        super().__init__(key, markets_max)
        self.markets = Markets(markets_max)
        self._places: dict[tuple[str, int], Places] = {}

    def decode(self, batch: RecordBatch) -> EventBatch:
        """All rows of all records, in log order. Raises nothing, whatever the bytes."""
        rows = Rows(batch, self.key)
        places = self._places_of(batch.topic, batch.partition)
        broker_ns = batch.broker_ns.tolist()
        for index, value in enumerate(values(batch)):
            try:
                receive_ns, message = _open(value)
                self._read(rows, places, message, receive_ns or broker_ns[index])
            except Unreadable as unreadable:
                rows.reject(index, unreadable.reason)
            else:
                rows.keep(index)
        return rows.finish(self.markets.names)

    def state(self) -> State:
        """Per partition and market: the last number, time and price, and the updates that wait for a snapshot."""
        partitions: list[Tree] = []
        for (topic, partition), places in self._places.items():
            saved: dict[str, Tree] = {name: save(place) for name, place in places.items()}
            partitions.append({"topic": topic, "partition": partition, "markets": saved})
        return {"partitions": partitions}

    def restore(self, state: State) -> None:
        """Go on from `state`. Raises ValueError with a sentence when it does not fit."""
        restored: dict[tuple[str, int], Places] = {}
        try:
            entries: Any = state.get("partitions", [])
            for entry in entries:
                where = (str(entry["topic"]), int(entry["partition"]))
                restored[where] = {str(name): load(place) for name, place in entry["markets"].items()}
        except (AttributeError, KeyError, TypeError):
            raise ValueError("the saved state of the binance format is not one this version wrote") from None
        self._places = restored

    def _places_of(self, topic: str, partition: int) -> Places:
        places = self._places.get((topic, partition))
        if places is None:
            places = {}
            if len(self._places) < PLACES_MAX:
                self._places[topic, partition] = places
        return places

    def _read(self, rows: Rows, places: Places, message: Any, receive_ns: int) -> None:
        """One record: an envelope, a message, or an array of messages."""
        if type(message) is dict and "data" in message and "e" not in message:
            stream = message.get("stream")
            if type(stream) is str and _OTHER_DEPTH.search(stream):
                rows.skip("other_depth")
                return
            message = message["data"]
        for one in message if type(message) is list else (message,):
            if type(one) is not dict:
                raise Unreadable("not_a_message")
            self._read_one(rows, places, one, receive_ns)

    def _read_one(self, rows: Rows, places: Places, message: dict[str, Any], receive_ns: int) -> None:
        kind = message.get("e")
        if kind is None:
            if "lastUpdateId" in message:
                _snapshot(self, rows, places, message, receive_ns)
            elif "b" in message and "a" in message and "s" in message:
                _book_ticker(self, rows, places, message)
            elif "result" in message or "id" in message or "error" in message:
                rows.skip("reply")
            else:
                raise Unreadable("no_type")
            return
        reader = _READERS.get(kind) if type(kind) is str else None
        if reader is not None:
            reader(self, rows, places, message)
        else:
            rows.skip(kind if type(kind) is str and kind in _OF_NO_INTEREST else "unknown_type")

    def place(self, places: Places, name: str) -> Place:
        """What is remembered of a market on this partition. Raises Unreadable: not_a_market, too_many_markets."""
        place = places.get(name)
        if place is None:
            self.markets.index(name)
            place = places[name] = Place()
        return place


def _open(value: bytes) -> tuple[int, Any]:
    """(receive_ns, message) of a record; receive_ns is 0 when no recorder wrote it in front."""
    receive_ns = 0
    value = value.strip()
    if value[:1].isdigit():
        head, _, value = value.partition(b" ")
        if not head.isdigit() or len(head) > 19 or not value:
            raise Unreadable("not_json")
        receive_ns = int(head) if int(head) < EVENT_NS_MAX else 0
    try:
        return receive_ns, _JSON.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("not_json") from None
    except RecursionError:
        raise Unreadable("nested_too_deep") from None


def _depth_update(decoder: Binance, rows: Rows, places: Places, message: dict[str, Any]) -> None:
    """Absolute quantities of price levels. Perpetuals chain on pu == previous u, spot on U == previous u + 1."""
    perpetual = "pu" in message
    name = text(message, "s") + ("" if perpetual else SPOT)
    seq = sequence(message, "u")
    first_seq = sequence(message, "pu") + 1 if perpetual else sequence(message, "U")
    event_ns = event_ns_of(message)
    quotes = read_quotes(message.get("b"), message.get("a"))
    place = decoder.place(places, name)
    first_seq = place.chained(first_seq)
    rows.add_levels(quotes, event_ns=event_ns, market=decoder.markets.index(name), seq=seq, first_seq=first_seq)
    if not len(quotes):
        rows.skip("depth_without_levels")
    place.update(first_seq, seq, quotes)
    place.event_ns = event_ns


def _snapshot(decoder: Binance, rows: Rows, places: Places, message: dict[str, Any], receive_ns: int) -> None:
    """A REST depth snapshot: BOOK and its levels. The updates that were seen before it and are newer lie over it
    already, so that the book is whole, and its number is the last of theirs."""
    seq = sequence(message, "lastUpdateId")
    quotes = read_quotes(message.get("bids"), message.get("asks"))
    name = text(message, "symbol") if "symbol" in message else market_of(places, seq, quotes)  # COIN-M says it
    place = decoder.place(places, name)
    if place.booked and seq <= place.seq:
        rows.skip("snapshot_behind_the_book")
        return
    said_ns = event_ns_of(message) if "T" in message or "E" in message else 0
    # a recorder's clock may run apart from the venue's, so it is asked last
    event_ns = max(said_ns, place.event_ns) or receive_ns
    if event_ns <= 0:
        raise Unreadable("no_time")
    stands, quotes, whole = place.snapshot(seq, quotes)
    if not whole:
        rows.skip("snapshot_before_the_first_update")
    shared = {
        "event_ns": event_ns,
        "market": decoder.markets.index(name),
        "seq": stands,
        "first_seq": stands,
        "flags": int(Flag.SNAPSHOT),
    }
    rows.add(kind=int(Kind.BOOK), **shared)
    rows.add_levels(quotes, **shared)


def _trade(decoder: Binance, rows: Rows, places: Places, message: dict[str, Any]) -> None:
    """A trade, or several of one taker at one price (aggTrade). Of a market that sends both, only one kind counts."""
    kind = message["e"]
    name = text(message, "s") + (SPOT if "M" in message else "")
    event_ns = event_ns_of(message)
    maker_bought = message.get("m")
    price, qty = decimal(message, "p"), decimal(message, "q")
    if type(maker_bought) is not bool:
        raise Unreadable("no_side")
    if exact(qty)[0] <= 0 or exact(price)[0] <= 0:
        rows.skip("trade_without_quantity")  # a number in the venue's count that was no trade ("X":"NA")
        return
    place = decoder.place(places, name)
    place.prints = place.prints or kind
    if place.prints != kind:
        rows.skip("told_twice")
        return
    place.event_ns = event_ns
    place.price = (price, price)
    side = Side.SELL if maker_bought else Side.BUY
    off_book = message.get("X") in ("INSURANCE_FUND", "ADL")  # takes nothing from the book, and was nobody's wish
    rows.add(
        kind=int(Kind.LIQUIDATION if off_book else Kind.TRADE),
        event_ns=event_ns,
        market=decoder.markets.index(name),
        side=int(side),
        price=price,
        qty=qty,
    )


def _book_ticker(decoder: Binance, rows: Rows, places: Places, message: dict[str, Any]) -> None:
    """Best bid and ask: no row, but it says which market a snapshot's price and number belong to."""
    place = decoder.place(places, text(message, "s") + ("" if "e" in message else SPOT))
    place.ticker_seq = sequence(message, "u")
    place.price = (text_of(message.get("b")), text_of(message.get("a")))
    rows.skip("bookTicker")


def _mark_price(decoder: Binance, rows: Rows, places: Places, message: dict[str, Any]) -> None:
    """Mark price, index price and funding rate. Its T is the next funding, not when it was said."""
    name = text(message, "s")
    event_ns = event_ns_of(message, "E")
    place = decoder.place(places, name)
    place.event_ns = event_ns
    rows.add(
        kind=int(Kind.MARK),
        event_ns=event_ns,
        market=decoder.markets.index(name),
        price=decimal(message, "p"),
        leverage=_number(message.get("r")),
        previous=_number(message.get("i")),
    )


def _number(said: Any) -> float:
    """A float, NaN when nothing was said (delivery contracts have no funding: "")."""
    if said is None or said == "":
        return float("nan")
    ticks, decimals = exact(text_of(said))
    return ticks / 10.0**decimals


def _force_order(decoder: Binance, rows: Rows, places: Places, message: dict[str, Any]) -> None:
    """A liquidation order, at its own price and whole quantity."""
    order = message.get("o")
    if type(order) is not dict:
        raise Unreadable("no_order")
    name = text(order, "s")
    price = decimal(order, "p")
    rows.add(
        kind=int(Kind.LIQUIDATION),
        event_ns=event_ns_of(order) if "T" in order else event_ns_of(message),
        market=decoder.markets.index(name),
        side=side_of(order),
        price=price if exact(price)[0] > 0 else decimal(order, "ap"),
        qty=decimal(order, "q"),
    )


_READERS: dict[str, Reader] = {
    "depthUpdate": _depth_update,
    "trade": _trade,
    "aggTrade": _trade,
    "bookTicker": _book_ticker,
    "markPriceUpdate": _mark_price,
    "forceOrder": _force_order,
    "ORDER_TRADE_UPDATE": lambda decoder, rows, places, message: order_update(decoder.markets, rows, message),
    "ACCOUNT_CONFIG_UPDATE": lambda decoder, rows, places, message: leverage_change(decoder.markets, rows, message),
    "ACCOUNT_UPDATE": lambda decoder, rows, places, message: account_update(decoder.markets, rows, message),
}

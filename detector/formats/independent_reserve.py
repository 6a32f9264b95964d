"""The independent_reserve format: an order-by-order spot feed, as recorded websocket lines and REST starting books.

Lines as a recorder writes them: `t: {json}` received, `wss://... <- t: {json}` sent, `wss://... <-> t` connected,
`https://... -> t: {json}` asked over REST; or the bare JSON. The venue keeps one book per primary currency and tells
every order's price in all its fiat currencies, converted; a starting book has one of them. So a market is a pair,
"DOT-NZD", and an order rests in the markets of those pairs of its primary that the partition names: by a ticker
subscription or by a starting book. Where it names none, in the one priced in AUD. With one pair for a primary one order
is one event; who subscribes to two pairs of a primary gets two markets, which are two views of one book.
"""

from __future__ import annotations

import re
from typing import Any

from detector.formats.base import Format
from detector.formats.independent_reserve_orders import PLACES_MAX, Open, Place, load, save
from detector.formats.independent_reserve_words import (
    HOME,
    decimal,
    event_ns_of,
    instant_ns,
    message_of,
    nonce_of,
    pair_of,
    prices_of,
    text,
)
from detector.formats.rows import Markets, Rows, Unreadable, values
from detector.kernels.digest import digest
from detector.model.events import EventBatch, Flag, Kind, Side
from detector.model.records import RecordBatch
from detector.model.state import State, Tree

GUID_CHARS_MAX = 64

_PAIR_CHANNEL = re.compile(r"ticker-([a-z0-9]{1,16})-([a-z0-9]{1,16})")
_CHANNEL = re.compile(r"orderbook-([a-z0-9]{1,16})")
_SIDES = {"LimitBid": Side.BUY, "LimitOffer": Side.SELL}


class IndependentReserve(Format):
    """Order book channels, trades of the ticker channels, and starting books.

    Where it is wrong: a partial fill tells only what is left of an order, so the decoder remembers the open orders of a
    partition; it knows those of a starting book only when that is on the same partition as the channel.

    >>> from detector.model.records import pack
    >>> told = b'{"Channel":"orderbook-eth","Nonce":7,"Time":1700000000000,"Event":"NewOrder","Data":{"OrderGuid":"g",'
    >>> told += b'"OrderType":"LimitBid","Price":{"aud":4695.50,"usd":3517.5},"Volume":2.50}}'
    >>> batch = IndependentReserve().decode(pack("book", 0, [b"1700000000.25: " + told], [0]))
    >>> batch.markets, batch.events[["price_ticks", "price_decimals", "qty_lots", "seq"]].tolist()
    (('ETH-AUD',), [(46955, 1, 25, 7)])
    """

    def __init__(self, key: tuple[int, int] = (0, 0), markets_max: int = 4096) -> None:
        super().__init__(key, markets_max)
        self.markets = Markets(markets_max)
        self._places: dict[tuple[str, int], Place] = {}

    def decode(self, batch: RecordBatch) -> EventBatch:
        """All rows of all records, in log order. Raises nothing, whatever the bytes."""
        rows = Rows(batch, self.key)
        place = self._place_of(batch.topic, batch.partition)
        for index, value in enumerate(values(batch)):
            try:
                self._read(rows, place, value.strip())
            except Unreadable as unreadable:
                rows.reject(index, unreadable.reason)
            else:
                rows.keep(index)
        return rows.finish(self.markets.names)

    def state(self) -> State:
        """Per partition: the pairs named, the open orders, the last numbers."""
        partitions: list[Tree] = [
            {"topic": topic, "partition": partition, **save(place)}
            for (topic, partition), place in self._places.items()
        ]
        return {"partitions": partitions}

    def restore(self, state: State) -> None:
        """Go on from `state`. Raises ValueError with a sentence when it does not fit."""
        try:
            entries: Any = state.get("partitions", [])
            restored = {(str(entry["topic"]), int(entry["partition"])): load(entry) for entry in entries}
        except (AttributeError, KeyError, TypeError):
            raise ValueError(
                "the saved state of the independent_reserve format is not one this version wrote"
            ) from None
        self._places = restored

    def _place_of(self, topic: str, partition: int) -> Place:
        place = self._places.get((topic, partition))
        if place is None:
            place = Place()
            if len(self._places) < PLACES_MAX:
                self._places[topic, partition] = place
        return place

    def _read(self, rows: Rows, place: Place, line: bytes) -> None:
        """One line: what the recorder wrote in front of the JSON decides what it is."""
        if not line or line.startswith(b"configuration: "):
            rows.skip("blank" if not line else "configuration")
        elif line.startswith(b"wss://"):
            if b" <-> " in line:
                rows.skip("connect")
                return
            _, _, sent = line.partition(b" <- ")
            _subscribe(place, message_of(sent)[1])
            rows.skip("sent")
        elif line.startswith((b"https://", b"http://")):
            url, arrow, answer = line.partition(b" -> ")
            if not arrow:
                raise Unreadable("not_json")
            received_ns, message = message_of(answer)
            if type(message) is dict and "BuyOrders" in message:
                self._book(rows, place, message, received_ns, url)
            else:
                rows.skip("rest_answer")
        else:
            received_ns, message = message_of(line)
            if type(message) is not dict:
                raise Unreadable("not_a_message")
            if "BuyOrders" in message:
                self._book(rows, place, message, received_ns, b"")
            else:
                self._event(rows, place, message)

    def _event(self, rows: Rows, place: Place, message: dict[str, Any]) -> None:
        event = message.get("Event")
        if event in ("Subscriptions", "Subscribe"):
            _subscribe(place, message)
            rows.skip("subscriptions")
        elif event in ("Heartbeat", "Unsubscribe", "Error"):
            rows.skip(event.lower())
        elif event == "Trade":
            self._trade(rows, message)
        elif event in ("NewOrder", "OrderChanged", "OrderCanceled"):
            self._order(rows, place, message, event)
        elif event is None:
            raise Unreadable("no_type")
        else:
            rows.skip("unknown_type")

    def _order(self, rows: Rows, place: Place, message: dict[str, Any], event: str) -> None:
        """What became of one order. A row per market it rests in."""
        channel = _CHANNEL.fullmatch(text(message, "Channel", "no_channel"))
        if channel is None:
            raise Unreadable("no_channel")
        primary = channel[1].upper()
        data = message.get("Data")
        if type(data) is not dict:
            raise Unreadable("no_order")
        side = _SIDES.get(text(data, "OrderType", "no_side"))
        if side is None:
            raise Unreadable("no_side")
        order = self._digest(data.get("OrderGuid"))
        event_ns, nonce = event_ns_of(message), nonce_of(message)
        known = place.orders.get(order)
        shared: dict[str, Any] = {"event_ns": event_ns, "order": order, "side": int(side), "seq": nonce}
        if event == "OrderCanceled":
            currencies = tuple(known.prices) if known else place.pairs.get(primary, (HOME,))
            added = [{"currency": currency, "kind": Kind.CANCEL, "flags": int(Flag.ALL)} for currency in currencies]
            volume = (0, 0)
        else:
            volume = decimal(data, "Volume")
            if event == "NewOrder":
                known = Open(
                    primary, int(side), volume, prices_of(data.get("Price"), place.pairs.get(primary)), event_ns
                )
                if volume[0] <= 0:
                    raise Unreadable("quantity_not_positive")
            added = _change(known, volume, event) if known else []
        indexes = [self.markets.index(f"{primary}-{row.pop('currency')}") for row in added]
        shared["first_seq"] = place.numbered(primary, nonce, bool(added))
        for market, row in zip(indexes, added, strict=True):
            rows.add(market=market, **shared, **row)
        if not added:
            without = "order_unchanged" if known and known.prices else "order_without_price"
            rows.skip("change_of_unknown_order" if known is None else without)
        place.told(order, known, volume, event_ns)

    def _book(self, rows: Rows, place: Place, message: dict[str, Any], received_ns: int, url: bytes) -> None:
        """A starting book: BOOK and its orders, with what was told since it was drawn up."""
        primary, currency = pair_of(message, url)
        created_ns = instant_ns(message.get("CreatedTimestampUtc")) or received_ns
        if created_ns <= 0:
            raise Unreadable("no_time")
        orders: dict[int, Open] = {}
        without_price = 0
        for field, side in (("BuyOrders", Side.BUY), ("SellOrders", Side.SELL)):
            resting = message.get(field)
            if type(resting) is not list:
                raise Unreadable("not_orders")
            for entry in resting:
                if type(entry) is not dict:
                    raise Unreadable("not_orders")
                price, volume = decimal(entry, "Price"), decimal(entry, "Volume")
                if volume[0] <= 0:
                    raise Unreadable("quantity_not_positive")
                order = self._digest(entry.get("Guid"))
                if price[0] == 0:  # so cheap that the converted price was rounded to nothing
                    without_price += 1
                    continue
                orders[order] = Open(primary, int(side), volume, {currency: price}, created_ns)
        market = self.markets.index(f"{primary}-{currency}")
        orders = place.brought_up(orders, primary, currency, created_ns)
        place.name_pair(primary, currency)
        shared = {"event_ns": created_ns, "market": market, "flags": int(Flag.SNAPSHOT)}
        rows.add(kind=int(Kind.BOOK), **shared)
        if without_price:
            rows.skip("order_without_price", without_price)
        for order, resting_order in orders.items():
            columns = _columns(resting_order.prices[currency], resting_order.volume)
            rows.add(kind=int(Kind.ORDER), order=order, side=resting_order.side, **columns, **shared)

    def _trade(self, rows: Rows, message: dict[str, Any]) -> None:
        """A trade of a pair. The orders it filled are told by the order book channel."""
        data = message.get("Data")
        if type(data) is not dict:
            raise Unreadable("no_trade")
        said = f"ticker-{data.get('Pair')}".lower()
        pair = _PAIR_CHANNEL.fullmatch(said) or _PAIR_CHANNEL.fullmatch(str(message.get("Channel")))
        if pair is None:
            raise Unreadable("not_a_market")
        side = {"Buy": Side.BUY, "Sell": Side.SELL}.get(text(data, "Side", "no_side"))
        price, volume = decimal(data, "Price"), decimal(data, "Volume")
        if side is None or price[0] <= 0 or volume[0] <= 0:
            raise Unreadable("no_side" if side is None else "quantity_not_positive")
        market = self.markets.index(f"{pair[1]}-{pair[2]}".upper())
        rows.add(
            kind=int(Kind.TRADE),
            event_ns=event_ns_of(message),
            market=market,
            side=int(side),
            **_columns(price, volume),
        )

    def _digest(self, guid: Any) -> int:
        if type(guid) is not str or not 0 < len(guid) <= GUID_CHARS_MAX or not guid.isascii():
            raise Unreadable("no_order_id")
        return digest(guid.lower().encode(), self.key)


def _change(known: Open, volume: tuple[int, int], event: str) -> list[dict[str, Any]]:
    """The rows, without what they share, of a new order or of one whose volume changed. Trades are what makes a volume
    smaller; what is not there any more was filled at the order's own price."""
    if event == "OrderChanged":
        gone = _less(known.volume, volume)
        if gone[0] == 0:
            return []
        if gone[0] > 0:
            return [
                {"currency": currency, "kind": Kind.FILL, **_columns(price, gone)}
                for currency, price in known.prices.items()
            ]
    return [
        {"currency": currency, "kind": Kind.ORDER, **_columns(price, volume)}
        for currency, price in known.prices.items()
    ]


def _subscribe(place: Place, message: Any) -> None:
    """The pairs whose tickers are subscribed to are the markets of their primaries."""
    channels = message.get("Data") if type(message) is dict else None
    for channel in sorted(name for name in channels if type(name) is str) if type(channels) is list else ():
        pair = _PAIR_CHANNEL.fullmatch(channel)
        if pair is not None:
            place.name_pair(pair[1].upper(), pair[2].upper())


def _columns(price: tuple[int, int], volume: tuple[int, int]) -> dict[str, Any]:
    return {
        "price_ticks": price[0],
        "price_decimals": price[1],
        "qty_lots": volume[0],
        "qty_decimals": volume[1],
    }


def _less(before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    """before - after, exactly."""
    decimals = max(before[1], after[1])
    lots = before[0] * 10 ** (decimals - before[1]) - after[0] * 10 ** (decimals - after[1])
    if abs(lots) >= 2**62:
        raise Unreadable("number_too_large")
    return lots, decimals

"""What the independent_reserve format must remember of a partition: its pairs and its open orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from detector.model.state import State, Tree

PLACES_MAX = 256  # partitions remembered; on any further one every batch starts anew
ORDERS_MAX = 65_536  # open orders remembered of a partition; the oldest is forgotten, and a change of it then skipped
GONE_MAX = 1024  # orders cancelled or filled lately, which a starting book drawn up before may still hold
PAIRS_MAX = 256  # primaries of a partition that have pairs, and pairs of a primary

Number = tuple[int, int]  # (ticks, decimals)


@dataclass(frozen=True, slots=True)
class Open:
    """An open order. prices: by secondary currency; event_ns: when it was last told of."""

    primary: str
    side: int
    volume: Number
    prices: dict[str, Number]
    event_ns: int


@dataclass(slots=True)
class Place:
    """One partition.

    pairs    secondary currencies by primary, in the order they were named
    orders   by digest of the guid, oldest first
    saved    the same as saved state: made when an order changes, since `state` is asked before every batch
    gone     event_ns by digest of the guid of orders that left lately, oldest first
    nonces   last number of a primary's channel, and the first since the last row it gave
    """

    pairs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    orders: dict[int, Open] = field(default_factory=dict)
    saved: dict[int, Tree] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    nonces: dict[str, tuple[int, int]] = field(default_factory=dict)

    def name_pair(self, primary: str, currency: str) -> None:
        """A pair is spoken of on this partition."""
        named = self.pairs.get(primary, ())
        if currency not in named and len(named) < PAIRS_MAX and (named or len(self.pairs) < PAIRS_MAX):
            self.pairs[primary] = (*named, currency)

    def numbered(self, primary: str, nonce: int, told: bool) -> int:
        """first_seq of an event: its own number, or that of the first just before it that gave no row (not `told`)."""
        last, first = self.nonces.get(primary, (-1, -1))
        if last + 1 != nonce or first < 0:
            first = nonce
        if primary in self.nonces or len(self.nonces) < PAIRS_MAX:
            self.nonces[primary] = (nonce, -1 if told else first)
        return first

    def told(self, order: int, known: Open | None, volume: Number, event_ns: int) -> None:
        """An order now has this volume; none left: it is gone."""
        if volume[0] == 0:
            self.orders.pop(order, None)
            self.saved.pop(order, None)
            self.gone[order] = event_ns
            if len(self.gone) > GONE_MAX:
                del self.gone[next(iter(self.gone))]
        elif known is not None:
            self.keep(order, Open(known.primary, known.side, volume, known.prices, event_ns))

    def brought_up(self, orders: dict[int, Open], primary: str, currency: str, created_ns: int) -> dict[int, Open]:
        """The orders of a starting book with what was told here since it was drawn up, all of them remembered."""
        book = {order: entry for order, entry in orders.items() if self.gone.get(order, -1) <= created_ns}
        for order, entry in self.orders.items():
            if entry.primary == primary and entry.event_ns > created_ns and currency in entry.prices:
                book[order] = entry
        for order, entry in book.items():
            known = self.orders.get(order)
            prices = {**known.prices, **entry.prices} if known else entry.prices
            self.keep(order, Open(primary, entry.side, entry.volume, prices, entry.event_ns))
        return book

    def keep(self, order: int, entry: Open) -> None:
        """Remember an order, or what it is now."""
        self.orders[order] = entry
        prices: list[Tree] = [[currency, *price] for currency, price in entry.prices.items()]
        self.saved[order] = [order, entry.primary, entry.side, *entry.volume, entry.event_ns, prices]
        if len(self.orders) > ORDERS_MAX:
            oldest = next(iter(self.orders))
            del self.orders[oldest], self.saved[oldest]


def save(place: Place) -> State:
    """A place as saved state."""
    return {
        "pairs": {primary: list(currencies) for primary, currencies in place.pairs.items()},
        "orders": list(place.saved.values()),
        "gone": [[order, event_ns] for order, event_ns in place.gone.items()],
        "nonces": {primary: list(numbers) for primary, numbers in place.nonces.items()},
    }


def load(tree: Tree) -> Place:
    """The place that `save` saved. Raises ValueError with a sentence when it is something else."""
    state: Any = tree
    place = Place()
    try:
        for primary, currencies in state["pairs"].items():
            place.pairs[str(primary)] = tuple(map(str, currencies))
        for order, primary, side, lots, decimals, event_ns, prices in state["orders"]:
            by_currency = {str(currency): (int(ticks), int(places)) for currency, ticks, places in prices}
            volume = (int(lots), int(decimals))
            place.keep(int(order), Open(str(primary), int(side), volume, by_currency, int(event_ns)))
        for order, event_ns in state["gone"]:
            place.gone[int(order)] = int(event_ns)
        for primary, (last, first) in state["nonces"].items():
            place.nonces[str(primary)] = (int(last), int(first))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError("the saved state of the independent_reserve format is not one this version wrote") from None
    return place

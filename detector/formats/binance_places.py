"""Places: what the binance format remembers of a partition, to give a nameless REST snapshot its market and its place.

A REST depth snapshot says neither whose it is nor comes when it should: it is recorded after the first updates, and is
older than some of them. So for each market of a partition the last sequence number, the last price, and, until the book
is known, the last updates are kept; all of it bounded, all of it in `state`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detector.formats.rows import Quotes, Unreadable
from detector.model.events import Side
from detector.model.state import State, Tree

PLACES_MAX = 4096  # partitions remembered; snapshots on any further one are rejected
HELD_LEVELS_MAX = 4096  # of one market's updates that wait for its snapshot; the oldest are forgotten
PRICE_TOLERANCE = 0.05  # a snapshot's touch lies this close to its market's last price, as a share
SEQ_TOLERANCE = 1e-4  # and its number this close to the market's last one, as a share,
SEQ_SLACK = 1_000_000  # or by this many

Price = tuple[str, str]  # texts of bid and ask, or of a trade twice


@dataclass(slots=True)
class Place:
    """One market of one partition.

    seq            last number of the depth updates and snapshots seen, -1 = none
    ticker_seq     last number of a best bid and ask seen, -1 = none
    event_ns       last event time seen, 0 = none
    price          texts of the last bid and ask (a trade stands for both), () = none
    prints         which of "trade" and "aggTrade" tells this market's trades: the one that came first
    booked         a snapshot was applied and no update is missing since: nothing need be held
    held           updates since the chain began: (first_seq, seq, levels)
    bare           first_seq and seq of updates without levels that no row could carry, () = none
    """

    seq: int = -1
    ticker_seq: int = -1
    event_ns: int = 0
    price: tuple[()] | Price = ()
    prints: str = ""
    booked: bool = False
    held: deque[tuple[int, int, Quotes]] = field(default_factory=deque)
    held_levels: int = 0
    bare: tuple[()] | tuple[int, int] = ()

    def chained(self, first_seq: int) -> int:
        """`first_seq`, or that of the updates without levels just before it."""
        return self.bare[0] if self.bare and self.bare[1] + 1 == first_seq else first_seq

    def update(self, first_seq: int, seq: int, quotes: Quotes) -> None:
        """A depth update went by."""
        if seq <= self.seq:
            return  # sent twice: the book drops it too
        if self.seq >= 0 and first_seq > self.seq + 1:
            self.booked = False
            self.held.clear()
            self.held_levels = 0
        self.bare = () if len(quotes) else (first_seq, seq)
        self.seq = seq
        if self.booked:
            return
        self.held.append((first_seq, seq, quotes))
        self.held_levels += len(quotes)
        while self.held_levels > HELD_LEVELS_MAX:
            self.held_levels -= len(self.held.popleft()[2])

    def snapshot(self, seq: int, quotes: Quotes) -> tuple[int, Quotes, bool]:
        """(seq, levels, whole): the snapshot with the newer updates already seen laid over it, and the number it then
        stands at. `whole` is False when updates between the two are not known."""
        newer = [update for update in self.held if update[1] > seq]
        whole = not newer or newer[0][0] <= seq + 1
        if newer:
            quotes = _laid_over(quotes, [update[2] for update in newer])
        self.seq = max(self.seq, seq)
        stands = newer[-1][1] if newer else seq
        self.booked = True
        self.held.clear()
        self.held_levels = 0
        return stands, quotes, whole

    def could_be(self, seq: int, touch: float) -> bool:
        """Nothing known of this market contradicts a snapshot of this number and middle of its touch (NaN = empty)."""
        if self.last >= 0 and abs(seq - self.last) > max(SEQ_SLACK, SEQ_TOLERANCE * self.last):
            return False
        price = self.middle()
        return not abs(touch - price) > PRICE_TOLERANCE * price  # a NaN on either side contradicts nothing

    @property
    def last(self) -> int:
        """The last number seen, -1 = none."""
        return max(self.seq, self.ticker_seq)

    def middle(self) -> float:
        """Of the last bid and ask; NaN = not known."""
        try:
            middle = sum(float(text) for text in self.price) / 2.0 if self.price else np.nan
        except ValueError:
            return float(np.nan)
        return middle if 0.0 < middle < np.inf else float(np.nan)


def market_of(places: dict[str, Place], seq: int, quotes: Quotes) -> str:
    """The market a snapshot without a name belongs to.

    Of the partition's markets those stay whose last number lies near the snapshot's (spot and perpetual of one pair
    differ by orders of magnitude) and whose last price lies within 5 % of its touch (perpetuals of one venue share
    their range of numbers). Several left: those whose numbers are known go before those of which only a price is. Still
    several: nobody can say, and a guess would give one market another's book. Raises Unreadable:
    snapshot_without_market, snapshot_ambiguous.
    """
    touch = touch_of(quotes)
    left = [name for name, place in places.items() if place.could_be(seq, touch)]
    if len(left) > 1:
        left = [name for name in left if places[name].last >= 0] or left
    if not left:
        raise Unreadable("snapshot_without_market")
    if len(left) > 1:
        raise Unreadable("snapshot_ambiguous")
    return left[0]


def touch_of(quotes: Quotes) -> float:
    """Middle of the best bid and ask, or the best of the one side there is; NaN = no levels."""
    prices = quotes.price_ticks / 10.0**quotes.price_decimals
    bids, asks = prices[quotes.side == int(Side.BUY)], prices[quotes.side == int(Side.SELL)]
    best = [float(bids.max())] if len(bids) else []
    best += [float(asks.min())] if len(asks) else []
    return sum(best) / len(best) if best else float(np.nan)


def _laid_over(below: Quotes, above: list[Quotes]) -> Quotes:
    """`below` with later absolute quantities laid over it; what they removed is gone. Texts that mean the same price
    have the same ticks and decimals, so these are the key."""
    book: dict[tuple[int, int, int], tuple[int, int]] = {}
    for quotes in (below, *above):
        columns = (quotes.side, quotes.price_ticks, quotes.price_decimals, quotes.qty_lots, quotes.qty_decimals)
        for side, ticks, decimals, lots, lot_decimals in zip(*(column.tolist() for column in columns), strict=True):
            if lots:
                book[side, ticks, decimals] = (lots, lot_decimals)
            else:
                book.pop((side, ticks, decimals), None)
    keys = np.array(list(book), np.int64).reshape(-1, 3)
    quantities = np.array(list(book.values()), np.int64).reshape(-1, 2)
    return Quotes(
        keys[:, 0].astype(np.int8),
        keys[:, 1],
        keys[:, 2].astype(np.int8),
        quantities[:, 0],
        quantities[:, 1].astype(np.int8),
    )


_COLUMNS = (
    ("side", np.int8),
    ("price_ticks", np.int64),
    ("price_decimals", np.int8),
    ("qty_lots", np.int64),
    ("qty_decimals", np.int8),
)


def save(place: Place) -> State:
    """A place as saved state."""
    spans = np.array([(first, last, len(quotes)) for first, last, quotes in place.held], np.int64).reshape(-1, 3)
    state: State = {
        "seq": place.seq,
        "ticker_seq": place.ticker_seq,
        "event_ns": place.event_ns,
        "price": list(place.price),
        "prints": place.prints,
        "booked": place.booked,
        "bare": list(place.bare),
        "spans": spans,
    }
    for name, kind in _COLUMNS:
        parts = [getattr(quotes, name) for _, _, quotes in place.held]
        state[name] = np.concatenate(parts) if parts else np.zeros(0, kind)
    return state


def load(tree: Tree) -> Place:
    """The place that `save` saved. Raises ValueError with a sentence when it is something else."""
    try:
        state: Any = tree
        columns: list[Any] = [np.asarray(state[name], kind) for name, kind in _COLUMNS]
        spans = np.asarray(state["spans"], np.int64).reshape(-1, 3).tolist()
        price, bare = tuple(map(str, state["price"])), tuple(map(int, state["bare"]))
        if len(price) not in (0, 2) or len(bare) not in (0, 2) or any(n < 0 for _, _, n in spans):
            raise ValueError
        place = Place(int(state["seq"]), int(state["ticker_seq"]), int(state["event_ns"]))
        place.price = (price[0], price[1]) if price else ()
        place.bare = (bare[0], bare[1]) if bare else ()
        place.prints, place.booked = str(state["prints"]), bool(state["booked"])
        at = 0
        for first, last, count in spans:
            place.held.append((first, last, Quotes(*(column[at : at + count] for column in columns))))
            at += count
        if any(len(column) != at for column in columns):
            raise ValueError
        place.held_levels = at
    except (KeyError, TypeError, ValueError):
        raise ValueError("the saved state of the binance format is not one this version wrote") from None
    return place

"""The fold: events through the books, window by window. The one loop that joins ledger, book and makers."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.book import sample_book
from detector.features.ledger import AMENDED, CANCELLED, LATE, NEED_COUNT, NEED_MARKET, STALE, apply, room_for, side_of
from detector.features.makers import is_maker, sample_makers
from detector.features.quotes import REPLACE_NS, note_quote
from detector.features.seats import note_taken_back, seat, wants_seat
from detector.features.swing import note_price
from detector.features.tables import Count
from detector.features.venue import by_venue
from detector.kernels import inlined, kernel
from detector.kernels.levels import best_fetch, level_fetch
from detector.kernels.prefetch import prefetch, prefetch_row
from detector.kernels.slots import place_near, slot_home, tag_of
from detector.model.events import Flag, Kind

AHEAD, NEAR, NEXT = 16, 8, 4  # events before their turn: memory takes about as long as folding a few
_EVENTS, _LATE = int(Count.EVENTS), int(Count.LATE)
_PLACED = 1
_ORDER, _FILL, _LEVEL = 1, 3, 6
assert (_ORDER, _LEVEL) == (Kind.ORDER, Kind.LEVEL)
assert max(Kind.ORDER, Kind.CANCEL, Kind.FILL) == _FILL < min(set(Kind) - {Kind.ORDER, Kind.CANCEL, Kind.FILL})
LATE_MAX_NS = 1e9  # lateness that makers' habits allow for: what is later still has its own count
LATE_FADES = 0.9  # per window: half in seven
_BY_MAKER, _SNAPSHOT = int(Flag.BY_MAKER), int(Flag.SNAPSHOT)


@inlined
def _sample(tables: Any, market: Any, window: Any, ring: Any) -> Any:
    slot = window % ring
    tables.markets[market]["late_ns"] *= LATE_FADES
    sample_book(tables, market, slot)
    end_ns = (window + 1) * tables.span[1]
    note_price(tables, market, slot, end_ns)
    sample_makers(tables, market, slot, end_ns, tables.frozen[window % (2 * ring), market] == 0)


@inlined
def _fetch_ahead(tables: Any, event: Any, market_of: Any) -> Any:
    """Where an event's order and account are looked up first."""
    market = np.int64(market_of[event["market"]])
    if market < 0:
        return
    prefetch_row(tables.runs, 2 * market)
    prefetch(tables.runs, 2 * market + 1)
    if event["order"] != np.uint64(0):
        prefetch(tables.order_slots, slot_home(tag_of(event["order"], market), len(tables.order_slots) - 1))
    if event["account"] != np.uint64(0):
        prefetch(tables.slots, slot_home(tag_of(event["account"], market), len(tables.slots) - 1))


@inlined
def _fetch_near(tables: Any, event: Any, market_of: Any) -> Any:
    """The rows themselves: their places are known by now."""
    market = np.int64(market_of[event["market"]])
    if market < 0:
        return
    best_fetch(tables.levels, tables.runs, market)
    if event["order"] != np.uint64(0):
        row = place_near(tables.order_slots, tag_of(event["order"], market))
        if row >= 0:
            prefetch_row(tables.orders, row)
            prefetch(tables.order_distances, row)
            prefetch(tables.order_markets, row)
    if event["account"] != np.uint64(0):
        index = place_near(tables.slots, tag_of(event["account"], market))
        if index >= 0:
            prefetch_row(tables.participants, index)


@inlined
def _fetch_next(tables: Any, event: Any, market_of: Any) -> Any:
    """Its account's place among the makers: whoever quotes most is seated, so most events need one. And its level."""
    market = np.int64(market_of[event["market"]])
    if market < 0:
        return
    if event["account"] != np.uint64(0):
        index = place_near(tables.slots, tag_of(event["account"], market))
        if index >= 0:
            place = np.int64(tables.participants[index]["seat"])
            if place >= 0:
                prefetch_row(tables.makers[market], place)
    run, price = np.int64(-1), np.int64(0)
    if event["kind"] == _ORDER or event["kind"] == _LEVEL:
        run = 2 * market if event["side"] > 0 else 2 * market + 1
        price = event["price_ticks"]
    elif event["order"] != np.uint64(0):
        row = place_near(tables.order_slots, tag_of(event["order"], market))
        if row >= 0:
            run = np.int64(tables.orders[row]["run"])
            price = tables.orders[row]["price_ticks"]
    if run >= 0:
        level_fetch(tables.levels, tables.runs, run, side_of(run) * price)


@inlined
def _took_back(event: Any) -> Any:
    """An order that had stood was taken back or amended, and neither a snapshot nor the venue did it."""
    taken = event["effect"] == AMENDED or (event["effect"] == CANCELLED and event["age_ns"] > REPLACE_NS)
    return taken and not by_venue(event) and (event["flags"] & _SNAPSHOT) == 0


@kernel
def fold(tables: Any, events: Any, start: Any, stop: Any, market_of: Any, open_window: Any) -> Any:
    """Apply events[start:stop] and return where it stopped: `stop`, or earlier when tables.need says why.

    market_of: int32, from the decoder's market index to the engine's, -1 = not met yet. open_window: the oldest window
    still open; an event before it is late: the books take it, no window counts it. As a market's first event of a later
    window arrives, its book is sampled for the windows that end there.

    What decides about later events is written here, none of it by a group: groups follow a whole slice behind.
    """
    tables.need[0] = 0
    ring = tables.span[0]
    width_ns = tables.span[1]
    window = np.int64(-1)
    begins_ns = np.int64(-1)  # of that window: most events are of the same one as the event before
    slot, half = np.int64(0), np.int64(0)  # its places in rings of windows
    for i in range(start, stop):
        if i + AHEAD < stop:
            _fetch_ahead(tables, events[i + AHEAD], market_of)
        if i + NEAR < stop:
            _fetch_near(tables, events[i + NEAR], market_of)
        if i + NEXT < stop:
            _fetch_next(tables, events[i + NEXT], market_of)
        event = events[i]
        market = np.int64(market_of[event["market"]])
        if market < 0:
            tables.need[0] = NEED_MARKET
            return i
        need = room_for(tables, market)
        if need != 0:
            tables.need[0] = need
            return i
        if begins_ns < 0 or event["event_ns"] < begins_ns or event["event_ns"] - begins_ns >= width_ns:
            window = event["event_ns"] // width_ns
            begins_ns = window * width_ns
            slot, half = window % ring, window % (2 * ring)
        place = tables.markets[market]
        if place["head"] < 0:
            place["first_window"] = max(window, open_window)
            place["head"] = max(window, open_window)
            place["sampled"] = max(window, open_window) - 1
        if window > place["head"]:
            due = max(place["sampled"] + 1, open_window)
            while due < window:
                _sample(tables, market, due, ring)
                due += 1
            place["sampled"] = window - 1
            place["head"] = window
        if event["kind"] <= _FILL:  # a mark price has another clock: it may always lag, or be ahead
            if event["event_ns"] >= place["newest_ns"]:
                place["newest_ns"] = event["event_ns"]
            else:
                late_ns = min(LATE_MAX_NS, float(place["newest_ns"] - event["event_ns"]))
                place["late_ns"] = max(place["late_ns"], late_ns)
        event["market"] = market
        tables.counts[_EVENTS] += 1
        if window < open_window:
            event["window"] = LATE
            tables.counts[_LATE] += 1
        else:
            event["window"] = slot
        owner = apply(tables, event, market)
        if event["participant"] >= 0 and event["window"] != LATE and event["effect"] != STALE:
            if (event["flags"] & _SNAPSHOT) == 0:
                who = tables.participants[event["participant"]]
                who["acted_ns"] = max(who["acted_ns"], event["event_ns"])
        if owner >= 0:
            place = np.int64(tables.participants[owner]["seat"])
            if place >= 0:
                if is_maker(tables.makers[market, place]):
                    event["flags"] |= _BY_MAKER
                note_quote(tables, event, market, owner, tables.frozen[half, market] == 0)
            elif event["effect"] == _PLACED and wants_seat(tables, market, owner, event["event_ns"]):
                seat(tables, market, owner, event["event_ns"])
            if _took_back(event):
                note_taken_back(tables.participants[owner], event["event_ns"])
        if tables.need[0] == NEED_COUNT:
            return i + 1
    return stop


@kernel
def sample_due(tables: Any, markets: Any, window: Any) -> Any:
    """Sample every market that had nothing to say after `window`, which is about to close; the first `markets` rows."""
    ring = tables.span[0]
    for market in range(markets):
        if tables.markets[market]["head"] >= 0 and tables.markets[market]["sampled"] < window:
            _sample(tables, market, window, ring)
            tables.markets[market]["sampled"] = window
            tables.markets[market]["head"] = max(tables.markets[market]["head"], window)

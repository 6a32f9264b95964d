"""The ledger: one event applied to the books. What it did is written into its own columns, for the feature groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.distance import quote_distance
from detector.features.overtaken import overtaken, overtook
from detector.features.restarts import note_restart
from detector.features.scale import begin_scale, outgrown, to_scale
from detector.features.sequence import in_sequence
from detector.features.tables import HAS_ACCOUNTS, HAS_LEVERAGE, HAS_ORDERS, Count, Need
from detector.features.told_levels import told_level, told_trade
from detector.kernels import inlined, kernel
from detector.kernels.levels import CROWDED, HEAVY, LOTS_MAX, level_change
from detector.kernels.orders import order_add, order_find, order_remove
from detector.kernels.participants import participant_of
from detector.model.events import LATE_WINDOW, Effect, Flag, Kind, StatusCode

GRACE_NS = 60_000_000_000  # after a re-open, bursts are expected

# numba reads plain integers from the module, not enum members of a class it does not know
_ORDER, _CANCEL, _FILL, _LEVERAGE, _POSITION = (int(k) for k in (1, 2, 3, 4, 5))
_LEVEL, _TRADE, _BOOK, _MARK, _LIQUIDATION, _STATUS = (int(k) for k in (6, 7, 8, 9, 10, 11))
assert (_ORDER, _FILL, _LEVEL, _STATUS) == (Kind.ORDER, Kind.FILL, Kind.LEVEL, Kind.STATUS)
PLACED, AMENDED, CANCELLED, FILLED = int(Effect.PLACED), int(Effect.AMENDED), int(Effect.CANCELLED), int(Effect.FILLED)
UNKNOWN, REFUSED, STALE = int(Effect.UNKNOWN), int(Effect.REFUSED), int(Effect.STALE)
FLAG_ALL, FLAG_SNAPSHOT, FLAG_AFTER_GAP = int(Flag.ALL), int(Flag.SNAPSHOT), int(Flag.AFTER_GAP)
_OPEN, _RESUMED = int(StatusCode.OPEN), int(StatusCode.RESUMED)
_UNKNOWN_ORDER, _CROSSED = int(Count.UNKNOWN_ORDER), int(Count.CROSSED)
_SCALE, _ORDERS_FULL = int(Count.OUT_OF_SCALE), int(Count.ORDERS_FULL)
_LEVELS_FULL, _PARTICIPANTS_FULL = int(Count.LEVELS_FULL), int(Count.PARTICIPANTS_FULL)
_SNAPSHOTS, _SCALE_RESTART = int(Count.SNAPSHOTS), int(Count.SCALE_RESTART)
NEED_ORDERS, NEED_LEVELS, NEED_PARTICIPANTS = int(Need.ORDERS), int(Need.LEVELS), int(Need.PARTICIPANTS)
NEED_MARKET, NEED_COUNT = int(Need.MARKET), int(Need.COUNT)
LATE = int(LATE_WINDOW)


@inlined
def room_for(tables: Any, market: Any) -> Any:
    """What must grow before one more event of this market may be applied; 0 = nothing."""
    if tables.order_use[0] < tables.limits[0]:
        rows_gone = tables.order_use[2] < 0 and tables.order_use[1] == len(tables.orders)
        if rows_gone or 2 * (tables.order_use[0] + 1) > len(tables.order_slots):
            return NEED_ORDERS
    most = max(tables.runs[2 * market]["count"], tables.runs[2 * market + 1]["count"])
    if tables.level_use[0] + 4 * most + 64 > len(tables.levels):
        return NEED_LEVELS
    if tables.participant_use[0] + 2 > len(tables.participants):
        return NEED_PARTICIPANTS
    return 0


@inlined
def side_of(run: Any) -> Any:
    """1 = its levels are bids, -1 = asks."""
    return np.int64(1 - 2 * (run & 1))


@inlined
def best(tables: Any, market: Any, side: Any) -> Any:
    """Best price of a side in ticks, 0 = the side is empty."""
    run = 2 * market if side > 0 else 2 * market + 1
    count = tables.runs[run]["count"]
    if count == 0:
        return np.int64(0)
    return side * tables.levels[tables.runs[run]["start"] + count - 1]["key"]


@inlined
def mid_ticks(tables: Any, market: Any) -> Any:
    """Middle between the best bid and ask in ticks (float), NaN when a side is empty."""
    bid = best(tables, market, 1)
    ask = best(tables, market, -1)
    if bid == 0 or ask == 0:
        return np.nan
    return 0.5 * (float(bid) + float(ask))


@inlined
def _named(tables: Any, account: Any, market: Any, event_ns: Any) -> Any:
    """Participant index of an account, -1 = none given or no room for another."""
    if account == np.uint64(0):
        return np.int64(-1)
    index = participant_of(
        tables.slots,
        tables.participants,
        tables.participant_use,
        tables.first,
        tables.held,
        tables.vain,
        tables.need,
        account,
        market,
        event_ns,
        tables.limits[2],
    )
    if index < 0:
        tables.counts[_PARTICIPANTS_FULL] += 1
        return np.int64(-1)
    tables.markets[market]["has"] |= HAS_ACCOUNTS
    return index


@inlined
def _quotes(tables: Any, participant: Any, side: Any, orders: Any, price_ticks: Any, lots: Any) -> Any:
    """It has so many more (or fewer) resting orders and lots; `price_ticks`: change of the sum of their prices."""
    if participant < 0:
        return
    place = tables.participants[participant]
    if side > 0:
        place["bid_orders"] += orders
        place["bid_price_sum"] += price_ticks
        place["bid_lots"] += lots
    else:
        place["ask_orders"] += orders
        place["ask_price_sum"] += price_ticks
        place["ask_lots"] += lots


@inlined
def _rest(tables: Any, market: Any, side: Any, price_ticks: Any, lots: Any) -> Any:
    """Add lots (or take them) at a price; False when the side holds levels_max levels, or the level LOTS_MAX lots."""
    run = 2 * market if side > 0 else 2 * market + 1
    before = level_change(
        tables.levels, tables.level_use, tables.runs, run, side * price_ticks, lots, False, tables.limits[1]
    )
    if before == CROWDED:
        tables.counts[_LEVELS_FULL] += 1
        return False
    if before == HEAVY:
        tables.counts[_SCALE] += 1
        return False
    return True


@inlined
def _adds_up(tables: Any, participant: Any, event: Any) -> Any:
    """What its account has resting is a number of 64 bits with this order, too."""
    if participant < 0:
        return True
    place = tables.participants[participant]
    lots = place["bid_lots"] if event["side"] > 0 else place["ask_lots"]
    price_sum = place["bid_price_sum"] if event["side"] > 0 else place["ask_price_sum"]
    return lots <= LOTS_MAX - event["qty_lots"] and abs(price_sum) <= LOTS_MAX - abs(event["price_ticks"])


@inlined
def _drop(tables: Any, row: Any) -> Any:
    """Take an order wholly off the book."""
    order = tables.orders[row]
    market = order["run"] >> 1
    side = side_of(order["run"])
    _rest(tables, market, side, order["price_ticks"], -order["qty_lots"])
    _quotes(tables, order["participant"], side, -1, -order["price_ticks"], -order["qty_lots"])
    tables.markets[market]["open_orders"] -= 1
    order_remove(tables.order_slots, tables.orders, tables.order_markets, tables.order_use, row)


@inlined
def _place(tables: Any, event: Any, market: Any) -> Any:
    """An order to the book, new or amended: its row, -1 = it does not rest. event["previous"]: how far from the middle
    an amended quote was placed before."""
    tables.markets[market]["has"] |= HAS_ORDERS
    participant = _named(tables, event["account"], market, event["event_ns"])
    event["participant"] = participant
    row = order_find(tables.order_slots, tables.orders, event["order"], market)
    amended = row >= 0
    if not amended and overtaken(tables, event, market):
        event["effect"] = STALE
        return np.int64(-1)
    placed_ns = event["event_ns"]
    moved = event["qty_lots"]
    if amended:
        order = tables.orders[row]
        if event["account"] == np.uint64(0):
            participant = np.int64(order["participant"])
            event["participant"] = participant
        moved = event["qty_lots"] - order["qty_lots"]
        if order["price_ticks"] == event["price_ticks"] and moved <= 0:
            placed_ns = order["placed_ns"]  # made smaller, it keeps its place in the queue
        event["previous"] = tables.order_distances[row]
        _drop(tables, row)
    if tables.order_use[0] >= tables.limits[0]:
        tables.counts[_ORDERS_FULL] += 1
        event["effect"] = REFUSED
        return np.int64(-1)
    if not _adds_up(tables, participant, event):
        tables.counts[_SCALE] += 1
        event["effect"] = REFUSED
        return np.int64(-1)
    if not _rest(tables, market, event["side"], event["price_ticks"], event["qty_lots"]):
        event["effect"] = REFUSED
        return np.int64(-1)
    row = order_add(
        tables.order_slots,
        tables.orders,
        tables.order_markets,
        tables.order_use,
        event["order"],
        market,
        event["side"],
    )
    fresh = tables.orders[row]
    fresh["price_ticks"] = event["price_ticks"]
    fresh["qty_lots"] = event["qty_lots"]
    fresh["placed_ns"] = placed_ns
    fresh["participant"] = participant
    tables.markets[market]["open_orders"] += 1
    _quotes(tables, participant, event["side"], 1, event["price_ticks"], event["qty_lots"])
    event["effect"] = AMENDED if amended else PLACED
    event["moved_lots"] = moved
    bid = best(tables, market, 1)
    ask = best(tables, market, -1)
    if bid != 0 and ask != 0 and bid >= ask:
        tables.counts[_CROSSED] += 1
    return row


@inlined
def _take(tables: Any, event: Any, market: Any, everything: Any, effect: Any) -> Any:
    """A cancel or a fill of a resting order."""
    row = order_find(tables.order_slots, tables.orders, event["order"], market)
    if row < 0:
        tables.counts[_UNKNOWN_ORDER] += 1
        event["effect"] = UNKNOWN
        overtook(tables, event, market, everything)
        return np.int64(-1)
    order = tables.orders[row]
    lots = order["qty_lots"] if everything else min(event["qty_lots"], order["qty_lots"])
    side = side_of(order["run"])
    event["side"] = side
    event["age_ns"] = max(np.int64(0), event["event_ns"] - order["placed_ns"])
    event["moved_lots"] = lots
    event["effect"] = effect
    if effect == CANCELLED:
        event["price_ticks"] = order["price_ticks"]
        event["previous"] = tables.order_distances[row]
    owner = np.int64(order["participant"])
    if lots >= order["qty_lots"]:
        _drop(tables, row)
    else:
        _rest(tables, market, side, order["price_ticks"], -lots)
        _quotes(tables, owner, side, 0, 0, -lots)
        order["qty_lots"] -= lots
    return owner


@kernel
def _clear_book(tables: Any, market: Any) -> Any:
    row = 0
    while tables.markets[market]["open_orders"] > 0:
        if tables.order_markets[row] == market:
            _drop(tables, row)
        row += 1
    tables.runs[2 * market]["count"] = 0
    tables.runs[2 * market + 1]["count"] = 0
    makers = tables.makers[market]
    for k in range(len(makers)):
        makers[k]["corrected"] = 1


@kernel
def _scaled_anew(tables: Any, event: Any, market: Any) -> Any:
    """What did not fit the market's scale: whether it does now, for the market has that of the last such events and an
    empty book."""
    if not outgrown(tables.markets[market], event):
        tables.counts[_SCALE] += 1
        return False
    _clear_book(tables, market)
    begin_scale(tables, market)
    tables.counts[_SCALE_RESTART] += 1
    note_restart(tables.markets[market]["rescaled"], event["event_ns"])
    event["flags"] |= FLAG_AFTER_GAP
    return to_scale(tables, event, market)


@inlined
def apply(tables: Any, event: Any, market: Any) -> Any:
    """One event to the books. `event` is written in place: effect, participant, age_ns, moved_lots, distance_bps, and
    for a cancel its order's price and side; previous, of what a seated maker takes back or amends: its distance from
    the middle when placed. Room was made by `room_for`. Returns the participant whose resting orders
    it changed, -1 = nobody's."""
    event["distance_bps"] = np.nan
    if not in_sequence(tables.markets, tables.counts, event, market):
        event["effect"] = STALE
        return np.int64(-1)
    if not to_scale(tables, event, market) and not _scaled_anew(tables, event, market):
        event["effect"] = REFUSED
        return np.int64(-1)
    kind = event["kind"]
    mid = mid_ticks(tables, market)
    owner = np.int64(-1)
    row = np.int64(-1)
    if kind == _ORDER:
        row = _place(tables, event, market)
        owner = np.int64(event["participant"])
    elif kind == _CANCEL:
        everything = (event["flags"] & FLAG_ALL) != 0
        owner = _take(tables, event, market, everything, CANCELLED)
        # an owner is not looked up: it is known, and with its last order gone it could be forgotten for its own cancel
        event["participant"] = owner if owner >= 0 else _named(tables, event["account"], market, event["event_ns"])
    elif kind == _FILL:
        owner = _take(tables, event, market, False, FILLED)
        if event["effect"] == UNKNOWN:
            event["moved_lots"] = event["qty_lots"]
        event["participant"] = _named(tables, event["taker"], market, event["event_ns"])
    elif kind == _LEVEL:
        told_level(tables, event, market)
    elif kind == _TRADE:
        told_trade(tables, event, market)
        event["participant"] = _named(tables, event["account"], market, event["event_ns"])
    elif kind == _LEVERAGE or kind == _POSITION:
        participant = _named(tables, event["account"], market, event["event_ns"])
        event["participant"] = participant
        if kind == _LEVERAGE:
            tables.markets[market]["has"] |= HAS_LEVERAGE
        if participant >= 0 and event["leverage"] > 0:
            known = tables.participants[participant]["leverage"]
            if np.isnan(event["previous"]) and known > 0:
                event["previous"] = known
            tables.participants[participant]["leverage"] = event["leverage"]
    elif kind == _BOOK:
        event["flags"] |= FLAG_AFTER_GAP
        tables.counts[_SNAPSHOTS] += 1
        _clear_book(tables, market)
    elif kind == _MARK:
        tables.markets[market]["mark"] = float(event["price_ticks"]) / tables.markets[market]["price_scale"]
        if not np.isnan(event["leverage"]):
            tables.markets[market]["funding"] = event["leverage"]
        if not np.isnan(event["notional"]):
            tables.markets[market]["open_interest"] = event["notional"]
    elif kind == _STATUS:
        tables.markets[market]["status"] = event["code"]
        if event["code"] == _OPEN or event["code"] == _RESUMED:
            tables.markets[market]["restless_ns"] = event["event_ns"] + GRACE_NS
    if not np.isnan(mid) and mid > 0 and event["price_ticks"] > 0:
        event["distance_bps"] = event["side"] * (mid - float(event["price_ticks"])) / mid * 1e4
    if row >= 0:
        quoting = owner >= 0 and tables.participants[owner]["seat"] >= 0
        known = quoting and (event["flags"] & FLAG_SNAPSHOT) == 0 and not np.isnan(event["distance_bps"])
        tables.order_distances[row] = quote_distance(tables, event, market) if known else np.nan
    return owner

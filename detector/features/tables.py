"""The tables that features stand on: markets, levels, orders, participants, makers. Plain arrays with named limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from detector.features.restarts import RESTART, SCALE, brought_up
from detector.kernels.levels import LEVEL, RUN, levels_move
from detector.kernels.orders import ORDER, orders_enter
from detector.kernels.participants import FORGOT, PARTICIPANT, participants_enter
from detector.kernels.slots import slots_move
from detector.model.arrays import widen
from detector.model.state import State, Tree

HAS_ACCOUNTS, HAS_ORDERS, HAS_LEVELS, HAS_LEVERAGE = 1, 2, 4, 8

OUTWARD = 4  # columns of Tables.outward: see features/quotes.py
SEEN_BITS = 1024  # numbers back to which a late event is told from a duplicate

MARKET = np.dtype(
    [
        ("price_scale", "<f8"),  # 10**price_decimals: price = ticks / price_scale
        ("qty_scale", "<f8"),
        ("price_top", "<i8"),  # largest magnitude seen, in ticks and lots: what a finer scale must still hold
        ("qty_top", "<i8"),
        ("last_seq", "<i8"),  # largest so far, -1 = none yet
        ("floor_seq", "<i8"),  # what is not after it is older than the book
        ("now_seq", "<i8"),  # of the last record that was taken; its further rows are no duplicates
        ("seq_offset", "<i8"),
        ("seen", "<u8", (16,)),  # bit seq % SEEN_BITS: that number came
        ("numbered_ns", "<i8"),  # latest event time of what was taken by its number; no duplicate of it is later
        ("era_ns", "<i8"),  # what is no later was numbered before the numbers began again
        ("run_seq", "<i8"),  # the largest number of a run of events that are older by number and newer by time ...
        ("run", "<i8"),  # ... and how many they are (features/sequence.py)
        ("before_seq", "<i8"),  # last_seq before the numbers began again
        ("renumbered", RESTART),
        ("refused", "<i8"),  # values that do not fit the market's scale but each other, less those that fit it alone
        ("waiting", SCALE),  # the scale of those
        ("outgrown", SCALE),  # the market's before it last began anew
        ("rescaled", RESTART),
        ("first_window", "<i8"),
        ("head", "<i8"),  # newest window any event fell in
        ("sampled", "<i8"),  # last window whose book was sampled
        ("swing_turn", "<i8"),  # of SWING_NS each: the last one a window ended in
        ("swing_low", "<f8", (2,)),  # lowest price at the end of a window in that turn, and in the one before
        ("swing_high", "<f8", (2,)),  # highest
        ("leapt_ns", "<i8", (2,)),  # when a maker last moved a bid, an ask far out
        ("newest_ns", "<i8"),  # latest event time of an order, cancel or fill so far
        ("late_ns", "<f8"),  # how far behind that events come, the worst of the last seconds
        ("restless_ns", "<i8"),  # planned phase: not calm before this instant
        ("open_orders", "<i8"),
        ("overtook_ns", "<i8"),  # latest event time of a cancel or fill of an order nobody had heard of
        ("mark", "<f8"),
        ("funding", "<f8"),
        ("open_interest", "<f8"),
        ("seat_floor", "<f8"),  # every maker holds its seat with this or more; 0 = not known, or a seat is free
        ("price_decimals", "i1"),
        ("qty_decimals", "i1"),
        ("status", "u1"),
        ("has", "u1"),  # HAS_ bits: what its feed tells
    ],
    align=True,
)

CREDIT = np.dtype([("price_ticks", "<i8"), ("lots", "<i8"), ("at_ns", "<i8"), ("side", "i1")], align=True)
CREDITS = 64  # per market, direct-mapped by price: trades and level decreases that wait for each other

ENTERED = ("slots", "order_slots", "order_markets")  # tables made again from the dense ones
DENSE = ("orders", "order_distances", "participants")

OVERTAKEN = np.dtype([("order", "<u8"), ("at_ns", "<i8"), ("lots", "<i8")], align=True)  # lots -1 = all of it
OVERTAKEN_MAX = (
    64  # per market, direct-mapped by order: what came before the order it takes away; the older one is forgotten
)

DEPTHS_BPS = (5.0, 10.0, 25.0, 50.0)
SAMPLE = np.dtype(
    [
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("bid_depth", "<f8", (4,)),  # quote currency within DEPTHS_BPS of the mid
        ("ask_depth", "<f8", (4,)),
        ("gap_bps", "<f8"),  # widest hole between levels within 25 bps
        ("levels", "<f8"),  # levels within 25 bps, both sides
        ("quotes_missing", "<f8"),
        ("quotes_usual", "<f8"),
        ("quotes_pulled", "<f8"),
        ("quotes_weight", "<f8"),
    ],
    align=True,
)

MAKER = np.dtype(
    [
        ("usual", "<f8"),  # resting orders it usually has
        ("mean", "<f8"),  # resting orders, slow mean of the samples
        ("spread2", "<f8"),  # mean square of how far they are from it
        ("usual_lots", "<f8"),  # resting quantity it usually has
        ("renews", "<f8"),  # in how many of ten minutes' seconds it took quotes back, at its best: features/seats.py
        ("missing", "<f8"),  # orders missing at the last sample
        ("pulled_usual", "<f8"),  # orders it usually has taken back and not replaced
        ("pulled_spread2", "<f8"),  # mean square of how far it strays from that
        ("distance_bps", "<f8"),  # of its new quotes from the middle, usually
        ("outward", "<f8"),  # how far out it places them lately, x that; 0 = not known
        ("outward_others", "<f8"),  # the largest of the same of the other makers, at the last sample
        ("taken_bps", "<f8", (2, 2)),  # bids, asks: distances of `taken`, summed, as they were when placed
        ("gap_ns", "<f8"),  # three in four of its new quotes come this soon after the old one is taken back
        ("spare_bps", "<f8", (2,)),  # distance of the last of its `spare` orders that replaces nothing yet, NaN = none
        ("pending_ns", "<i8"),  # since when `pending` counts the newer ones
        ("cancel_ns", "<i8"),  # its last cancel
        ("placed_ns", "<i8"),  # its last new order
        ("ahead", "<f8"),  # how often it places the new quote before it takes the old one back, lately
        ("spare_ns", "<i8"),  # the last of its `spare` orders
        ("leapt", "<i8"),  # the window in which it last moved a quote far out, plus 1
        ("doubted_window", "<i8"),  # in which it, not known as a maker, last took quotes back
        ("samples", "<i8"),
        ("present", "<i8"),  # samples in which it quoted
        ("participant", "<i4"),  # -1 = free seat
        ("count", "<i4"),  # orders it has resting
        ("pending", "<i4", (2,)),  # orders taken back that may still be replaced: newer and older ones
        ("taken", "<i4", (2, 2)),  # those of them whose distance is known, of bids and of asks
        ("pulled", "<i4"),  # orders taken back and not replaced
        ("filled", "<i4"),  # orders traded away and not replaced
        ("spare", "<i4"),  # orders placed lately for which others may soon be taken back ...
        ("lent", "<i4"),  # ... of which so many were taken to replace what was traded or pulled
        ("moves", "<i4"),  # orders moved, and ...
        ("leaves", "<i4"),  # ... taken back for good; these and sweeps halved at MOVES_MEMORY
        ("sweeps", "<i4"),  # times it took back the last of them: it went with all it had
        ("stood", "<i4"),  # of the moves, those of quotes that had stood for a while, up to MOVES_MIN
        ("pending_stood", "<i4", (2,)),  # of `pending`, those
        ("placed", "<i4"),  # new quotes its distance was learned from
        ("doubted", "<i4"),  # quotes it took back in `doubted_window` and has not replaced
        ("corrected", "u1"),  # a snapshot replaced the book since the last sample
    ],
    align=True,
)

NEWER = {"usual_lots", "outward", "outward_others", "renews", "sweeps"}  # what checkpoints of older versions may lack


class Count(IntEnum):
    """What the tables count. Counting is all that happens to these: none is fatal."""

    EVENTS = 0
    LATE = 1
    UNKNOWN_ORDER = 2
    CROSSED = 3
    DUPLICATE = 4
    SEQUENCE_GAP = 5
    OUT_OF_SCALE = 6
    ORDERS_FULL = 7
    LEVELS_FULL = 8
    PARTICIPANTS_FULL = 9
    SNAPSHOTS = 10
    OUT_OF_SEQUENCE = 11  # of DUPLICATE, those newer than all before: no duplicates, though dropped
    SEQUENCE_RESTART = 12
    SCALE_RESTART = 13


class Need(IntEnum):
    """Why a fold stopped early: which table must grow before it goes on, or that groups must count first."""

    NOTHING = 0
    ORDERS = 1
    LEVELS = 2
    PARTICIPANTS = 3
    MARKET = 4  # the event's market has no row yet: the engine gives it one
    COUNT = FORGOT  # accounts were forgotten: groups count the events so far before others get those places


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes nothing outgrows, and what happens at each (docs/limits.md)."""

    markets_max: int = 4096  # further markets' events are refused: `markets_max`
    orders_max: int = 1 << 24  # further orders are not booked: orders_full
    levels_max: int = 16384  # per market and side; an order at a new level beyond is not booked: levels_full
    participants_per_market_max: int = 65536  # idle accounts are forgotten first, then new ones go unnamed
    makers_max: int = 32  # per market; the weakest gives up its seat


class Tables(NamedTuple):
    """Arrays a kernel may take as one argument. M = room for markets, R = window ring, K = makers_max."""

    markets: Any  # MARKET (M)
    runs: Any  # RUN (2 M): bids of market m at 2 m, asks at 2 m + 1
    levels: Any  # LEVEL (pool)
    level_use: Any  # int64 (1)
    orders: Any  # ORDER (rows, dense)
    order_markets: Any  # int32 (rows): each row's market, -1 = free
    order_distances: Any  # float32 (rows): bps from the middle when placed, of a seated maker's; NaN = unknown
    order_slots: Any  # uint64 (a power of two): kernels/slots.py
    order_use: Any  # int64 (3): orders that rest, rows handed out, first free row
    participants: Any  # PARTICIPANT (dense)
    slots: Any  # uint64 (a power of two): kernels/slots.py
    participant_use: Any  # int64 (2)
    first: Any  # int32 (M)
    held: Any  # int64 (M)
    vain: Any  # int64 (M): kernels/participants.py
    credits: Any  # CREDIT (M, CREDITS)
    overtaken: Any  # OVERTAKEN (M, OVERTAKEN_MAX)
    samples: Any  # SAMPLE (R, M)
    makers: Any  # MAKER (M, K)
    frozen: Any  # uint8 (2 R, M): makers learn nothing in that window
    outward: Any  # float64 (R, M, OUTWARD): makers' new quotes: distances, how many, re-quotes, leaps
    counts: Any  # int64 (Count)
    need: Any  # int64 (1): Need
    limits: Any  # int64: orders_max, levels_max, participants_per_market_max
    span: Any  # int64 (2): R, window width in ns


def make(limits: Limits, ring: int, width_ns: int) -> Tables:
    """Small empty tables; they grow by doubling."""
    markets = 16
    return Tables(
        markets=blank_markets(markets),
        runs=np.zeros(2 * markets, RUN),
        levels=np.zeros(1024, LEVEL),
        level_use=np.zeros(1, np.int64),
        orders=np.zeros(2048, ORDER),
        order_markets=np.zeros(2048, np.int32),
        order_distances=np.zeros(2048, np.float32),
        order_slots=np.zeros(4096, np.uint64),
        order_use=np.array([0, 0, -1], np.int64),
        participants=np.zeros(1024, PARTICIPANT),
        slots=np.zeros(2048, np.uint64),
        participant_use=np.array([0, -1], np.int64),
        first=np.full(markets, -1, np.int32),
        held=np.zeros(markets, np.int64),
        vain=np.zeros(markets, np.int64),
        credits=np.zeros((markets, CREDITS), CREDIT),
        overtaken=np.zeros((markets, OVERTAKEN_MAX), OVERTAKEN),
        samples=np.zeros((ring, markets), SAMPLE),
        makers=blank_makers(markets, limits.makers_max),
        frozen=np.zeros((2 * ring, markets), np.uint8),
        outward=np.zeros((ring, markets, OUTWARD)),
        counts=np.zeros(len(Count), np.int64),
        need=np.zeros(1, np.int64),
        limits=np.array([limits.orders_max, limits.levels_max, limits.participants_per_market_max], np.int64),
        span=np.array([ring, width_ns], np.int64),
    )


def blank_markets(count: int) -> Any:
    """MARKET (count), nothing known."""
    markets = np.zeros(count, MARKET)
    for name in ("price_scale", "qty_scale"):
        markets[name] = 1.0
    for name in ("last_seq", "floor_seq", "now_seq", "seq_offset", "first_window", "head", "sampled", "era_ns"):
        markets[name] = -1
    markets["swing_turn"] = -2  # no turn comes right after it
    for name in ("mark", "funding", "open_interest"):
        markets[name] = np.nan
    return markets


def blank_makers(markets: int, seats: int) -> Any:
    """MAKER (markets, seats), all free."""
    makers = np.zeros((markets, seats), MAKER)
    makers["participant"] = -1
    return makers


def with_markets(tables: Tables, count: int) -> Tables:
    """Tables with room for at least `count` markets."""
    have = len(tables.markets)
    if count <= have:
        return tables
    size = max(count, 2 * have)
    return tables._replace(
        markets=np.concatenate((tables.markets, blank_markets(size - have))),
        runs=widen(tables.runs, 0, 2 * size),
        first=widen(tables.first, 0, size, -1),
        held=widen(tables.held, 0, size),
        vain=widen(tables.vain, 0, size),
        credits=widen(tables.credits, 0, size),
        overtaken=widen(tables.overtaken, 0, size),
        samples=widen(tables.samples, 1, size),
        makers=np.concatenate((tables.makers, blank_makers(size - have, tables.makers.shape[1]))),
        frozen=widen(tables.frozen, 1, size),
        outward=widen(tables.outward, 1, size),
    )


def grown(tables: Tables) -> Tables:
    """Tables with room for what the fold stopped at (`tables.need`)."""
    need = int(tables.need[0])
    tables.need[0] = Need.NOTHING
    if need == Need.ORDERS:
        if 2 * (int(tables.order_use[0]) + 1) > len(tables.order_slots):
            slots = np.zeros(2 * len(tables.order_slots), np.uint64)
            slots_move(tables.order_slots, slots)
            tables = tables._replace(order_slots=slots)
        if int(tables.order_use[1]) < len(tables.orders):
            return tables
        rows = 2 * len(tables.orders)
        return tables._replace(
            orders=longer(tables.orders, rows),
            order_markets=longer(tables.order_markets, rows),
            order_distances=longer(tables.order_distances, rows),
        )
    if need == Need.LEVELS:
        wanted = int(np.maximum(16, 2 * tables.runs["count"]).sum())
        largest = int(tables.runs["count"].max(initial=0))
        levels = np.zeros(max(len(tables.levels), 2 * wanted + 8 * largest + 1024), LEVEL)
        use = levels_move(tables.levels, tables.runs, levels)
        return tables._replace(levels=levels, level_use=np.array([use], np.int64))
    assert need == Need.PARTICIPANTS, f"a fold stopped for an unknown reason {need}"
    slots = np.zeros(2 * len(tables.slots), np.uint64)
    slots_move(tables.slots, slots)
    return tables._replace(participants=longer(tables.participants, 2 * len(tables.participants)), slots=slots)


def to_state(tables: Tables) -> State:
    """Every table, the rows in use of the dense ones, and no slots: they are entered again."""
    state: dict[str, Tree] = {name: array for name, array in tables._asdict().items() if name not in ENTERED}
    state["orders"] = tables.orders[: int(tables.order_use[1])]
    state["order_distances"] = tables.order_distances[: int(tables.order_use[1])]
    state["order_room"] = len(tables.orders)
    state["participants"] = tables.participants[: int(tables.participant_use[0])]
    state["participant_room"] = len(tables.participants)
    return state


def from_state(tables: Tables, state: State) -> Tables:
    """The tables that `to_state` saved. Raises ValueError when ring or limits differ from `tables`'."""
    for name in ("span",):
        if not np.array_equal(np.asarray(state[name]), getattr(tables, name)):
            raise ValueError(f"the saved state has another {name}: windows.width or input.lateness was changed")
    arrays: dict[str, Any] = {
        name: np.array(state[name]) for name in Tables._fields if name not in (*ENTERED, *DENSE, "limits")
    }
    if arrays["makers"].shape[1] != tables.makers.shape[1]:
        raise ValueError("the saved state has another limits.makers_max")
    arrays["makers"] = _brought_up(arrays["makers"], np.asarray(state["participants"]))
    arrays["markets"] = brought_up(arrays["markets"], blank_markets(len(arrays["markets"])), int(arrays["span"][1]))
    arrays["counts"] = longer(arrays["counts"], len(Count))
    if arrays["makers"].dtype != MAKER or arrays["markets"].dtype != MARKET:
        raise ValueError("the saved state is of another version: it knows other things of markets and makers")
    rooms = (state["order_room"], state["participant_room"])
    assert isinstance(rooms[0], int) and isinstance(rooms[1], int)
    orders = longer(np.asarray(state["orders"]), rooms[0])
    markets, order_slots = np.zeros(rooms[0], np.int32), np.zeros(2 * rooms[0], np.uint64)
    orders_enter(order_slots, orders, markets, int(arrays["order_use"][1]))
    participants, slots = _known(np.asarray(state["participants"]), rooms[1]), np.zeros(2 * rooms[1], np.uint64)
    participants_enter(participants, int(arrays["participant_use"][0]), slots)
    arrays.update(orders=orders, order_markets=markets, order_slots=order_slots)
    arrays.update(order_distances=longer(np.asarray(state["order_distances"]), rooms[0]))
    arrays.update(participants=participants, slots=slots, limits=tables.limits)
    return Tables(**arrays)


def _brought_up(makers: Any, participants: Any) -> Any:
    """MAKER of a checkpoint that may be of an older version: what rests now is what usually does, and how far out they
    place quotes lately is not known."""
    lacking = set(MAKER.names or ()) - set(makers.dtype.names or ())
    if not lacking or not lacking <= NEWER:
        return makers
    known = blank_makers(*makers.shape)
    for name in makers.dtype.names:
        known[name] = makers[name]
    if "renews" in lacking:  # as often as it moved all of them
        known["renews"] = known["moves"] / np.maximum(known["usual"], 1.0)
    if "usual_lots" not in lacking:
        return known
    seated = known["participant"] >= 0
    quotes = participants[known["participant"][seated]]
    known["usual_lots"][seated] = quotes["bid_lots"] + quotes["ask_lots"]
    return known


def _known(participants: Any, room: int) -> Any:
    """PARTICIPANT (room) of a checkpoint that may be of an older version: what it does not know is 0."""
    if participants.dtype == PARTICIPANT:
        return longer(participants, room)
    known = np.zeros(room, PARTICIPANT)
    for name in participants.dtype.names:
        known[name][: len(participants)] = participants[name]
    return known


def longer(array: Any, size: int) -> Any:
    """`array` with `size` rows, zeros behind it. Memory behind it is only taken when it is written to."""
    made = np.zeros(size, array.dtype)
    made[: len(array)] = array
    return made

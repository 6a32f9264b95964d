"""EventBatch: what a batch of records said, as columns of one dtype. What every format hands over.

Numbers stay exact: a price or a quantity is an integer and a count of decimals, value = ticks * 10**-decimals, with
trailing zeros taken off. No scale is chosen here. Each market's book holds the finest decimals it has seen and grows
them without loss (features/books.py), so one market may trade at 0.00000001 and another hold 10**12 units a level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

DECIMALS_MAX = 12  # a number with more decimals (after trailing zeros) is refused as too fine


class Kind(IntEnum):
    """What happened. The types of the contract; BOOK opens a snapshot whose ORDER or LEVEL rows carry SNAPSHOT."""

    ORDER = 1
    CANCEL = 2
    FILL = 3
    LEVERAGE = 4
    POSITION = 5
    LEVEL = 6
    TRADE = 7
    BOOK = 8
    MARK = 9
    LIQUIDATION = 10
    STATUS = 11


class Side(IntEnum):
    """Of a resting order or level; of the aggressor in a trade; of the forced order in a liquidation."""

    NONE = 0
    BUY = 1
    SELL = -1


class CancelCode(IntEnum):
    """EVENT["code"] of a CANCEL."""

    USER = 0
    EXPIRED = 1
    SELF_TRADE = 2
    LIQUIDATION = 3
    ADMIN = 4


class StatusCode(IntEnum):
    """EVENT["code"] of a STATUS."""

    OPEN = 1
    AUCTION = 2
    HALTED = 3
    RESUMED = 4


class Flag(IntEnum):
    """Bits of EVENT["flags"]."""

    FORCED = 1  # a fill or a cancel that a liquidation caused
    SNAPSHOT = 2  # row of a book snapshot: replaces, is nobody's action
    CROSS = 4  # margin mode cross
    ISOLATED = 8  # margin mode isolated
    ALL = 16  # a cancel without a quantity: whatever is left
    AFTER_GAP = 32  # written by the book: what came just before it may not have been heard
    BY_MAKER = 64  # written by the book: the order is of an account that moves quotes (features/quotes.py)
    MOVED = 128  # likewise: half of a move by one not yet known as a maker; its cancel was no cancel of another's


class Effect(IntEnum):
    """EVENT["effect"], written by the book when it folds the event: what the event did to it."""

    NONE = 0
    PLACED = 1  # an order rests now; or an L2 level grew
    AMENDED = 2
    CANCELLED = 3  # resting quantity taken away without a trade; or an L2 decrease no trade explains
    FILLED = 4
    UNKNOWN = 5  # a cancel or fill of an order the book does not hold
    REFUSED = 6  # does not fit (quantity out of range, table full): counted, not applied
    STALE = 7  # duplicate or older than the last sequence number or snapshot


EVENT = np.dtype(
    [
        # said by the message
        ("event_ns", "<i8"),  # ns since the epoch, when it happened
        ("offset", "<i8"),  # of the record; rows of one record share it
        ("seq", "<i8"),  # last exchange sequence number it covers, -1 = none
        ("first_seq", "<i8"),  # first one it covers: first_seq > last seen + 1 is a gap
        ("order", "<u8"),  # digest of the order id, 0 = none
        ("account", "<u8"),  # digest of the account, 0 = none
        ("taker", "<u8"),  # fills: digest of the taker's account, 0 = none
        ("price_ticks", "<i8"),  # price * 10**price_decimals
        ("qty_lots", "<i8"),  # quantity * 10**qty_decimals; signed for POSITION
        ("leverage", "<f8"),  # LEVERAGE, POSITION: x; MARK: funding rate; NaN = not said
        ("previous", "<f8"),  # LEVERAGE: x before; MARK: index price; NaN = not said
        ("notional", "<f8"),  # LEVERAGE: position at stake, quote currency; MARK: open interest; NaN = not said
        ("margin", "<f8"),  # LEVERAGE, POSITION; NaN = not said
        ("liquidation_price", "<f8"),  # LEVERAGE, POSITION; NaN = not said
        ("market", "<i4"),  # index into EventBatch.markets
        ("price_decimals", "i1"),
        ("qty_decimals", "i1"),
        ("kind", "u1"),
        ("side", "i1"),
        ("code", "u1"),
        ("flags", "u1"),
        # written by the book (features/books.py), zero before
        ("effect", "u1"),
        ("window", "u1"),  # ring slot of the event's window; LATE_WINDOW = its window was closed already
        ("participant", "<i4"),  # (market, account) index, -1 = no account
        ("distance_bps", "<f4"),  # of the price from the mid, > 0 = away from the touch; NaN = no mid
        ("age_ns", "<i8"),  # how long the cancelled or filled order had rested
        ("moved_lots", "<i8"),  # quantity that came (PLACED) or went (CANCELLED, FILLED), in the market's lots
    ],
    align=True,
)

LATE_WINDOW = 255

EventColumn = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record nobody could read: a value, not an exception. `sample` is at most SAMPLE_BYTES of it."""

    topic: str
    partition: int
    offset: int
    reason: str
    sample: bytes = b""


SAMPLE_BYTES = 4096
NO_TIMES: npt.NDArray[np.int64] = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class EventBatch:
    """One RecordBatch, decoded.

    events     EVENT (rows), in log order
    markets    names that EVENT["market"] indexes, append-only for the life of a decoder
    skipped    records or rows of no interest, counted by why (unknown type, ...)
    offsets    int64 (records), as in the RecordBatch
    broker_ns  int64 (records), likewise: the log's own time of each; both empty where it has none
    """

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    markets: tuple[str, ...]
    events: EventColumn
    rejects: tuple[Reject, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    records: int = 0
    idle_ns: int = 0
    offsets: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)
    broker_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)


def empty_events(rows: int) -> EventColumn:
    """EVENT (rows) with every 'not said' value in place."""
    events = np.zeros(rows, EVENT)
    events["seq"] = -1
    events["first_seq"] = -1
    events["participant"] = -1
    for name in ("leverage", "previous", "notional", "margin", "liquidation_price"):
        events[name] = np.nan
    return events

"""The words of the native format: its types, fields and limits, and every reason a message is refused for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from detector.model.events import CancelCode, Kind, Side, StatusCode

EVENT_NS_FIRST = 946_684_800 * 10**9  # 2000-01-01T00:00:00Z; earlier is somebody's seconds or milliseconds
EVENT_NS_LAST = 7_258_118_400 * 10**9 - 1  # before 2200-01-01T00:00:00Z
SEQ_MAX = 2**62
ID_BYTES_MAX = 128  # of an order id or account, in UTF-8
ID_INTEGER_MAX = 2**64 - 1
MARKET_NAME = r"[A-Za-z0-9._:/@-]{1,64}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may cost. Past any of them it is refused, whole."""

    message_bytes_max: int = 64 * 1024
    book_bytes_max: int = 1024 * 1024  # a message that is one `book` may be longer than others
    rows_per_message_max: int = 65_536  # events of an array; entries of a book
    depth_max: int = 32  # brackets open at once

    def __post_init__(self) -> None:
        assert self.message_bytes_max <= self.book_bytes_max, "book_bytes_max must not be below message_bytes_max"
        assert min(self.message_bytes_max, self.rows_per_message_max, self.depth_max) > 0, "limits must be above 0"


class Field(IntEnum):
    """Fields that mean something, in no special order. Names in lower case are the wire's."""

    TYPE = 0
    TS = 1
    MARKET = 2
    SEQ = 3
    ACCOUNT = 4
    ORDER_ID = 5
    SIDE = 6
    PRICE = 7
    QTY = 8
    REASON = 9
    TAKER_ACCOUNT = 10
    LIQUIDATION = 11
    LEVERAGE = 12
    PREVIOUS = 13
    NOTIONAL = 14
    MARGIN_MODE = 15
    MARGIN = 16
    LIQUIDATION_PRICE = 17
    ENTRY_PRICE = 18
    INDEX = 19
    FUNDING_RATE = 20
    OPEN_INTEREST = 21
    STATUS = 22
    BIDS = 23
    ASKS = 24

    @property
    def wire(self) -> str:
        """The name in a message."""
        return self.name.lower()


class Refusal(StrEnum):
    """Why a message is refused, whole: all that Reject.reason can begin with. Those of one field end in `:field`."""

    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    TOO_MANY_ROWS = "too_many_rows"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    MARKETS_MAX = "markets_max"
    MARKET_NAME = "market_name"
    MISSING_FIELD = "missing_field"  # :field
    WRONG_TYPE = "wrong_type"  # :field
    NOT_A_NUMBER = "not_a_number"  # :field
    NUMBER_TOO_FINE = "number_too_fine"  # :field
    NUMBER_TOO_LARGE = "number_too_large"  # :field
    OUT_OF_RANGE = "out_of_range"  # :field
    UNKNOWN_WORD = "unknown_word"  # :field
    NOT_A_TIME = "not_a_time"  # :ts

    def of(self, field: Field) -> str:
        """This refusal, of one field."""
        return f"{self}:{field.wire}"


TYPES = {kind.name.lower(): kind for kind in Kind}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
REASONS = {code.name.lower(): code for code in CancelCode}
STATUSES = {code.name.lower(): code for code in StatusCode}
MARGIN_MODES = ("isolated", "cross")

"""The words of the native format: its types, fields and limits, and every reason a message is refused for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from detector.model.events import CancelCode, Flag, Kind, Side, StatusCode

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


class Field(StrEnum):
    """Fields that mean something, by their names in a message."""

    TYPE = "type"
    TS = "ts"
    MARKET = "market"
    SEQ = "seq"
    ACCOUNT = "account"
    ORDER_ID = "order_id"
    SIDE = "side"
    PRICE = "price"
    QTY = "qty"
    REASON = "reason"
    TAKER_ACCOUNT = "taker_account"
    LIQUIDATION = "liquidation"
    LEVERAGE = "leverage"
    PREVIOUS = "previous"
    NOTIONAL = "notional"
    MARGIN_MODE = "margin_mode"
    MARGIN = "margin"
    LIQUIDATION_PRICE = "liquidation_price"
    ENTRY_PRICE = "entry_price"
    INDEX = "index"
    FUNDING_RATE = "funding_rate"
    OPEN_INTEREST = "open_interest"
    STATUS = "status"
    BIDS = "bids"
    ASKS = "asks"


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
        return f"{self}:{field}"


FIELD_NUMBERS = {str(field): number for number, field in enumerate(Field)}
TYPES = {kind.name.lower(): kind for kind in Kind}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
REASONS = {code.name.lower(): code for code in CancelCode}
STATUSES = {code.name.lower(): code for code in StatusCode}
MARGIN_MODES = {"isolated": Flag.ISOLATED, "cross": Flag.CROSS}

# Fields by type, beside type, ts and market, which all need, and seq and account, which all take.
_PRICED = (Field.SIDE, Field.PRICE, Field.QTY)
_MARGIN = (Field.MARGIN, Field.MARGIN_MODE, Field.LIQUIDATION_PRICE)
NEEDED: dict[Kind, tuple[Field, ...]] = {
    Kind.ORDER: (Field.ORDER_ID, *_PRICED),
    Kind.CANCEL: (Field.ORDER_ID,),
    Kind.FILL: (Field.ORDER_ID, Field.PRICE, Field.QTY),
    Kind.LEVERAGE: (Field.ACCOUNT, Field.LEVERAGE),
    Kind.POSITION: (Field.ACCOUNT, Field.QTY, Field.ENTRY_PRICE),
    Kind.LEVEL: _PRICED,
    Kind.TRADE: _PRICED,
    Kind.BOOK: (Field.BIDS, Field.ASKS),
    Kind.MARK: (Field.PRICE,),
    Kind.LIQUIDATION: _PRICED,
    Kind.STATUS: (Field.STATUS,),
}
OPTIONAL: dict[Kind, tuple[Field, ...]] = {
    Kind.CANCEL: (Field.QTY, Field.REASON),
    Kind.FILL: (Field.TAKER_ACCOUNT, Field.LIQUIDATION),
    Kind.LEVERAGE: (Field.PREVIOUS, Field.NOTIONAL, *_MARGIN),
    Kind.POSITION: (Field.LEVERAGE, *_MARGIN),
    Kind.MARK: (Field.INDEX, Field.FUNDING_RATE, Field.OPEN_INTEREST),
}

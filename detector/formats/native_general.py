"""The general parser of the native format: any JSON, one message at a time. The fast one must mean what this one says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from detector.formats.native_words import (
    EVENT_NS_FIRST,
    EVENT_NS_LAST,
    ID_BYTES_MAX,
    ID_INTEGER_MAX,
    MARGIN_MODES,
    MARKET_NAME,
    REASONS,
    SEQ_MAX,
    SIDES,
    STATUSES,
    TYPES,
    Field,
    Limits,
    Refusal,
)
from detector.formats.rows import NUMBER_CHARS_MAX, Unreadable, exact
from detector.kernels import kernel
from detector.kernels.digest import digest
from detector.model.events import CancelCode, Flag, Kind, Side, empty_events


@dataclass(frozen=True, slots=True)
class Reading:
    """What one message said: EVENT rows without offset and market, each row's market, events of an unknown type."""

    rows: list[np.void] = field(default_factory=list)
    markets: list[bytes] = field(default_factory=list)
    skipped: int = 0


def read(value: bytes, key: tuple[int, int], limits: Limits) -> Reading:
    """All events of one message. Raises Unreadable, and nothing else, with a reason that begins with a Refusal."""
    document = _document(value, limits)
    events = document if isinstance(document, list) else [document]
    rows: list[np.void] = []
    markets: list[bytes] = []
    skipped = 0
    for fields in events:
        if not isinstance(fields, dict):
            raise Unreadable(Refusal.NOT_AN_OBJECT)
        event = _event(fields, key)
        if not event:
            skipped += 1
            continue
        rows += event
        if len(rows) > limits.rows_per_message_max:
            raise Unreadable(Refusal.TOO_MANY_ROWS)
        markets += [_market(fields)] * len(event)
    return Reading(rows, markets, skipped)


class Number(str):
    """The text of a JSON number that is not an integer."""


_JSON = msgspec.json.Decoder(float_hook=Number)


def _document(value: bytes, limits: Limits) -> Any:
    """The JSON value, its numbers exact: int or Number."""
    long = len(value) > limits.message_bytes_max
    if len(value) > limits.book_bytes_max or (long and b'"book"' not in value):
        raise Unreadable(Refusal.TOO_LONG)
    if value.count(b"[") + value.count(b"{") > limits.depth_max:
        if deepest(np.frombuffer(value, np.uint8), 0, len(value)) > limits.depth_max:
            raise Unreadable(Refusal.TOO_DEEP)
    try:
        document = _JSON.decode(value)
    except UnicodeDecodeError:
        raise Unreadable(Refusal.NOT_UTF8) from None
    except RecursionError:  # depth_max comes first, unless the caller's own stack is nearly full
        raise Unreadable(Refusal.TOO_DEEP) from None
    except msgspec.ValidationError:  # an integer of thousands of digits; all else untyped JSON can be is fine
        raise Unreadable(Refusal.NUMBER_TOO_LARGE) from None
    except (msgspec.MsgspecError, ValueError):
        raise Unreadable(Refusal.NOT_JSON) from None
    if long and not (isinstance(document, dict) and document.get("type") == "book"):
        raise Unreadable(Refusal.TOO_LONG)
    if isinstance(document, list) and len(document) > limits.rows_per_message_max:
        raise Unreadable(Refusal.TOO_MANY_ROWS)
    return document


@kernel
def deepest(payload: Any, start: Any, end: Any) -> Any:
    """Most brackets open at once in payload[start:end] (uint8), outside of strings. Of broken JSON: some number."""
    depth = 0
    most = 0
    quoted = False
    escaped = False
    for at in range(start, end):
        byte = payload[at]
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte == 0x5B or byte == 0x7B:
            depth += 1
            most = max(most, depth)
        elif byte == 0x5D or byte == 0x7D:
            depth -= 1
    return most


Fields = Mapping[str, Any]


def _event(fields: Fields, key: tuple[int, int]) -> list[np.void]:
    """The rows of one event; none for a type that is not ours."""
    kind = TYPES.get(_text(fields, Field.TYPE))
    if kind is None:
        return []
    row = _BLANK.copy()
    row["kind"] = kind
    row["event_ns"] = _time(_needed(fields, Field.TS))
    _market(fields)
    seq = fields.get("seq")
    if seq is not None:
        row["seq"] = row["first_seq"] = _integer(seq, Field.SEQ, SEQ_MAX)
    row["account"] = _identity(fields.get("account"), Field.ACCOUNT, key)
    if kind == Kind.BOOK:
        return [row, *_entries(fields, Field.BIDS, row, key), *_entries(fields, Field.ASKS, row, key)]
    _READERS[kind](fields, row, key)
    return [row]


def _order(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    row["order"] = _identity(_needed(fields, Field.ORDER_ID), Field.ORDER_ID, key)
    _priced(fields, row, key)


def _cancel(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    row["order"] = _identity(_needed(fields, Field.ORDER_ID), Field.ORDER_ID, key)
    if fields.get("qty") is None:
        row["flags"] |= Flag.ALL
    else:
        row["qty_lots"], row["qty_decimals"] = _positive(fields["qty"], Field.QTY)
    if fields.get("reason") is not None:
        row["code"] = _word(fields, Field.REASON, REASONS)
    if row["code"] == CancelCode.LIQUIDATION:
        row["flags"] |= Flag.FORCED


def _fill(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    row["order"] = _identity(_needed(fields, Field.ORDER_ID), Field.ORDER_ID, key)
    row["taker"] = _identity(fields.get("taker_account"), Field.TAKER_ACCOUNT, key)
    row["price_ticks"], row["price_decimals"] = _positive(_needed(fields, Field.PRICE), Field.PRICE)
    row["qty_lots"], row["qty_decimals"] = _positive(_needed(fields, Field.QTY), Field.QTY)
    forced = fields.get("liquidation")
    if not (forced is None or isinstance(forced, bool)):
        raise Unreadable(Refusal.WRONG_TYPE.of(Field.LIQUIDATION))
    if forced:
        row["flags"] |= Flag.FORCED


def _priced(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    """Side, price and quantity: an order, a level, a trade, a liquidation."""
    row["side"] = _word(fields, Field.SIDE, SIDES)
    row["price_ticks"], row["price_decimals"] = _positive(_needed(fields, Field.PRICE), Field.PRICE)
    quantity = _not_negative if row["kind"] == Kind.LEVEL else _positive
    row["qty_lots"], row["qty_decimals"] = quantity(_needed(fields, Field.QTY), Field.QTY)


def _leverage(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    _needed(fields, Field.ACCOUNT)
    _needed(fields, Field.LEVERAGE)
    row["previous"] = _real(fields, Field.PREVIOUS, lowest=0.0)
    row["notional"] = _real(fields, Field.NOTIONAL, lowest=0.0)
    _margin(fields, row)


def _position(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    _needed(fields, Field.ACCOUNT)
    row["qty_lots"], row["qty_decimals"] = _decimal(_needed(fields, Field.QTY), Field.QTY)
    price = _needed(fields, Field.ENTRY_PRICE)
    read_price = _not_negative if row["qty_lots"] == 0 else _positive  # who is flat has no entry price to tell
    row["price_ticks"], row["price_decimals"] = read_price(price, Field.ENTRY_PRICE)
    _margin(fields, row)


def _margin(fields: Fields, row: np.void) -> None:
    """What a leverage change and a position have in common. A cross account under water has a margin below 0."""
    row["leverage"] = _real(fields, Field.LEVERAGE, above=0.0)
    row["margin"] = _real(fields, Field.MARGIN)
    liquidation_price = _real(fields, Field.LIQUIDATION_PRICE, lowest=0.0)
    row["liquidation_price"] = liquidation_price or math.nan  # venues say 0 where there is none
    mode = fields.get("margin_mode")
    if mode is not None:
        _word(fields, Field.MARGIN_MODE, dict.fromkeys(MARGIN_MODES, 1))
        row["flags"] |= Flag.CROSS if mode == "cross" else Flag.ISOLATED


def _mark(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    row["price_ticks"], row["price_decimals"] = _positive(_needed(fields, Field.PRICE), Field.PRICE)
    row["previous"] = _real(fields, Field.INDEX, above=0.0)
    row["leverage"] = _real(fields, Field.FUNDING_RATE)
    row["notional"] = _real(fields, Field.OPEN_INTEREST, lowest=0.0)


def _status(fields: Fields, row: np.void, key: tuple[int, int]) -> None:
    row["code"] = _word(fields, Field.STATUS, STATUSES)


_READERS: dict[Kind, Callable[[Fields, np.void, tuple[int, int]], None]] = {
    Kind.ORDER: _order,
    Kind.CANCEL: _cancel,
    Kind.FILL: _fill,
    Kind.LEVERAGE: _leverage,
    Kind.POSITION: _position,
    Kind.LEVEL: _priced,
    Kind.TRADE: _priced,
    Kind.MARK: _mark,
    Kind.LIQUIDATION: _priced,
    Kind.STATUS: _status,
}


def _entries(fields: Fields, side: Field, book: np.void, key: tuple[int, int]) -> list[np.void]:
    """One side of a snapshot: [price, qty] makes a LEVEL, [price, qty, order_id, account?] an ORDER."""
    entries = _needed(fields, side)
    if not isinstance(entries, list):
        raise Unreadable(Refusal.WRONG_TYPE.of(side))
    rows = []
    for entry in entries:
        if not isinstance(entry, list) or not 2 <= len(entry) <= 4:
            raise Unreadable(Refusal.WRONG_TYPE.of(side))
        row = _BLANK.copy()
        row["event_ns"] = book["event_ns"]
        row["side"] = Side.BUY if side == Field.BIDS else Side.SELL
        row["flags"] = Flag.SNAPSHOT
        row["price_ticks"], row["price_decimals"] = _positive(entry[0], side)
        if len(entry) == 2:
            row["kind"] = Kind.LEVEL
            row["qty_lots"], row["qty_decimals"] = _not_negative(entry[1], side)
        else:
            row["kind"] = Kind.ORDER
            row["qty_lots"], row["qty_decimals"] = _positive(entry[1], side)
            if entry[2] is None:
                raise Unreadable(Refusal.WRONG_TYPE.of(side))
            row["order"] = _identity(entry[2], side, key)
            row["account"] = _identity(entry[3] if len(entry) == 4 else None, side, key)
        rows.append(row)
    return rows


_BLANK: np.void = empty_events(1)[0]
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|\+00:00)", re.ASCII
)
_MARKET = re.compile(MARKET_NAME, re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _needed(fields: Fields, field: Field) -> Any:
    """The field's value; null counts as missing, as it does everywhere."""
    value = fields.get(field.wire)
    if value is None:
        raise Unreadable(Refusal.MISSING_FIELD.of(field))
    return value


def _text(fields: Fields, field: Field) -> str:
    value = _needed(fields, field)
    if type(value) is not str:
        raise Unreadable(Refusal.WRONG_TYPE.of(field))
    return value


def _word(fields: Fields, field: Field, words: Mapping[str, int]) -> int:
    """One of a closed set of words."""
    code = words.get(_text(fields, field))
    if code is None:
        raise Unreadable(Refusal.UNKNOWN_WORD.of(field))
    return code


def _market(fields: Fields) -> bytes:
    name = _text(fields, Field.MARKET)
    if not _MARKET.fullmatch(name):
        raise Unreadable(Refusal.MARKET_NAME)
    return name.encode()


def _integer(value: Any, field: Field, largest: int) -> int:
    if type(value) is not int:
        raise Unreadable(Refusal.WRONG_TYPE.of(field))
    if not 0 <= value <= largest:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return value


def _identity(value: Any, field: Field, key: tuple[int, int]) -> int:
    """The digest of an order id or account; 0 for none. The integer 123 and the string "123" are the same one."""
    if value is None:
        return 0
    if type(value) is not str:
        return digest(b"%d" % _integer(value, field, ID_INTEGER_MAX), key)
    text = value.encode()
    if not 0 < len(text) <= ID_BYTES_MAX:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return digest(text, key)


def _time(value: Any) -> int:
    """ns since the epoch, of an integer or an ISO-8601 UTC string."""
    if type(value) is str:
        parts = _TIME.fullmatch(value)
        if parts is None:
            raise Unreadable(Refusal.NOT_A_TIME.of(Field.TS))
        try:
            moment = datetime.fromisoformat(f"{parts[1]}T{parts[2]}+00:00") - _EPOCH
        except ValueError:  # the 30th of February, 25 o'clock
            raise Unreadable(Refusal.NOT_A_TIME.of(Field.TS)) from None
        value = (moment.days * 86_400 + moment.seconds) * 10**9 + int((parts[3] or "").ljust(9, "0"))
    if type(value) is not int:
        raise Unreadable(Refusal.WRONG_TYPE.of(Field.TS))
    if not EVENT_NS_FIRST <= value <= EVENT_NS_LAST:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(Field.TS))
    return int(value)


def _number_text(value: Any, field: Field) -> str:
    """The decimal text of a JSON number or a string that should hold one."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Unreadable(Refusal.WRONG_TYPE.of(field))
    text = str(value)
    if len(text) > NUMBER_CHARS_MAX:
        raise Unreadable(Refusal.NUMBER_TOO_LARGE.of(field))
    return text


def _decimal(value: Any, field: Field) -> tuple[int, int]:
    """(ticks, decimals), exactly."""
    text = _number_text(value, field)
    try:
        return exact(text)
    except Unreadable as refused:
        raise Unreadable(Refusal(refused.reason).of(field)) from None


def _positive(value: Any, field: Field) -> tuple[int, int]:
    ticks, decimals = _decimal(value, field)
    if ticks <= 0:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return ticks, decimals


def _not_negative(value: Any, field: Field) -> tuple[int, int]:
    ticks, decimals = _decimal(value, field)
    if ticks < 0:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return ticks, decimals


_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)


def _real(fields: Fields, field: Field, *, lowest: float = -math.inf, above: float = -math.inf) -> float:
    """The nearest float to an optional number; NaN when it is not said."""
    value = fields.get(field.wire)
    if value is None:
        return math.nan
    text = _number_text(value, field)
    if not _REAL.fullmatch(text):
        raise Unreadable(Refusal.NOT_A_NUMBER.of(field))
    number = float(text) + 0.0  # -0.0 becomes 0.0
    if math.isinf(number):
        raise Unreadable(Refusal.NUMBER_TOO_LARGE.of(field))
    if number < lowest or number <= above:
        raise Unreadable(Refusal.OUT_OF_RANGE.of(field))
    return number

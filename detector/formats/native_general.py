"""The general parser of the native format: any JSON, one message at a time. What it says is the meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from detector.formats.native_values import (
    Fields,
    decimal,
    identity_of,
    integer,
    market_of,
    needed,
    not_negative,
    positive,
    real,
    text_of,
    time_of,
    word_of,
)
from detector.formats.native_words import (
    MARGIN_MODES,
    REASONS,
    SEQ_MAX,
    SIDES,
    STATUSES,
    TYPES,
    Field,
    Limits,
    Refusal,
)
from detector.formats.rows import Unreadable
from detector.kernels import kernel
from detector.model.events import EVENT, CancelCode, Flag, Kind, Side, empty_events

Columns = dict[str, Any]  # one EVENT row by column name, in EVENT's order


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one message said: EVENT rows, all but offset and market; each row's market; events of an unknown type."""

    rows: list[Columns]
    markets: list[bytes]
    skipped: int


def read(value: bytes, key: tuple[int, int], limits: Limits) -> Reading:
    """All events of one message. Raises Unreadable, and nothing else, with a reason that begins with a Refusal."""
    document = _document(value, limits)
    rows: list[Columns] = []
    markets: list[bytes] = []
    skipped = 0
    for fields in document if isinstance(document, list) else (document,):
        if not isinstance(fields, dict):
            raise Unreadable(Refusal.NOT_AN_OBJECT)
        kind = TYPES.get(text_of(fields, Field.TYPE))
        if kind is None:
            skipped += 1
            continue
        market = market_of(fields)
        event = _event(kind, fields, key)
        rows += event
        markets += [market] * len(event)
        if len(rows) > limits.rows_per_message_max:
            raise Unreadable(Refusal.TOO_MANY_ROWS)
    return Reading(rows, markets, skipped)


class Number(str):
    """The text of a JSON number that is not an integer."""


_JSON = msgspec.json.Decoder(float_hook=Number)


def _document(value: bytes, limits: Limits) -> Any:
    """The JSON value, its numbers exact: int or Number."""
    long = len(value) > limits.message_bytes_max
    if len(value) > limits.book_bytes_max or (long and b'"book"' not in value):
        raise Unreadable(Refusal.TOO_LONG)
    brackets = value.count(b"[") + value.count(b"{")
    if brackets > limits.depth_max and deepest(np.frombuffer(value, np.uint8), 0, len(value)) > limits.depth_max:
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


def _event(kind: Kind, fields: Fields, key: tuple[int, int]) -> list[Columns]:
    """The rows of one event: several of a book, one of all others."""
    row = _BLANK.copy()
    row["kind"] = int(kind)
    row["event_ns"] = time_of(needed(fields, Field.TS))
    seq = fields.get(Field.SEQ)
    if seq is not None:
        row["seq"] = row["first_seq"] = integer(seq, Field.SEQ, SEQ_MAX)
    row["account"] = identity_of(fields.get(Field.ACCOUNT), Field.ACCOUNT, key)
    if kind == Kind.BOOK:
        return [row, *_entries(fields, Field.BIDS, row, key), *_entries(fields, Field.ASKS, row, key)]
    _READERS[kind](fields, row, key)
    return [row]


def _order(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    row["order"] = identity_of(needed(fields, Field.ORDER_ID), Field.ORDER_ID, key)
    _priced(fields, row, key)


def _cancel(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    row["order"] = identity_of(needed(fields, Field.ORDER_ID), Field.ORDER_ID, key)
    if fields.get(Field.QTY) is None:
        row["flags"] |= Flag.ALL
    else:
        row["qty_lots"], row["qty_decimals"] = positive(fields[Field.QTY], Field.QTY)
    if fields.get(Field.REASON) is not None:
        row["code"] = word_of(fields, Field.REASON, REASONS)
    if row["code"] == CancelCode.LIQUIDATION:
        row["flags"] |= Flag.FORCED


def _fill(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    row["order"] = identity_of(needed(fields, Field.ORDER_ID), Field.ORDER_ID, key)
    row["taker"] = identity_of(fields.get(Field.TAKER_ACCOUNT), Field.TAKER_ACCOUNT, key)
    row["price_ticks"], row["price_decimals"] = positive(needed(fields, Field.PRICE), Field.PRICE)
    row["qty_lots"], row["qty_decimals"] = positive(needed(fields, Field.QTY), Field.QTY)
    forced = fields.get(Field.LIQUIDATION)
    if not (forced is None or isinstance(forced, bool)):
        raise Unreadable(Refusal.WRONG_TYPE.of(Field.LIQUIDATION))
    if forced:
        row["flags"] |= Flag.FORCED


def _priced(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    """Side, price and quantity: an order, a level, a trade, a liquidation."""
    row["side"] = word_of(fields, Field.SIDE, SIDES)
    row["price_ticks"], row["price_decimals"] = positive(needed(fields, Field.PRICE), Field.PRICE)
    quantity = not_negative if row["kind"] == Kind.LEVEL else positive
    row["qty_lots"], row["qty_decimals"] = quantity(needed(fields, Field.QTY), Field.QTY)


def _leverage(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    needed(fields, Field.ACCOUNT)
    needed(fields, Field.LEVERAGE)
    row["previous"] = real(fields, Field.PREVIOUS, lowest=0.0)
    row["notional"] = real(fields, Field.NOTIONAL, lowest=0.0)
    _margin(fields, row)


def _position(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    needed(fields, Field.ACCOUNT)
    row["qty_lots"], row["qty_decimals"] = decimal(needed(fields, Field.QTY), Field.QTY)
    price = needed(fields, Field.ENTRY_PRICE)
    read_price = not_negative if row["qty_lots"] == 0 else positive  # who is flat has no entry price to tell
    row["price_ticks"], row["price_decimals"] = read_price(price, Field.ENTRY_PRICE)
    _margin(fields, row)


def _margin(fields: Fields, row: Columns) -> None:
    """What a leverage change and a position have in common. A cross account under water has a margin below 0."""
    row["leverage"] = real(fields, Field.LEVERAGE, above=0.0)
    row["margin"] = real(fields, Field.MARGIN)
    liquidation_price = real(fields, Field.LIQUIDATION_PRICE, lowest=0.0)
    row["liquidation_price"] = liquidation_price or math.nan  # venues say 0 where there is none
    if fields.get(Field.MARGIN_MODE) is not None:
        row["flags"] |= word_of(fields, Field.MARGIN_MODE, MARGIN_MODES)


def _mark(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    row["price_ticks"], row["price_decimals"] = positive(needed(fields, Field.PRICE), Field.PRICE)
    row["previous"] = real(fields, Field.INDEX, above=0.0)
    row["leverage"] = real(fields, Field.FUNDING_RATE)
    row["notional"] = real(fields, Field.OPEN_INTEREST, lowest=0.0)


def _status(fields: Fields, row: Columns, key: tuple[int, int]) -> None:
    row["code"] = word_of(fields, Field.STATUS, STATUSES)


_READERS: dict[Kind, Callable[[Fields, Columns, tuple[int, int]], None]] = {
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


def _entries(fields: Fields, side: Field, book: Columns, key: tuple[int, int]) -> list[Columns]:
    """One side of a snapshot: [price, qty] makes a LEVEL, [price, qty, order_id, account?] an ORDER."""
    entries = needed(fields, side)
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
        row["price_ticks"], row["price_decimals"] = positive(entry[0], side)
        if len(entry) == 2:
            row["kind"] = Kind.LEVEL
            row["qty_lots"], row["qty_decimals"] = not_negative(entry[1], side)
        else:
            row["kind"] = Kind.ORDER
            row["qty_lots"], row["qty_decimals"] = positive(entry[1], side)
            if entry[2] is None:
                raise Unreadable(Refusal.WRONG_TYPE.of(side))
            row["order"] = identity_of(entry[2], side, key)
            row["account"] = identity_of(entry[3] if len(entry) == 4 else None, side, key)
        rows.append(row)
    return rows


_BLANK: Columns = dict(zip(EVENT.names or (), empty_events(1)[0].item(), strict=True))

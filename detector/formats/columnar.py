"""Columnar rows: the columns of one piece of a columnar file to EVENT rows. Every value is looked at before it is kept.

The file (replay/columnar.py) holds what EVENT holds, with ids as text, so that whoever reads it digests them with his
own key, as a decoder of messages does. Nothing here knows where the columns lay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.formats.native_words import EVENT_NS_FIRST, EVENT_NS_LAST, ID_BYTES_MAX, NEEDED, SEQ_MAX, Field
from detector.formats.rows import TICKS_MAX, Markets, Unreadable
from detector.kernels import kernel
from detector.kernels.digest import digest_bytes
from detector.model.events import DECIMALS_MAX, EVENT, CancelCode, EventColumn, Flag, Kind, StatusCode

SPARE_BYTES = 8  # a digest reads so far past the end of what it digests
REALS = ("leverage", "previous", "notional", "margin", "liquidation_price")
NOT_A_KIND, NOT_A_TIME, NOT_A_NUMBER, NOT_AN_ID, NOT_A_MARKET, NOT_A_WORD, BACKWARDS = range(1, 8)
REASONS = {
    NOT_A_KIND: "unknown_kind",
    NOT_A_TIME: "out_of_range:event_ns",
    NOT_A_NUMBER: "out_of_range:price_or_qty",
    NOT_AN_ID: "out_of_range:id",
    NOT_A_MARKET: "not_a_market",
    NOT_A_WORD: "unknown_word",
    BACKWARDS: "offset_not_rising",
}

_KINDS = len(Kind)
_LEVEL, _POSITION, _MARK, _BOOK = int(Kind.LEVEL), int(Kind.POSITION), int(Kind.MARK), int(Kind.BOOK)
_CANCEL, _STATUS, _ALL = int(Kind.CANCEL), int(Kind.STATUS), int(Flag.ALL)
_CODES_MAX = np.zeros(_KINDS + 1, np.int64)
_CODES_MAX[Kind.CANCEL], _CODES_MAX[Kind.STATUS] = max(CancelCode), max(StatusCode)
_FLAGS = int(Flag.FORCED | Flag.SNAPSHOT | Flag.CROSS | Flag.ISOLATED | Flag.ALL)
_BAD_ID = 0xFFFFFFFFFFFFFFFF  # in a table of digests: the text is none that may be an id


def _kinds_with(*fields: Field) -> npt.NDArray[np.bool_]:
    needs = np.zeros(_KINDS + 1, np.bool_)
    for kind in Kind:
        needs[kind] = any(field in NEEDED[kind] for field in fields)
    return needs


_ORDERED = _kinds_with(Field.ORDER_ID)
_SIDED = _kinds_with(Field.SIDE)
_SIZED = _kinds_with(Field.QTY)
_PRICED = _kinds_with(Field.PRICE)
_HELD = _kinds_with(Field.ACCOUNT)


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Texts end to end: bytes uint8, SPARE_BYTES behind the last text; ends int32 (texts + 1), first where text 0
    begins."""

    bytes: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ends) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Rows of one source, every array (rows). `order_ids` has a text a row; accounts, takers and markets are numbers
    (int32) into the texts beside them; an empty id is none. `plain` has the rest by EVENT's names."""

    order_ids: Texts
    accounts: tuple[npt.NDArray[np.int32], Texts]
    takers: tuple[npt.NDArray[np.int32], Texts]
    markets: tuple[npt.NDArray[np.int32], Sequence[str]]
    plain: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.order_ids)


class ColumnarRows:
    """Columns to rows. Holds the table of market names, which all files of a run share.

    key, markets_max: as a Format's.
    """

    def __init__(self, key: tuple[int, int] = (0, 0), markets_max: int = 4096) -> None:
        self.key = (np.uint64(key[0]), np.uint64(key[1]))
        self._markets = Markets(markets_max)
        self._digested: deque[tuple[Texts, npt.NDArray[np.uint64]]] = deque(maxlen=8)

    @property
    def names(self) -> tuple[str, ...]:
        """What EVENT["market"] indexes."""
        return self._markets.names

    def read(self, columns: Columns, after: int) -> tuple[EventColumn, list[tuple[int, str]], npt.NDArray[np.bool_]]:
        """(EVENT rows, (offset, reason) of every row that was refused, which rows were kept). after: the last offset
        before these rows."""
        count = len(columns)
        events: EventColumn = np.empty(count, EVENT)
        whys = np.empty(count, np.uint8)
        plain = columns.plain
        row = lay_rows(
            events,
            whys,
            after,
            plain["event_ns"],
            plain["offset"],
            plain["seq"],
            plain["first_seq"],
            columns.order_ids.bytes,
            columns.order_ids.ends,
            columns.accounts[0],
            self._digests(columns.accounts[1]),
            columns.takers[0],
            self._digests(columns.takers[1]),
            columns.markets[0],
            self._numbers(columns.markets[1]),
            plain["price_ticks"],
            plain["price_decimals"],
            plain["qty_lots"],
            plain["qty_decimals"],
            plain["kind"],
            plain["side"],
            plain["code"],
            plain["flags"],
            plain["leverage"],
            plain["previous"],
            plain["notional"],
            plain["margin"],
            plain["liquidation_price"],
            *self.key,
        )
        refused = [(int(plain["offset"][at]), REASONS[int(whys[at])]) for at in np.flatnonzero(whys)]
        return events[:row], refused, whys == 0

    def _digests(self, texts: Texts) -> npt.NDArray[np.uint64]:
        for known, made in self._digested:
            if known is texts:
                return made
        made = np.zeros(max(1, len(texts)), np.uint64)
        digest_texts(texts.bytes, texts.ends, made, *self.key)
        self._digested.append((texts, made))
        return made

    def _numbers(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        numbers = np.full(max(1, len(names)), -1, np.int32)
        for at, name in enumerate(names):
            try:
                numbers[at] = self._markets.index(name)
            except Unreadable:
                continue  # every row of that market is refused
        return numbers


@kernel
def digest_texts(texts: Any, ends: Any, made: Any, key0: Any, key1: Any) -> Any:
    """made (uint64) of each text: 0 for an empty one, _BAD_ID for one too long."""
    for at in range(len(ends) - 1):
        made[at] = _digest_of(texts, ends[at], ends[at + 1], key0, key1)
    return 0


@kernel
def _digest_of(texts: Any, start: Any, end: Any, key0: Any, key1: Any) -> Any:
    if start >= end:
        return np.uint64(0)
    if end - start > ID_BYTES_MAX:
        return np.uint64(_BAD_ID)
    return digest_bytes(texts, np.int64(start), np.int64(end), key0, key1)


@kernel
def lay_rows(
    events: Any,
    whys: Any,
    after: Any,
    event_ns: Any,
    offset: Any,
    seq: Any,
    first_seq: Any,
    order_texts: Any,
    order_ends: Any,
    account: Any,
    account_digests: Any,
    taker: Any,
    taker_digests: Any,
    market: Any,
    market_numbers: Any,
    price_ticks: Any,
    price_decimals: Any,
    qty_lots: Any,
    qty_decimals: Any,
    kind: Any,
    side: Any,
    code: Any,
    flags: Any,
    leverage: Any,
    previous: Any,
    notional: Any,
    margin: Any,
    liquidation_price: Any,
    key0: Any,
    key1: Any,
) -> Any:
    """Rows written to `events`; whys: uint8, of each row why it was refused, 0 = it was not. All else: see Columns."""
    row = 0
    for at in range(len(event_ns)):
        one = np.int64(kind[at])
        why = 0
        order = _digest_of(order_texts, order_ends[at], order_ends[at + 1], key0, key1)
        # a number outside of its table would read elsewhere
        known = (
            0 <= account[at] < len(account_digests)
            and 0 <= taker[at] < len(taker_digests)
            and 0 <= market[at] < len(market_numbers)
        )
        holder = account_digests[account[at]] if known else np.uint64(_BAD_ID)
        other = taker_digests[taker[at]] if known else np.uint64(_BAD_ID)
        place = market_numbers[market[at]] if known else -1
        if one < 1 or one > _KINDS:
            why = NOT_A_KIND
        elif offset[at] < after or offset[at] > SEQ_MAX:
            why = BACKWARDS
        elif event_ns[at] < EVENT_NS_FIRST or event_ns[at] > EVENT_NS_LAST:
            why = NOT_A_TIME
        elif place < 0:
            why = NOT_A_MARKET
        elif (
            order == np.uint64(_BAD_ID)
            or holder == np.uint64(_BAD_ID)
            or other == np.uint64(_BAD_ID)
            or (_ORDERED[one] and order == np.uint64(0))
            or (_HELD[one] and holder == np.uint64(0))
        ):
            why = NOT_AN_ID
        elif not _words_fit(one, side[at], code[at], flags[at]):
            why = NOT_A_WORD
        elif not _numbers_fit(
            one, flags[at], seq[at], first_seq[at], price_ticks[at], price_decimals[at], qty_lots[at], qty_decimals[at]
        ) or not _reals_fit(one, leverage[at], previous[at], notional[at], margin[at], liquidation_price[at]):
            why = NOT_A_NUMBER
        whys[at] = why
        if why != 0:
            continue
        after = offset[at]
        event = events[row]
        event["event_ns"] = event_ns[at]
        event["offset"] = offset[at]
        event["seq"] = seq[at]
        event["first_seq"] = first_seq[at]
        event["order"] = order
        event["account"] = holder
        event["taker"] = other
        event["price_ticks"] = price_ticks[at]
        event["qty_lots"] = qty_lots[at]
        event["leverage"] = leverage[at]
        event["previous"] = previous[at]
        event["notional"] = notional[at]
        event["margin"] = margin[at]
        event["liquidation_price"] = liquidation_price[at]
        event["market"] = place
        event["price_decimals"] = price_decimals[at]
        event["qty_decimals"] = qty_decimals[at]
        event["kind"] = one
        event["side"] = side[at]
        event["code"] = code[at]
        event["flags"] = flags[at]
        event["effect"] = 0
        event["window"] = 0
        event["participant"] = -1
        event["distance_bps"] = 0.0
        event["age_ns"] = 0
        event["moved_lots"] = 0
        row += 1
    return row


@kernel
def _words_fit(kind: Any, side: Any, code: Any, flags: Any) -> Any:
    """Side, code and flags are ones that a decoder makes."""
    if side < -1 or side > 1 or (_SIDED[kind] and side == 0):
        return False
    if code < 0 or code > _CODES_MAX[kind] or (kind == _STATUS and code == 0):
        return False
    return flags >= 0 and (flags & _FLAGS) == flags


@kernel
def _numbers_fit(
    kind: Any, flags: Any, seq: Any, first_seq: Any, ticks: Any, price_decimals: Any, lots: Any, qty_decimals: Any
) -> Any:
    """As the decoders have it: above 0, but a level may be emptied, a position is signed, a flat one has no price."""
    if seq < -1 or seq > SEQ_MAX or first_seq < -1 or first_seq > SEQ_MAX:
        return False
    if price_decimals < 0 or price_decimals > DECIMALS_MAX or qty_decimals < 0 or qty_decimals > DECIMALS_MAX:
        return False
    if ticks < 0 or ticks >= TICKS_MAX or lots >= TICKS_MAX or lots <= -TICKS_MAX:
        return False
    if lots < 0 and kind != _POSITION:
        return False
    if _PRICED[kind] and ticks == 0:
        return False
    if _SIZED[kind] and lots == 0 and kind != _LEVEL and kind != _POSITION:
        return False
    return kind != _CANCEL or lots > 0 or (flags & _ALL) != 0


@kernel
def _reals_fit(kind: Any, leverage: Any, previous: Any, notional: Any, margin: Any, liquidation_price: Any) -> Any:
    """Finite or NaN, and not below 0 where that means nothing. (A comparison with NaN is false.)"""
    if abs(leverage) == np.inf or abs(margin) == np.inf:
        return False
    if previous == np.inf or notional == np.inf or liquidation_price == np.inf:
        return False
    if previous < 0.0 or notional < 0.0 or liquidation_price <= 0.0:
        return False
    return kind == _MARK or not leverage <= 0.0

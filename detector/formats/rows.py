"""Rows: how a format that is not on the hot path builds its columns: one row at a time, or a book at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.kernels import kernel
from detector.kernels.digest import digest
from detector.model.events import DECIMALS_MAX, SAMPLE_BYTES, EventBatch, Kind, Reject, Side, empty_events
from detector.model.records import RecordBatch

NUMBER_CHARS_MAX = 48
TICKS_MAX = 2**62
EVENT_NS_MAX = 2**62
MARKET_CHARS_MAX = 64

_DIGITS_MAX = 18  # so many always fit an int64; what is longer goes the slow way
_ASK_EXACT = -1
_NEWLINE, _MINUS, _DOT, _ZERO, _NINE = 10, 45, 46, 48, 57


class Unreadable(Exception):
    """Raised inside a decoder, caught by it for each record: becomes Reject(reason)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def exact(text: str) -> tuple[int, int]:
    """(ticks, decimals) of a decimal number's text: value = ticks * 10**-decimals, 0 <= decimals <= DECIMALS_MAX.

    Raises Unreadable: not_a_number, number_too_fine, number_too_large.

    >>> exact("61800.20"), exact("1e-8"), exact("1E12"), exact("-0.50")
    ((618002, 1), (1, 8), (1000000000000, 0), (-5, 1))
    """
    if not 0 < len(text) <= NUMBER_CHARS_MAX:
        raise Unreadable("not_a_number")
    mantissa, mark, exponent_text = text.replace("E", "e").partition("e")
    whole, dot, part = mantissa.partition(".")
    sign = -1 if whole.startswith("-") else 1
    digits = whole.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or (dot and not (part.isascii() and part.isdigit())):
        raise Unreadable("not_a_number")
    exponent = 0
    if mark:
        bare = exponent_text.removeprefix("-") if exponent_text.startswith("-") else exponent_text.removeprefix("+")
        if not (bare.isascii() and bare.isdigit() and len(bare) <= 3):
            raise Unreadable("not_a_number")
        exponent = int(exponent_text)
    ticks = int(digits + part)
    decimals = len(part) - exponent
    while ticks and decimals > 0 and ticks % 10 == 0:
        ticks //= 10
        decimals -= 1
    if ticks == 0:
        return 0, 0
    if decimals > DECIMALS_MAX:
        raise Unreadable("number_too_fine")
    if decimals < 0:
        ticks *= 10 ** min(-decimals, 40)
        decimals = 0
    if ticks >= TICKS_MAX:
        raise Unreadable("number_too_large")
    return sign * ticks, decimals


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Price levels, every column (levels): side int8 (Side), price_ticks and qty_lots int64, their decimals int8."""

    side: npt.NDArray[np.int8]
    price_ticks: npt.NDArray[np.int64]
    price_decimals: npt.NDArray[np.int8]
    qty_lots: npt.NDArray[np.int64]
    qty_decimals: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.side)


def read_quotes(bids: Any, asks: Any) -> Quotes:
    """Quotes of two JSON arrays of [price, quantity] (more members are ignored), bids first. Prices must be positive.

    Raises Unreadable: not_levels, price_not_positive, quantity_negative, and what `exact` raises.

    >>> quotes = read_quotes([["9.50", "3"]], [["10", "0.000"]])
    >>> quotes.side.tolist(), quotes.price_ticks.tolist(), quotes.price_decimals.tolist(), quotes.qty_lots.tolist()
    ([1, -1], [95, 10], [1, 0], [3, 0])
    """
    if type(bids) is not list or type(asks) is not list:
        raise Unreadable("not_levels")
    try:
        texts = [level[0] for level in bids] + [level[0] for level in asks]
        texts += [level[1] for level in bids] + [level[1] for level in asks]
    except (TypeError, IndexError, KeyError):
        raise Unreadable("not_levels") from None
    ticks, decimals = _exact_all(texts)
    half = len(texts) // 2
    if half and ticks[:half].min() <= 0:
        raise Unreadable("price_not_positive")
    if half and ticks[half:].min() < 0:
        raise Unreadable("quantity_negative")
    side = np.full(half, int(Side.SELL), np.int8)
    side[: len(bids)] = int(Side.BUY)
    return Quotes(side, ticks[:half], decimals[:half], ticks[half:], decimals[half:])


def _exact_all(texts: Sequence[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """`exact` of many texts at once (integers are taken too). Raises as it does."""
    ticks = np.zeros(len(texts), np.int64)
    decimals = np.full(len(texts), _ASK_EXACT, np.int8)
    try:
        joined = "\n".join(texts).encode("utf-8", "replace")
    except TypeError:  # not all of them are texts
        joined = b""
    if texts and joined.count(b"\n") == len(texts) - 1:
        parse_decimals(np.frombuffer(joined + b"\n", np.uint8), ticks, decimals)
    for index in np.flatnonzero(decimals == _ASK_EXACT).tolist():
        ticks[index], decimals[index] = exact(text_of(texts[index]))
    return ticks, decimals


def text_of(number: Any) -> str:
    """The text of a number that JSON gave as a string, an integer, or a float kept as text. Raises Unreadable."""
    if type(number) is str:
        return number
    if type(number) is int:
        return str(number) if abs(number) < TICKS_MAX else "1e40"  # `exact` then says: number_too_large
    raise Unreadable("not_a_number")


def values(batch: RecordBatch) -> Iterator[bytes]:
    """The bytes of every record, in order."""
    payload = batch.payload.data
    for start, end in batch.bounds.tolist():
        yield payload[start:end].tobytes()


class Markets:
    """The names EVENT["market"] indexes: append-only for the life of a decoder, at most `markets_max`."""

    def __init__(self, markets_max: int) -> None:
        self.markets_max = markets_max
        self._index: dict[str, int] = {}
        self._names: tuple[str, ...] = ()

    def index(self, name: str) -> int:
        """The index of a name, which is added when new. Raises Unreadable: not_a_market, too_many_markets."""
        index = self._index.get(name)
        if index is None:
            if not (0 < len(name) <= MARKET_CHARS_MAX and name.isprintable()):
                raise Unreadable("not_a_market")
            if len(self._index) >= self.markets_max:
                raise Unreadable("too_many_markets")
            index = self._index[name] = len(self._index)
        return index

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in index order."""
        if len(self._names) != len(self._index):
            self._names = tuple(self._index)
        return self._names


class Rows:
    """Collects rows, rejects and skips of one RecordBatch. Rows of a record that turns out unreadable are dropped."""

    def __init__(self, batch: RecordBatch, key: tuple[int, int]) -> None:
        self.batch = batch
        self.key = key
        self.rejects: list[Reject] = []
        self.skipped: dict[str, int] = {}
        self._rows: list[tuple[int, dict[str, Any]]] = []  # (row number, its columns)
        self._blocks: list[tuple[int, Quotes, dict[str, Any]]] = []  # (first row number, levels, what they share)
        self._count = 0  # rows so far
        self._kept = 0  # rows of records read to their end
        self._lengths: list[int] = []  # of the records kept, in rows
        self._offsets: list[int] = []

    def add(self, **columns: Any) -> None:
        """One EVENT row; `price`, `qty` as decimal text, `order_id`, `account_id` as bytes, the rest by column name."""
        if "price" in columns:
            columns["price_ticks"], columns["price_decimals"] = exact(columns.pop("price"))
        if "qty" in columns:
            columns["qty_lots"], columns["qty_decimals"] = exact(columns.pop("qty"))
        for name, column in (("order_id", "order"), ("account_id", "account"), ("taker_id", "taker")):
            if name in columns:
                columns[column] = digest(columns.pop(name), self.key)
        self._rows.append((self._count, columns))
        self._count += 1

    def add_levels(self, quotes: Quotes, **columns: Any) -> None:
        """One LEVEL row for each of `quotes`; `columns`, by column name, are the same for all of them."""
        if len(quotes):
            self._blocks.append((self._count, quotes, columns))
            self._count += len(quotes)

    def keep(self, index: int) -> None:
        """Record `index` was read to its end: its rows stay, and stand at its offset."""
        if self._count > self._kept:
            self._lengths.append(self._count - self._kept)
            self._offsets.append(int(self.batch.offsets[index]))
            self._kept = self._count

    def reject(self, index: int, reason: str) -> None:
        """Record `index` says nothing readable."""
        while self._rows and self._rows[-1][0] >= self._kept:
            self._rows.pop()
        while self._blocks and self._blocks[-1][0] >= self._kept:
            self._blocks.pop()
        self._count = self._kept
        sample = self.batch.value(index)[:SAMPLE_BYTES]
        self.rejects.append(
            Reject(self.batch.topic, self.batch.partition, int(self.batch.offsets[index]), reason, sample)
        )

    def skip(self, why: str, count: int = 1) -> None:
        """A record or a row of no interest: unknown type, heartbeat, ..."""
        self.skipped[why] = self.skipped.get(why, 0) + count

    def finish(self, markets: tuple[str, ...]) -> EventBatch:
        """The EventBatch. `markets`: the names that the rows' `market` columns index."""
        events = empty_events(self._kept)
        columns: dict[str, tuple[list[int], list[Any]]] = {}
        for number, row in self._rows:
            for name, value in row.items():
                at, said = columns.setdefault(name, ([], []))
                at.append(number)
                said.append(value)
        for name, (at, said) in columns.items():
            events[name][at] = said
        for first, quotes, shared in self._blocks:
            block = events[first : first + len(quotes)]
            block["kind"] = int(Kind.LEVEL)
            for name in ("side", "price_ticks", "price_decimals", "qty_lots", "qty_decimals"):
                block[name] = getattr(quotes, name)
            for name, value in shared.items():
                block[name] = value
        events["offset"] = np.repeat(np.asarray(self._offsets, np.int64), self._lengths)
        batch = self.batch
        return EventBatch(
            topic=batch.topic,
            partition=batch.partition,
            first_offset=batch.first_offset,
            next_offset=batch.next_offset,
            markets=markets,
            events=events,
            rejects=tuple(self.rejects),
            skipped=self.skipped,
            records=len(batch),
            idle_ns=batch.idle_ns,
            offsets=batch.offsets,
            broker_ns=batch.broker_ns,
        )


@kernel
def parse_decimals(text: Any, ticks: Any, decimals: Any) -> Any:
    """Read plain decimal numbers ("-61800.20"), each ended by a newline, as `exact` does; returns how many there were.

    text      uint8 (bytes)
    ticks     int64 (numbers)
    decimals  int8 (numbers); -1 = not a plain number of at most 18 digits that fits: ask `exact`
    """
    at = 0
    number = 0
    while at < len(text) and number < len(ticks):
        sign = np.int64(1)
        if text[at] == _MINUS:
            sign = np.int64(-1)
            at += 1
        value = np.int64(0)
        digits = 0
        whole = 0  # digits before the dot
        places = 0  # digits after the last dot that are needed: trailing zeros are taken off
        dotted = False
        plain_number = True
        while text[at] != _NEWLINE:
            byte = text[at]
            if byte >= _ZERO and byte <= _NINE and digits < _DIGITS_MAX:
                value = value * 10 + (np.int64(byte) - _ZERO)
                digits += 1
                if dotted:
                    places += 1
                else:
                    whole += 1
            elif byte == _DOT and not dotted:
                dotted = True
            else:
                plain_number = False
            at += 1
        at += 1
        if whole == 0 or (dotted and digits == whole):
            plain_number = False
        while value != 0 and places > 0 and value % 10 == 0:
            value //= 10
            places -= 1
        if value == 0:
            places = 0
        if plain_number and places <= DECIMALS_MAX:
            ticks[number] = sign * value
            decimals[number] = places
        else:
            ticks[number] = 0
            decimals[number] = _ASK_EXACT
        number += 1
    return number

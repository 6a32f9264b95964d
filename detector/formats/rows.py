"""Rows: how a format that is not on the hot path builds its columns, one readable row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels.digest import digest
from detector.model.events import DECIMALS_MAX, EVENT, SAMPLE_BYTES, EventBatch, Reject, empty_events
from detector.model.records import RecordBatch

NUMBER_CHARS_MAX = 48
TICKS_MAX = 2**62
EVENT_NS_MAX = 2**62


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


class Rows:
    """Collects the rows, rejects and skips of one RecordBatch. Rows of a record that turns out unreadable are dropped."""

    def __init__(self, batch: RecordBatch, key: tuple[int, int]) -> None:
        self.batch = batch
        self.key = key
        self.rows: list[dict[str, Any]] = []
        self.rejects: list[Reject] = []
        self.skipped: dict[str, int] = {}
        self._kept = 0

    def add(self, **columns: Any) -> None:
        """One EVENT row; `price` and `qty` as decimal text, `order_id` and `account_id` as bytes, the rest by column name."""
        for name in ("price", "qty"):
            if name in columns:
                ticks, decimals = exact(columns.pop(name))
                columns["price_ticks" if name == "price" else "qty_lots"] = ticks
                columns[f"{name}_decimals"] = decimals
        for name, column in (("order_id", "order"), ("account_id", "account"), ("taker_id", "taker")):
            if name in columns:
                columns[column] = digest(columns.pop(name), self.key)
        self.rows.append(columns)

    def keep(self, index: int) -> None:
        """Record `index` was read to its end: its rows stay, and stand at its offset."""
        offset = int(self.batch.offsets[index])
        for row in self.rows[self._kept :]:
            row["offset"] = offset
        self._kept = len(self.rows)

    def reject(self, index: int, reason: str) -> None:
        """Record `index` says nothing readable."""
        del self.rows[self._kept :]
        sample = self.batch.value(index)[:SAMPLE_BYTES]
        self.rejects.append(
            Reject(self.batch.topic, self.batch.partition, int(self.batch.offsets[index]), reason, sample)
        )

    def skip(self, why: str) -> None:
        """A record of no interest: unknown type, heartbeat, ..."""
        self.skipped[why] = self.skipped.get(why, 0) + 1

    def finish(self, markets: tuple[str, ...]) -> EventBatch:
        """The EventBatch. `markets`: the names that the rows' `market` columns index."""
        events = empty_events(len(self.rows))
        for name in EVENT.names or ():
            at = [i for i, row in enumerate(self.rows) if name in row]
            if at:
                events[name][np.asarray(at)] = [self.rows[i][name] for i in at]
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
        )

"""The native format: one JSON object per message (or an array of them), as docs/schema/event-v1.json says.

Two parsers with one meaning. The fast one (native_fast; native_book_fast for a book) reads plain messages in place;
where a message is not plain it stops, and the general one (native_general) decides. What the general one says is what
the format means.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detector.formats.base import Format
from detector.formats.native_book_fast import book_rows, read_book
from detector.formats.native_fast import read_plain
from detector.formats.native_general import Reading, read
from detector.formats.native_scan import values_table
from detector.formats.native_words import Limits, Refusal
from detector.formats.rows import Unreadable
from detector.kernels.digest import NotingKey
from detector.kernels.names import Names
from detector.model.events import EVENT, SAMPLE_BYTES, EventBatch, EventColumn, Reject
from detector.model.records import PADDING, RecordBatch


class Native(Format):
    """JSON events. A message is taken whole or refused whole: one bad event in an array refuses the array.

    limits   what one message may cost
    fast     False: the general parser alone, for comparisons

    >>> from detector.model.records import pack
    >>> mark = b'{"type": "mark", "ts": 1700000000000000000, "market": "BTC-PERP", "price": "61800.20"}'
    >>> batch = Native().decode(pack("marks", 0, [mark, b"{}"], [7, 8]))
    >>> batch.markets, batch.events["price_ticks"].tolist(), batch.rejects[0].offset, batch.rejects[0].reason
    (('BTC-PERP',), [618002], 8, 'missing_field:type')
    """

    def __init__(
        self,
        key: tuple[int, int] = (0, 0),
        markets_max: int = 4096,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        fast: bool = True,
    ) -> None:
        super().__init__(key, markets_max)
        self.limits = limits
        self.fast = fast
        self.noting = isinstance(key, NotingKey)  # ids of a book's rows are noted by the general parser alone
        self._names = Names(markets_max, key)
        self._values = values_table()

    def decode(self, batch: RecordBatch) -> EventBatch:
        """All rows of all records, in log order. Raises nothing, whatever the bytes."""
        if len(batch):
            assert int(batch.bounds.max()) + PADDING <= len(batch.payload), "a source hands over padded payloads"
        batch = _sealed(batch)
        events: EventColumn = np.empty(len(batch), EVENT)  # every column of a row is written as it is read
        rejects: list[Reject] = []
        skipped: dict[str, int] = {}
        record, row = 0, 0
        while True:
            record, row = self._read_plain(batch, record, events, row)
            if record == len(batch):
                break
            value = batch.value(record)
            needed = book_rows(value, self.limits) if self.fast and not self.noting else 0
            if needed:
                events = _room(events, row + needed + len(batch) - record)
                free = self._read_book(batch, record, events, row)
                if free > row:
                    record, row = record + 1, free
                    continue
            try:
                reading = read(value, self.key, self.limits)
                markets = self._markets(reading)
            except Unreadable as refused:
                rejects.append(_reject(batch, record, str(refused.reason)))
            else:
                if reading.skipped:
                    skipped["unknown_type"] = skipped.get("unknown_type", 0) + reading.skipped
                events = _room(events, row + len(markets) + len(batch) - record)
                offset = int(batch.offsets[record])
                for market, columns in zip(markets, reading.rows, strict=True):
                    columns["market"], columns["offset"] = market, offset
                    events[row] = tuple(columns.values())
                    row += 1
            record += 1
        return EventBatch(
            topic=batch.topic,
            partition=batch.partition,
            first_offset=batch.first_offset,
            next_offset=batch.next_offset,
            markets=self._names.texts(),
            events=events[:row],
            rejects=tuple(rejects),
            skipped=skipped,
            records=len(batch),
            idle_ns=batch.idle_ns,
            offsets=batch.offsets,
            broker_ns=batch.broker_ns,
        )

    def _read_plain(self, batch: RecordBatch, record: int, events: EventColumn, row: int) -> tuple[int, int]:
        """(first record the fast parser leaves to the general one, next free row)."""
        if not self.fast or record == len(batch):
            return record, row
        after: tuple[int, int] = read_plain(
            batch.payload,
            batch.bounds,
            batch.offsets,
            record,
            events,
            row,
            self._values,
            *self._names.arrays,
            *self._names.key,
            self.limits.message_bytes_max,
        )
        return after

    def _read_book(self, batch: RecordBatch, record: int, events: EventColumn, row: int) -> int:
        """The next free row behind the record's; NOT_PLAIN when it is left to the general parser."""
        start, end = batch.bounds[record]
        free: int = read_book(
            batch.payload,
            start,
            end,
            batch.offsets[record],
            events,
            row,
            self._values,
            *self._names.arrays,
            *self._names.key,
        )
        return free

    def _markets(self, reading: Reading) -> list[int]:
        """Numbers of the rows' markets. Raises Unreadable before it gives out any, when there is no room for all."""
        numbers = self._names.numbers()
        fresh = {name for name in reading.markets if name not in numbers}
        if len(numbers) + len(fresh) > self.markets_max:
            raise Unreadable(Refusal.MARKETS_MAX)
        for name in reading.markets if fresh else ():
            if name in fresh:
                self._names.index(name)
                fresh.remove(name)
        numbers = self._names.numbers()
        return [numbers[name] for name in reading.markets]


def _sealed(batch: RecordBatch) -> RecordBatch:
    """The same batch, its payload not to be written to: sources hand over both kinds of memory, and to the compiler
    they are two types, for which every loop of the parser would be compiled twice."""
    if not batch.payload.flags.writeable:
        return batch
    payload = batch.payload.view()
    payload.flags.writeable = False
    return replace(batch, payload=payload)


def _room(events: EventColumn, rows: int) -> EventColumn:
    """The same events with place for at least `rows`."""
    if rows <= len(events):
        return events
    grown = np.empty(max(rows, 2 * len(events)), EVENT)
    grown[: len(events)] = events
    return grown


def _reject(batch: RecordBatch, record: int, reason: str) -> Reject:
    start, end = batch.bounds[record]
    sample = batch.payload[start : min(end, start + SAMPLE_BYTES)].tobytes()
    return Reject(batch.topic, batch.partition, int(batch.offsets[record]), reason, sample)

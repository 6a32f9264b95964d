"""What it costs to read the native format: ns an event, of the fast parser, the general one and json.loads, in one run.

    python -m bench.decode

The events are synthetic: 50 markets, half orders, 40 % cancels, some leverage changes, about 125 bytes each. A book is
one message of 1,000 orders with their accounts, and its numbers are per order. CPU time, the best of several rounds;
compare the ratios, not the numbers of two machines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import numpy as np

from detector.formats.native import Native
from detector.formats.native_write import write
from detector.model.events import EventColumn, Flag, Kind, Side, empty_events
from detector.model.records import RecordBatch, pack

ROWS = 8_000  # a fetch of 1 MB
SLOW_ROWS = 2_000
BOOKS, BOOK_ROWS = 8, 1_000
ROUNDS = 60
MARKETS = tuple(f"M{index}-PERP" for index in range(50))


def main(_: Sequence[str] = ()) -> None:
    """Print the table."""
    batch = synthetic_batch(ROWS)
    few = first(batch, SLOW_ROWS)
    values = [few.value(index) for index in range(len(few))]
    fast, general = Native(), Native(fast=False)
    one_in_hundred = spoilt(batch, every=100)
    size = int((batch.bounds[:, 1] - batch.bounds[:, 0]).mean())
    print(f"{ROWS} synthetic events of {size} bytes; ns of CPU an event, best of {ROUNDS}")
    events = synthetic_events(ROWS)
    print(f"{'the writer, for comparison':28}{best_ns(lambda: write(events, MARKETS), ROWS):10.0f}")
    print(f"{'fast':28}{best_ns(lambda: fast.decode(batch), ROWS):10.0f}")
    print(f"{'fast, 1 % not plain':28}{best_ns(lambda: fast.decode(one_in_hundred), ROWS):10.0f}")
    print(f"{'general':28}{best_ns(lambda: general.decode(few), SLOW_ROWS):10.0f}")
    print(f"{'json.loads alone':28}{best_ns(lambda: [json.loads(value) for value in values], SLOW_ROWS):10.0f}")
    books = synthetic_books()
    for name, parser in (("fast", fast), ("general", general)):
        print(f"{f'book, per row: {name}':28}{best_ns(lambda: parser.decode(books), BOOKS * BOOK_ROWS):10.0f}")  # noqa: B023 - at once


def best_ns(work: Callable[[], object], count: int) -> float:
    """CPU time of the best round, per event."""
    work()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        work()
        best = min(best, (time.process_time_ns() - began) / count)
    return best


def synthetic_batch(rows: int) -> RecordBatch:
    """Orders, cancels and leverage changes, as the simulated exchange would write them."""
    payload, bounds = write(synthetic_events(rows), MARKETS)
    return RecordBatch("bench", 0, 0, rows, payload, bounds, np.arange(rows), np.zeros(rows, np.int64))


def synthetic_events(rows: int) -> EventColumn:
    """EVENT (rows) with plain numbers as ids."""
    random = np.random.default_rng(7)
    events = empty_events(rows)
    events["kind"] = random.choice([Kind.ORDER, Kind.CANCEL, Kind.LEVERAGE], rows, p=[0.5, 0.4, 0.1])
    events["event_ns"] = 1_700_000_000_000_000_000 + np.arange(rows) * 1_234
    events["market"] = random.integers(0, 50, rows)
    events["account"] = random.integers(1, 5_000, rows)
    events["side"] = random.choice([Side.BUY, Side.SELL], rows)
    events["price_ticks"], events["price_decimals"] = random.integers(6_000_000, 6_200_000, rows), 2
    events["qty_lots"], events["qty_decimals"] = random.integers(1, 10_000, rows), 3
    leverage = events["kind"] == Kind.LEVERAGE
    events["order"] = np.where(leverage, 0, random.integers(1, 1_000_000, rows))
    events["leverage"] = np.where(leverage, random.integers(1, 100, rows), np.nan)
    events["flags"] = np.where(events["kind"] == Kind.CANCEL, Flag.ALL, 0)
    return events


def synthetic_books() -> RecordBatch:
    """BOOKS opening snapshots of BOOK_ROWS orders each."""
    events = synthetic_events(BOOKS * BOOK_ROWS)
    prices, sizes = events["price_ticks"].tolist(), events["qty_lots"].tolist()
    orders, accounts = events["order"].tolist(), events["account"].tolist()
    entries = [
        [f"{price / 100:.2f}", f"{size / 1000:.3f}", order, f"account-{account}"]
        for price, size, order, account in zip(prices, sizes, orders, accounts, strict=True)
    ]
    messages = []
    for number in range(BOOKS):
        rows = entries[number * BOOK_ROWS : (number + 1) * BOOK_ROWS]
        sides = {"bids": rows[: BOOK_ROWS // 2], "asks": rows[BOOK_ROWS // 2 :]}
        fields = {"type": "book", "ts": 1_700_000_000_000_000_000, "market": MARKETS[number]} | sides
        messages.append(json.dumps(fields, separators=(",", ":")).encode())
    return pack("bench", 0, messages, range(BOOKS))


def first(batch: RecordBatch, rows: int) -> RecordBatch:
    """The batch's first records."""
    return RecordBatch(
        batch.topic, 0, 0, rows, batch.payload, batch.bounds[:rows], batch.offsets[:rows], batch.broker_ns[:rows]
    )


def spoilt(batch: RecordBatch, every: int) -> RecordBatch:
    """The same batch, but of every so many messages one is broken: its last byte is a space."""
    payload = batch.payload.copy()
    payload[batch.bounds[::every, 1] - 1] = ord(" ")
    return RecordBatch(batch.topic, 0, 0, len(batch), payload, batch.bounds, batch.offsets, batch.broker_ns)


if __name__ == "__main__":
    main()

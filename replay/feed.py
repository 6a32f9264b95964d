"""From the simulated exchange to a log: disorder and duplicates where planted, native JSON, partitions, files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import zstandard

from detector.formats.native_write import write
from detector.model.events import EVENT, EventColumn, Flag, Kind
from detector.model.records import PADDING, RecordBatch
from replay.exchange import Exchange
from replay.incidents_plan import SECOND_NS

DISORDER_NS = 500_000_000
DUPLICATE_SHARE = 0.01
_GOLDEN, _MIX, _WORD = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 2**64 - 1


def arrivals(exchange: Exchange, seconds_per_chunk: float = 1.0) -> Iterator[EventColumn]:
    """EVENT arrays in the order of the log: by event time, except where disorder is planted; `window` and the other
    columns a book writes are untouched, `offset` is the caller's to set."""
    spells = [label for label in exchange.labels() if label["class"] == "disorder"]
    if not spells:
        yield from exchange.chunks(seconds_per_chunk)
        return
    waiting, waiting_ns = np.zeros(0, EVENT), np.zeros(0, np.int64)
    for events in exchange.chunks(seconds_per_chunk):
        events, arrival_ns = _disorder(events, exchange.markets, spells)
        events = np.concatenate((waiting, events))
        arrival_ns = np.concatenate((waiting_ns, arrival_ns))
        order = np.lexsort((events["market"], arrival_ns))
        events, arrival_ns = events[order], arrival_ns[order]
        cut = int(np.searchsorted(arrival_ns, exchange.until_ns))
        waiting, waiting_ns = events[cut:].copy(), arrival_ns[cut:].copy()
        yield events[:cut]
    yield waiting


def partition_of(market: str, partitions: int) -> int:
    """Which partition a market's messages are in; the same for ever."""
    return zlib.crc32(market.encode()) % partitions


def batches(
    exchange: Exchange, topic: str, partitions: int = 1, seconds_per_chunk: float = 1.0
) -> Iterator[RecordBatch]:
    """Native JSON of each chunk, a RecordBatch for every partition that has something, offsets rising from 0.
    broker_ns is the event time."""
    of_market = np.array([partition_of(name, partitions) for name in exchange.markets])
    next_offsets = [0] * partitions
    for events in arrivals(exchange, seconds_per_chunk):
        home = of_market[events["market"]]
        for partition in range(partitions):
            own = events[home == partition]
            if not len(own):
                continue
            payload, bounds = write(own, exchange.markets)
            first = next_offsets[partition]
            next_offsets[partition] = first + len(bounds)
            yield RecordBatch(
                topic=topic,
                partition=partition,
                first_offset=first,
                next_offset=next_offsets[partition],
                payload=payload,
                bounds=bounds,
                offsets=np.arange(first, next_offsets[partition], dtype=np.int64),
                broker_ns=_message_ns(own),
            )


def write_native(exchange: Exchange, path: Path, *, seconds: float | None = None) -> int:
    """Write what the exchange has left (or the next `seconds`) as NDJSON, compressed by the suffix (.gz, .zst). The
    number of messages. Raises OSError."""
    until_ns = exchange.end_ns if seconds is None else exchange.until_ns + round(seconds * SECOND_NS)
    messages = 0
    with _opened(path) as stream:
        for events in arrivals(exchange, 10.0):
            events = events[events["event_ns"] < until_ns]
            payload, bounds = write(events, exchange.markets)
            stream.write(payload[: len(payload) - PADDING].tobytes())
            messages += len(bounds)
            if exchange.until_ns >= until_ns + DISORDER_NS:
                break
    return messages


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix == ".gz":
        with path.open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed:  # same events, same bytes
            yield packed  # type: ignore[misc]
    elif path.suffix == ".zst":
        with path.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as stream:
            yield stream
    else:
        with path.open("wb") as raw:
            yield raw


def _disorder(
    events: EventColumn, markets: tuple[str, ...], spells: list[dict[str, Any]]
) -> tuple[EventColumn, npt.NDArray[np.int64]]:
    """The events with duplicates added, and when each arrives (ns): up to DISORDER_NS late inside a spell. Which ones
    is a hash of market and sequence number, so that chunks do not matter. Snapshots are neither late nor twice."""
    touched = np.zeros(len(events), bool)
    for spell in spells:
        of_market = np.isin(events["market"], [markets.index(name) for name in spell["markets"]])
        touched |= of_market & (events["event_ns"] >= spell["start"]) & (events["event_ns"] < spell["end"])
    touched &= ((events["flags"] & Flag.SNAPSHOT) == 0) & (events["kind"] != Kind.BOOK)
    late_ns = np.where(touched, (_chance(events, 1) * DISORDER_NS).astype(np.int64), 0)
    twice = touched & (_chance(events, 2) < DUPLICATE_SHARE)
    again_ns = events["event_ns"][twice] + (_chance(events, 3)[twice] * DISORDER_NS).astype(np.int64)
    return np.concatenate((events, events[twice])), np.concatenate((events["event_ns"] + late_ns, again_ns))


def _chance(events: EventColumn, salt: int) -> npt.NDArray[np.float64]:
    """In [0, 1), fixed for each row and salt."""
    word = events["seq"].astype(np.uint64) * np.uint64(4096) + events["market"].astype(np.uint64)
    word = (word + np.uint64(salt * _GOLDEN & _WORD)) * np.uint64(_MIX)
    word = (word ^ (word >> np.uint64(29))) * np.uint64(_GOLDEN)
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _message_ns(events: EventColumn) -> npt.NDArray[np.int64]:
    """Event time of each message: of the BOOK row for a snapshot."""
    inside: npt.NDArray[np.bool_] = (events["flags"] & Flag.SNAPSHOT) != 0
    told: npt.NDArray[np.int64] = events["event_ns"][~inside].astype(np.int64)
    return told

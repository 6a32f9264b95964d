"""Kafka's record batches, walked and parsed where they lie: no object per record.

Format: record batch version 2 (magic 2) of the Kafka protocol guide. Bytes come from a broker, so nothing here believes
a length before it has compared it with what is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.kernels.checksum import crc32c

# Columns of a batch table, int64 (batches, COLUMNS). START and END bound the batch, BODY its first record byte.
START, END, BODY, BASE, NEXT, MAGIC, CRC, ATTRIBUTES, FIRST_MS, LAST_MS, PRODUCER, COUNT = range(12)
COLUMNS = 12

HEADER_BYTES = 61
CRC_FROM = 21  # the checksum covers everything from here on
RECORD_BYTES_MIN = 7  # length, attributes, time, offset, key length, value length, header count: one byte each
CODEC_BITS, LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20  # of ATTRIBUTES

_TIME_MS_MAX = 9_000_000_000_000  # year 2255: as nanoseconds it still is an int64


@kernel
def _big_endian(payload: Any, at: Any, size: Any) -> Any:
    """The signed integer of `size` bytes at `at`."""
    value = np.int64(payload[at])
    if value >= 128:
        value -= np.int64(256)
    for i in range(1, size):
        value = (value << np.int64(8)) | np.int64(payload[at + i])
    return value


@kernel
def scan_batches(payload: Any, at: Any, table: Any) -> Any:
    """Fill `table` with the headers of the batches from byte `at` on. Returns (batches, where it stopped).

    payload  uint8: the record set of one partition, as fetched; it usually ends in the middle of a batch
    table    int64 (batches max, COLUMNS)
    It stops at the end, at an unfinished batch, when the table is full, or after the first batch that is not magic 2
    (old formats) or shorter than a header: that row says MAGIC and bounds and nothing else to rely on.
    """
    rows = 0
    while rows < len(table) and len(payload) - at >= 17:
        length = _big_endian(payload, at + 8, 4)
        if length < 5 or length > len(payload) - at - 12:
            if length >= 5:
                break  # the rest of it was not fetched
            end = np.int64(len(payload))  # nonsense: nothing after it can be found either
        else:
            end = np.int64(at) + 12 + length
        row = table[rows]
        row[START] = at
        row[END] = end
        row[BASE] = _big_endian(payload, at, 8)
        row[MAGIC] = np.int64(payload[at + 16])
        rows += 1
        if row[MAGIC] != 2 or end - at < HEADER_BYTES:
            row[BODY] = end
            row[NEXT] = row[BASE]
            row[COUNT] = -1
            at = end
            break
        row[BODY] = at + HEADER_BYTES
        row[CRC] = _big_endian(payload, at + 17, 4) & np.int64(0xFFFFFFFF)
        row[ATTRIBUTES] = _big_endian(payload, at + 21, 2)
        row[NEXT] = row[BASE] + _big_endian(payload, at + 23, 4) + 1
        row[FIRST_MS] = _big_endian(payload, at + 27, 8)
        row[LAST_MS] = _big_endian(payload, at + 35, 8)
        row[PRODUCER] = _big_endian(payload, at + 43, 8)
        row[COUNT] = _big_endian(payload, at + 57, 4)
        at = end
    return rows, at


@kernel
def plain_batches(
    payload: Any, table: Any, minimum: Any, records: Any, size: Any, records_max: Any, size_max: Any, checked: Any
) -> Any:
    """How many batches, from the table's first on, are plain: not packed, of no transaction, behind `minimum`, with a
    header that can be believed and, where that is to be `checked`, the right checksum. (So many, records, bytes).

    records, size: what is held already; it stops with the batch that reaches records_max or size_max.
    """
    count = 0
    while count < len(table) and (count == 0 or (records < records_max and size < size_max)):
        row = table[count]
        held = row[END] - row[BODY]
        if row[MAGIC] != 2 or row[COUNT] < 0 or row[BASE] < 0 or row[NEXT] <= row[BASE] or row[NEXT] <= minimum:
            break
        if row[ATTRIBUTES] & (CODEC_BITS | TRANSACTIONAL | CONTROL) or row[COUNT] * RECORD_BYTES_MIN > held:
            break
        if checked and np.int64(crc32c(payload, row[START] + CRC_FROM, row[END])) != row[CRC]:
            break
        records += row[COUNT]
        size += held
        count += 1
    return count, records, size


@kernel
def _varint(payload: Any, at: Any, end: Any) -> Any:
    """(value, byte after it) of a zigzag number; (0, -1) when it does not end before `end` or is too long."""
    raw = np.int64(0)
    shift = np.int64(0)
    while at < end and shift < 70:
        byte = np.int64(payload[at])
        at += 1
        if shift < 63 or byte == 1 or byte == 0:
            raw = raw | ((byte & np.int64(127)) << shift)
        else:
            return np.int64(0), np.int64(-1)  # does not fit into 64 bits
        if byte < 128:
            value = ((raw >> np.int64(1)) & np.int64(0x7FFFFFFFFFFFFFFF)) ^ -(raw & np.int64(1))
            return value, np.int64(at)
        shift += np.int64(7)
    return np.int64(0), np.int64(-1)


@kernel
def lay_records(payload: Any, batches: Any, minimum: Any, bounds: Any, offsets: Any, broker_ns: Any) -> Any:
    """Where the values of all records of `batches` lie. Returns (records, batches that were read to their end).

    payload   uint8, uncompressed
    batches   int64 (n, COLUMNS); BODY and END bound the records in `payload`
    minimum   records with a smaller offset are left out: a fetch gives the whole batch that the position lies in
    bounds    int64 (sum of COUNT, 2) out; a null value (tombstone) has length 0
    offsets   int64 out
    broker_ns int64 out, 0 = the record does not say
    A result of fewer than n batches names the first one that contradicts itself; none of its records is counted.
    """
    written = 0
    for index in range(len(batches)):
        batch = batches[index]
        begun = written
        at = batch[BODY]
        end = batch[END]
        before = batch[BASE] - 1
        whole = True
        for _ in range(batch[COUNT]):
            length, at = _varint(payload, at, end)
            if at < 0 or length < RECORD_BYTES_MIN - 1 or length > end - at:
                whole = False
                break
            record_end = at + length
            delta_ms, at = _varint(payload, at + 1, record_end)
            if at < 0:
                whole = False
                break
            delta, at = _varint(payload, at, record_end)
            if at < 0 or delta < 0 or delta > 0x7FFFFFFF:
                whole = False
                break
            key, at = _varint(payload, at, record_end)
            if at < 0 or key < -1 or key > record_end - at:
                whole = False
                break
            if key > 0:
                at += key
            value, at = _varint(payload, at, record_end)
            if at < 0 or value < -1 or value >= record_end - at:  # one byte at least counts the headers
                whole = False
                break
            offset = batch[BASE] + delta
            if offset <= before or offset >= batch[NEXT]:
                whole = False
                break
            before = offset
            if offset >= minimum:
                bounds[written, 0] = at
                bounds[written, 1] = at + max(value, np.int64(0))
                offsets[written] = offset
                stamp_ms = np.int64(0)
                if batch[ATTRIBUTES] & LOG_APPEND_TIME:
                    stamp_ms = batch[LAST_MS]
                elif 0 <= batch[FIRST_MS] <= _TIME_MS_MAX and -_TIME_MS_MAX <= delta_ms <= _TIME_MS_MAX:
                    stamp_ms = batch[FIRST_MS] + delta_ms
                if stamp_ms < 0 or stamp_ms > _TIME_MS_MAX:
                    stamp_ms = np.int64(0)
                broker_ns[written] = stamp_ms * np.int64(1_000_000)
                written += 1
            at = record_end
        if not whole or at != end:
            return begun, index
    return written, len(batches)

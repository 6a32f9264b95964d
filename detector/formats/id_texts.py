"""Id texts: the order ids and accounts behind the digests of decoded rows, for who writes events down again.

Two ways, both checked by the digest itself, so that neither can name a wrong text: the general parsers' digests are
noted by the key (kernels/digest.py, NotingKey); of plain native messages, which are parsed in place, the fields are
looked up in the bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.kernels.digest import NotingKey, digest_bytes
from detector.model.events import EventColumn
from detector.model.records import RecordBatch

COLUMNS = ("order", "account", "taker")
_KEYS = ('"order_id"', '"account"', '"taker_account"')
_KEY_BYTES = np.frombuffer("".join(_KEYS).encode(), np.uint8).copy()
_KEY_ENDS = np.cumsum([0] + [len(key) for key in _KEYS], dtype=np.int64)


def id_texts(batch: RecordBatch, events: EventColumn, key: NotingKey) -> tuple[dict[str, list[bytes]], int]:
    """(by column the id of each row, b"" = none; how many are lost, which stand as "?" and their digest)."""
    wanted = np.stack([events[name] for name in COLUMNS], axis=1)
    spans = np.full((len(events), len(COLUMNS), 2), -1, np.int64)
    record = np.searchsorted(batch.offsets, events["offset"])
    find_all(batch.payload, batch.bounds, record, _KEY_BYTES, _KEY_ENDS, wanted, spans, *key.halves)
    payload = batch.payload.tobytes()
    lost = 0
    texts: dict[str, list[bytes]] = {}
    for at, name in enumerate(COLUMNS):
        column = []
        for digest, (start, end) in zip(wanted[:, at].tolist(), spans[:, at].tolist(), strict=True):
            if start >= 0 or digest == 0:
                column.append(payload[start:end] if digest else b"")
                continue
            text = key.text(digest)
            lost += text is None
            column.append(b"?%016x" % digest if text is None else text)
        texts[name] = column
    return texts, lost


@kernel
def find_all(
    payload: Any, bounds: Any, record: Any, keys: Any, key_ends: Any, wanted: Any, spans: Any, key0: Any, key1: Any
) -> Any:
    """find_ids for every row that is its record's only one."""
    for row in range(len(record)):
        one = record[row]
        if (row > 0 and record[row - 1] == one) or (row + 1 < len(record) and record[row + 1] == one):
            continue
        find_ids(payload, bounds[one, 0], bounds[one, 1], keys, key_ends, wanted[row], spans[row], key0, key1)
    return 0


@kernel
def find_ids(
    payload: Any,
    start: Any,
    end: Any,
    keys: Any,
    key_ends: Any,
    wanted: Any,
    spans: Any,
    key0: Any,
    key1: Any,
) -> Any:
    """Where the ids of one flat JSON message stand: spans (int64 (keys, 2)) of each key whose digest is wanted.

    keys, key_ends: the fields' names with their quotes, end to end. wanted: uint64 (keys), 0 = none. A span is only
    written when its text has the digest that is wanted; how many wanted ones were not found is returned.
    """
    missing = 0
    for field in range(len(wanted)):
        spans[field, 0] = -1
        if wanted[field] != np.uint64(0):
            missing += 1
    at = start
    while at < end and missing > 0:
        if payload[at] != 0x22:
            at += 1
            continue
        close = at + 1
        while close < end and payload[close] != 0x22:
            close += 1
        for field in range(len(wanted)):
            first = key_ends[field]
            if key_ends[field + 1] - first != close + 1 - at or spans[field, 0] >= 0 or wanted[field] == np.uint64(0):
                continue
            same = True
            for i in range(close + 1 - at):
                if payload[at + i] != keys[first + i]:
                    same = False
                    break
            if same and _value_has(payload, close + 1, end, wanted[field], spans[field], key0, key1):
                missing -= 1
        at = close + 1
    return missing


@kernel
def _value_has(payload: Any, at: Any, end: Any, wanted: Any, span: Any, key0: Any, key1: Any) -> Any:
    """Whether the value after a key's closing quote, a string or an integer, has the digest; its span is written."""
    while at < end and (payload[at] <= 0x20 or payload[at] == 0x3A):
        at += 1
    quoted = at < end and payload[at] == 0x22
    if quoted:
        at += 1
    stop = at
    while stop < end and (payload[stop] != 0x22 if quoted else 0x30 <= payload[stop] <= 0x39):
        stop += 1
    if stop == at or digest_bytes(payload, at, stop, key0, key1) != wanted:
        return False
    span[0] = at
    span[1] = stop
    return True

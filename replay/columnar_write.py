"""Writing columnar files: rows gathered to row groups, a source after the other. See replay/columnar.py."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from detector.formats.columnar import REALS
from detector.model.events import EventColumn
from replay.columnar import GROUP_ROWS, INTEGERS, SCHEMA, SELDOM, SOURCES_KEY, VERSION, VERSION_KEY, Source
from replay.outputs import OutputError, part_of

# ids and markets come again and again: accounts thousands of times, so a dictionary; orders twice, so none
_DICTIONARIES = ["account", "taker_account", "market", *REALS, "kind", "side", "code", "flags"]
_DICTIONARIES += ["price_decimals", "qty_decimals"]
_DELTAS = dict.fromkeys(("event_ns", "offset", "seq", "first_seq", "price_ticks", "qty_lots"), "DELTA_BINARY_PACKED")


class ColumnarFile:
    """A columnar file in the making; under another name until `close`. Raises OutputError.

    begin    a source's rows follow
    add      rows of the source, whole records; ids by column, as text
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._part = part_of(self._path)
        self._sources: list[tuple[str, int, int]] = []  # topic, partition, first row group
        self._constants: list[dict[str, int | None]] = []  # of each row group
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        try:
            self._writer = pq.ParquetWriter(
                self._part,
                SCHEMA.with_metadata({VERSION_KEY: VERSION}),
                compression="lz4",
                write_statistics=False,
                use_dictionary=_DICTIONARIES,
                column_encoding=_DELTAS,
                dictionary_pagesize_limit=16 << 20,
            )
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
        except UnicodeEncodeError:
            raise OutputError(f"{path}: cannot be written: Parquet wants a file's name in UTF-8") from None

    def begin(self, topic: str, partition: int) -> None:
        """What comes now stood in this partition."""
        self._flush()
        self._sources.append((topic, partition, len(self._constants)))

    def add(self, events: EventColumn, markets: Sequence[str], texts: Mapping[str, Sequence[bytes]]) -> None:
        """markets: what EVENT["market"] indexes; texts: `order`, `account`, `taker`, b"" = none."""
        assert self._sources, "a row belongs to a source"
        start = 0
        while start < len(events):
            last = min(start + GROUP_ROWS - self._rows, len(events)) - 1
            stop = int(np.searchsorted(events["offset"], events["offset"][last], side="right"))
            held = {column: texts[column][start:stop] for column in texts}
            self._waiting.append(_piece(events[start:stop], markets, held))
            self._rows += stop - start
            if self._rows >= GROUP_ROWS:
                self._flush()
            start = stop

    def close(self) -> None:
        """Write the rest and the sources, and give the file its name."""
        try:
            self._flush()
            ends = [first for _, _, first in self._sources[1:]] + [len(self._constants)]
            told = [
                Source(topic, partition, (first, end), tuple(self._constants[first:end]))
                for (topic, partition, first), end in zip(self._sources, ends, strict=True)
            ]
            self._writer.add_key_value_metadata({SOURCES_KEY: msgspec.json.encode(told)})
            self._writer.close()
            os.replace(self._part, self._path)  # noqa: PTH105
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from None

    def discard(self) -> None:
        """It shall not be."""
        self._writer.close()
        self._part.unlink(missing_ok=True)

    def _flush(self) -> None:
        """What waits becomes a row group."""
        if not self._rows:
            return
        table = pa.Table.from_batches(self._waiting)
        try:
            self._writer.write_table(table, row_group_size=self._rows)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from None
        self._constants.append(dict(_constants(table)))
        self._waiting, self._rows = [], 0


def _piece(events: EventColumn, markets: Sequence[str], texts: Mapping[str, Sequence[bytes]]) -> pa.RecordBatch:
    arrays: dict[str, Any] = {name: np.ascontiguousarray(events[name]) for name in INTEGERS}
    for name in REALS:
        values = np.ascontiguousarray(events[name])
        arrays[name] = pa.array(values, mask=np.isnan(values))
    for name, column in (("order_id", "order"), ("account", "account"), ("taker_account", "taker")):
        arrays[name] = pa.array(texts[column], pa.binary()).cast(pa.string())
    arrays["market"] = pa.array(list(markets), pa.string()).take(pa.array(np.ascontiguousarray(events["market"])))
    return pa.record_batch([pa.array(arrays[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def _constants(table: pa.Table) -> Iterator[tuple[str, int | None]]:
    """Columns of which every row has the same. See Source."""
    for name in SELDOM:
        column = table.column(name)
        if name in REALS:
            if column.null_count == len(column):
                yield name, None
        elif (values := column.to_numpy()).min() == values.max():
            yield name, int(values[0])

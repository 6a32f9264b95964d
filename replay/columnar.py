"""Columnar files: native events as Parquet, which `foreshock convert` writes and `foreshock replay` reads fastest.

A row is a row of EVENT (detector/model/events.py), said by a message: prices and quantities exact, as an integer and
its decimals; order ids and accounts as the text that came, digested with the reader's own key, as live does it. An
empty text is no id, a null number was not said. `offset` is the record's place in the log that the file was made from,
and the file names that log: positions in alerts are those of the log, whichever of the two is replayed.

A row group holds rows of one source, and whole records. The footer's metadata:

    foreshock.columnar  "1", the schema's version
    foreshock.sources   [{"topic": ..., "partition": ..., "groups": [first, last + 1], "constants": [{...}, ...]}, ...]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from detector.formats.columnar import REALS, SPARE_BYTES, ColumnarRows, Columns, Texts
from detector.model.events import EventBatch, Reject
from detector.sources.packed import FileUnreadable

VERSION = b"1"
VERSION_KEY, SOURCES_KEY = b"foreshock.columnar", b"foreshock.sources"
GROUP_ROWS = 65_536  # a row group is closed at the first record's end past so many
GROUP_ROWS_MAX = 262_144  # a file with a longer row group is refused
GROUP_BYTES_MAX = 256 << 20  # unpacked, as the footer says; a file with a larger row group is refused
PIECE_ROWS = 32_768  # rows laid out at once, then folded: 7 MB
FOOTER_BYTES_MAX = 64 << 20
SOURCES_MAX = 4096

TEXTS = ("order_id", "account", "taker_account", "market")
SCHEMA = pa.schema(
    [
        pa.field("event_ns", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("first_seq", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in TEXTS),
        pa.field("price_ticks", pa.int64(), nullable=False),
        pa.field("qty_lots", pa.int64(), nullable=False),
        *(pa.field(name, pa.float64()) for name in REALS),
        *(pa.field(n, pa.int8(), nullable=False) for n in ("price_decimals", "qty_decimals", "kind", "side", "code")),
        pa.field("flags", pa.uint8(), nullable=False),
    ]
)
INTEGERS = tuple(field.name for field in SCHEMA if not pa.types.is_string(field.type) and field.name not in REALS)
SELDOM = ("seq", "first_seq", "code", *REALS)
DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError)


class Source(msgspec.Struct, frozen=True):
    """A partition of a log, and which row groups hold its rows. constants: for each of them the columns of which every
    row has one value (None = was not said), and which need not be read: a feed without sequence numbers, an hour
    without a leverage change. Arrow's own statistics say it too, but abort the program when they are damaged."""

    topic: str
    partition: int
    groups: tuple[int, int]
    constants: tuple[dict[str, int | None], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Rows of a row group. constants: the columns that were not read since all their rows have one value; texts and
    markets: what the rows' numbers of accounts, takers and markets index, the same objects for all of a row group."""

    table: pa.RecordBatch
    constants: Mapping[str, Any]
    order_ids: Texts
    accounts: Texts
    takers: Texts
    markets: Sequence[str]


class ColumnarInput:
    """One source's rows, a row group at a time. Never more in memory than a row group.

    Unreadable rows are rejects; a row group that cannot be read ends the input, and `damage` says so.
    """

    def __init__(self, path: str, file: pq.ParquetFile, source: Source, number: int, rows: ColumnarRows) -> None:
        self.partition = (source.topic, number)
        self.damage = ""
        self.bytes_done = 0
        self.source = source
        metadata = file.metadata
        self.bytes_total: int | None = sum(metadata.row_group(group).total_byte_size for group in range(*source.groups))
        self._path = path
        self._file: pq.ParquetFile | None = file
        self._rows = rows
        self._group = source.groups[0]
        self._after = 0
        self._pieces: Iterator[EventBatch] = iter(())
        self._piece: Piece | None = None
        self._kept: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)

    def read(self) -> EventBatch | None:
        """The next rows; None at the end."""
        while (batch := next(self._pieces, None)) is None:
            if self._file is None or self._group == self.source.groups[1]:
                return None
            group = self._group
            self._group += 1
            try:
                pieces = read_group(self._file, group, self.source.constants[group - self.source.groups[0]])
            except DAMAGE as error:
                self.damage = f"{self._path}: row group {group}: {_first_line(error)}"
                self.close()
                return None
            self.bytes_done += self._file.metadata.row_group(group).total_byte_size
            self._pieces = (self._batch(piece) for piece in pieces)
        return batch

    def texts(self) -> dict[str, list[bytes]]:
        """By EVENT's column the ids of the rows handed over last, b"" = none; for who writes them again."""
        assert self._piece is not None, "nothing was handed over yet"
        table = self._piece.table
        return {
            column: [
                text.encode() for text, keep in zip(table.column(name).to_pylist(), self._kept, strict=True) if keep
            ]
            for column, name in (("order", "order_id"), ("account", "account"), ("taker", "taker_account"))
        }

    def close(self) -> None:
        """Give the file back."""
        self._file = None

    def _batch(self, piece: Piece) -> EventBatch:
        columns = columns_of(piece)
        first = self._after
        events, refused, self._kept = self._rows.read(columns, first)
        self._piece = piece
        topic, number = self.partition
        if len(events):
            self._after = int(events["offset"][-1])
        offsets = columns.plain["offset"]
        return EventBatch(
            topic,
            number,
            first,
            self._after + 1,
            self._rows.names,
            events,
            tuple(Reject(topic, number, *told) for told in refused),
            records=int(np.count_nonzero(offsets[1:] != offsets[:-1])) + 1,
        )


def open_columnar(path: str, rows: ColumnarRows, taken: Mapping[str, int] | None = None) -> list[ColumnarInput]:
    """An input for each source in the file. taken: by topic, partitions in use already: a source's own number is moved
    past them. Raises FileUnreadable with a sentence when it is not ours or past a limit."""
    file = _opened(path)
    known = dict(taken or {})
    inputs = []
    for source in _sources(path, file):
        number = known.get(source.topic, 0) if source.topic in (taken or {}) else source.partition
        known[source.topic] = number + 1
        inputs.append(ColumnarInput(path, file, source, number, rows))
    return inputs


def read_group(file: pq.ParquetFile, group: int, constants: Mapping[str, Any]) -> Iterator[Piece]:
    """A row group, cut between records. Raises one of DAMAGE at once."""
    rows = file.metadata.row_group(group).num_rows
    table = file.read_row_group(group, [name for name in SCHEMA.names if name not in constants], use_threads=False)
    if len(table) != rows:
        raise ValueError("fewer rows than the footer says")
    whole: list[pa.RecordBatch] = table.to_batches()
    for part in whole:
        part.validate(full=False)
    return _cut(whole, constants)


def _cut(parts: Sequence[pa.RecordBatch], constants: Mapping[str, Any]) -> Iterator[Piece]:
    for part in parts:
        offsets = part.column("offset").to_numpy()
        order_ids = texts_of(part.column("order_id"))
        accounts, takers = (texts_of(part.column(name).dictionary) for name in ("account", "taker_account"))
        markets = part.column("market").dictionary.to_pylist()
        start = 0
        while start < len(part):
            stop = min(start + PIECE_ROWS, len(part))
            while stop < len(part) and offsets[stop] == offsets[stop - 1]:
                stop += 1
            own = Texts(order_ids.bytes, order_ids.ends[start : stop + 1])
            yield Piece(part.slice(start, stop - start), constants, own, accounts, takers, markets)
            start = stop


def columns_of(piece: Piece) -> Columns:
    """Arrow's arrays as numpy's, without a copy where there are no nulls."""
    table = piece.table
    plain: dict[str, npt.NDArray[Any]] = {}
    for name in (*INTEGERS, *REALS):
        if name in piece.constants:
            kind = np.float64 if name in REALS else np.int8 if name == "code" else np.int64
            value = piece.constants[name]
            plain[name] = np.full(len(table), np.nan if value is None else value, kind)
        else:
            plain[name] = table.column(name).to_numpy(zero_copy_only=name in INTEGERS)
    return Columns(
        order_ids=piece.order_ids,
        accounts=(table.column("account").indices.to_numpy(), piece.accounts),
        takers=(table.column("taker_account").indices.to_numpy(), piece.takers),
        markets=(table.column("market").indices.to_numpy(), piece.markets),
        plain=plain,
    )


def texts_of(column: pa.StringArray) -> Texts:
    """A string array's bytes."""
    _, ends, texts = column.buffers()
    counted = np.frombuffer(ends, np.int32, len(column) + 1, 4 * column.offset) if ends else np.zeros(1, np.int32)
    size = int(counted[-1])
    held: npt.NDArray[np.uint8] = np.zeros(size + SPARE_BYTES, np.uint8)
    if size:
        assert texts is not None
        held[:size] = np.frombuffer(texts, np.uint8, size)
    return Texts(held, counted)


def _opened(path: str) -> pq.ParquetFile:
    try:
        told = pq.read_metadata(path).metadata or {}
    except DAMAGE as error:
        raise FileUnreadable(f"{path}: cannot be read as Parquet: {_first_line(error)}") from None
    if VERSION_KEY not in told:
        raise FileUnreadable(f"{path}: Parquet, but not written by `foreshock convert`")
    if told[VERSION_KEY] != VERSION:
        raise FileUnreadable(f"{path}: version {told[VERSION_KEY][:20]!r}; this program reads version 1")
    try:
        file = pq.ParquetFile(
            path,
            read_dictionary=["account", "taker_account", "market"],
            memory_map=True,
            thrift_string_size_limit=FOOTER_BYTES_MAX,
            thrift_container_size_limit=1 << 20,
        )
        found, metadata = file.schema_arrow, file.metadata
    except DAMAGE as error:
        raise FileUnreadable(f"{path}: cannot be read as Parquet: {_first_line(error)}") from None
    for field in SCHEMA:
        at = found.get_field_index(field.name)
        kind = found.field(at).type if at >= 0 else None
        if kind is not None and pa.types.is_dictionary(kind):
            kind = kind.value_type
        if kind != field.type or found.field(at).nullable != field.nullable:
            raise FileUnreadable(f"{path}: column {field.name} is not what version 1 says")
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group)
        if not 0 <= size.num_rows <= GROUP_ROWS_MAX or not 0 <= size.total_byte_size <= GROUP_BYTES_MAX:
            sentence = f"row group {group} has {size.num_rows} rows, {size.total_byte_size} bytes"
            raise FileUnreadable(f"{path}: {sentence}; at most {GROUP_ROWS_MAX} and {GROUP_BYTES_MAX} are read")
    return file


def _sources(path: str, file: pq.ParquetFile) -> Sequence[Source]:
    try:
        told = (file.metadata.metadata or {})[SOURCES_KEY]
        found = msgspec.json.decode(told, type=list[Source])
        names = {(source.topic, source.partition) for source in found}
        at = 0
        for source in found:
            if not 0 <= source.partition < 2**31 or source.groups[0] != at or source.groups[1] < at:
                raise ValueError
            at = source.groups[1]
            if len(source.constants) != at - source.groups[0] or not all(map(_constants_fit, source.constants)):
                raise ValueError
        if at != file.metadata.num_row_groups or len(names) != len(found) or len(found) > SOURCES_MAX:
            raise ValueError
    except (ValueError, KeyError, msgspec.MsgspecError):
        raise FileUnreadable(f"{path}: its list of sources does not fit its row groups") from None
    return found


def _constants_fit(constants: Mapping[str, int | None]) -> bool:
    return all(
        value is None
        if name in REALS
        else name in SELDOM and value is not None and abs(value) < 2 ** (7 if name == "code" else 63)
        for name, value in constants.items()
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

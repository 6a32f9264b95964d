"""Native lines: rows and their ids as NDJSON, for `foreshock convert`. The slow twin of formats/native_write.py, which
writes numbers for ids.

What the native format cannot say is left out: a range of sequence numbers (first_seq differs from seq) is no `seq`.
"""

from __future__ import annotations

import gzip
import json
import lzma
import math
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import zstandard

from detector.formats.native_words import NEEDED, OPTIONAL, Field
from detector.model.events import CancelCode, EventColumn, Flag, Kind, StatusCode
from replay.outputs import OutputError, part_of

_REALS = {
    Field.LEVERAGE: "leverage",
    Field.PREVIOUS: "previous",
    Field.NOTIONAL: "notional",
    Field.MARGIN: "margin",
    Field.LIQUIDATION_PRICE: "liquidation_price",
    Field.FUNDING_RATE: "leverage",
    Field.INDEX: "previous",
    Field.OPEN_INTEREST: "notional",
}
_COLUMNS: tuple[str, ...] = (
    "event_ns",
    "offset",
    "seq",
    "first_seq",
    "price_ticks",
    "price_decimals",
    "qty_lots",
    "qty_decimals",
)
_COLUMNS += ("market", "kind", "side", "code", "flags", *dict.fromkeys(_REALS.values()))
Row = dict[str, Any]


class NativeFile:
    """NDJSON in the making, packed by its ending (.gz, .zst, .xz); under another name until `close`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._part = part_of(self._path)
        try:
            self._raw: IO[bytes] = self._part.open("wb")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
        self._stream = _packer(self._path.suffix, self._raw)

    def begin(self, topic: str, partition: int) -> None:
        """A log of lines does not say where each line stood."""

    def add(self, events: EventColumn, markets: Sequence[str], texts: Mapping[str, Sequence[bytes]]) -> None:
        """As ColumnarFile.add. A book and the snapshot rows of its record make one line. Raises OutputError."""
        rows = _rows(events, markets, texts)
        lines, at = [], 0
        while at < len(rows):
            stop = at + 1
            if rows[at]["kind"] == Kind.BOOK:
                while stop < len(rows) and rows[stop]["flags"] & Flag.SNAPSHOT:
                    stop += 1
            lines.append(_line(rows[at], rows[at + 1 : stop]))
            at = stop
        try:
            self._stream.write(b"".join(lines))
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Give the file its name."""
        try:
            if self._stream is not self._raw:
                self._stream.close()
            self._raw.close()
            os.replace(self._part, self._path)  # noqa: PTH105
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None

    def discard(self) -> None:
        """It shall not be."""
        self._raw.close()
        self._part.unlink(missing_ok=True)


def _packer(suffix: str, raw: IO[bytes]) -> IO[bytes]:
    if suffix == ".gz":
        return gzip.GzipFile("", "wb", 6, raw, mtime=0)  # type: ignore[return-value]
    if suffix == ".zst":
        return zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False)
    return lzma.open(raw, "wb") if suffix == ".xz" else raw


def _rows(events: EventColumn, markets: Sequence[str], texts: Mapping[str, Sequence[bytes]]) -> list[Row]:
    columns = {name: events[name].tolist() for name in _COLUMNS}
    columns["market"] = [markets[number] for number in columns["market"]]
    columns |= {name: [text.decode() for text in texts[name]] for name in ("order", "account", "taker")}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _line(row: Row, entries: Sequence[Row]) -> bytes:
    kind = Kind(row["kind"])
    said: dict[str, Any] = {"type": kind.name.lower(), "ts": row["event_ns"], "market": row["market"]}
    if row["seq"] >= 0 and row["seq"] == row["first_seq"]:
        said["seq"] = row["seq"]
    if row["account"]:
        said["account"] = row["account"]
    if kind == Kind.BOOK:
        said["bids"] = [_entry(entry) for entry in entries if entry["side"] > 0]
        said["asks"] = [_entry(entry) for entry in entries if entry["side"] < 0]
    else:
        for field in (*NEEDED[kind], *OPTIONAL.get(kind, ())):
            value = _value(field, kind, row)
            if value is not None:
                said[field] = value
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _entry(row: Row) -> list[str]:
    told = [_decimal(row["price_ticks"], row["price_decimals"]), _decimal(row["qty_lots"], row["qty_decimals"])]
    if row["kind"] == Kind.ORDER:
        told += [row["order"], row["account"]] if row["account"] else [row["order"]]
    return told


def _value(field: Field, kind: Kind, row: Row) -> Any:
    """What stands in the field; None where the row does not say it."""
    if field in _REALS:
        number = row[_REALS[field]]
        return None if math.isnan(number) else _real(number)
    flags = row["flags"]
    match field:
        case Field.ORDER_ID:
            return row["order"]
        case Field.ACCOUNT:
            return row["account"]
        case Field.TAKER_ACCOUNT:
            return row["taker"] or None
        case Field.SIDE:
            return "buy" if row["side"] > 0 else "sell"
        case Field.PRICE | Field.ENTRY_PRICE:
            return _decimal(row["price_ticks"], row["price_decimals"])
        case Field.QTY:
            return None if kind == Kind.CANCEL and flags & Flag.ALL else _decimal(row["qty_lots"], row["qty_decimals"])
        case Field.REASON:
            return CancelCode(row["code"]).name.lower() if row["code"] else None
        case Field.STATUS:
            return StatusCode(row["code"]).name.lower()
        case Field.LIQUIDATION:
            return True if flags & Flag.FORCED else None
        case Field.MARGIN_MODE:
            return "cross" if flags & Flag.CROSS else "isolated" if flags & Flag.ISOLATED else None
    raise AssertionError(f"no field of a row: {field}")


def _decimal(digits: int, decimals: int) -> str:
    return format(Decimal(digits).scaleb(-decimals), "f")


def _real(number: float) -> str:
    """The shortest decimal that reads back as the same float; the reader takes at most 48 characters."""
    return repr(number)

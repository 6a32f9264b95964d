"""Outputs: what a replay leaves behind. Alerts a line each; every scored window as Parquet, CSV or lines of JSON."""

from __future__ import annotations

import os
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from detector.engine.step import Step
from detector.model.score import Score
from replay.run import Tally

STANDARD_INPUT, STANDARD_OUTPUT = 0, 1  # descriptors
ROWS_MAX = 65_536  # rows of scored windows kept before they are written: one row group

Indices: TypeAlias = npt.NDArray[np.int32]  # into the names seen so far

SCHEMA = pa.schema(
    [("close_ns", pa.int64()), ("market", pa.string()), ("detector", pa.string()), ("score", pa.float64())]
)


class OutputError(OSError):
    """An output that cannot be written. The message names it and says why."""

    exit_code = 4


class OutputClash(ValueError):
    """What would be written is what is read, or where something else is written. The message names it."""

    exit_code = 2


def keep_apart(read: Sequence[str], written: Mapping[str, str | None]) -> None:
    """To be called before anything is opened to be written: opening empties. read: paths, "-" = standard input;
    written: paths by what they are called, "-" = standard output, None = not written. Raises OutputClash where two of
    them are one file, by whatever names."""
    sources = {_file(path, STANDARD_INPUT) for path in read}
    taken: dict[object, str] = {}
    for name, path in written.items():
        if path is None:
            continue
        file = _file(path, STANDARD_OUTPUT)
        if file in sources:
            raise OutputClash(f"{name} {path}: is read and written: it would be destroyed; name another file")
        if file in taken:
            raise OutputClash(f"{name} {path}: {taken[file]} goes there, too: give each a file of its own")
        taken[file] = name


def part_of(path: Path) -> Path:
    """Where a file is written that gets its name when it is whole."""
    return path.with_name(path.name + ".part")


class AlertLines:
    """`--alerts`: the body of every alert, a line each, as they come. "-" is standard output. Raises OutputError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_output(path)

    def take(self, step: Step, tally: Tally) -> None:
        """Write the step's alerts, and let nobody wait for them."""
        with writing(self._path):
            for alert in step.alerts:
                self._file.write(alert.body() + b"\n")
            if step.alerts:
                self._file.flush()

    def close(self) -> None:
        """Give the file back."""
        _close(self._path, self._file)


class ScoredWindows:
    """`--windows`: close_ns, market, detector, score of every scored window. A window of which a detector cannot say
    anything (it warms up, the market is not there yet) has no row. The path's ending chooses: .csv, .jsonl, .ndjson;
    all else is Parquet. Raises OutputError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_output(path)
        with writing(path):
            self._table = _table_of(path)(self._file)
        self._names: dict[str, int] = {}
        self._markets: tuple[tuple[str, ...], Indices] = ((), np.zeros(0, np.int32))
        self._parts: list[tuple[int, Indices, int, npt.NDArray[np.float64]]] = []
        self._rows = 0

    def take(self, step: Step, tally: Tally) -> None:
        """Keep the step's scores; write them when there are enough."""
        for scored in step.scored:
            for score in scored.scores:
                self._add(score)
        if self._rows >= ROWS_MAX:
            with writing(self._path):
                self._write()

    def close(self) -> None:
        """Write the rest and the table's end."""
        try:
            with writing(self._path):
                self._write()
                self._table.close()
        finally:
            _close(self._path, self._file)

    def _add(self, score: Score) -> None:
        if score.markets is not self._markets[0]:
            self._markets = (score.markets, np.array([self._name(market) for market in score.markets], np.int32))
        said = np.flatnonzero(~np.isnan(score.values))
        if len(said):
            self._parts.append((score.close_ns, self._markets[1][said], self._name(score.detector), score.values[said]))
            self._rows += len(said)

    def _name(self, text: str) -> int:
        return self._names.setdefault(text, len(self._names))

    def _write(self) -> None:
        if not self._parts:
            return
        lengths = [len(part[1]) for part in self._parts]
        names = pa.array(list(self._names), pa.string())
        markets = np.concatenate([part[1] for part in self._parts])
        detectors = np.repeat(np.array([part[2] for part in self._parts], np.int32), lengths)
        self._table.write(
            pa.table(
                [
                    pa.array(np.repeat(np.array([part[0] for part in self._parts], np.int64), lengths)),
                    names.take(pa.array(markets)),
                    names.take(pa.array(detectors)),
                    pa.array(np.concatenate([part[3] for part in self._parts])),
                ],
                schema=SCHEMA,
            )
        )
        self._parts, self._rows = [], 0


def open_output(path: str) -> BinaryIO:
    """A new file, or standard output for "-". Raises OutputError."""
    if path == "-":
        return sys.stdout.buffer
    with writing(path):
        return Path(path).open("wb")


@contextmanager
def writing(path: str) -> Iterator[None]:
    """What the disk, or whoever reads the other end, refuses inside of this is raised as an OutputError."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        name = "standard output" if path == "-" else path
        raise OutputError(f"{name}: cannot be written: {error.strerror or error}") from None


class Page:
    """`--report`: one text, written whole at the end. Raises OutputError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_output(path)

    def write(self, text: str) -> None:
        """All of it. What no encoding has a letter for (a file's name can be any bytes) is written as an escape."""
        try:
            with writing(self._path):
                self._file.write(text.encode("utf-8", "backslashreplace"))
        finally:
            _close(self._path, self._file)


def _file(path: str, standard: int) -> object:
    """The same for two paths that lead to one file. standard: the descriptor that "-" means. A device or a pipe holds
    nothing that could be destroyed, so it is nobody else's."""
    try:
        status = os.fstat(standard) if path == "-" else Path(path).stat()
    except OSError:
        return Path(path).resolve()  # not there yet
    if stat.S_ISREG(status.st_mode):
        return status.st_dev, status.st_ino
    return standard if path == "-" else object()


class _Table(ABC):
    """A table that is written a piece at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @abstractmethod
    def write(self, rows: pa.Table) -> None:
        """The next rows."""

    @abstractmethod
    def close(self) -> None:
        """No more rows."""


class _Parquet(_Table):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._writer = pyarrow.parquet.ParquetWriter(file, SCHEMA, compression="zstd")

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)

    def close(self) -> None:
        self._writer.close()


class _Csv(_Table):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._writer = pyarrow.csv.CSVWriter(file, SCHEMA)

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)

    def close(self) -> None:
        self._writer.close()


class _Lines(_Table):
    def write(self, rows: pa.Table) -> None:
        self._file.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows.to_pylist()))

    def close(self) -> None:
        self._file.flush()


def _table_of(path: str) -> type[_Table]:
    return {".csv": _Csv, ".jsonl": _Lines, ".ndjson": _Lines}.get(Path(path).suffix, _Parquet)


def _close(path: str, file: BinaryIO) -> None:
    with writing(path):
        try:
            file.flush()
        finally:
            if path != "-":
                file.close()

"""Jsonl: the alert as one more line of a file, for whatever reads files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from detector.sinks.base import Delivery, Outcome, Parcel, Sink
from detector.sinks.blocking import BlockingWriter


class Jsonl(Sink):
    """Appends, and syncs to disk. The file is opened for every line, so that it may be rotated away at any time.

    After a crash, or a write that hung, a line may come twice; a reader tells by (incident_id, seq). When it is wrong:
    on a network file system that does not append whole lines.
    """

    def __init__(self, name: str, *, path: str | Path) -> None:
        super().__init__(name)
        self.path = Path(path)
        self._writer = BlockingWriter(name)

    async def send(self, parcel: Parcel) -> Outcome:
        return await self._writer.write(parcel.key, lambda: self._append(parcel.body))

    def _append(self, body: bytes) -> Outcome:
        assert b"\n" not in body, "an alert is one line"
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                line = (b"\n" if _torn(file) else b"") + body + b"\n"
                if os.write(file, line) < len(line):
                    return Outcome(Delivery.RETRY, "only part of the line fitted on the disk")
                _sync(file)
            finally:
                os.close(file)
        except OSError as error:
            return Outcome(Delivery.RETRY, f"{self.path.name}: {error.strerror}")
        return Outcome(Delivery.DELIVERED)


def _torn(file: int) -> bool:
    """Whether the last line was never finished. A pipe or terminal has no last line."""
    try:
        size = os.lseek(file, 0, os.SEEK_END)
    except OSError:
        return False
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _sync(file: int) -> None:
    """A pipe, a terminal or /dev/null has no disk to be on: what was written is delivered."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise

"""Stdout: the alert in words on the terminal, for the demonstration and for looking over the daemon's shoulder."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

import msgspec

from detector.sinks.base import Delivery, Outcome, Parcel, Sink
from detector.sinks.blocking import BlockingWriter

EVIDENCE_ROWS_MAX = 5
SHARE_LEAST = 0.005  # of its detector's score: a row with less is nothing to read
TEXT_MAX = 2_000  # characters of one line: a whole summary
_BIDI = dict.fromkeys((*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF))


class Stdout(Sink):
    """Title, summary and the first rows of evidence. Names of markets come from outside: control characters
    are shown, not obeyed. When it is wrong: as the only way anybody is told.

    >>> import asyncio
    >>> body = b'{"type": "foreshock.incident.opened", "data": {"severity": "critical", "title": "Cancel burst"}}'
    >>> asyncio.run(Stdout("terminal").send(Parcel("inc_1_1", "inc_1", "critical", body))).delivery
    CRITICAL  opened  Cancel burst
    <Delivery.DELIVERED: 'delivered'>
    """

    def __init__(self, name: str, *, stream: TextIO | None = None) -> None:
        super().__init__(name)
        self._stream = stream
        self._writer = BlockingWriter(name)

    async def send(self, parcel: Parcel) -> Outcome:
        try:
            body = msgspec.json.decode(parcel.body, type=dict[str, Any])
        except msgspec.MsgspecError:
            return Outcome(Delivery.REJECTED, "not an alert's JSON")
        text = "\n".join(told(body)) + "\n"
        return await self._writer.write(parcel.key, lambda: _put(self._stream or sys.stdout, text))


def _put(stream: TextIO, text: str) -> Outcome:
    try:
        _write(stream, text)
    except (OSError, ValueError):
        return Outcome(Delivery.RETRY, "nobody reads the terminal")
    return Outcome(Delivery.DELIVERED)


def _write(stream: TextIO, text: str) -> None:
    """Past the stream's own buffer: whoever hangs inside that holds a lock which the interpreter's end waits for."""
    try:
        file = stream.fileno()
    except OSError:  # in memory
        stream.write(text)
        stream.flush()
        return
    left = memoryview(text.encode(stream.encoding or "utf-8", "backslashreplace"))
    while left:
        left = left[os.write(file, left) :]


def told(body: dict[str, Any]) -> list[str]:
    """The alert as lines of text."""
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    what = str(body.get("type", "")).rpartition(".")[2]
    severity = str(data.get("severity", "info")).upper()
    lines = [f"{severity}  {what}  {data.get('title', '')}"]
    if data.get("summary"):
        lines.append(f"  {data['summary']}")
    evidence = data.get("evidence")
    rows = [_row(row) for row in evidence if _matters(row)] if isinstance(evidence, list) else []
    lines += rows[:EVIDENCE_ROWS_MAX]
    if data.get("delayed_by_s"):
        lines.append(f"  delivered {data['delayed_by_s']} s late")
    return [visible(line) for line in lines]


def _matters(row: object) -> bool:
    share = row.get("share") if isinstance(row, dict) else None
    return isinstance(share, int | float) and share >= SHARE_LEAST


def _row(row: dict[str, Any]) -> str:
    share = f"{_number(row.get('share'), 100):>5} %"
    unit = str(row.get("unit", ""))
    unit = unit[1:] if unit.startswith("1/") else f" {unit}"
    values = f"{_number(row.get('observed'))}{unit}, expected {_number(row.get('expected'))}"
    return f"  {share}  {row.get('market', '')}  {row.get('detector', '')}  {row.get('feature', '')}: {values}"


def _number(value: object, times: float = 1.0) -> str:
    return f"{value * times:.3g}" if isinstance(value, int | float) else "?"


def visible(text: str) -> str:
    """One line without anything a terminal would obey.

    >>> visible("a" + chr(27) + "[2J" + chr(10) + "b")
    'a\\\\x1b[2J\\\\nb'
    """
    plain = text[:TEXT_MAX].translate(_BIDI)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)

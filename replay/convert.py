"""Convert: any log that can be replayed to a columnar file, or to native NDJSON, row by row and in its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from detector.formats.base import Format
from detector.formats.id_texts import id_texts
from detector.kernels.digest import NotingKey
from detector.model.events import EventBatch, EventColumn, Reject
from replay.columnar import ColumnarInput
from replay.reading import Input

SAMPLES_MAX = 10


class Output(Protocol):
    """A ColumnarFile or a NativeFile."""

    def begin(self, topic: str, partition: int) -> None:
        """A source's rows follow."""

    def add(self, events: EventColumn, markets: Sequence[str], texts: Mapping[str, Sequence[bytes]]) -> None:
        """Rows of it; ids as text."""


@dataclass(slots=True)
class Converted:
    """What was counted. `ids_lost`: ids whose text was not found and that stand as "?" and a number."""

    records: int = 0
    rows: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    samples: list[Reject] = field(default_factory=list)
    ids_lost: int = 0
    damage: list[str] = field(default_factory=list)

    def note(self, batch: EventBatch) -> None:
        """Count a batch."""
        self.records += batch.records
        self.rows += len(batch.events)
        for reject in batch.rejects:
            self.rejects[reject.reason] = self.rejects.get(reject.reason, 0) + 1
        for why, number in batch.skipped.items():
            self.skipped[why] = self.skipped.get(why, 0) + number
        self.samples += batch.rejects[: max(0, SAMPLES_MAX - len(self.samples))]


def convert(inputs: Sequence[Input], decoder: Format, output: Output) -> Converted:
    """Write all of `inputs`, one after the other. `decoder.key` is a NotingKey. Raises OutputError."""
    key = decoder.key
    assert isinstance(key, NotingKey), "ids are written as text: the key must note them"
    told = Converted()
    for each in inputs:
        output.begin(*each.partition)
        while (handed := each.read()) is not None:
            if isinstance(handed, EventBatch):
                assert isinstance(each, ColumnarInput)
                batch, texts = handed, each.texts()
            else:
                batch = decoder.decode(handed)
                texts, lost = id_texts(handed, batch.events, key)
                told.ids_lost += lost
            told.note(batch)
            output.add(batch.events, batch.markets, texts)
        if each.damage:
            told.damage.append(each.damage)
        each.close()
    return told


def noting_key(halves: tuple[int, int]) -> NotingKey:
    """The key of a decoder whose rows `convert` writes."""
    return NotingKey(halves)


def counted(told: Converted) -> dict[str, Any]:
    """What --json prints."""
    return {
        "records": told.records,
        "rows": told.rows,
        "rejects": dict(sorted(told.rejects.items(), key=lambda item: (-item[1], item[0]))),
        "skipped": dict(sorted(told.skipped.items())),
        "ids_lost": told.ids_lost,
        "damage": told.damage,
    }

"""Ahead: an input that is read in a thread beside the engine. Unpacking and laying out let go of the interpreter.

What is read, and in which order the engine gets it, is the same; only the waiting is shared. An input's reader touches
nothing that the engine does, so that nothing else can differ.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from detector.model.events import EventBatch
from detector.model.records import RecordBatch
from detector.sources.file import FileReader
from replay.columnar import ColumnarInput
from replay.run import Input, Partition

BATCHES_MAX = 2  # read and not taken yet, of each input: more would only leave the processor's cache
LOOK_S = 0.1

Handed = RecordBatch | EventBatch


def beside(inputs: Sequence[Input]) -> list[Input]:
    """The same inputs; files of lines, and a columnar one that is alone, are read ahead. Several columnar ones number
    their markets together, which two threads must not do."""
    columnar = sum(isinstance(each, ColumnarInput) for each in inputs)
    return [
        Ahead(each) if isinstance(each, FileReader) or (isinstance(each, ColumnarInput) and columnar == 1) else each
        for each in inputs
    ]


class Ahead:
    """`source`, read at most BATCHES_MAX batches ahead. What its reader raises is raised by `read`."""

    def __init__(self, source: Input) -> None:
        self.partition: Partition = source.partition
        self.bytes_total = source.bytes_total
        self.bytes_done = 0
        self.damage = ""
        self._source = source
        self._ready: queue.Queue[tuple[Handed | None, int, BaseException | None]] = queue.Queue(BATCHES_MAX)
        self._closed = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._read_on, name=f"ahead {source.partition}", daemon=True)
        self._begun = False

    def read(self) -> Handed | None:
        """The next batch; None at the end."""
        if self._ended:
            return None
        if not self._begun:
            self._begun = True
            self._thread.start()
        batch, self.bytes_done, error = self._ready.get()
        self._ended = batch is None
        if error is not None:
            raise error
        if batch is None:
            self.damage = self._source.damage
        return batch

    def close(self) -> None:
        """Stop the thread, then give the source back."""
        self._closed.set()
        self._ended = True
        if self._begun:
            self._thread.join()
        self._source.close()

    def _read_on(self) -> None:
        error: BaseException | None = None
        batch: Handed | None = None
        while not self._closed.is_set():
            try:
                batch = self._source.read()
            except BaseException as raised:
                batch, error = None, raised
            if not self._put((batch, self._source.bytes_done, error)) or batch is None:
                return

    def _put(self, told: tuple[Handed | None, int, BaseException | None]) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(told, timeout=LOOK_S)
            except queue.Full:
                continue
            return True
        return False

"""Reading ahead changes nothing but the waiting, and leaves no thread behind."""

from __future__ import annotations

import threading

import pytest

from detector.model.records import RecordBatch, pack
from replay.ahead import BATCHES_MAX, Ahead


class Source:
    """So many batches, then the end, or an error."""

    partition = ("log", 0)
    bytes_total: int | None = None

    def __init__(self, batches: int, error: Exception | None = None, damage: str = "") -> None:
        self.left, self.error, self.bytes_done, self.damage = batches, error, 0, ""
        self.closed = 0
        self._damage = damage

    def read(self) -> RecordBatch | None:
        if not self.left:
            if self.error is not None:
                raise self.error
            self.damage = self._damage
            return None
        self.left -= 1
        self.bytes_done += 10
        return pack("log", 0, [b"{}"], [self.bytes_done])

    def close(self) -> None:
        self.closed += 1


def test_all_is_handed_over_in_order_with_what_was_read_of_the_file_then() -> None:
    source = Source(20, damage="broke off")
    ahead = Ahead(source)
    seen = []
    while (batch := ahead.read()) is not None:
        assert isinstance(batch, RecordBatch) and ahead.bytes_done == batch.first_offset and not ahead.damage
        seen.append(batch.first_offset)
    assert seen == [10 * at for at in range(1, 21)]
    assert ahead.read() is None and ahead.damage == "broke off"
    ahead.close()


def test_what_the_reader_raises_is_raised_where_it_is_read() -> None:
    ahead = Ahead(Source(1, OSError("gone")))
    assert ahead.read() is not None
    with pytest.raises(OSError, match="gone"):
        ahead.read()
    ahead.close()


def test_it_reads_no_further_than_it_may_and_closing_it_leaves_no_thread() -> None:
    before = threading.active_count()
    source = Source(1_000)
    ahead = Ahead(source)
    ahead.read()
    ahead.close()
    assert threading.active_count() == before
    assert source.closed == 1 and 1_000 - source.left <= BATCHES_MAX + 3
    assert ahead.read() is None


def test_one_that_was_never_read_is_closed_too() -> None:
    source = Source(3)
    Ahead(source).close()
    assert source.closed == 1 and source.left == 3

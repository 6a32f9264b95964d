"""The embedded log: the contract, and what is its own: retention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.model.records import pack
from detector.sources.embedded import EmbeddedLog, EmbeddedSource
from detector.sources.positions import NoticeKind
from tests.sources.contract import BATCH_MAX, SourceContract, by_partition, opened, read, values


class TestEmbeddedKeepsTheContract(SourceContract):
    @pytest.fixture
    def world(self) -> EmbeddedLog:
        log = EmbeddedLog()
        log.create("orders", 2)
        return log

    async def fill(self, world: EmbeddedLog, values: Any) -> None:
        for number, lines in values.items():
            for line in lines:
                world.append("orders", number, line)

    def make(self, world: EmbeddedLog, **options: Any) -> EmbeddedSource:
        return EmbeddedSource(world, ["orders"], batch_max=BATCH_MAX, idle_after_s=0.3, idle_every_s=0.05, **options)


def log_of(blocks: int, log_bytes_max: int = 1 << 20) -> EmbeddedLog:
    log = EmbeddedLog(log_bytes_max)
    log.create("orders")
    for block in range(blocks):
        batch = pack("orders", 0, values(block, 10), range(10))
        assert log.append_block("orders", 0, batch.payload, batch.bounds, batch.broker_ns) == 10 * block
    return log


async def test_a_full_log_forgets_the_oldest_and_the_reader_is_told() -> None:
    log = log_of(3)
    async with opened(EmbeddedSource(log, ["orders"]), {}) as source:
        assert len(await read(source, 30)) == 3
        held = log.bytes_held
        log._log_bytes_max = held  # no room for another block
        for block in range(3, 9):
            batch = pack("orders", 0, values(block, 10), range(10))
            log.append_block("orders", 0, batch.payload, batch.bounds, batch.broker_ns)
        assert log.bytes_held <= held
        assert log.begin(("orders", 0)) == 60
        assert by_partition(await read(source, 30)) == {0: [v for block in (6, 7, 8) for v in values(block, 10)]}
        (notice,) = source.take_notices()
        assert (notice.kind, notice.from_offset, notice.to_offset) == (NoticeKind.GAP, 30, 60)
        assert source.take_notices() == ()


async def test_a_position_past_the_end_is_not_read_until_somebody_decides() -> None:
    log = log_of(1)
    async with opened(EmbeddedSource(log, ["orders"]), {("orders", 0): 11}) as source:
        assert not await source.poll(0.05)
        (notice,) = source.take_notices()
        assert (notice.kind, notice.from_offset, notice.to_offset) == (NoticeKind.TRUNCATED, 10, 11)
        for line in values(9, 5):
            log.append("orders", 0, line)
        assert not await source.poll(0.05)  # offset 11 is another record now
        source.seek(("orders", 0), 10)
        assert by_partition(await read(source, 5)) == {0: values(9, 5)}


async def test_one_record_larger_than_every_limit_comes_alone() -> None:
    log = EmbeddedLog(log_bytes_max=100)
    log.create("orders")
    log.append("orders", 0, b"x" * 5000)
    async with opened(EmbeddedSource(log, ["orders"], batch_bytes_max=10), {}) as source:
        (batch,) = await read(source, 1)
        assert batch.value(0) == b"x" * 5000


async def test_a_batch_keeps_to_its_bytes() -> None:
    log = log_of(1)
    async with opened(EmbeddedSource(log, ["orders"], batch_bytes_max=3 * len(values(0, 1)[0])), {}) as source:
        assert [len(batch) for batch in await read(source, 10)] == [3, 3, 3, 1]


async def test_commits_and_lag_are_there_for_those_who_look() -> None:
    log = log_of(1)
    async with opened(EmbeddedSource(log, ["orders"], start_at="earliest"), {("orders", 0): 4}) as source:
        assert source.lag() == {("orders", 0): 6}
        await source.commit({("orders", 0): 4})
        assert log.committed == {("orders", 0): 4}


async def test_without_a_position_latest_begins_at_the_end() -> None:
    log = log_of(1)
    async with opened(EmbeddedSource(log, ["orders"], start_at="latest"), {}) as source:
        assert not await source.poll(0.02)
        log.append("orders", 0, b"new", 7)
        (batch,) = await read(source, 1)
        assert (batch.value(0), batch.first_offset) == (b"new", 10)
        assert np.array_equal(batch.broker_ns, [7])


def test_a_topic_is_made_once_and_not_without_limit() -> None:
    log = log_of(0)
    with pytest.raises(ValueError, match="there already"):
        log.create("orders")
    with pytest.raises(ValueError, match="partitions"):
        log.create("many", 100_000)

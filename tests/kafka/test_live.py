"""Live equals replay: the same records through the real broker and daemon, and from files, tell the same, byte for byte."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from replay.exchange import Exchange
from replay.feed import partition_of, write_native
from replay.scenario import load
from tests.kafka.daemon import ROOT, Daemon, incidents, replayed

CAPTURE = ROOT.parent / "shared" / "data" / "binance_20240808"
MARKET_FILES = ("usdm_btcusdt.ndjson.gz", "usdm_ethusdt.ndjson.gz", "spot_btcusdt.ndjson.gz")
Produce = Callable[..., Awaitable[int]]
NewTopic = Callable[..., Awaitable[str]]
PARTITIONS = 3


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    """Those put in here are stopped in the end, whatever happens."""
    made: list[Daemon] = []
    yield made
    for daemon in made:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


@pytest.fixture(scope="session")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four minutes of the shipped demonstration: synthetic, three planted incidents."""
    path = tmp_path_factory.mktemp("burst") / "burst.ndjson"
    write_native(Exchange(load("demo")), path, seconds=240.0)
    return path


def of_market(value: bytes) -> int:
    return partition_of(str(json.loads(value)["market"]), PARTITIONS)


async def test_the_daemon_tells_what_a_replay_of_the_same_records_tells(
    tmp_path: Path, broker: str, new_topic: NewTopic, produce: Produce, burst: Path, daemons: list[Daemon]
) -> None:
    topic = await new_topic(PARTITIONS)
    await produce(topic, burst.read_bytes().splitlines(), partition_of=of_market, compression="zstd")
    daemon = Daemon(tmp_path, broker, topic)
    daemons.append(daemon)
    expected = incidents(replayed(daemon, [burst]))
    assert len({json.loads(body)["data"]["incident_id"] for body in expected}) >= 2
    assert any(json.loads(body)["data"]["contributors"] for body in expected)
    daemon.start()
    told = incidents(daemon.until(lambda alerts: len(incidents(alerts)) >= len(expected)))
    assert daemon.stop() == 0
    assert sorted(told[: len(expected)]) == sorted(expected)


async def test_a_daemon_killed_in_the_middle_of_an_incident_tells_all_of_it_and_nothing_under_another_id(
    tmp_path: Path, broker: str, new_topic: NewTopic, produce: Produce, burst: Path, daemons: list[Daemon]
) -> None:
    topic = await new_topic(PARTITIONS)
    lines = burst.read_bytes().splitlines()
    start_ns = json.loads(lines[0])["ts"]
    middle = next(i for i, line in enumerate(lines) if json.loads(line)["ts"] > start_ns + 155 * 10**9)
    daemon = Daemon(tmp_path, broker, topic)
    daemons.append(daemon)
    expected = incidents(replayed(daemon, [burst]))
    await produce(topic, lines[:middle], partition_of=of_market)
    daemon.start()
    daemon.until(lambda alerts: any(a["type"].endswith(".opened") for a in alerts))
    daemon.kill()
    daemon.start()
    await produce(topic, lines[middle:], partition_of=of_market)
    told = incidents(daemon.until(lambda alerts: set(expected) <= set(incidents(alerts))))
    assert daemon.stop() == 0
    ids = {json.loads(body)["data"]["incident_id"] for body in expected}
    last = max(json.loads(body)["timestamp"] for body in expected)
    late = {json.loads(b)["data"]["incident_id"] for b in told if json.loads(b)["timestamp"] <= last}
    assert late == ids


async def test_bad_input_of_every_kind_lands_in_the_dead_letters_and_the_daemon_lives(
    tmp_path: Path, broker: str, new_topic: NewTopic, produce: Produce, burst: Path, daemons: list[Daemon]
) -> None:
    topic = await new_topic(1, max_message_bytes=str(4 << 20))
    good = burst.read_bytes().splitlines()
    order = next(line for line in good if json.loads(line)["type"] == "order")
    template = json.loads(order)
    hostile = [
        b"",
        b"{",
        order[: len(order) // 2],
        b"[" * 100_000,
        b"\xff\xfe\x00",
        json.dumps({**template, "ts": "yesterday"}).encode(),
        json.dumps({**template, "price": -1}).encode(),
        json.dumps({**template, "price": "NaN"}).encode(),
        order.replace(b'"price":', b'"price":1e999,"was":'),
        json.dumps({**template, "market": 'no"such market'}).encode(),
        json.dumps({**template, "order_id": "x" * (1 << 20)}).encode(),
        json.dumps({**template, "qty": {"a": 1}}).encode(),
    ]
    await produce(topic, [*good[:2000], *hostile, *good[2000:]])
    daemon = Daemon(tmp_path, broker, topic)
    daemons.append(daemon)
    daemon.start()
    daemon.until(lambda alerts: any(a["type"].endswith(".opened") for a in alerts))
    assert daemon.stop() == 0
    assert reasons(daemon) >= {"not_json", "market_name", "not_a_time", "too_long"}, letters(daemon)
    assert dead_letters(daemon) == len(hostile), letters(daemon)


def dead_letters(daemon: Daemon) -> int:
    return sum(count for _, count in letters(daemon))


def reasons(daemon: Daemon) -> set[str]:
    return {reason.partition(":")[0] for reason, _ in letters(daemon)}


def letters(daemon: Daemon) -> list[tuple[str, int]]:
    import sqlite3

    with sqlite3.connect(daemon.home / "state" / "state.db") as database:
        rows: Any = database.execute("select reason, count(*) from dead_letters group by reason").fetchall()
    return [(str(reason), int(count)) for reason, count in rows]


@pytest.mark.skipif(not CAPTURE.is_dir(), reason="the real captures (../shared/data) are not here")
async def test_a_real_capture_through_the_broker_tells_what_its_replay_tells(
    tmp_path: Path, broker: str, new_topic: NewTopic, produce: Produce, daemons: list[Daemon]
) -> None:
    topic = await new_topic(PARTITIONS)
    files = [CAPTURE / name for name in MARKET_FILES]
    for partition, path in enumerate(files):
        await produce(topic, gzip.decompress(path.read_bytes()).splitlines(), partition_of=partition, compression="lz4")
    daemon = Daemon(tmp_path, broker, topic, form="binance")
    daemons.append(daemon)
    expected = incidents(replayed(daemon, files))
    assert any(json.loads(body)["data"]["severity"] == "critical" for body in expected)
    daemon.start()
    told = incidents(daemon.until(lambda alerts: len(incidents(alerts)) >= len(expected)))
    assert daemon.stop() == 0
    assert told[: len(expected)] == expected

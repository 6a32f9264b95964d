"""From the simulated exchange to a log: messages say what the rows say, partitions keep order, disorder is as planted."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from detector.formats.native import Native
from detector.model.events import EventColumn, Flag, Kind
from replay.exchange import Exchange, main
from replay.feed import DISORDER_NS, arrivals, batches, partition_of, write_native
from replay.incidents_plan import SECOND_NS
from replay.scenario import MarketSpec, Planted, Scenario

NAMES = ("BTC-PERP", "ETH-PERP", "SOL-PERP", "XRP-PERP")


def exchange_of(*planted: Planted, seconds: float = 30.0) -> Exchange:
    specs = tuple(MarketSpec(name, 250.0, 40.0) for name in NAMES)
    return Exchange(Scenario("test", specs, seconds, planted=planted), 9)


def whole(exchange: Exchange) -> EventColumn:
    return exchange.run(exchange.end_ns)


def messages_of(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    return [json.loads(line) for line in data.splitlines()]


def test_batches_keep_a_market_in_one_partition_in_event_time_with_offsets_without_holes() -> None:
    events = whole(exchange_of())
    next_offsets: dict[int, int] = {}
    told: dict[str, list[dict[str, Any]]] = {}
    for batch in batches(exchange_of(), "orders", 3, 2.0):
        assert batch.topic == "orders" and batch.first_offset == next_offsets.get(batch.partition, 0)
        assert batch.offsets.tolist() == list(range(batch.first_offset, batch.next_offset))
        next_offsets[batch.partition] = batch.next_offset
        for i in range(len(batch)):
            message = json.loads(batch.value(i))
            assert partition_of(message["market"], 3) == batch.partition
            assert message["ts"] == batch.broker_ns[i]
            told.setdefault(message["market"], []).append(message)
    assert len(next_offsets) > 1
    for i, name in enumerate(NAMES):
        own = events[
            (events["market"] == i) & (((events["flags"] & Flag.SNAPSHOT) == 0) | (events["kind"] == Kind.BOOK))
        ]
        assert [message["ts"] for message in told[name]] == own["event_ns"].tolist()
        assert [message["seq"] for message in told[name]] == own["seq"].tolist()
        assert [message["type"] for message in told[name]] == [Kind(kind).name.lower() for kind in own["kind"]]


def test_a_file_is_the_same_plain_gzipped_and_in_zstd_and_stops_where_told(tmp_path: Path) -> None:
    paths = [tmp_path / f"events.ndjson{suffix}" for suffix in ("", ".gz", ".zst")]
    counts = [write_native(exchange_of(), path, seconds=12.0) for path in paths]
    texts = [messages_of(path) for path in paths]
    assert texts[0] == texts[1] == texts[2] and counts == [len(texts[0])] * 3
    exchange = exchange_of()
    events = exchange.run(exchange.scenario.start_ns + 12 * SECOND_NS)
    assert counts[0] == int(events["offset"][-1]) + 1
    again = tmp_path / "again.ndjson.gz"
    write_native(exchange_of(), again, seconds=12.0)
    assert again.read_bytes() == paths[1].read_bytes()


def test_disorder_is_late_by_half_a_second_at_most_and_repeats_one_in_a_hundred() -> None:
    spell = Planted("disorder", 5.0, NAMES[:2], hold_s=20.0)
    events = whole(exchange_of())
    log = np.concatenate(list(arrivals(exchange_of(spell), 1.0)))
    keys = log["market"].astype(np.int64) * 2**40 + log["seq"]
    snapshot = (log["flags"] & Flag.SNAPSHOT) != 0
    repeated = len(keys[~snapshot]) - len(np.unique(keys[~snapshot]))
    assert len(log) - repeated == len(events)
    latest = np.maximum.accumulate(log["event_ns"])
    late_ns = latest - log["event_ns"]
    assert 0.3 * DISORDER_NS < late_ns.max() <= DISORDER_NS
    assert set(np.unique(log["market"][late_ns > 0])) <= {0, 1}
    touched = np.sum((events["market"] < 2) & (np.abs(events["event_ns"] - events["event_ns"][0] - 15e9) < 10e9))
    assert 0.003 < repeated / touched < 0.03


def test_disorder_does_not_depend_on_chunks() -> None:
    spell = Planted("disorder", 3.0, NAMES[:2], hold_s=20.0)
    logs = [np.concatenate(list(arrivals(exchange_of(spell), seconds))) for seconds in (0.3, 7.0)]
    for name in ("event_ns", "seq", "market", "kind", "order"):
        assert logs[0][name].tolist() == logs[1][name].tolist()


def test_the_command_writes_a_file_and_its_labels(tmp_path: Path) -> None:
    out, labels = tmp_path / "demo.ndjson.zst", tmp_path / "demo.labels.json"
    assert main(["--scenario", "demo", "--seconds", "5", "--out", str(out), "--labels", str(labels)]) == 0
    assert {message["market"] for message in messages_of(out)} == set(Exchange("demo").markets)
    assert json.loads(labels.read_text())[0]["kind"] == "cancel_burst"


def test_the_native_format_reads_back_every_row_as_it_was() -> None:
    gap = Planted("gap", 8.0, NAMES[:1], hold_s=3.0)
    halt = Planted("halt", 12.0, NAMES[1:2], hold_s=4.0)
    forced = Planted("foreshock", 5.0, NAMES[2:3], amplitude=3.0, ramp_s=5.0, hold_s=10.0)
    crowd = Planted("crowd", 5.0, NAMES[3:], amplitude=500.0, ramp_s=5.0, hold_s=10.0)
    events = whole(exchange_of(gap, halt, forced, crowd))
    native, decoded = Native(), []
    for batch in batches(exchange_of(gap, halt, forced, crowd), "orders", 1):
        read = native.decode(batch)
        assert not read.rejects and not read.skipped and read.records == len(batch)
        rows = read.events.copy()
        rows["market"] = np.array([NAMES.index(name) for name in read.markets])[rows["market"]]
        decoded.append(rows)
    rows = np.concatenate(decoded)
    assert len(rows) == len(events)
    for name in ("event_ns", "market", "kind", "code", "offset", "leverage", "previous", "notional", "margin"):
        np.testing.assert_array_equal(rows[name], events[name], err_msg=name)
    for ticks, decimals in (("price_ticks", "price_decimals"), ("qty_lots", "qty_decimals")):
        left = [exact_value(*pair) for pair in zip(rows[ticks].tolist(), rows[decimals].tolist(), strict=True)]
        right = [exact_value(*pair) for pair in zip(events[ticks].tolist(), events[decimals].tolist(), strict=True)]
        assert left == right, ticks
    single = (events["flags"] & Flag.SNAPSHOT) == 0
    assert rows["seq"][single].tolist() == events["seq"][single].tolist()
    assert rows["flags"].tolist() == events["flags"].tolist()
    for column in ("order", "account", "taker"):  # digests of the ids: one for each, and none for none
        pairs = set(zip(rows[column].tolist(), events[column].tolist(), strict=True))
        assert len(pairs) == len(np.unique(events[column])) == len(np.unique(rows[column]))
        assert (rows[column] == 0).tolist() == (events[column] == 0).tolist()


def exact_value(ticks: int, decimals: int) -> Decimal:
    return Decimal(ticks).scaleb(-decimals)

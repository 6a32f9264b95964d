"""Real-time traffic for bench.latency: a simulated exchange as if it were now, with bursts planted in it. Synthetic.

A child process: it reads one JSON object, produces until the last burst is over, and prints what the broker said of
every batch: its partition, its newest event, and when it was appended (LogAppendTime, ms).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from detector.formats.native_write import write
from detector.model.events import EVENT, EventColumn, Flag, Kind
from replay.exchange import Exchange
from replay.feed import partition_of
from replay.scenario import Scenario, load

TICK_NS = 10_000_000  # a batch of each partition this often
CHUNK_S = 0.5
SECOND_NS = 1_000_000_000
BURST_NS = 60_000_000  # a burst's pairs are spread over this
LIVE_NS = 10_000_000  # what its orders live
QUIET, QUIET_PER_S, BUSY_PER_S = 30, 15.0, 600.0  # markets that are hit, and their events a second; those of the rest
PAIRS = 600  # orders of a burst, and as many cancels
ACCOUNTS = 10_000_000  # the bursts' accounts come behind the exchange's own
ORDERS = 1 << 40


def scenario() -> Scenario:
    """Scenario "bench" at 50,000 events a second, nearly all of them in 70 busy markets; the rest are quiet."""
    shipped = load("bench")
    rates = (*[BUSY_PER_S] * (len(shipped.markets) - QUIET), *[QUIET_PER_S] * QUIET)
    markets = tuple(replace(market, events_per_s=rate) for market, rate in zip(shipped.markets, rates, strict=True))
    return replace(shipped, markets=markets)


def chunks(exchange: Exchange, start_ns: int, bursts: list[dict[str, Any]]) -> Iterator[EventColumn]:
    """EVENT arrays in order of time, moved to start_ns, with the bursts."""
    shift = start_ns - exchange.until_ns
    waiting = list(enumerate(bursts))
    latest = np.zeros(len(exchange.markets), EVENT)  # each market's last order
    for events in exchange.chunks(CHUNK_S):
        events["event_ns"] += shift
        until_ns = exchange.until_ns + shift
        due = [(n, burst) for n, burst in waiting if burst["at_ns"] < until_ns]
        waiting = [one for one in waiting if one not in due]
        orders = events[(events["kind"] == Kind.ORDER) & ((events["flags"] & Flag.SNAPSHOT) == 0)]
        latest[orders["market"]] = orders
        parts = [events]
        for number, burst in due:
            parts.append(planted(latest[exchange.markets.index(burst["market"])], number, burst))
        joined = np.concatenate(parts)
        yield joined[np.argsort(joined["event_ns"], kind="stable")]
        if not waiting:
            return


def planted(like: Any, number: int, burst: dict[str, Any]) -> EventColumn:
    """Orders like this one by one account, each taken back 10 ms later."""
    pairs = int(burst["pairs"])
    orders = np.repeat(np.array([like], EVENT), pairs)
    orders["seq"] = orders["first_seq"] = -1
    orders["event_ns"] = burst["at_ns"] + np.arange(pairs) * BURST_NS // pairs
    orders["order"] = ORDERS + number * 1_000_000 + np.arange(pairs)
    orders["account"] = ACCOUNTS + number
    cancels = orders.copy()
    cancels["kind"] = Kind.CANCEL
    cancels["flags"] = Flag.ALL
    cancels["event_ns"] += LIVE_NS
    return np.concatenate((orders, cancels))


class Feed:
    """What is sent, and what the broker says of it."""

    def __init__(self, told: dict[str, Any], producer: Any) -> None:
        self.topic = told["topic"]
        self.partitions = int(told["partitions"])
        self.batches: list[tuple[int, int, int]] = []  # partition, newest event ns, append ms
        self.first_ms: dict[int, int] = {}  # of each burst, when its first event was appended
        self.messages = 0
        self.behind_s = 0.0
        self._producer = producer
        self._bursts = told["bursts"]
        self._sent: list[tuple[int, int, list[int], Any]] = []

    async def run(self, exchange: Exchange, start_ns: int) -> None:
        """Every tick at its time; a tick that comes late is sent at once."""
        homes = np.array([partition_of(name, self.partitions) for name in exchange.markets])
        of_burst = [partition_of(burst["market"], self.partitions) for burst in self._bursts]
        at_ns = start_ns
        for events in chunks(exchange, start_ns, self._bursts):
            until_ns = at_ns + round(CHUNK_S * SECOND_NS)
            written = [
                self._written(events[homes[events["market"]] == p], exchange.markets) for p in range(len(set(homes)))
            ]
            while at_ns < until_ns:
                at_ns += TICK_NS
                late_s = (time.time_ns() - at_ns) / 1e9
                self.behind_s = max(self.behind_s, late_s)
                await asyncio.sleep(max(0.0, -late_s))
                for partition, (memory, bounds, times, at) in enumerate(written):
                    stop = int(np.searchsorted(times, at_ns))
                    if stop > at[0]:
                        begun = [
                            n
                            for n, burst in enumerate(self._bursts)
                            if of_burst[n] == partition and at_ns - TICK_NS <= burst["at_ns"] < at_ns
                        ]
                        await self._send(partition, memory, bounds[at[0] : stop], int(times[stop - 1]), begun)
                        at[0] = stop
            await self._settle()
        await self._settle()

    @staticmethod
    def _written(own: EventColumn, markets: tuple[str, ...]) -> tuple[bytes, Any, Any, list[int]]:
        payload, bounds = write(own, markets)
        times = own["event_ns"][(own["flags"] & Flag.SNAPSHOT) == 0].astype(np.int64)
        return payload.tobytes(), bounds, times, [0]

    async def _send(self, partition: int, memory: bytes, bounds: Any, top_ns: int, begun: list[int]) -> None:
        batch = self._producer.create_batch()
        for begin, end in bounds.tolist():
            if batch.append(key=None, value=memory[begin:end], timestamp=None) is None:
                self._sent.append(
                    (partition, 0, [], await self._producer.send_batch(batch, self.topic, partition=partition))
                )
                batch = self._producer.create_batch()
                batch.append(key=None, value=memory[begin:end], timestamp=None)
        self.messages += len(bounds)
        future = await self._producer.send_batch(batch, self.topic, partition=partition)
        self._sent.append((partition, top_ns, begun, future))

    async def _settle(self) -> None:
        for partition, top_ns, begun, future in self._sent:
            append_ms = (await future).timestamp
            if top_ns:
                self.batches.append((partition, top_ns, append_ms))
            for number in begun:
                self.first_ms[number] = append_ms
        self._sent.clear()


async def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.stdin.readline())
    exchange = Exchange(scenario())
    exchange.run(exchange.until_ns + round(CHUNK_S * SECOND_NS))  # the loops are compiled before the clock runs
    exchange = Exchange(scenario())
    producer = AIOKafkaProducer(bootstrap_servers=told["bootstrap"], acks=1, max_batch_size=1 << 20)
    await producer.start()
    try:
        feed = Feed(told, producer)
        await feed.run(exchange, int(told["start_ns"]))
    finally:
        await producer.stop()
    print(
        json.dumps(
            {
                "batches": feed.batches,
                "first_ms": feed.first_ms,
                "messages": feed.messages,
                "behind_s": feed.behind_s,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())

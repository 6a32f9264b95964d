"""Synthetic events into a topic at a steady rate, dated now: for the latency of bench.beside. A child process.

It says "ready" when everything is written out, waits for a line, and produces until it is ended. A tick that comes late
is sent at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from bench.live import by_name, market_of, messages

TICK_S = 0.01
MARK = b'"ts":'
DIGITS = 19  # of a time in ns


async def feed(bootstrap: str, topic: str, rate: float, texts: list[bytes]) -> None:
    """From the first to the last, each tick's records of a partition in one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, max_batch_size=1 << 20)
    await producer.start()
    begun_s, sent = time.monotonic(), 0
    for tick in itertools.count(1):
        await asyncio.sleep(max(0.0, begun_s + tick * TICK_S - time.monotonic()))
        until = min(len(texts), round(tick * TICK_S * rate))
        futures = []
        for text in texts[sent:until]:
            futures.append(await producer.send(topic, dated(text, time.time_ns()), partition=by_name(market_of(text))))
        await asyncio.gather(*futures)
        sent = until
        if sent == len(texts):
            break
    await producer.stop()


def dated(text: bytes, now_ns: int) -> bytes:
    """The same message as if it were of now."""
    at = text.index(MARK) + len(MARK)
    return b"%b%d%b" % (text[:at], now_ns, text[at + DIGITS :])


def main() -> None:
    """See the module's docstring."""
    told = json.loads(sys.argv[1])
    texts = list(messages(round(told["rate"] * told["seconds"]), 0))
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(feed(told["bootstrap"], told["topic"], told["rate"], texts))


if __name__ == "__main__":
    main()

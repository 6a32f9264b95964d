"""confluent-kafka (librdkafka) that only counts: `consume` of up to 10,000 records at once. A child process of
bench.beside, in the peers' own environment. It reads alone, without commits; `queued.min.messages` is ten times its
default, since a queue that is full makes librdkafka wait a second before it fetches again.
"""

from __future__ import annotations

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition  # type: ignore[import-not-found]

from bench.beside_watch import Watch, finish

AT_ONCE = 10_000
QUEUED = 1_000_000


def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.argv[1])
    watch = Watch(told)
    consumer = Consumer(
        {
            "bootstrap.servers": told["bootstrap"],
            "group.id": "counting",
            "enable.auto.commit": False,
            "queued.min.messages": QUEUED,
        }
    )
    consumer.assign([TopicPartition(told["topic"], n, OFFSET_BEGINNING) for n in range(told["partitions"])])
    while not watch.done:
        # it waits until it has as many as were asked for, or for the whole timeout
        records = consumer.consume(AT_ONCE, 0.005 if watch.paced else 0.25)
        watch.saw_many((record.timestamp()[1] for record in records), len(records))
    consumer.close()
    finish(watch, "confluent-kafka")


if __name__ == "__main__":
    main()

"""bytewax at the job of bench.beside. A child process, in the peers' own environment.

As its documentation has it for throughput: KafkaSource in batches of 1,000 (its default; 1 in a paced run would only
make it slower), parsing with `flat_map_batch`, state with `stateful_batch`, one worker, no recovery store.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]
import orjson  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSource  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]
from bytewax.run import cli_main  # type: ignore[import-not-found]

from bench.beside_job import PER, half_space_trees
from bench.beside_watch import Watch, finish

Keyed = tuple[str, tuple[dict[str, Any], int]]


class Scored(op.StatefulBatchLogic):  # type: ignore[misc]
    """One market."""

    def __init__(self, per: str, watch: Watch) -> None:
        self._per, self._watch = per, watch
        self._market: Any = None

    def on_batch(self, batch: list[tuple[dict[str, Any], int]]) -> tuple[Iterable[int], bool]:
        if self._market is None:
            self._market = PER[self._per](batch[0][0]["market"], half_space_trees(), self._watch.say)
        for event, append_ms in batch:
            self._market.see(event)
            if self._watch.saw(append_ms):
                leave(self._watch)
        return (), False

    def snapshot(self) -> None:
        return None


class Nowhere(DynamicSink):  # type: ignore[misc]
    """A dataflow must end in something; nothing comes here."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> NowherePart:
        return NowherePart()


class NowherePart(StatelessSinkPartition):  # type: ignore[misc]
    def write_batch(self, items: list[Any]) -> None:
        return None


def leave(watch: Watch) -> None:
    """End the process: a bytewax flow on a topic has no end of its own and no way to be stopped from within."""
    finish(watch, "bytewax", "confluent-kafka", "river", "orjson")
    os._exit(0)


def keyed(messages: list[Any]) -> Iterable[Keyed]:
    """Parsed, with its market and its append time, ms."""
    for message in messages:
        event = orjson.loads(message.value)
        yield event["market"], (event, message.timestamp[1])


def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.argv[1])
    flow = Dataflow("beside")
    read = op.input("read", flow, KafkaSource([told["bootstrap"]], [told["topic"]], batch_size=1000))
    parsed = op.flat_map_batch("parse", read, keyed)
    watch = Watch(told)
    scored = op.stateful_batch("score", parsed, lambda resumed: Scored(told["per"], watch))
    op.output("out", scored, Nowhere())
    cli_main(flow)


if __name__ == "__main__":
    main()

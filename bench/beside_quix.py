"""Quix Streams at the job of bench.beside. A child process, in the peers' own environment.

As its documentation has it: a StreamingDataFrame over a topic of JSON (orjson), one `update` a message; commits every
5 s. Models are kept in plain memory beside it: its state store takes JSON, and a model in it would be written per
event.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]

from bench.beside_job import Job, half_space_trees
from bench.beside_watch import Watch, finish


def main() -> None:
    """Print one line of JSON."""
    told = json.loads(sys.argv[1])
    watch = Watch(told)
    job = Job(told["per"], half_space_trees, watch.say)

    def see(event: Any, key: Any, append_ms: int, headers: Any) -> None:
        job.see(event)
        if watch.saw(append_ms):
            app.stop()

    with tempfile.TemporaryDirectory() as home:
        app = Application(
            broker_address=told["bootstrap"],
            consumer_group=f"quix-{told['topic']}-{told['per']}",
            auto_offset_reset="earliest",
            state_dir=home,
            loglevel="ERROR",
        )
        frame = app.dataframe(app.topic(told["topic"], value_deserializer="json"))
        frame.update(see, metadata=True)
        app.run()
    finish(watch, "quixstreams", "confluent-kafka", "river", "orjson")


if __name__ == "__main__":
    main()

"""The guard: fails a change that makes reading and folding an event a fifth dearer. CI runs it.

    python -m bench guard [--bless] [--handicap SHARE]

In one process and on the same record batches of Kafka, in turns: our reader with the whole engine behind it; aiokafka's
own records, merely counted, as the bare `getmany` loop makes them; and two compiled loops that no change touches, of
multiplications with a table that a core's own cache holds, and of a walk over one that none holds. CPU time of each,
the best of all rounds. Three ratios follow, engine to each of them. A change that costs something raises all three;
another processor or a busy neighbour raises some, and a neighbour who takes the shared cache and the memory raises what
the walk takes at least as much as what the engine does. So it fails when all are above the reference in
bench/guard.json by more than its tolerance, and only when more rounds say it again.

--bless     write the ratios of this machine as the reference
--handicap  waste that share of the engine's time, to see it fail

No broker and no network: what they cost is in bench.live. The events are synthetic (scenario "bench").
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder  # type: ignore[import-untyped]
from aiokafka.structs import TopicPartition  # type: ignore[import-untyped]
from numpy.typing import NDArray

from bench.machine import machine
from bench.stages import OPENING, run, taken
from detector.kernels import kernel
from detector.kernels.words import load
from detector.model.records import RecordBatch
from detector.sources.kafka_chunks import Reading
from detector.sources.kafka_records import ChunkRecords, KeptRecords
from detector.store import snapshot
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm

REFERENCE = Path(__file__).with_name("guard.json")
EVENTS = 120_000
ROUNDS, ROUNDS_AGAIN = 7, 14
ROUNDS_MAX = 91  # of one verdict: a neighbour who stays for two minutes decides nothing
PAUSE_S = 20.0  # before more rounds are made
PASSES = 10  # of the compiled loop, so that it takes about as long as the others
WALKED = 1 << 23  # places of the walk's table: 64 MiB, beyond what a core's share of a shared cache is
STEPS = 1_000_000  # of the walk; each waits for the one before, as a look-up after a look-up does
PRODUCED_BYTES = 16 << 10  # of a record batch, as producers send them
LOOPS = ("bare", "compiled", "walk")  # what no change of ours touches
READING = Reading("in_place", 32_768, 4 << 20, 32 << 20)

Fetched = list[list[bytes]]  # by step, by partition: the record batches one fetch brings
Ratios = dict[str, float]


def main(arguments: Sequence[str] = ()) -> None:
    """Print the ratios; exit with 1 when they are too high."""
    parser = argparse.ArgumentParser(prog="bench.guard")
    parser.add_argument("--bless", action="store_true", help="write this machine's ratios as the reference")
    parser.add_argument("--handicap", type=float, default=0.0, metavar="SHARE", help="waste that share of the time")
    chosen = parser.parse_args(arguments)
    print(machine("aiokafka", "numba", "numpy"))
    guard = Guard(chosen.handicap)
    if chosen.bless:
        REFERENCE.write_text(json.dumps({**guard.ratios(ROUNDS_AGAIN), "tolerance": 0.15}, indent=2) + "\n")
        return
    reference: Ratios = json.loads(REFERENCE.read_text())
    for rounds in (ROUNDS, *[ROUNDS_AGAIN] * ((ROUNDS_MAX - ROUNDS) // ROUNDS_AGAIN)):
        verdict = judged(guard.ratios(rounds), reference)
        print(verdict or "as it was")
        if not verdict:
            return
        time.sleep(PAUSE_S)
    sys.exit("the change costs too much: find it with python -m bench stages, or say why and --bless")


def judged(ratios: Ratios, reference: Ratios) -> str:
    """Why the change costs too much, '' = it does not.

    >>> reference = {"bare": 0.5, "compiled": 2.0, "walk": 4.0, "tolerance": 0.15}
    >>> judged({"bare": 0.6, "compiled": 2.4, "walk": 4.8}, reference)
    'too dear: 1.20, 1.20 and 1.20 x the reference, 1.15 allowed'
    >>> judged({"bare": 0.6, "compiled": 2.4, "walk": 4.1}, reference)
    ''
    """
    bare, compiled, walk = (ratios[name] / reference[name] for name in LOOPS)
    allowed = 1.0 + reference["tolerance"]
    if min(bare, compiled, walk) <= allowed:
        return ""
    return f"too dear: {bare:.2f}, {compiled:.2f} and {walk:.2f} x the reference, {allowed:.2f} allowed"


class Guard:
    """The loops, those over records over the same ones. handicap: share of the engine's time that is wasted on top."""

    def __init__(self, handicap: float) -> None:
        warm(of({}))
        steps = taken(EVENTS)
        opened = build_pipeline(of({}), pseudonym_key=b"bench")
        run(opened, steps[:OPENING])
        self.state = snapshot.encode(opened.state(), about={})
        self.handicap = handicap
        self.fetched: Fetched = [[produced(batch) for batch in step] for step in steps[OPENING:]]
        self.events = sum(len(batch) for step in steps[OPENING:] for batch in step)
        self.payload = np.frombuffer(b"".join(map(b"".join, self.fetched))[: 8 << 20], np.uint8)
        self.table = np.zeros(1 << 18, np.uint64)
        self.around = around(WALKED)
        self.best: dict[str, float] = {}

    def ratios(self, rounds: int) -> Ratios:
        """Engine to bare loop, to compiled loop, to the walk; of all rounds so far, the best of each."""
        loops: dict[str, Callable[[], float]] = {name: getattr(self, name) for name in (*LOOPS, "engine")}
        for _ in range(rounds):
            for name, loop in loops.items():
                self.best[name] = min(self.best.get(name, np.inf), loop())
        told = ", ".join(f"{name} {self.best[name] / self.events * 1e9:.0f}" for name in loops)
        print(f"{self.events:,} synthetic events; best of {rounds}, ns of CPU an event: {told}")
        return {name: round(self.best["engine"] / self.best[name], 3) for name in LOOPS}

    def bare(self) -> float:
        """aiokafka's records, counted. Seconds of CPU."""
        seen = 0
        watch = Watch()
        for step in self.fetched:
            for number, data in enumerate(step):
                for _ in records(data, number, None):
                    seen += 1
        assert seen == self.events, "every record is counted once"
        return watch.cpu_s

    def compiled(self) -> float:
        """The loop that no change touches. Seconds of CPU."""
        watch = Watch()
        for _ in range(PASSES):
            churn(self.payload, self.table)
        return watch.cpu_s

    def walk(self) -> float:
        """The walk that no change touches. Seconds of CPU."""
        watch = Watch()
        walk(self.around, STEPS)
        return watch.cpu_s

    def engine(self) -> float:
        """Our reader and the whole engine, from the opening's state on. Seconds of CPU."""
        pipeline = build_pipeline(of({}), pseudonym_key=b"bench")
        pipeline.restore(snapshot.decode(self.state))
        watch = Watch()
        for step in self.fetched:
            began_s = watch.cpu_s
            pipeline.step([batch for number, data in enumerate(step) for batch in read(data, number)])
            until_s = watch.cpu_s + self.handicap * (watch.cpu_s - began_s)
            while watch.cpu_s < until_s:
                pass
        return watch.cpu_s


class Watch:
    """This thread's CPU time since it was made; nothing is left for the collector."""

    def __init__(self) -> None:
        gc.collect()
        self._began_s = time.thread_time()

    @property
    def cpu_s(self) -> float:
        """Seconds."""
        return time.thread_time() - self._began_s


def produced(batch: RecordBatch) -> bytes:
    """The records as a producer's record batches, end to end, checksums and all."""
    batches: list[bytes] = []
    first = batch.first_offset
    builder, base = _builder(), 0
    for index in range(len(batch)):
        if builder.append(index - base, 1_700_000_000_000, None, batch.value(index), []) is None:
            batches.append(_based(builder.build(), first + base))
            builder, base = _builder(), index
            assert builder.append(0, 1_700_000_000_000, None, batch.value(index), []) is not None, "one record fits"
    return b"".join((*batches, _based(builder.build(), first + base)))


def _builder() -> Any:
    return DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, PRODUCED_BYTES)


def _based(batch: bytearray, base: int) -> bytes:
    return base.to_bytes(8, "big") + bytes(batch[8:])  # as a broker does; the checksum does not cover it


def records(data: bytes, number: int, reading: Reading | None) -> Any:
    """What a fetch hands out: ConsumerRecords, or Chunks to who opted in."""
    return ChunkRecords(TopicPartition("bench", number), KeptRecords(data), [], 0, None, reading, True, 0)


def read(data: bytes, number: int) -> list[RecordBatch]:
    """RecordBatches as the source makes them."""
    return [
        RecordBatch(
            topic="bench",
            partition=number,
            first_offset=int(chunk.offsets[0]),
            next_offset=chunk.next_offset,
            payload=chunk.payload,
            bounds=chunk.bounds,
            offsets=chunk.offsets,
            broker_ns=chunk.broker_ns,
        )
        for chunk in records(data, number, READING)
    ]


@kernel
def churn(payload: Any, table: Any) -> Any:
    """Words through a multiplication, each into a place of the table that nobody can foretell."""
    word = np.uint64(1)
    for at in range(0, len(payload) - 8, 8):
        word = (word ^ load(payload, at)) * np.uint64(0x9E3779B97F4A7C15)
        place = np.int64(word >> np.uint64(46))
        table[place] = table[place] ^ word
    return word


def around(places: int) -> NDArray[np.uint64]:
    """A table whose every place names the next: one way around through all of them, in an order nobody can foretell."""
    order = np.random.default_rng(7).permutation(places).astype(np.uint64)
    table = np.empty(places, np.uint64)
    table[order] = np.roll(order, -1)
    return table


@kernel
def walk(table: Any, steps: int) -> Any:
    """From place to place: the place after so many steps from the first one."""
    place = np.uint64(0)
    for _ in range(steps):
        place = table[place]
    return place


if __name__ == "__main__":
    main(sys.argv[1:])

"""What a replay costs: events a second from a file of native NDJSON to alerts, plain and packed, stage by stage.

    python -m bench.replay [--seconds 20]

The events are synthetic (scenario "bench": 100 markets, 50,000 events a second in all); the file begins with a book
snapshot of each market, about a thousand rows in one message, so a short run is dearer than a long one. One process; a
first, shorter run only compiles. On a busy machine compare the CPU times, and ratios, not numbers of two machines.

The second table is of `foreshock replay --workers`: the same lines, and the same as Parquet, in turns, `rounds` times;
least wall time of each, and the ratio to one worker of the same round, least and most. What others use is missing.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

from detector.cli.replay import open_inputs
from detector.formats.native import Native
from detector.sources.file import FileReader, open_files
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from replay.columnar_write import ColumnarFile
from replay.convert import convert, noting_key
from replay.exchange import Exchange
from replay.feed import write_native
from replay.run import Selection, replay
from replay.workers import Workers, later

WARM_UP_S = 3.0
LIBRARIES = ("numpy", "numba", "zstandard")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.replay")
    parser.add_argument("--seconds", type=float, default=20.0, help="of event time (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="in the second table (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of the second table (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        warm, plain, packed = (Path(folder) / name for name in ("warm.ndjson", "plain.ndjson", "packed.ndjson.zst"))
        write_native(Exchange("bench"), warm, seconds=WARM_UP_S)
        messages = write_native(Exchange("bench"), plain, seconds=chosen.seconds)
        write_native(Exchange("bench"), packed, seconds=chosen.seconds)
        for work in (read, decode, whole):
            work(warm)
        size = plain.stat().st_size
        print(f"{messages:,} synthetic messages, {size / messages:.0f} bytes each, {size / 2**20:.0f} MiB")
        print(f"{'':34}{'messages/s':>12}{'wall ns each':>14}{'CPU ns each':>13}")
        for name, work, path in (
            ("lines of a plain file", read, plain),
            ("lines of a zstd file", read, packed),
            ("lines, decoded", decode, plain),
            ("the whole replay, plain", whole, plain),
            ("the whole replay, zstd", whole, packed),
        ):
            wall_s, cpu_s = timed(work, path)
            ns = 1e9 / messages
            print(f"{name:34}{messages / wall_s:12,.0f}{wall_s * ns:14,.0f}{cpu_s * ns:13,.0f}")
        columns, short = Path(folder) / "plain.parquet", Path(folder) / "warm.parquet"
        for source, made in ((plain, columns), (warm, short)):
            output = ColumnarFile(str(made))
            convert(open_files([str(source)]), Native(noting_key((1, 2))), output)
            output.close()
        print(f"\n{'':34}{'messages/s':>12}{'CPU ns each':>14}{'times one worker':>22}")
        for name, path, small in (("plain", plain, warm), ("Parquet", columns, short)):
            compare(name, path, small, messages, chosen.workers, chosen.rounds)


def compare(name: str, path: Path, small: Path, messages: int, workers: int, rounds: int) -> None:
    """Rows of the second table. small: a file of the same kind, to compile on."""
    walls: dict[int, list[float]] = {1: [], workers: []}
    cpus: dict[int, list[float]] = {1: [], workers: []}
    for count in walls:
        replayed(small, count)
    for _ in range(rounds):
        for count in walls:
            wall_s, cpu_s = timed(lambda path, count=count: replayed(path, count), path)  # type: ignore[misc]
            walls[count].append(wall_s)
            cpus[count].append(cpu_s)
    for count in walls:
        ratios = sorted(one / more for one, more in zip(walls[1], walls[count], strict=True))
        print(
            f"{f'{name}, --workers {count}':34}{messages / min(walls[count]):12,.0f}"
            f"{min(cpus[count]) / messages * 1e9:14,.0f}{f'{ratios[0]:.2f} to {ratios[-1]:.2f}':>22}"
        )


def replayed(path: Path, workers: int) -> None:
    """What `foreshock replay --workers` does, without a screen."""
    threads = Workers(workers) if workers > 1 else None
    config = of({})
    together = threads.together if threads is not None else None
    engine = build_pipeline(config, pseudonym_key=b"bench", workers=workers, together=together)
    with threads or nullcontext():
        inputs = open_inputs([str(path)], config, engine.decoder, Selection(), paced=False, workers=workers)
        replay(engine, inputs, ahead=threads.ahead if threads is not None else later)


def read(path: Path) -> None:
    """Files to batches of lines."""
    reader = FileReader(str(path))
    while reader.read() is not None:
        pass
    reader.close()


def decode(path: Path) -> None:
    """The same, and lines to events."""
    reader = FileReader(str(path))
    decoder = build_pipeline(of({}), pseudonym_key=b"bench").decoder
    while (batch := reader.read()) is not None:
        decoder.decode(batch)
    reader.close()


def whole(path: Path) -> None:
    """What `foreshock replay` does, without a screen."""
    replay(build_pipeline(of({}), pseudonym_key=b"bench"), open_files([str(path)]))


def timed(work: Callable[[Path], None], path: Path) -> tuple[float, float]:
    """(wall, CPU) seconds."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work(path)
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def machine() -> str:
    """Where this was measured."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{model}, {os.cpu_count()} cores, {platform.system()}; Python {sys.version.split()[0]}, {libraries}"


if __name__ == "__main__":
    main()

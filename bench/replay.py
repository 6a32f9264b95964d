"""What a replay costs: events a second from a file to alerts, by kind of file, stage by stage.

    python -m bench.replay [--seconds 10] [--rounds 2]

The events are synthetic (scenario "bench": 100 markets, 50,000 events a second in all); the file begins with a book
snapshot of each market, about a thousand rows in one message, which costs far more than a message does later. So every
work is done on the whole log and on its first second, and what is told is the difference, an event: what a long log
costs. One process; each figure is the least of the rounds. `beside` is the replay with reading in a thread, as
`foreshock replay` does it. On a busy machine compare the CPU times, and ratios, not numbers of two machines.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import zstandard

from bench.machine import machine
from detector.formats.columnar import ColumnarRows
from detector.sources.file import FileReader, open_files
from detector.wiring.build import build_format, build_pipeline
from detector.wiring.config import of
from replay.ahead import beside
from replay.columnar import open_columnar
from replay.columnar_write import ColumnarFile
from replay.convert import convert, noting_key
from replay.exchange import Exchange
from replay.feed import write_native
from replay.run import Input, replay

OPENING_S = 1.0
ENDINGS = (".ndjson", ".ndjson.zst", ".ndjson.gz", ".parquet")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.replay")
    parser.add_argument("--seconds", type=float, default=10.0, help="of event time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(default: %(default)s)")
    chosen = parser.parse_args(arguments)
    print(machine("numpy", "numba", "zstandard", "pyarrow"))
    with tempfile.TemporaryDirectory() as folder:
        opening, opening_rows = made(Path(folder) / "opening", OPENING_S)
        log, rows = made(Path(folder) / "log", chosen.seconds)
        sizes = ", ".join(f"{ending} {log[ending].stat().st_size / rows:.0f}" for ending in ENDINGS)
        print(f"{rows:,} synthetic events; bytes an event: {sizes}\n")
        print("| work | events/s of CPU | CPU ns/event | wall ns/event |\n|---|---:|---:|---:|")
        told: dict[str, float] = {}
        for name, work, ending in WORKS:
            work(opening[ending])
            least = (float("inf"), float("inf"))
            for _ in range(chosen.rounds):
                wall, cpu = (a - b for a, b in zip(timed(work, log[ending]), timed(work, opening[ending]), strict=True))
                least = (min(least[0], wall), min(least[1], cpu))
            wall_ns, told[name] = (1e9 * each / (rows - opening_rows) for each in least)
            print(f"| {name} | {1e9 / told[name]:,.0f} | {told[name]:.0f} | {wall_ns:.0f} |", flush=True)
    fold = told["replay, columnar"] - told["rows of a columnar file"]
    print(f"\nOf the columnar replay the engine (folding, windows, alerts) has {fold:.0f} ns, reading the rest.")
    for ending in ("zstd", "gzip"):
        print(f"{ending} alone takes {told[f'{ending}, unpacked only'] / told[f'replay, {ending}']:.2f} of its replay.")


def made(stem: Path, seconds: float) -> tuple[dict[str, Path], int]:
    """(the same log in each form, rows in it)."""
    paths = {ending: stem.with_name(stem.name + ending) for ending in ENDINGS}
    write_native(Exchange("bench"), paths[".ndjson"], seconds=seconds)
    content = paths[".ndjson"].read_bytes()
    paths[".ndjson.zst"].write_bytes(zstandard.compress(content, 3))
    paths[".ndjson.gz"].write_bytes(gzip.compress(content, 6))
    output = ColumnarFile(str(paths[".parquet"]))
    told = convert(open_files([str(paths[".ndjson"])]), build_format(of({}), "native", noting_key((1, 2))), output)
    output.close()
    return paths, told.rows


def unpack_zstd(path: Path) -> None:
    """What the library alone does, as a stream."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        while stream.read(1 << 20):
            pass


def unpack_gzip(path: Path) -> None:
    """The same."""
    with gzip.open(path) as stream:
        while stream.read(1 << 20):
            pass


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


def rows_of(path: Path) -> None:
    """A columnar file to events."""
    for each in open_columnar(str(path), ColumnarRows()):
        while each.read() is not None:
            pass


def whole(path: Path, around: Callable[[Sequence[Input]], Sequence[Input]] = list) -> None:
    """What `foreshock replay` does, without a screen."""
    pipeline = build_pipeline(of({}), pseudonym_key=b"bench")
    inputs: Sequence[Input] = open_files([str(path)]) if path.suffix != ".parquet" else []
    replay(pipeline, around(inputs or open_columnar(str(path), ColumnarRows(pipeline.decoder.key))))


def whole_beside(path: Path) -> None:
    """The same, read in a thread."""
    whole(path, beside)


WORKS: tuple[tuple[str, Callable[[Path], None], str], ...] = (
    ("zstd, unpacked only", unpack_zstd, ".ndjson.zst"),
    ("gzip, unpacked only", unpack_gzip, ".ndjson.gz"),
    ("lines of a plain file", read, ".ndjson"),
    ("lines, decoded", decode, ".ndjson"),
    ("rows of a columnar file", rows_of, ".parquet"),
    ("replay, plain", whole, ".ndjson"),
    ("replay, zstd", whole, ".ndjson.zst"),
    ("replay, gzip", whole, ".ndjson.gz"),
    ("replay, columnar", whole, ".parquet"),
    ("replay, plain, beside", whole_beside, ".ndjson"),
    ("replay, zstd, beside", whole_beside, ".ndjson.zst"),
    ("replay, gzip, beside", whole_beside, ".ndjson.gz"),
    ("replay, columnar, beside", whole_beside, ".parquet"),
)


def timed(work: Callable[[Path], None], path: Path) -> tuple[float, float]:
    """(wall, CPU) seconds."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work(path)
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


if __name__ == "__main__":
    main()

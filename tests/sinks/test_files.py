"""The file and the terminal: whole lines, torn ones, full disks, and names that want to move the cursor."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from detector.sinks import blocking
from detector.sinks.base import Delivery, Parcel, Sink
from detector.sinks.jsonl import Jsonl
from detector.sinks.stdout import Stdout

LONG = "No word of a summary is cut off. " * 40


def parcel(**data: object) -> Parcel:
    body = msgspec.json.encode({"type": "foreshock.incident.opened", "timestamp": "", "data": data})
    return Parcel("inc_1_1", "inc_1", "critical", body)


async def test_every_alert_is_one_line_and_the_bytes_of_the_alert(tmp_path: Path) -> None:
    sink = Jsonl("file", path=tmp_path / "alerts.jsonl")
    parcels = [parcel(seq=number, title="a\nb") for number in range(20)]
    outcomes = await asyncio.gather(*(sink.send(item) for item in parcels))
    assert {outcome.delivery for outcome in outcomes} == {Delivery.DELIVERED}
    assert (tmp_path / "alerts.jsonl").read_bytes().splitlines() == [item.body for item in parcels]
    assert stat.S_IMODE((tmp_path / "alerts.jsonl").stat().st_mode) == 0o600


async def test_a_line_that_a_crash_tore_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"whole": 1}\n{"torn')
    await Jsonl("file", path=path).send(parcel(seq=1))
    assert path.read_bytes() == b'{"whole": 1}\n{"torn\n' + parcel(seq=1).body + b"\n"


async def test_a_rotated_file_is_begun_anew(tmp_path: Path) -> None:
    sink = Jsonl("file", path=tmp_path / "alerts.jsonl")
    await sink.send(parcel(seq=1))
    (tmp_path / "alerts.jsonl").rename(tmp_path / "alerts.1")
    await sink.send(parcel(seq=2))
    assert (tmp_path / "alerts.jsonl").read_bytes() == parcel(seq=2).body + b"\n"


async def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    outcome = await Jsonl("file", path=tmp_path / "none" / "alerts.jsonl").send(parcel())
    assert outcome.delivery is Delivery.RETRY and "No such file" in outcome.why


async def test_a_full_disk_is_tried_again() -> None:
    outcome = await Jsonl("file", path="/dev/full").send(parcel())
    assert outcome.delivery is Delivery.RETRY and "No space" in outcome.why


async def test_the_terminal_reads_like_a_sentence_and_obeys_nothing() -> None:
    stream = io.StringIO()
    evidence = [
        {
            "market": "BTC\x1b[2J",
            "detector": "cancel_burst",
            "feature": "cancel_rate",
            "unit": "1/s",
            "observed": 412.0,
            "expected": 31.0,
            "share": 0.58,
        },
        {"market": "BTC", "feature": "cancels", "share": 0.0001},
    ]
    sink = Stdout("terminal", stream=stream)
    outcome = await sink.send(
        parcel(severity="critical", title="Cancels\nburst\u202e", summary=LONG, evidence=evidence, delayed_by_s=61)
    )
    assert outcome.delivery is Delivery.DELIVERED
    assert stream.getvalue().splitlines() == [
        "CRITICAL  opened  Cancels\\nburst",
        f"  {LONG}",
        "     58 %  BTC\\x1b[2J  cancel_burst  cancel_rate: 412/s, expected 31",
        "  delivered 61 s late",
    ]


async def test_the_terminal_survives_any_json_and_a_reader_that_left() -> None:
    sink = Stdout("terminal", stream=io.StringIO())
    for body in (b"[]", b"no json", b"\xff"):
        assert (await sink.send(Parcel("k", "i", "info", body))).delivery is Delivery.REJECTED
    odd = parcel(severity=None, title=[], evidence=[1, {"share": "x"}], summary={})
    assert (await sink.send(odd)).delivery is Delivery.DELIVERED
    closed = io.StringIO()
    closed.close()
    assert (await Stdout("terminal", stream=closed).send(parcel())).delivery is Delivery.RETRY


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A pipe with a name, and the end of it that is read from: by nobody until the test does."""
    path = tmp_path / "alerts.pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


async def test_a_line_into_a_pipe_or_nowhere_is_delivered_though_it_cannot_be_synced(pipe: tuple[Path, int]) -> None:
    path, reader = pipe
    assert (await Jsonl("file", path=path).send(parcel(seq=1))).delivery is Delivery.DELIVERED
    assert os.read(reader, 1 << 16) == parcel(seq=1).body + b"\n"
    assert (await Jsonl("file", path="/dev/null").send(parcel())).delivery is Delivery.DELIVERED


@pytest.mark.parametrize("kind", ["jsonl", "stdout"])
async def test_a_reader_that_has_stopped_holds_up_nobody_else(
    pipe: tuple[Path, int], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(blocking, "WRITE_S", 0.2)
    path, reader = pipe
    with path.open("w") as stream:
        sink: Sink = Jsonl("hung", path=path) if kind == "jsonl" else Stdout("hung", stream=stream)
        async with asyncio.timeout(10.0):
            for number in range(2_000):  # until the pipe is full
                outcome = await sink.send(keyed(number))
                if outcome.delivery is not Delivery.DELIVERED:
                    break
            assert outcome.why == "not written within 0.2 s"
            others = await asyncio.gather(*(sink.send(keyed(number)) for number in range(5_000, 5_040)))
            assert {(other.delivery, other.why) for other in others} == {(Delivery.RETRY, "an earlier write hangs")}
            await asyncio.to_thread(str)  # and names are looked up, and checkpoints packed
            os.set_blocking(reader, True)
            await asyncio.to_thread(drained, reader, marker(number))
            outcome = await sink.send(keyed(number))
            while outcome.why == "an earlier write hangs":
                await asyncio.sleep(0.01)
                outcome = await sink.send(keyed(number))
            assert outcome.delivery is Delivery.DELIVERED
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):  # the write that hung did arrive: it is not written once more
            os.read(reader, 1)


def test_a_reader_that_has_stopped_does_not_keep_the_process_from_ending() -> None:
    code = (
        "import asyncio; from detector.sinks import blocking; from detector.sinks.base import Parcel\n"
        "from detector.sinks.stdout import Stdout\n"
        "blocking.WRITE_S = 0.1; body = b'{\"data\": {\"title\": \"' + b'x' * 300 + b'\"}}'\n"
        "async def main():\n"
        "    sink = Stdout('terminal')\n"
        "    while (await sink.send(Parcel('k', 'i', 'info', body))).delivery == 'delivered': pass\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.wait(20.0) == 0
    finally:
        process.kill()
        process.communicate()


def keyed(number: int) -> Parcel:
    return Parcel(f"inc_{number}_1", f"inc_{number}", "info", parcel(title=marker(number) + "x" * 300).body)


def marker(number: int) -> str:
    return f"number {number} "


def drained(reader: int, until: str) -> None:
    got = b""
    while not (until.encode() in got and got.endswith(b"\n")):
        got += os.read(reader, 1 << 16)

"""The file and the terminal: whole lines, torn ones, full disks, and names that want to move the cursor."""

from __future__ import annotations

import asyncio
import io
import stat
from pathlib import Path

import msgspec

from detector.sinks.base import Delivery, Parcel
from detector.sinks.jsonl import Jsonl
from detector.sinks.stdout import Stdout


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
            "feature": "cancel_rate",
            "unit": "1/s",
            "observed": 412.0,
            "expected": 31.0,
            "share": 0.58,
        }
    ]
    sink = Stdout("terminal", stream=stream)
    outcome = await sink.send(
        parcel(
            severity="critical", title="Cancels\nburst\u202e", summary="13 times", evidence=evidence, delayed_by_s=61
        )
    )
    assert outcome.delivery is Delivery.DELIVERED
    assert stream.getvalue().splitlines() == [
        "CRITICAL  opened  Cancels\\nburst",
        "  13 times",
        "     58 %  BTC\\x1b[2J  cancel_rate: 412 1/s, expected 31",
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

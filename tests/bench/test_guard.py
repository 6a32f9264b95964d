"""The guard reads what it wrote, and fails what it should fail; how long anything takes is not looked at here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.guard import LOOPS, REFERENCE, around, churn, judged, produced, read, records, walk
from detector.model.records import pack

VALUES = [b'{"n":%d}' % number * (1 + number % 7) for number in range(3_000)]  # some tens of kilobytes: several batches


def test_our_reader_and_the_bare_one_take_every_record_of_what_was_produced() -> None:
    batch = pack("bench", 2, VALUES, range(500, 3_500))
    data = produced(batch)
    counted = [(record.offset, record.value) for record in records(data, 2, None)]
    assert counted == list(zip(range(500, 3_500), VALUES, strict=True))
    ours = [(int(o), b.value(i)) for b in read(data, 2) for i, o in enumerate(b.offsets)]
    assert ours == counted
    assert [b.next_offset for b in read(data, 2)][-1] == batch.next_offset


@pytest.mark.parametrize(
    ("ratios", "fails"),
    [
        ((1.0, 1.0, 1.0), False),
        ((1.2, 1.2, 1.2), True),
        ((1.2, 1.2, 1.1), False),
        ((1.2, 1.1, 1.2), False),
        ((1.1, 1.2, 1.2), False),
        ((0.5, 0.5, 0.5), False),
        ((1.16, 3.0, 1.17), True),
    ],
)
def test_a_fifth_more_in_all_ratios_fails_and_in_some_alone_does_not(ratios: tuple[float, ...], fails: bool) -> None:
    reference = {"bare": 0.7, "compiled": 3.3, "walk": 0.3, "tolerance": 0.15}
    measured = {name: reference[name] * ratio for name, ratio in zip(LOOPS, ratios, strict=True)}
    assert bool(judged(measured, reference)) == fails


def test_the_committed_reference_fails_a_change_that_costs_a_fifth() -> None:
    reference = json.loads(REFERENCE.read_text())
    assert judged({name: reference[name] * 1.2 for name in LOOPS}, reference)
    assert not judged({name: reference[name] * 1.05 for name in LOOPS}, reference)


def test_the_compiled_loop_depends_on_what_it_reads() -> None:
    tables = [np.zeros(1 << 18, np.uint64) for _ in range(2)]
    payloads = [np.frombuffer(text * 64, np.uint8) for text in (b"one text", b"two text")]
    first, second = (churn(payload, table) for payload, table in zip(payloads, tables, strict=True))
    assert first != second and tables[0].any()


def test_the_walk_comes_to_every_place_before_it_is_back() -> None:
    table = around(1_000)
    assert sorted({int(walk(table, steps)) for steps in range(1_000)}) == list(range(1_000))
    assert walk(table, 1_000) == 0

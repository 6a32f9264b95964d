"""Records in portions: nothing lost, nothing moved, and partitions advance together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector.model.records import RecordBatch, idle, pack, portions

Place = tuple[int, int, bytes]


@st.composite
def polls(draw: st.DrawFn) -> list[RecordBatch]:
    """Batches of three partitions, offsets with gaps, idle statements between them."""
    at = [0, 0, 0]
    batches = []
    for partition in draw(st.lists(st.integers(0, 2), max_size=8)):
        gaps = draw(st.lists(st.integers(0, 2), max_size=9))
        if not gaps:
            batches.append(idle("t", partition, at[partition], 5))
            continue
        offsets = []
        for gap in gaps:
            offsets.append(at[partition] + gap)
            at[partition] += gap + 1
        at[partition] += 1
        values = [b"%d" % offset for offset in offsets]
        batches.append(pack("t", partition, values, offsets, next_offset=at[partition]))
    return batches


def lanes(batches: list[RecordBatch]) -> dict[int, list[tuple[int, bytes] | str]]:
    """By partition its records and idle statements, in their order."""
    found: dict[int, list[tuple[int, bytes] | str]] = {}
    for batch in batches:
        lane = found.setdefault(batch.partition, [])
        lane += [(int(batch.offsets[i]), batch.value(i)) for i in range(len(batch))]
        lane += [f"idle {batch.idle_ns}"] if batch.idle_ns else []
    return found


@given(polls(), st.integers(1, 12))
def test_portions_are_the_same_records_in_the_same_order(batches: list[RecordBatch], most: int) -> None:
    made = [list(portion) for portion in portions(batches, most)]
    assert lanes([batch for portion in made for batch in portion]) == lanes(batches)
    total = sum(map(len, batches))
    partitions = len({batch.partition for batch in batches})
    for portion in made:
        assert sum(map(len, portion)) <= -(-total // len(made)) + partitions


@given(polls(), st.integers(1, 12))
def test_where_a_part_ends_the_next_begins(batches: list[RecordBatch], most: int) -> None:
    told = {batch.partition: [batch.first_offset] for batch in reversed(batches) if len(batch)}
    last = {batch.partition: batch.next_offset for batch in batches if len(batch)}
    for portion in portions(batches, most):
        for batch in portion:
            if len(batch):
                assert told[batch.partition][-1] <= batch.first_offset <= int(batch.offsets[0])
                assert int(batch.offsets[-1]) < batch.next_offset
                told[batch.partition].append(batch.next_offset)
    assert {partition: ends[-1] for partition, ends in told.items()} == last


def test_partitions_advance_together() -> None:
    batches = [pack("t", p, [b"x"] * 40, range(40)) for p in (0, 1)]
    assert [[(b.partition, len(b)) for b in portion] for portion in portions(batches, 20)] == [[(0, 10), (1, 10)]] * 4

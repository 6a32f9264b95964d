"""The laws of the engine: same records, same alerts; in any chunks, in any interleaving, after any restart."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.records import RecordBatch, pack
from detector.store.snapshot import decode, encode
from tests.engine.story import Story, assigned, pipeline, told

SECONDS = 95


def story(seed: int) -> Story:
    return Story(seed).busy(SECONDS).burst("ETH-PERP", 80.0, 300).busy(25, SECONDS)


def run(batches: list[RecordBatch], the_story: Story) -> tuple[list[bytes], dict[tuple[int, str], bytes]]:
    engine = assigned(pipeline(), the_story)
    steps = [engine.step([batch]) for batch in batches]
    return told([*steps, engine.finish()])


def test_the_story_the_laws_are_checked_on_has_incidents_late_events_and_duplicates_in_it() -> None:
    the_story = story(1)
    engine = assigned(pipeline(), the_story)
    steps = [engine.step([batch]) for batch in the_story.batches([50])]
    steps.append(engine.finish())
    counts = {name: sum(step.counts.get(name, 0) for step in steps) for name in ("late", "unknown_order", "events")}
    assert counts["late"] > 0 and counts["unknown_order"] > 0 and counts["events"] > 1000
    types = {alert.type for step in steps for alert in step.alerts}
    assert types >= {"foreshock.incident.opened", "foreshock.degraded"}, "without an alert the laws compare nothing"


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_records_may_be_cut_into_any_chunks(seed: int, sizes: list[int]) -> None:
    the_story = story(seed)
    assert run(list(the_story.batches([97])), the_story) == run(list(the_story.batches(sizes)), the_story)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), shuffle=st.integers(0, 10**6))
def test_partitions_may_come_in_any_interleaving(seed: int, shuffle: int) -> None:
    the_story = story(seed)
    batches = list(the_story.batches([60]))
    queues = {p: [b for b in batches if b.partition == p] for p in range(the_story.partitions)}
    order = [b.partition for b in batches]
    Random(shuffle).shuffle(order)
    mixed = [queues[p].pop(0) for p in order]
    alerts, rows = run(batches, the_story)
    mixed_alerts, mixed_rows = run(mixed, the_story)
    assert mixed_rows == rows
    assert mixed_alerts == alerts


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_a_restart_at_any_offset_changes_nothing(seed: int, cuts: list[int]) -> None:
    the_story = story(seed)
    batches = list(the_story.batches([40]))
    whole = run(batches, the_story)
    engine = assigned(pipeline(), the_story)
    steps = []
    for number, batch in enumerate(batches):
        steps.append(engine.step([batch]))
        if number in cuts:
            positions = dict(engine.positions())
            saved = encode(engine.state())
            engine = assigned(pipeline(), the_story)
            engine.restore(decode(saved))
            assert dict(engine.positions()) == positions
            again = [part for b in batches[: number + 1] if (part := after(b, positions)) is not None]
            steps.extend(engine.step([part]) for part in again)
    steps.append(engine.finish())
    assert told(steps) == whole


def after(batch: RecordBatch, positions: dict[tuple[str, int], int]) -> RecordBatch | None:
    """What of a batch a source would hand over again from these positions."""
    first = positions.get((batch.topic, batch.partition), 0)
    keep = [i for i in range(len(batch)) if batch.offsets[i] >= first]
    if not keep:
        return None
    return pack(batch.topic, batch.partition, [batch.value(i) for i in keep], [int(batch.offsets[i]) for i in keep])


@pytest.mark.parametrize("parts", [1, 2])
def test_a_state_from_before_a_feature_group_is_gone_on_from_and_the_group_begins_with_nothing(parts: int) -> None:
    batches = list(story(5).batches([80]))
    engine, younger = (assigned(pipeline(parts=parts), story(5)) for _ in range(2))
    for batch in batches[:8]:
        engine.step([batch])
    saved: Any = decode(encode(engine.state()))
    for shard in saved["shard"].get("parts", [saved["shard"]]):
        del shard["groups"]["flow"]
    younger.restore(saved)
    again = [part for batch in batches[:8] if (part := after(batch, younger.positions())) is not None]
    for batch in [*again, *batches[8:]]:
        younger.step([batch])
    for batch in batches[8:]:
        engine.step([batch])
    ours, theirs = (one.finish().scored[0].windows for one in (younger, engine))
    assert ours.column("orders").any()
    np.testing.assert_array_equal(ours.values, theirs.values)


def test_a_state_with_a_feature_group_that_is_gone_is_refused_by_its_name() -> None:
    saved: Any = pipeline().state()
    saved["shard"]["groups"]["queue_age"] = {}
    with pytest.raises(ValueError, match="queue_age"):
        pipeline().restore(saved)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_restored_engine_saves_the_same_state_again(seed: int) -> None:
    the_story = story(seed)
    engine = assigned(pipeline(), the_story)
    for batch in itertools.islice(the_story.batches([80]), 12):
        engine.step([batch])
    twin = pipeline()
    twin.restore(decode(encode(engine.state())))
    assert encode(twin.state()) == encode(engine.state())

"""Shards: however many parts the markets are in, what is told is what one Shard tells, at every limit too."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.calendar import Calendar, Phase
from detector.engine.shard import Shard
from detector.engine.shards import Shards
from detector.features.tables import Limits
from detector.model.incident import Behind
from detector.store.snapshot import decode, encode
from tests.engine.story import START_NS, Story, assigned, pipeline, told

MARKETS = ("BTC-PERP", "ETH-PERP", "X-PERP", "Y-PERP", "Z-PERP")
CALENDAR = Calendar(
    [
        Phase("funding", START_NS + 78 * 10**9, 4 * 10**9, markets=("ETH-PERP", "Y-PERP")),
        Phase("upgrade", START_NS + 60 * 10**9, 5 * 10**9, markets=("Z-PERP",), closed=True),
    ]
)


def limits_of(orders_max: int) -> Limits:
    return Limits(orders_max=orders_max, levels_max=24, makers_max=2, participants_per_market_max=12)


TIGHT = limits_of(60)


def story(seed: int) -> Story:
    """Two bursts and a rush to higher leverage, after an ordinary minute."""
    made = Story(seed, markets=MARKETS).busy(79, rate=20)
    for number in range(30):
        made.burst("ETH-PERP", 80.0 + number / 15, 20, f"b{number}").burst("Z-PERP", 80.6, 10, f"b{number}")
    for number in range(60):
        made.say("X-PERP", 81.5 + number / 60, type="leverage", account=f"n{number}", leverage=50, notional=90_000)
    return made.busy(25, 83, rate=20)


def run(
    the_story: Story, parts: int, sizes: list[int], limits: Limits | None = None, calendar: Calendar | None = None
) -> tuple[list[bytes], dict[tuple[int, str], bytes], Counter[str]]:
    engine = assigned(pipeline(limits, parts=parts, calendar=calendar), the_story)
    steps = [engine.step([batch]) for batch in the_story.batches(sizes)]
    steps.append(engine.finish())
    counts: Counter[str] = Counter()
    for step in steps:
        counts.update(step.counts)
    return *told(steps), counts


def test_the_story_has_incidents_in_it_and_tight_limits_are_reached() -> None:
    alerts, _, _ = run(story(1), 1, [200])
    assert any(b"leverage_spike" in alert for alert in alerts), "without an alert nothing is compared"
    _, _, counts = run(story(1), 1, [200], TIGHT)
    assert counts["orders_full"] > 0 and counts["unknown_order"] > 0 and counts["late"] > 0
    _, _, counts = run(story(1), 1, [200], limits_of(280))
    assert counts["levels_full"] > 0 and counts["participants_full"] > 0


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    parts=st.integers(2, 6),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=5),
    calendar=st.sampled_from([None, CALENDAR]),
)
def test_any_number_of_parts_tells_the_same(seed: int, parts: int, sizes: list[int], calendar: Calendar | None) -> None:
    the_story = story(seed)
    assert run(the_story, parts, sizes, calendar=calendar) == run(the_story, 1, [200], calendar=calendar)


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    parts=st.integers(2, 4),
    orders_max=st.sampled_from([1, 60, 280, 400]),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=5),
)
def test_limits_are_reached_at_the_same_event(seed: int, parts: int, orders_max: int, sizes: list[int]) -> None:
    the_story = story(seed)
    assert run(the_story, parts, sizes, limits_of(orders_max)) == run(the_story, 1, sizes, limits_of(orders_max))


def test_what_is_said_of_a_market_is_its_own_parts() -> None:
    the_story = story(3)
    whole, split = (assigned(pipeline(parts=parts), the_story) for parts in (1, 3))
    for batch in the_story.batches([300]):
        whole.step([batch])
        split.step([batch])
    one, many = whole.shard, split.shard
    assert isinstance(one, Shard) and isinstance(many, Shards) and one.markets == many.markets
    learn = np.array([True, False, False, True, False])
    one.freeze(7, learn)
    many.freeze(7, learn)
    row = (7 + one.ring) % (2 * one.ring)
    for market in range(len(MARKETS)):
        part, place = many.parts[market % 3], market // 3
        assert part.markets[place] == one.markets[market]
        assert part.tables.frozen[row, place] == one.tables.frozen[row, market] == (not learn[market])
        assert many.feeds(market) == one.feeds(market)
        at_ns = START_NS + 90 * 10**9
        for behind in get_args(Behind):
            assert many.contributors(market, behind, at_ns) == one.contributors(market, behind, at_ns)


def test_an_event_time_that_begins_again_is_the_same_in_parts() -> None:
    the_story = Story(7, markets=MARKETS, partitions=1).busy(40, rate=60, start_s=500).busy(60, rate=60)
    whole = run(the_story, 1, [500])
    assert run(the_story, 3, [500]) == whole
    assert len(whole[1]) > 400, "it stepped back"


def test_no_market_is_late_for_having_been_further_before_event_time_began_again() -> None:
    the_story = Story(7, markets=MARKETS, partitions=1).busy(40, rate=60, start_s=500).busy(60, rate=60)
    engine = assigned(pipeline(parts=1), the_story)
    for batch in the_story.batches([500]):
        engine.step([batch])
    assert isinstance(engine.shard, Shard)
    known = engine.shard.tables.markets[: len(engine.shard.markets)]
    assert (known["newest_ns"] < START_NS + 200 * 10**9).all(), "or every message would be late until then"


def test_a_state_is_gone_on_from_by_as_many_parts_alone() -> None:
    the_story = story(4)
    batches = list(the_story.batches([150]))
    engine = assigned(pipeline(parts=3), the_story)
    steps = [engine.step([batch]) for batch in batches[:10]]
    twin = assigned(pipeline(parts=3), the_story)
    twin.restore(decode(encode(engine.state())))
    assert encode(twin.shard.state()) == encode(engine.shard.state())
    assert isinstance(twin.shard, Shards) and twin.shard.markets == engine.shard.markets
    assert twin.shard.counts() == engine.shard.counts() and steps
    for other in (2, 4):
        with pytest.raises(ValueError, match=f"not that of {other} workers"):
            pipeline(parts=other).restore(decode(encode(engine.state())))

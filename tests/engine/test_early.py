"""Early looks: a burst beyond doubt is told before its window ends, and never one that its window's close takes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.pipeline import Pipeline
from detector.engine.step import Step
from detector.model.incident import Incident, Reason, Severity
from detector.store.snapshot import decode, encode
from replay.exchange import Exchange
from replay.feed import batches
from replay.scenario import Draw, MarketSpec, Planted, Scenario
from tests.engine.story import START_NS, Story, assigned, pipeline, told
from tests.engine.test_laws import after

SECOND_NS = 1_000_000_000
EARLY_NS = 100_000_000
BURST = "ETH-PERP"


def story(seed: int, at_s: float = 80.03, cancels: int = 300) -> Story:
    """A burst in the middle of ordinary life, and nothing else that is told as critical."""
    made = Story(seed).busy(80).burst(BURST, at_s, cancels, every_s=0.0005).busy(15, 80)
    made.messages = [(partition, message) for partition, message in made.messages if message["type"] != "leverage"]
    return made


def steps(the_story: Story, early_ns: int = EARLY_NS, sizes: Sequence[int] = (50,)) -> list[Step]:
    engine = assigned(pipeline(early_ns=early_ns), the_story)
    return [*(engine.step([batch]) for batch in the_story.batches(sizes)), engine.finish()]


def incidents(run: Sequence[Step]) -> list[Incident]:
    return [incident for step in run for incident in step.incidents]


def early(run: Sequence[Step]) -> list[Incident]:
    """Told at an instant that is no window's end."""
    return [incident for incident in incidents(run) if incident.updated_ns % SECOND_NS]


def burst_told_after(run: Sequence[Step]) -> int:
    """Steps until the burst's market was told as critical because of it."""
    for number, step in enumerate(run):
        for incident in step.incidents:
            named = any(row.market == BURST and row.detector == "cancel_burst" for row in incident.evidence)
            if named and incident.severity == Severity.CRITICAL:
                return number
    raise AssertionError("the burst was not told")


@pytest.mark.parametrize(("seed", "part"), [(1, 3), (2, 20), (3, 30), (4, 70), (5, 96)])
def test_a_burst_is_told_sooner_with_early_looks_and_never_later(seed: int, part: int) -> None:
    the_story = story(seed, 80.0 + part / 100)
    with_looks = burst_told_after(steps(the_story, sizes=(8,)))
    without = burst_told_after(steps(the_story, 0, sizes=(8,)))
    assert with_looks <= without
    if part < 40:  # later ones may fall just before an earlier window closes
        assert with_looks < without


def test_an_early_alert_says_what_was_seen_and_its_shares_add_up() -> None:
    (first,) = [incident for incident in early(steps(story(5))) if incident.reason is not Reason.UPDATED]
    rows = [row for row in first.evidence if row.detector == "cancel_burst"]
    assert first.severity == Severity.CRITICAL
    assert sum(row.share for row in rows) == pytest.approx(1.0, abs=1e-9)
    assert rows[0].observed > 5 * max(rows[0].expected, 0.1)
    assert first.detected_ns <= first.updated_ns < START_NS + 81 * SECOND_NS
    assert first.started_ns % SECOND_NS == 0


def test_the_close_finds_the_incident_open_and_does_not_open_another() -> None:
    run = steps(story(8))
    bursts = [incident for incident in incidents(run) if "cancel_burst" in incident.detectors]
    assert [incident.reason for incident in bursts][:1] == [Reason.OPENED]
    assert len({incident.incident_id for incident in bursts}) == 1
    assert bursts[0].updated_ns % SECOND_NS


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_with_early_alerts_records_may_be_cut_into_any_chunks(seed: int, sizes: list[int]) -> None:
    the_story = story(seed)
    whole = steps(the_story)
    assert early(whole), "without an early alert the law compares nothing"
    assert told(steps(the_story, sizes=sizes)) == told(whole)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), shuffle=st.randoms(use_true_random=False))
def test_with_early_alerts_partitions_may_come_in_any_interleaving(seed: int, shuffle: object) -> None:
    the_story = story(seed)
    made = list(the_story.batches([30]))
    queues = {p: [batch for batch in made if batch.partition == p] for p in range(the_story.partitions)}
    order = [batch.partition for batch in made]
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    engine = assigned(pipeline(), the_story)
    mixed = [engine.step([queues[p].pop(0)]) for p in order]
    assert told([*mixed, engine.finish()]) == told(steps(the_story))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), back=st.integers(1, 40))
def test_a_restart_inside_a_window_tells_the_same(seed: int, back: int) -> None:
    the_story = story(seed)
    made = list(the_story.batches([12]))
    whole = steps(the_story)
    cut = burst_told_after(steps(the_story, sizes=[12])) - back // 4
    engine: Pipeline = assigned(pipeline(), the_story)
    run = []
    for number, batch in enumerate(made):
        run.append(engine.step([batch]))
        if number in (cut, cut + back % 4):
            positions = dict(engine.positions())
            saved = encode(engine.state())
            engine = assigned(pipeline(), the_story)
            engine.restore(decode(saved))
            again = [part for b in made[: number + 1] if (part := after(b, positions)) is not None]
            run.extend(engine.step([part]) for part in again)
    run.append(engine.finish())
    assert told(run) == told(whole)


def test_without_anything_beyond_doubt_early_looks_change_nothing() -> None:
    calm = Story(11).busy(120)
    assert told(steps(calm)) == told(steps(calm, 0))


def swept(seed: int, back: int, *, anew: bool) -> Story:
    """A robot's orders have stood for a while. It takes `back` of them back just before a look, and the rest after it;
    and lays all of them anew, or none."""
    made = Story(seed, partitions=1).busy(60)

    def say(at_s: float, **fields: object) -> None:
        told_ns = START_NS + int(at_s * 1e9)
        made.messages.append((0, {"ts": told_ns, "market": BURST, "account": "robot", **fields}))

    def lay(at_s: float, generation: str) -> None:
        for i in range(60):
            side, price = ("buy", 99.0 - i / 100) if i % 2 else ("sell", 101.0 + i / 100)
            say(at_s + i * 1e-5, type="order", order_id=f"{generation}{i}", side=side, price=price, qty=1)

    lay(60.0, "old")
    made.busy(20, 60)
    for i in range(60):
        say(80.3 + (i - back) * 1e-5, type="cancel", order_id=f"old{i}")
    if anew:
        lay(80.31, "new")
    return made.busy(15, 80)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("back", [60, 40])
def test_a_look_between_what_is_taken_back_and_what_is_laid_anew_tells_nothing(seed: int, back: int) -> None:
    def unusual(anew: bool) -> tuple[list[Incident], bool]:
        """What was told of the sweep before its window closed, and whether the close finds it worth a page."""
        run = steps(swept(seed, back, anew=anew))
        close_ns = START_NS + 81 * SECOND_NS
        one = next(one for step in run for one in step.scored if one.windows.close_ns == close_ns)
        score = next(score for score in one.scores if score.detector == "cancel_burst")
        row = one.windows.markets.index(BURST)
        soon = [one for one in early(run) if close_ns - SECOND_NS < one.updated_ns < close_ns and BURST in one.markets]
        return soon, bool(score.values[row] >= score.levels[1, row])

    assert unusual(anew=True) == ([], False)
    assert unusual(anew=False) == ([], True)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), cancels=st.integers(10, 120), part=st.integers(0, 99))
def test_what_is_told_early_stands_at_its_windows_close(seed: int, cancels: int, part: int) -> None:
    assert_closes_bear_out(steps(story(seed, 80.0 + part / 100, cancels)))


@pytest.mark.parametrize("seed", [21, 22])
def test_what_is_told_early_on_the_simulated_exchange_stands_at_its_windows_close(seed: int) -> None:
    """Bursts, and confounders as large as they: news, rushes, halts, gaps, disorder."""
    markets = tuple(MarketSpec(f"M{i}-PERP", 100.0, rate) for i, rate in enumerate((8.0, 20.0, 60.0, 150.0)))
    bursts = [
        Planted("cancel_burst", 200.0 + 60.37 * i, (f"M{i % 4}-PERP",), 60.0, 0.0, 4.0, (1, 5)[i % 2])
        for i in range(16)
    ]
    confounders = Draw(0.0, 200.0, (), ("news", "burst", "halt", "gap", "disorder"), 100.0)
    scenario = Scenario("early", markets, 1200.0, planted=tuple(bursts), draw=confounders)
    engine = pipeline()
    run = [engine.step([batch]) for batch in batches(Exchange(scenario, seed), "m")]
    run.append(engine.finish())
    assert len(early(run)) >= 3, "without early alerts the law says nothing"
    assert_closes_bear_out(run)


def assert_closes_bear_out(run: Sequence[Step]) -> None:
    """Every market that an early alert brought in scores at warning or above when the window closes."""
    scored = {one.windows.close_ns: one for step in run for one in step.scored}
    for incident in early(run):
        close_ns = -(-incident.updated_ns // SECOND_NS) * SECOND_NS
        if close_ns not in scored:
            continue  # the story ended
        for moment in incident.timeline:
            if moment.at_ns == incident.updated_ns:
                one = scored[close_ns]
                score = next(score for score in one.scores if score.detector == moment.detector)
                row = one.windows.markets.index(moment.market)
                assert score.values[row] >= score.levels[1, row], (moment, score.values[row], score.levels[:, row])
                assert not np.isnan(score.values[row])


@pytest.mark.parametrize("sizes", [(7,), (300, 20)])
def test_several_topics_are_looked_into_in_one_order_of_time(sizes: tuple[int, ...]) -> None:
    the_story = story(31)

    def run(cuts: Sequence[int]) -> list[Step]:
        engine = pipeline()
        engine.assign([(f"m{p}", 0) for p in range(the_story.partitions)])
        made = [replace(batch, topic=f"m{batch.partition}", partition=0) for batch in the_story.batches(cuts)]
        return [*(engine.step([batch]) for batch in made), engine.finish()]

    whole = run([50])
    assert early(whole)
    assert told(run(sizes)) == told(whole)

"""Wrong clocks: some wild records blind nothing, however the log is cut, wherever it is taken up again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from detector.engine.lane import BACK_RECORDS, BEHIND_NS, LEAP_RECORDS
from detector.engine.pipeline import Pipeline
from detector.model.records import RecordBatch, idle, pack
from detector.store.snapshot import decode, encode
from tests.engine.story import START_NS, pipeline, told
from tests.engine.test_laws import after

S = 10**9
YEAR = 365 * 86_400 * S
HERE, THERE = ("m", 0), ("m", 1)
WILD = st.lists(  # (after so many records, so many wild ones, so far ahead or behind in s)
    st.tuples(
        st.integers(0, 700),
        st.sampled_from([1, 2, 3, LEAP_RECORDS - 1, LEAP_RECORDS, 40, BACK_RECORDS, 300]),
        st.sampled_from([-YEAR // S, -600, -70, 4, 6, 600, YEAR // S]),
    ),
    max_size=3,
)
HEALTHY_MAX = 900


def healthy(count: int, every_ns: int = S // 10) -> list[int]:
    return [START_NS + i * every_ns for i in range(count)]


def wild(times: list[int], bursts: Iterable[tuple[int, int, int]]) -> list[int]:
    """The healthy times, with bursts of wild ones between them."""
    for at, count, away_s in sorted(bursts, reverse=True):
        place = min(at, len(times) - 1)
        times = times[:place] + [times[place] + away_s * S + i for i in range(count)] + times[place:]
    return times


def records(partition: int, times: Sequence[int], first: int = 0, stamps: Sequence[int] | None = None) -> RecordBatch:
    order = {"type": "order", "market": f"M{partition}", "side": "buy", "price": "100.5", "qty": "1", "account": "a"}
    values = [json.dumps(order | {"ts": ns, "order_id": f"o{first + i}"}).encode() for i, ns in enumerate(times)]
    return pack("m", partition, values, range(first, first + len(times)), stamps)


def cut(times: Sequence[int], sizes: Sequence[int], partition: int = 0) -> list[RecordBatch]:
    batches, at = [], 0
    while at < len(times):
        size = sizes[len(batches) % len(sizes)]
        batches.append(records(partition, times[at : at + size], at))
        at += size
    return batches


def engine(*partitions: tuple[str, int]) -> Pipeline:
    made = pipeline(early_ns=0)
    made.assign(partitions or (HERE,))
    return made


def counted(steps: Sequence[object], name: str) -> int:
    return sum(step.counts.get(name, 0) for step in steps)  # type: ignore[attr-defined]


@settings(max_examples=6, deadline=None)
@given(bursts=WILD, sizes=st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_a_log_with_wild_records_may_be_cut_into_any_chunks(
    bursts: list[tuple[int, int, int]], sizes: list[int]
) -> None:
    times = wild(healthy(HEALTHY_MAX), bursts)
    whole, pieces = engine(), engine()
    one = [whole.step([records(0, times)]), whole.finish()]
    many = [*(pieces.step([batch]) for batch in cut(times, sizes)), pieces.finish()]
    assert told(many) == told(one)
    for name in ("events", "late", "skewed", "stepped_back"):
        assert counted(many, name) == counted(one, name), name


@settings(max_examples=6, deadline=None)
@given(bursts=WILD, cuts=st.lists(st.integers(0, 30), min_size=1, max_size=4), both=st.booleans())
def test_a_restart_among_wild_records_changes_nothing(
    bursts: list[tuple[int, int, int]], cuts: list[int], both: bool
) -> None:
    places = (HERE, THERE) if both else (HERE,)
    here, there = cut(wild(healthy(HEALTHY_MAX), bursts), [43]), cut(healthy(HEALTHY_MAX), [43], 1)
    batches = [b for pair in zip(here, there, strict=False) for b in pair] if both else here
    whole = engine(*places)
    uninterrupted = [*(whole.step([batch]) for batch in batches), whole.finish()]
    broken, steps = engine(*places), []
    for number, batch in enumerate(batches):
        steps.append(broken.step([batch]))
        if number in cuts:
            positions, saved = dict(broken.positions()), encode(broken.state())
            broken = engine(*places)
            broken.restore(decode(saved))
            again = [part for b in batches[: number + 1] if (part := after(b, positions)) is not None]
            steps.extend(broken.step([part]) for part in again)
    steps.append(broken.finish())
    assert told(steps) == told(uninterrupted)


@settings(max_examples=10, deadline=None)
@given(bursts=WILD, both=st.booleans(), every_s=st.sampled_from([0.05, 1.0, 7.0]))
def test_after_wild_records_a_healthy_log_is_scored_again_within_so_many(
    bursts: list[tuple[int, int, int]], both: bool, every_s: float
) -> None:
    places = (HERE, THERE) if both else (HERE,)
    every_ns = int(every_s * S)
    times = wild(healthy(60, every_ns), bursts)
    after_ns = START_NS + 60 * every_ns
    bound = BACK_RECORDS + 2 * LEAP_RECORDS + BEHIND_NS // every_ns  # and what is not far enough behind to ask about
    healed = [after_ns + i * every_ns for i in range(bound + 200)]
    made = engine(*places)
    beside = cut(healthy(60 + bound + 200, every_ns), [60], 1) if both else []
    for at, batch in enumerate(cut(times, [60])):
        made.step([batch, *beside[at : at + 1]])
    made.step([records(0, healed[:bound], len(times)), *beside[len(times) // 60 + 1 :]])
    step = made.step([records(0, healed[bound:], len(times) + bound)])
    # the first record of all is believed, and so are many that agree: beside others they may have closed windows
    believed = any(at == 0 for at, _, _ in bursts) or sum(count for _, count, _ in bursts) >= LEAP_RECORDS
    assert step.counts.get("events", 0) >= 150
    assert not step.counts.get("late", 0) or (both and believed)
    assert made.watermark_ns > healed[-1] - (LEAP_RECORDS + 2) * max(every_ns, S)
    lane = made._lanes[HERE]
    assert abs(lane.clock_ns - healed[-1]) <= LEAP_RECORDS * every_ns and lane.rows <= LEAP_RECORDS + 2


def test_silence_does_not_bear_out_a_leap() -> None:
    made = engine(HERE, THERE)
    made.step([records(0, healthy(600)), records(1, healthy(600))])
    made.step([records(0, [START_NS + YEAR], 600)])
    last_ns = made.event_ns(HERE)
    assert last_ns < START_NS + 60 * S
    for second in range(1, 30):
        made.step([idle(*HERE, 601, last_ns + second * S), records(1, [START_NS + (60 + second) * S], 599 + second)])
    assert START_NS + 85 * S < made.watermark_ns < START_NS + 90 * S, "nor does it hold up the others"
    step = made.step([records(0, [START_NS + 90 * S, START_NS + 91 * S], 601), records(1, [START_NS + 92 * S], 629)])
    assert step.counts["skewed"] == 1
    assert START_NS + 90 * S <= made.watermark_ns < START_NS + 92 * S


def test_a_slow_partition_after_a_pause_is_believed_when_two_agree_and_silence_follows() -> None:
    made = engine()
    made.step([records(0, healthy(100))])
    made.step([records(0, [START_NS + 700 * S, START_NS + 710 * S], 100)])
    assert made.event_ns(HERE) < START_NS + 20 * S
    made.step([idle(*HERE, 102, START_NS + 12 * S)])
    assert made.event_ns(HERE) == START_NS + 700 * S, "the last one stands alone again"
    made.step([idle(*HERE, 102, START_NS + 705 * S)])
    assert made.event_ns(HERE) == START_NS + 710 * S, "and is no leap from where silence has come to"
    made.step([idle(*HERE, 102, START_NS + 720 * S)])
    made.step([records(0, [START_NS + 724 * S], 102)])
    made.step([idle(*HERE, 103, START_NS + 725 * S)])
    assert made.event_ns(HERE) == START_NS + 724 * S, "no leap from where silence had brought it"


def test_a_clock_that_the_logs_own_time_denies_moves_nobody_elses() -> None:
    """A gateway ten minutes ahead for longer than anybody would count, and a broker that knows better."""
    made = engine()
    times = healthy(1000)
    gateway = [ns + 600 * S if 200 <= i < 800 else ns for i, ns in enumerate(times)]
    step = made.step([records(0, gateway, stamps=[ns + 20_000_000 for ns in times])])
    assert step.counts["skewed"] == 600 and not step.counts.get("late", 0)
    assert made.watermark_ns >= times[-1] - 2 * S


def test_a_log_whose_own_time_is_of_another_day_is_not_asked() -> None:
    times = wild(healthy(500), [(100, 2, 3600), (300, 1, YEAR // S)])
    for stamps in ([1_000_000 + i for i in range(len(times))], [START_NS + 9 * YEAR] * len(times)):
        made = engine()
        step = made.step([records(0, times, stamps=stamps)])
        assert step.counts["skewed"] == 3 and not step.counts.get("late", 0)


def test_one_market_far_ahead_of_another_in_the_same_partition_does_not_make_that_late() -> None:
    times = [t + 10 * S if i % 12 in (4, 5) else t for i, t in enumerate(healthy(1200))]
    step = engine().step([records(0, times)])
    assert step.counts["skewed"] == 200 and not step.counts.get("late", 0)


def test_one_market_too_little_ahead_to_be_doubted_makes_others_late_and_that_is_told_once() -> None:
    ahead = [t + 4 * S if i % 12 == 4 and 300 <= i < 1500 else t for i, t in enumerate(healthy(2700))]
    made, steps = engine(), []
    for number, batch in enumerate(cut(ahead, [90])):
        steps.append(made.step([batch]))
        if number == 10:
            saved = encode(made.state())
            made = engine()
            made.restore(decode(saved))
    words = [alert for step in steps for alert in step.alerts if "degraded_clock_late" in alert.key]
    assert [alert.data["status"] for alert in words] == ["firing", "resolved"]
    assert len({alert.data["incident_id"] for alert in words}) == 1 and len({alert.key for alert in words}) == 2


def test_event_time_that_goes_back_is_told() -> None:
    made = engine(HERE, THERE)
    wrong = [START_NS + 60 * S + YEAR + i for i in range(40)]
    back = [START_NS + 60 * S + i * S // 10 for i in range(BACK_RECORDS)]
    made.step([records(0, healthy(600)), records(1, healthy(600))])
    made.step([records(0, wrong, 600)])
    step = made.step([records(0, back, 640), records(1, back, 600)])
    assert step.counts["skewed"] == 40 and step.counts["stepped_back"] == 1 and not step.counts.get("late", 0)
    assert step.counts["events"] >= 2 * BACK_RECORDS, "and no event is lost"
    word, over = (alert for alert in step.alerts if "degraded_clock_back" in alert.key)
    assert (word.type, word.data["severity"], word.data["status"]) == ("foreshock.degraded", "warning", "firing")
    assert (over.data["status"], over.data["incident_id"]) == ("resolved", word.data["incident_id"])
    assert f"{YEAR // S} s" in str(word.data["summary"])


def test_a_state_of_before_clocks_were_watched_is_gone_on_from() -> None:
    made = engine()
    made.step([records(0, wild(healthy(300), [(100, 2, 3600)]))])
    state = decode(encode(made.state()))
    del state["lateness"]
    for lane in state["lanes"]:  # type: ignore[union-attr]
        del lane["skewed"]  # type: ignore[union-attr,index,arg-type,call-overload]
    twin = engine()
    twin.restore(state)
    step = twin.step([records(0, [START_NS + 31 * S], 302)])
    assert "skewed" not in step.counts and twin.watermark_ns == START_NS + 30 * S

"""Delivery: everything arrives, in its incident's order, however the other side behaves; and waits where it must."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.daemon.circuit import BACKOFF_MAX_S, FAILURES_MAX, Circuit, Mood, backoff_s
from detector.daemon.delivery import Delivery, DeliverySettings
from detector.daemon.telemetry import Telemetry
from detector.sinks.base import Delivery as Result
from detector.sinks.base import Outcome, Parcel, Sink
from detector.store.rows import GivenUp, Letter
from detector.store.store import Store, StoreSettings
from tests.daemon.story import Remembering, alert, data_of

QUICK = DeliverySettings(look_every_s=0.01, backoff_min_s=0.01, backoff_max_s=0.05, count_every_s=0.05)
LOST = Outcome(Result.RETRY, "503")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path, StoreSettings(ballast_bytes=0))
    yield opened
    await opened.close()


def letters(names: Sequence[str], destination: str = "oncall", severity: str = "warning") -> list[Letter]:
    """'a1' is the first transition of incident inc_a."""
    return [
        Letter(f"inc_{name[0]}_{name[1:]}", destination, f"inc_{name[0]}", int(name[1:]), severity,
               alert(f"inc_{name[0]}", int(name[1:])).body())
        for name in names
    ]  # fmt: skip


async def delivering(
    store: Store,
    *sinks: Sink,
    clock: Clock | None = None,
    steady: Clock | None = None,
    settings: DeliverySettings = QUICK,
    trouble: Callable[[str, str], None] | None = None,
) -> Delivery:
    delivery = Delivery(
        store, sinks, Telemetry(), settings, random=Random(7), trouble=trouble,
        clock=clock or time.time, steady=steady or clock or time.monotonic,
    )  # fmt: skip
    await delivery.start()
    return delivery


async def until(done: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110  a test looks from outside
            await asyncio.sleep(0.002)


async def test_order_in_an_incident_survives_every_failure(store: Store) -> None:
    dice = Random(11)
    sink = Remembering(
        "oncall", lambda parcel: LOST if dice.random() < 0.5 else Outcome(Result.DELIVERED), pause_s=0.001
    )
    names = [f"{incident}{seq}" for seq in range(1, 6) for incident in "abcdefgh"]
    delivery = await delivering(store, sink)
    await store.put(letters(names), time.time())
    delivery.wake()
    await until(lambda: len(sink.got) == len(names))
    assert await delivery.stop(1.0)
    for incident in "abcdefgh":
        assert [key for key in sink.got if key.startswith(f"inc_{incident}")] == [
            f"inc_{incident}_{n}" for n in range(1, 6)
        ]
    assert (await store.outbox_counts())["oncall"].delivered == len(names)


async def test_at_most_so_many_at_once_and_never_two_of_one_incident(store: Store) -> None:
    busy: Counter[str] = Counter()
    worst: Counter[str] = Counter()

    class Counting(Remembering):
        async def send(self, parcel: Parcel) -> Outcome:
            busy[parcel.incident_id] += 1
            worst[parcel.incident_id] = max(worst[parcel.incident_id], busy[parcel.incident_id])
            outcome = await super().send(parcel)
            busy[parcel.incident_id] -= 1
            return outcome

    sink = Counting("oncall", pause_s=0.003)
    await store.put(letters([f"{incident}{seq}" for incident in "abcdefgh" for seq in (1, 2, 3)]), time.time())
    delivery = await delivering(store, sink)
    await until(lambda: len(sink.got) == 24)
    await delivery.stop(1.0)
    assert sink.most_at_once == QUICK.concurrency and set(worst.values()) == {1}
    assert len(sink.attempts) == 24, "something was sent twice without need"


async def test_critical_overtakes_a_queue_of_lesser_ones(store: Store) -> None:
    sink = Remembering("oncall", pause_s=0.01)
    one = DeliverySettings(look_every_s=0.01, concurrency=1)
    await store.put(letters([f"{incident}1" for incident in "abcdefghij"]), time.time())
    delivery = await delivering(store, sink, settings=one)
    await until(lambda: len(sink.got) == 2)
    await store.put(letters(["z1"], severity="critical"), time.time())
    delivery.wake()
    await until(lambda: "inc_z_1" in sink.got)
    assert sink.got.index("inc_z_1") <= 4
    await delivery.stop(1.0)


async def test_a_slow_destination_delays_no_other(store: Store) -> None:
    slow, fast = Remembering("slow", pause_s=3600.0), Remembering("fast")
    await store.put(letters(["a1", "b1"], "slow") + letters(["a1", "b1"], "fast"), time.time())
    delivery = await delivering(store, slow, fast)
    await until(lambda: len(fast.got) == 2)
    assert not await delivery.stop(0.05)
    assert (await store.outbox_counts())["slow"].pending == 2, "what was cut off must wait for the next start"


async def test_a_late_letter_says_so_and_a_fresh_one_does_not(store: Store) -> None:
    clock = Clock()
    sink = Remembering("oncall")
    await store.put(letters(["a1"]), clock.now_s - 61.0)
    await store.put(letters(["b1"]), clock.now_s - 4.0)
    delivery = await delivering(store, sink, clock=clock)
    await until(lambda: len(sink.got) == 2)
    await delivery.stop(1.0)
    assert {parcel.key: data_of(parcel)["delayed_by_s"] for parcel in sink.attempts} == {"inc_a_1": 61, "inc_b_1": 0}


async def test_what_a_receiver_refuses_is_dead_and_the_rest_goes_on(store: Store) -> None:
    sink = Remembering(
        "oncall",
        lambda p: Outcome(Result.REJECTED, "answered 400") if p.key == "inc_a_1" else Outcome(Result.DELIVERED),
    )
    told: list[tuple[str, str]] = []
    lost: list[tuple[str, list[GivenUp]]] = []
    await store.put(letters(["a1", "a2", "b1"], severity="critical"), time.time())
    delivery = await delivering(store, sink, trouble=lambda name, why: told.append((name, why)))
    delivery.lost = lambda name, given_up: lost.append((name, list(given_up)))
    await until(lambda: len(sink.got) == 2 and lost)
    await delivery.stop(1.0)
    (dead,) = await store.outbox_list(("dead",))
    assert (dead.key, dead.why) == ("inc_a_1", "answered 400")
    assert told == [], "it answers"
    assert lost == [("oncall", [GivenUp("oncall", "inc_a", "critical", "answered 400")])]


async def test_gone_means_nothing_more_is_sent_and_nothing_is_lost(store: Store) -> None:
    sink = Remembering("oncall", lambda p: Outcome(Result.REJECTED, "gone"))
    one = DeliverySettings(look_every_s=0.01, concurrency=1)
    await store.put(letters(["a1", "b1", "c1"]), time.time())
    delivery = await delivering(store, sink, settings=one)
    await until(lambda: delivery.standings()[0].mood == Mood.OFF)
    await asyncio.sleep(0.1)
    assert await delivery.stop(0.5), "a destination that is off does not hold up the stop"
    assert len(sink.attempts) == 1
    count = (await store.outbox_counts())["oncall"]
    assert (count.pending, count.dead) == (2, 1)


async def test_retry_after_holds_for_the_whole_destination(store: Store) -> None:
    clock = Clock()
    answers = [Outcome(Result.RETRY, "429", 30.0)]
    sink = Remembering("oncall", lambda p: answers.pop() if answers else Outcome(Result.DELIVERED))
    one = DeliverySettings(look_every_s=0.01, concurrency=1)
    await store.put(letters(["a1", "b1"]), clock.now_s)
    delivery = await delivering(store, sink, clock=clock, settings=one)
    await until(lambda: not answers)
    clock.now_s += 29.0
    await asyncio.sleep(0.1)
    assert len(sink.attempts) == 1
    clock.now_s += 1.5
    await until(lambda: len(sink.got) == 2)
    await delivery.stop(1.0)


async def test_a_clock_that_is_set_back_makes_no_wait_longer(store: Store) -> None:
    clock, steady = Clock(), Clock()
    answers = [Outcome(Result.RETRY, "429", 30.0)]
    sink = Remembering("oncall", lambda p: answers.pop() if answers else Outcome(Result.DELIVERED))
    await store.put(letters(["a1"]), clock.now_s)
    delivery = await delivering(store, sink, clock=clock, steady=steady)
    await until(lambda: not answers)
    await asyncio.sleep(0.05)
    clock.now_s -= 3600.0
    steady.now_s += 29.0
    await asyncio.sleep(0.1)
    assert len(sink.attempts) == 1, "the receiver asked for 30 s"
    steady.now_s += 1.5
    await until(lambda: sink.got)
    await delivery.stop(1.0)


@pytest.mark.parametrize("step_s", [8 * 86_400.0, -8 * 86_400.0])
async def test_a_clock_that_is_set_expires_no_letter_and_forgets_none(store: Store, step_s: float) -> None:
    """A letter waits through an outage of its destination, and somebody sets the clock by more than a week."""
    clock, steady, up = Clock(), Clock(), [False]
    sink = Remembering("oncall", lambda p: Outcome(Result.DELIVERED) if up[0] or p.key == "inc_z_1" else LOST)
    quick = DeliverySettings(look_every_s=0.01, count_every_s=0.01, tidy_every_s=0.0)
    await store.put(letters(["a1", "z1"]), clock.now_s)
    delivery = await delivering(store, sink, clock=clock, steady=steady, settings=quick)
    await until(lambda: len(sink.attempts) >= 2)
    await asyncio.sleep(0.05)
    clock.now_s += step_s
    await asyncio.sleep(0.1)
    count = (await store.outbox_counts())["oncall"]
    assert (count.pending, count.delivered, count.dead) == (1, 1, 0)
    assert abs(count.oldest_s - clock.now_s) < 60.0, "as old as it was"
    up[0] = True
    steady.now_s += BACKOFF_MAX_S
    clock.now_s += BACKOFF_MAX_S
    await until(lambda: "inc_a_1" in sink.got)
    assert await store.put(letters(["z1"]), clock.now_s) == 0, "what was delivered is still known"
    await delivery.stop(1.0)


async def test_a_dead_destination_is_left_alone_probed_by_one_and_then_flooded_no_more(store: Store) -> None:
    clock = Clock()
    up = [False]
    told: list[str] = []
    sink = Remembering("oncall", lambda p: Outcome(Result.DELIVERED) if up[0] else LOST)
    names = [f"{incident}1" for incident in "abcdefghijklmnopqrst"]
    await store.put(letters(names), clock.now_s)
    delivery = await delivering(
        store,
        sink,
        clock=clock,
        settings=DeliverySettings(look_every_s=0.01),
        trouble=lambda name, why: told.append(why),
    )
    await until(lambda: delivery.standings()[0].mood == Mood.OPEN)
    first = len(sink.attempts)
    assert first <= FAILURES_MAX + 3
    for probes in (1, 2, 3):
        clock.now_s += BACKOFF_MAX_S
        await until(lambda probes=probes: len(sink.attempts) == first + probes)  # type: ignore[misc]
        await asyncio.sleep(0.05)
        assert len(sink.attempts) == first + probes, "more than one probe"
    up[0] = True
    clock.now_s += BACKOFF_MAX_S
    await until(lambda: len(sink.got) >= 1)
    clock.now_s += BACKOFF_MAX_S
    await until(lambda: len(sink.got) == len(names))
    await delivery.stop(1.0)
    assert [why[:4] for why in told] == ["503.", ""], "a change is told once"


async def test_a_sink_that_raises_or_hangs_is_one_that_failed(store: Store) -> None:
    calls: list[str] = []

    class Odd(Sink):
        async def send(self, parcel: Parcel) -> Outcome:
            calls.append(parcel.key)
            if len(calls) == 1:
                raise RuntimeError("a bug")
            if len(calls) == 2:
                await asyncio.sleep(3600)
            return Outcome(Result.DELIVERED)

    quick = DeliverySettings(look_every_s=0.01, backoff_min_s=0.01, backoff_max_s=0.02, send_max_s=0.1)
    await store.put(letters(["a1"]), time.time())
    delivery = await delivering(store, Odd("oncall"), settings=quick)
    await until(lambda: len(calls) == 3)
    assert await delivery.stop(2.0)
    assert (await store.outbox_counts())["oncall"].delivered == 1


async def test_stop_drains_what_can_be_sent_within_its_time(store: Store) -> None:
    sink = Remembering("oncall", pause_s=0.005)
    await store.put(letters([f"{incident}{seq}" for incident in "abcdefgh" for seq in (1, 2)]), time.time())
    delivery = await delivering(store, sink)
    assert await delivery.stop(5.0)
    assert len(sink.got) == 16 and sink.closed


async def test_stop_waits_for_no_letter_that_is_not_due(store: Store) -> None:
    clock = Clock()
    sink = Remembering("oncall", lambda p: Outcome(Result.RETRY, "503", 600.0))
    await store.put(letters(["a1"]), clock.now_s)
    delivery = await delivering(store, sink, clock=clock)
    await until(lambda: sink.attempts)
    async with asyncio.timeout(2.0):
        assert await delivery.stop(60.0)


async def test_a_letter_past_its_day_is_dead_and_counted(store: Store) -> None:
    clock = Clock()
    await store.put(letters(["a1"]), clock.now_s - 90_000.0)
    sink = Remembering("oncall", lambda p: LOST)
    delivery = await delivering(store, sink, clock=clock)
    async with asyncio.timeout(5.0):
        while (await store.outbox_counts())["oncall"].dead == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await delivery.stop(0.1)
    assert (await store.outbox_list(("dead",)))[0].why.startswith("expired")


@given(st.integers(1, 60), st.integers())
@settings(max_examples=200)
def test_backoff_is_never_negative_nor_longer_than_its_bound(failures: int, seed: int) -> None:
    assert 0.0 <= backoff_s(failures, Random(seed)) <= min(BACKOFF_MAX_S, 2.0 ** (failures - 1))


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "after"]), st.floats(0, 400)), max_size=60), st.integers())
@settings(max_examples=200)
def test_a_circuit_always_lets_somebody_through_in_the_end_and_heals_at_one_success(
    story: list[tuple[str, float]], seed: int
) -> None:
    circuit, now_s = Circuit(Random(seed)), 0.0
    for what, passed_s in story:
        now_s += passed_s
        if circuit.allows(now_s, 0, 4) == 0:
            continue
        if what == "ok":
            circuit.succeeded()
            assert circuit.mood is Mood.CLOSED and circuit.allows(now_s, 1, 4) == 3
        else:
            circuit.failed(now_s, "503", 900.0 if what == "after" else None)
    assert circuit.allows(now_s + 1_000.0, 0, 4) > 0
    assert circuit.until_s <= now_s + 900.0

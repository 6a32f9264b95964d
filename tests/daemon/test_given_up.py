"""What is given up or waits for nobody is told; a destination in trouble is, however seldom it is tried."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from detector.daemon.delivery import Delivery, DeliverySettings
from detector.daemon.telemetry import Telemetry
from detector.sinks.base import Delivery as Result
from detector.sinks.base import Outcome
from detector.store.rows import GivenUp
from detector.store.store import Store, StoreSettings
from tests.daemon.story import Remembering
from tests.daemon.test_delivery import LOST, QUICK, Clock, delivering, letters, store, until

__all__ = ["store"]


async def test_what_expires_or_does_not_fit_is_told(tmp_path: Path) -> None:
    clock, lost = Clock(), list[GivenUp]()
    store = await Store.open(tmp_path, StoreSettings(ballast_bytes=0, outbox_max=2, letter_ttl_s=100.0))
    sink = Remembering("oncall", lambda p: LOST)
    quick = DeliverySettings(look_every_s=0.01, count_every_s=0.01, tidy_every_s=0.0)
    await store.put(letters(["a1"], severity="critical"), clock.now_s - 200.0)
    await store.put(letters(["b1", "c1", "d1"]), clock.now_s)
    delivery = await delivering(store, sink, clock=clock, settings=quick)
    delivery.lost = lambda name, given_up: lost.extend(given_up)
    await until(lambda: len(lost) == 2)
    await delivery.stop(0.0)
    assert (lost[0].incident_id, lost[0].severity, lost[1].severity) == ("inc_a", "critical", "warning")
    assert lost[0].why.startswith("expired") and lost[1].why == "outbox full"
    await store.close()


async def test_a_letter_that_still_fails_after_a_minute_is_a_trouble_however_rarely_it_is_tried(store: Store) -> None:
    """A receiver that asks for patience again and again fails too seldom to open its circuit."""
    clock, steady, told = Clock(), Clock(), list[tuple[str, str]]()
    sink = Remembering("oncall", lambda p: Outcome(Result.RETRY, "answered 429", 60.0))
    await store.put(letters(["a1"]), clock.now_s)
    delivery = await delivering(
        store, sink, clock=clock, steady=steady, trouble=lambda name, why: told.append((name, why)),
        settings=DeliverySettings(look_every_s=0.01),
    )  # fmt: skip
    await until(lambda: len(sink.attempts) == 1)
    await asyncio.sleep(0.05)
    assert told == []
    clock.now_s, steady.now_s = clock.now_s + 61.0, steady.now_s + 61.0
    await until(lambda: told)
    assert len(sink.attempts) == 2 and told[0][0] == "oncall" and "429" in told[0][1]
    await delivery.stop(0.0)


async def test_letters_of_a_destination_that_is_gone_from_the_configuration_are_told_until_they_are_moved(
    store: Store,
) -> None:
    told: list[tuple[str, str]] = []
    sink = Remembering("oncall")
    await store.put(letters(["a1", "b1"], "pager"), time.time())
    quick = DeliverySettings(look_every_s=0.01, count_every_s=0.01)
    delivery = await delivering(store, sink, settings=quick, trouble=lambda name, why: told.append((name, why)))
    await until(lambda: told)
    await asyncio.sleep(0.05)
    assert [name for name, _ in told] == ["pager"] and "2 alerts wait" in told[0][1]
    assert await store.outbox_move(time.time(), "pager", "oncall") == 2
    await until(lambda: len(sink.got) == 2 and len(told) == 2)
    assert told[1] == ("pager", "")
    await delivery.stop(1.0)


@pytest.mark.parametrize("ill", [True, False])
async def test_what_on_call_believes_to_be_in_trouble_is_well_again_with_the_first_letter(
    store: Store, ill: bool
) -> None:
    told: list[tuple[str, str]] = []
    sink = Remembering("oncall")
    delivery = Delivery(store, [sink], Telemetry(), QUICK, trouble=lambda name, why: told.append((name, why)))
    await delivery.start(["oncall", "gone"] if ill else [])
    await store.put(letters(["a1"]), time.time())
    delivery.wake()
    await until(lambda: sink.got)
    await until(lambda: len(told) == 2 * ill)
    assert sorted(told) == ([("gone", ""), ("oncall", "")] if ill else [])
    await delivery.stop(1.0)

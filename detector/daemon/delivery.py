"""Delivery: from the outbox to the sinks. The only place that waits: backoff, Retry-After, circuit, order, drain.

A letter is seen here only after the transaction that wrote it; it is marked only after the sink has answered. So a
crash between the two sends it again, under the same key, and never loses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import structlog

from detector.daemon.circuit import BACKOFF_MAX_S, BACKOFF_MIN_S, Circuit, Mood, backoff_s
from detector.daemon.telemetry import Telemetry
from detector.sinks.base import Delivery as Result
from detector.sinks.base import Outcome, Parcel, Sink
from detector.store.rows import Entry, GivenUp, OutboxCount, StoreError
from detector.store.store import Store

GONE = "gone"  # what an HTTP sink says of a 410
WAITING = "Alerts wait for it and are sent when it answers; those older than delivery.give_up_after are given up"
TROUBLE_AFTER_S = 60.0  # a letter that still fails when it is so old: its destination is in trouble
CLOCK_SET_S = 5.0  # set by more than this, a letter's wait and its life are not its own any more

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Durations in seconds."""

    concurrency: int = 4  # attempts under way per destination
    heads_max: int = 64  # letters taken from the outbox at a time
    look_every_s: float = 1.0  # also without being woken: a retry may be due, or have been asked for by hand
    backoff_min_s: float = BACKOFF_MIN_S
    backoff_max_s: float = BACKOFF_MAX_S
    delayed_after_s: float = 5.0  # from then on a letter says by how much it is late
    send_max_s: float = 30.0  # a sink that has not answered by then has failed, whatever it believes
    tidy_every_s: float = 60.0
    count_every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one destination, for the page and /readyz."""

    destination: str
    mood: str
    failures: int
    why: str
    under_way: int


class Delivery:
    """`start`, then `wake` after every commit that brought letters; `stop` drains. A letter's times are wall-clock
    seconds, as it outlives the process; a circuit's are monotonic.

    trouble(destination, why)   called once when a destination begins to fail (circuit open, a letter a minute late,
                                410), and once with why = "" when it is well again
    lost(destination, letters)  called with letters that were given up: refused, too old, or more than the outbox holds
    """

    def __init__(
        self,
        store: Store,
        sinks: Sequence[Sink],
        telemetry: Telemetry,
        settings: DeliverySettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        random: Random | None = None,
        trouble: Callable[[str, str], None] | None = None,
        lost: Callable[[str, Sequence[GivenUp]], None] | None = None,
    ) -> None:
        assert len({sink.name for sink in sinks}) == len(sinks), "two destinations have the same name"
        self._store = store
        self._telemetry = telemetry
        self._settings = settings or DeliverySettings()
        self._clock = clock
        self._steady = steady
        self.trouble = trouble
        self.lost = lost
        shared = random or Random()  # noqa: S311  jitter
        self._routes = {sink.name: _Route(self, sink, shared) for sink in sinks}
        self._tasks: list[asyncio.Task[None]] = []
        self._stranded: set[str] = set()
        self.failure: Exception | None = None  # what an attempt of ours died of

    async def start(self, troubled: Collection[str] = ()) -> None:
        """Open the sinks and begin. troubled: destinations that on-call believes to be in trouble."""
        for route in self._routes.values():
            route.troubled = route.sink.name in troubled
        self._stranded = set(troubled) - self._routes.keys()
        for route in self._routes.values():
            await route.sink.start()
        self._tasks = [asyncio.create_task(route.run(), name=name) for name, route in self._routes.items()]
        self._tasks.append(asyncio.create_task(self._keep_house(), name="delivery-house"))

    def wake(self) -> None:
        """New letters are durable."""
        for route in self._routes.values():
            route.wake(refill=True)

    def standings(self) -> tuple[Standing, ...]:
        """By destination."""
        return tuple(route.standing() for route in self._routes.values())

    def check(self) -> None:
        """Raises what a task of ours died of: our own mistake, and the daemon's end."""
        if self.failure is not None:
            raise self.failure
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def send_now(self, parcel: Parcel, destinations: Sequence[str]) -> Mapping[str, Outcome]:
        """One attempt each past the outbox: heartbeats, tests, and alerts the disk does not take."""
        known = [self._routes[name] for name in destinations if name in self._routes]
        outcomes = await asyncio.gather(*(route.attempt(parcel) for route in known))
        return {route.sink.name: outcome for route, outcome in zip(known, outcomes, strict=True)}

    async def stop(self, drain_s: float) -> bool:
        """Send what can be sent within `drain_s`, then close. True: nothing that could be sent is left."""
        deadline = time.monotonic() + drain_s
        self.wake()
        drained = False
        # a look every 20 ms, and not an event: that nothing can be sent is also a matter of time
        while not (drained := all(route.rested() for route in self._routes.values())):
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for route in self._routes.values():
            await route.close()
        return drained

    def give_up(self, destination: str, letters: Sequence[GivenUp]) -> None:
        """Say so: somebody may have been to be woken by them."""
        log.error("alerts given up", destination=destination, letters=len(letters), why=letters[0].why)
        if self.lost is not None:
            self.lost(destination, letters)

    def _tell_stranded(self, counts: Mapping[str, OutboxCount]) -> None:
        """Letters for a destination of an older configuration: nobody sends them."""
        if self.trouble is None:
            return
        waiting = {name: count.pending for name, count in counts.items() if count.pending and name not in self._routes}
        for name in self._stranded - waiting.keys():
            self.trouble(name, "")
        for name, number in waiting.items():
            if name not in self._stranded:
                log.error("alerts wait for a destination that is not configured", destination=name, letters=number)
                self.trouble(name, f"{number} alerts wait for a destination of that name, and none is configured: "
                             f"`foreshock outbox move {name}` gives them to another, `drop` gives them up")  # fmt: skip
        self._stranded = set(waiting)

    async def _keep_house(self) -> None:
        tidy_s, ahead_s = 0.0, self._clock() - self._steady()
        while True:
            with contextlib.suppress(StoreError):  # the service tells of a broken store; here the next turn will do
                now_s = self._clock()
                step_s = now_s - self._steady() - ahead_s
                if abs(step_s) > CLOCK_SET_S:
                    log.warning("the clock was set; letters that wait are due now", ahead_s=round(step_s))
                    await self._store.clock_set(now_s, step_s)
                ahead_s += step_s
                if abs(now_s - tidy_s) >= self._settings.tidy_every_s:
                    tidy_s = now_s
                    for name, letters in _by_destination(await self._store.tidy(now_s)).items():
                        self.give_up(name, letters)
                counts = await self._store.outbox_counts()
                self._tell_stranded(counts)
                for name, count in counts.items():
                    age_s = max(0.0, now_s - count.oldest_s) if count.pending else 0.0
                    self._telemetry.outbox(name, count.pending, count.dead, age_s)
            await asyncio.sleep(self._settings.count_every_s)


class _Route:
    """One destination: its queue, what is under way, and how patient to be."""

    def __init__(self, owner: Delivery, sink: Sink, random: Random) -> None:
        self.sink = sink
        self._store = owner._store
        self._settings = owner._settings
        self._telemetry = owner._telemetry
        self._clock = owner._clock
        self._steady = owner._steady
        self._owner = owner
        self._random = random
        self._circuit = Circuit(random, self._settings.backoff_min_s, self._settings.backoff_max_s)
        self._queue: deque[Entry] = deque()
        self._under_way: dict[str, asyncio.Task[None]] = {}  # by incident: its order is kept by being one at a time
        self._woken = asyncio.Event()
        self._refill = True
        self._empty = False  # nothing was due when last looked
        self.troubled = False  # as on-call knows it

    def wake(self, *, refill: bool = False) -> None:
        self._refill |= refill
        if refill:
            self._empty = False
        self._woken.set()

    def rested(self) -> bool:
        """Nothing under way and nothing that could be sent now."""
        resting = self._circuit.allows(self._steady(), 0, 1) == 0
        return not self._under_way and (resting or (self._empty and not self._queue))

    def standing(self) -> Standing:
        circuit = self._circuit
        return Standing(self.sink.name, circuit.mood, circuit.failures, circuit.why, len(self._under_way))

    async def run(self) -> None:
        while True:
            self._woken.clear()
            free = self._circuit.allows(self._steady(), len(self._under_way), self._settings.concurrency)
            if free > 0 and (self._refill or not self._queue):
                await self._look()
            while free > 0 and self._queue:
                self._begin(self._queue.popleft())
                free -= 1
            self._telemetry.circuit(self.sink.name, self._circuit.mood is not Mood.CLOSED)
            # asyncio.timeout, not wait_for: in 3.11 that one swallows a cancellation that comes with the wake
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.look_every_s):
                    await self._woken.wait()

    async def close(self) -> None:
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self.sink.close()

    async def attempt(self, parcel: Parcel) -> Outcome:
        """A sink that raises or hangs has failed like one that says so."""
        try:
            async with asyncio.timeout(self._settings.send_max_s):
                return await self.sink.send(parcel)
        except TimeoutError:
            return Outcome(Result.RETRY, f"no outcome within {self._settings.send_max_s:g} s")
        except Exception as error:
            log.exception("a sink raised instead of answering", destination=self.sink.name)
            return Outcome(Result.RETRY, f"the sink failed: {type(error).__name__}")

    async def _look(self) -> None:
        self._refill = False
        busy = set(self._under_way)  # also those that end while the outbox is asked: its answer may be older
        try:
            found = await self._store.pending(self.sink.name, self._settings.heads_max, self._clock())
        except StoreError:
            return
        self._queue = deque(entry for entry in found if entry.incident_id not in busy)
        self._empty = not found

    def _begin(self, entry: Entry) -> None:
        self._under_way[entry.incident_id] = asyncio.create_task(self._deliver(entry), name=f"send-{self.sink.name}")

    async def _deliver(self, entry: Entry) -> None:
        try:
            age_s = self._clock() - entry.created_s
            body = late(entry.body, age_s) if age_s > self._settings.delayed_after_s else entry.body
            outcome = await self.attempt(Parcel(entry.key, entry.incident_id, entry.severity, body))
            self._telemetry.attempt(self.sink.name, outcome.delivery, max(0.0, self._clock() - entry.created_s))
            await self._settle(entry, outcome)
        except Exception as error:
            self._owner.failure = error
        finally:
            del self._under_way[entry.incident_id]
            self.wake()

    async def _settle(self, entry: Entry, outcome: Outcome) -> None:
        now_s, name = self._clock(), self.sink.name
        if outcome.delivery is Result.DELIVERED:
            self._circuit.succeeded()
            self._tell("")
            await self._marked(lambda: self._store.mark_delivered(name, entry.key, now_s))
        elif outcome.delivery is Result.RETRY:
            self._circuit.failed(self._steady(), outcome.why, outcome.retry_after_s)
            bounds = (self._settings.backoff_min_s, self._settings.backoff_max_s)
            wait_s = max(backoff_s(entry.attempts + 1, self._random, *bounds), outcome.retry_after_s or 0.0)
            if self._circuit.mood is Mood.OPEN or now_s - entry.created_s > TROUBLE_AFTER_S:
                self._tell(f"{outcome.why}. {WAITING}")
            await self._marked(lambda: self._store.mark_retry(name, entry.key, now_s + wait_s, outcome.why))
        elif outcome.why == GONE:
            # what waits stays in the outbox: whoever puts the receiver back restarts the daemon, and nothing was lost
            self._circuit.switch_off(outcome.why)
            self._tell("It answered 410 gone: nothing more is sent to it until the next start")
            await self._marked(lambda: self._store.mark_dead(name, entry.key, now_s, outcome.why))
            self._owner.give_up(name, [GivenUp(name, entry.incident_id, entry.severity, outcome.why)])
        else:
            self._circuit.succeeded()  # it answers
            self._tell("")
            await self._marked(lambda: self._store.mark_dead(name, entry.key, now_s, outcome.why))
            self._owner.give_up(name, [GivenUp(name, entry.incident_id, entry.severity, outcome.why)])

    async def _marked(self, mark: Callable[[], Any]) -> None:
        """Until the disk takes it: a letter that was sent and not marked would be sent again at once, and again."""
        while True:
            try:
                await mark()
                return
            except StoreError as error:
                log.warning("cannot note what became of a letter", destination=self.sink.name, why=str(error))
                await asyncio.sleep(1.0)

    def _tell(self, why: str) -> None:
        """A change, not a state."""
        if bool(why) == self.troubled:
            return
        self.troubled = bool(why)
        if why:
            log.error("destination in trouble", destination=self.sink.name, why=why)
        else:
            log.info("destination is well again", destination=self.sink.name)
        if self._owner.trouble is not None:
            self._owner.trouble(self.sink.name, why)


def _by_destination(letters: Sequence[GivenUp]) -> dict[str, list[GivenUp]]:
    found: dict[str, list[GivenUp]] = {}
    for letter in letters:
        found.setdefault(letter.destination, []).append(letter)
    return found


def late(body: bytes, age_s: float) -> bytes:
    """The same alert with `delayed_by_s`, the one field that belongs to the delivery and not to the incident.

    >>> late(b'{"type":"t","timestamp":"","data":{"delayed_by_s":0}}', 61.7)
    b'{"type":"t","timestamp":"","data":{"delayed_by_s":62}}'
    """
    alert = msgspec.json.decode(body)
    if isinstance(alert, dict) and isinstance(alert.get("data"), dict):
        alert["data"]["delayed_by_s"] = round(age_s)
        return msgspec.json.encode(alert)
    return body

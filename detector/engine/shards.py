"""Shards: a Shard in several parts, each of which holds every n-th market, so that as many threads may fold at once.

A market's books and counts are read and written by its own events alone, so who else is in its part cannot matter: what
is told is that of one Shard, bit for bit, for any number of parts (tests/engine/test_shards.py). Two things are common
to all markets and are settled here: the order of markets, which is that of their first events, and `orders_max`.

    events  -- each part takes its rows, in their order -->  parts fold  -- rows laid between each other -->  Windows

Nothing here starts a thread: `together` is given by who does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.engine.calendar import Calendar
from detector.engine.shard import Shard
from detector.kernels.division import first_without, take_own
from detector.model.arrays import widen
from detector.model.events import EVENT
from detector.model.incident import Behind, Contributor
from detector.model.restart import Restart
from detector.model.state import State
from detector.model.windows import Feature, Windows

Together = Callable[[Sequence[Callable[[], None]]], None]  # do all of these at once; returns when all are done

TURNS_ROWS = 256  # events that are folded one after the other when there is room for fewer orders than that


class Shards:
    """What Shard is, over `parts` that are empty yet. Market i is part i % n's market i // n."""

    def __init__(self, parts: Sequence[Shard], together: Together, calendar: Calendar | None = None) -> None:
        assert len(parts) > 1, "one part is a Shard"
        assert not any(part.calendar.phases for part in parts), "the calendar is looked at once, here"
        self.parts = tuple(parts)
        self.ring = parts[0].ring
        self.width_ns = parts[0].width_ns
        self.calendar = calendar or Calendar()
        self.markets: tuple[str, ...] = ()
        self.index: dict[str, int] = {}
        self.features: tuple[Feature, ...] = parts[0].features
        self._together = together
        self._orders_max = parts[0].limits.orders_max
        self._owners = np.full(64, -1, np.int32)  # the decoder's index of a market -> its part, -1 = not met yet
        self._own = [np.empty(0, EVENT) for _ in parts]  # each part's rows of the events being folded

    def fold(self, events: Any, start: int, stop: int, names: Sequence[str], open_window: int) -> None:
        """See Shard.fold."""
        if len(names) > len(self._owners):
            self._owners = widen(self._owners, 0, len(names), -1)
        self._meet(events, start, stop, names)
        at = start
        while at < stop:
            room = self._orders_max - sum(part.orders for part in self.parts)
            if room >= TURNS_ROWS:  # an event brings at most one order: so many fit, whoever's they are
                until = min(stop, at + room)
                self._at_once(events, at, until, names, open_window)
            else:
                until = min(stop, at + TURNS_ROWS)
                self._in_turns(events, at, until, names, open_window)
            at = until

    def close(self, window: int, idle: bool) -> Windows:
        """See Shard.close."""
        return self._joined([part.close(window, idle) for part in self.parts])

    def grown(self, features: Sequence[str], windows: range) -> npt.NDArray[np.float64]:
        """See Shard.grown."""
        return self._laid([part.grown(features, windows) for part in self.parts], 1)

    def so_far(self, window: int) -> Windows:
        """See Shard.so_far."""
        return self._joined([part.so_far(window) for part in self.parts])

    @property
    def folded(self) -> int:
        """See Shard.folded."""
        return sum(part.folded for part in self.parts)

    def freeze(self, window: int, learn: npt.NDArray[np.bool_]) -> None:
        """See Shard.freeze."""
        for number, part in enumerate(self.parts):
            part.freeze(window, learn[number :: len(self.parts)])

    def step_back(self) -> None:
        """See Shard.step_back."""
        for part in self.parts:
            part.step_back()

    def feeds(self, market: int) -> int:
        """See Shard.feeds."""
        return self._part(market).feeds(market // len(self.parts))

    def contributors(self, market: int, behind: Behind, at_ns: int, feature: str = "") -> tuple[Contributor, ...]:
        """See Shard.contributors."""
        return self._part(market).contributors(market // len(self.parts), behind, at_ns, feature)

    def began(self, market: int, detector: str, at_ns: int) -> tuple[int, int]:
        """See Shard.began."""
        return self._part(market).began(market // len(self.parts), detector, at_ns)

    def restarts(self, close_ns: int) -> list[Restart]:
        """See Shard.restarts."""
        found = [restart for part in self.parts for restart in part.restarts(close_ns)]
        return sorted(found, key=lambda restart: self.index[restart.market])

    def counts(self) -> dict[str, int]:
        """See Shard.counts."""
        each = [part.counts() for part in self.parts]
        return {name: sum(counts[name] for counts in each) for name in each[0]}

    def state(self) -> State:
        """Every part's; only as many parts can go on from it."""
        return {"parts": [dict(part.state()) for part in self.parts], "markets": list(self.markets)}

    def restore(self, state: State) -> None:
        """Go on from `state`. Raises ValueError when it is that of another number of parts, and as Shard.restore."""
        saved, names = state.get("parts"), state["markets"]
        assert isinstance(names, list)
        if not isinstance(saved, list) or len(saved) != len(self.parts):
            raise ValueError(f"the saved state is not that of {len(self.parts)} workers")
        for part, own in zip(self.parts, saved, strict=True):
            assert isinstance(own, dict)
            part.restore(own)
        self.markets = tuple(str(name) for name in names)
        self.index = {name: i for i, name in enumerate(self.markets)}

    def _part(self, market: int) -> Shard:
        return self.parts[market % len(self.parts)]

    def _meet(self, events: Any, start: int, stop: int, names: Sequence[str]) -> None:
        """Give every market of these events a place, in the order of their first ones."""
        if (self._owners[: len(names)] >= 0).all():
            return
        at = start
        while (at := first_without(events, at, stop, self._owners)) < stop:
            number = int(events["market"][at])
            place = self.index.get(names[number])
            if place is None:
                place = self.index[names[number]] = len(self.markets)
                self.markets = (*self.markets, names[number])
            self._owners[number] = place % len(self.parts)

    def _at_once(self, events: Any, start: int, stop: int, names: Sequence[str], open_window: int) -> None:
        def job(number: int) -> Callable[[], None]:
            def fold() -> None:
                if len(self._own[number]) < stop - start:
                    self._own[number] = np.empty(stop - start, EVENT)
                own = self._own[number]
                rows = take_own(events, start, stop, self._owners, number, own)
                self.parts[number].fold(own, 0, rows, names, open_window)

            return fold

        self._together([job(number) for number in range(len(self.parts))])

    def _in_turns(self, events: Any, start: int, stop: int, names: Sequence[str], open_window: int) -> None:
        """One event after the other, each part allowed what all others leave."""
        owners = self._owners[events["market"][start:stop]].tolist()
        for at, number in enumerate(owners, start):
            part = self.parts[number]
            part.orders_max = self._orders_max - sum(other.orders for other in self.parts if other is not part)
            part.fold(events, at, at + 1, names, open_window)
        for part in self.parts:
            part.orders_max = self._orders_max

    def _laid(self, each: Sequence[npt.NDArray[Any]], axis: int = 0) -> npt.NDArray[Any]:
        """The parts' rows in the order of all markets."""
        shape = list(each[0].shape)
        shape[axis] = len(self.markets)
        laid = np.empty(shape[::-1], each[0].dtype).T  # as a shard lays its own: columns in one piece
        for number, rows in enumerate(each):
            laid[(slice(None),) * axis + (slice(number, None, len(self.parts)),)] = rows
        return laid

    def _joined(self, each: Sequence[Windows]) -> Windows:
        first = each[0]
        busy, closed = self.calendar.within(first.close_ns - first.width_ns, first.close_ns, self.markets)
        return replace(
            first,
            markets=self.markets,
            values=self._laid([part.values for part in each]),
            calm=self._laid([part.calm for part in each]) & ~closed,
            fresh=self._laid([part.fresh for part in each]),
            busy=busy,
            places={},
        )

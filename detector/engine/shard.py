"""Shard: what is known of a set of markets between the events and the windows: the tables and the feature groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.engine.calendar import Calendar
from detector.features.base import Group
from detector.features.cancels import Cancels
from detector.features.contributors import contributors
from detector.features.fold import fold, sample_due
from detector.features.onset import onset
from detector.features.restarts import restarts
from detector.features.standing import stand
from detector.features.tables import Count, Limits, Need, from_state, grown, make, to_state, with_markets
from detector.model.arrays import widen
from detector.model.incident import Behind, Contributor
from detector.model.restart import Restart
from detector.model.state import State
from detector.model.windows import OPEN_MAX, Feature, Windows, no_feature

_COUNTED = tuple(count.name.lower() for count in sorted(Count))


class Shard:
    """Folds applied in log order; windows closed in time order. R = windows open at once."""

    def __init__(
        self, groups: dict[str, Group], limits: Limits, ring: int, width_ns: int, calendar: Calendar | None = None
    ) -> None:
        assert 1 <= ring <= OPEN_MAX, f"{ring} open windows: keep input.lateness below {OPEN_MAX} windows"
        self.groups = groups
        self.limits = limits
        self.ring = ring
        self.width_ns = width_ns
        self.calendar = calendar or Calendar()
        self.tables = make(limits, ring, width_ns)
        self.markets: tuple[str, ...] = ()
        self.index: dict[str, int] = {}
        self._market_of = np.full(64, -1, np.int32)  # the decoder's index of a market -> ours
        self._growing = {feature: group for group in groups.values() for feature in group.GROWS}
        self.features: tuple[Feature, ...] = tuple(f for group in groups.values() for f in group.FEATURES)
        self._places = {feature.name: place for place, feature in enumerate(self.features)}

    def market(self, name: str) -> int:
        """The engine's index of a market, made when new."""
        found = self.index.get(name)
        if found is None:
            found = len(self.markets)
            self.markets = (*self.markets, name)
            self.index[name] = found
            self._make_room()
        return found

    def _make_room(self) -> None:
        self.tables = with_markets(self.tables, len(self.markets))
        for group in self.groups.values():
            group.make_room(len(self.tables.markets))

    def fold(self, events: Any, start: int, stop: int, names: Sequence[str], open_window: int) -> None:
        """Apply events[start:stop] to the books, then count them in every group. The events' own columns are written.

        names: what EVENT["market"] indexes; every call's is the same list, longer or shorter (EventBatch.markets).
        """
        if len(names) > len(self._market_of):
            self._market_of = widen(self._market_of, 0, len(names), -1)
        at = counted = start
        while at < stop:
            at = fold(self.tables, events, at, stop, self._market_of, open_window)
            need = int(self.tables.need[0])
            if at == stop or need == Need.COUNT:
                for group in self.groups.values():
                    group.fold(self.tables, events, counted, at)
                counted = at
            elif need == Need.MARKET:
                met = int(events["market"][at])
                self._market_of[met] = self.market(names[met])
            else:
                self.tables = grown(self.tables)

    def close(self, window: int, idle: bool) -> Windows:
        """The features of `window` over all markets; its ring slot is free afterwards."""
        count = len(self.markets)
        slot = window % self.ring
        sample_due(self.tables, count, window)
        values = self._laid([group.read(self.tables, slot, count) for group in self.groups.values()])
        for group in self.groups.values():
            group.clear(slot)
        self.tables.outward[slot] = 0.0
        return self._windows(window, values, idle)

    def grown(self, features: Sequence[str], windows: range) -> npt.NDArray[np.float64]:
        """float64 (len(features), M): counts that only grow (Group.GROWS), over windows that are open. KeyError for any
        other."""
        totals = np.zeros((len(features), len(self.markets)))
        for total, feature in zip(totals, features, strict=True):
            group = self._growing.get(feature)
            if group is None:
                raise no_feature(feature, self._growing, "growing feature (Group.GROWS)")
            counts = group.counts[group.GROWS[feature]]
            for window in windows:
                total += counts[window % self.ring, : len(total)]
        return totals

    def so_far(self, window: int) -> Windows:
        """An open window as it stands: what groups of counts say, NaN for all others."""
        count = len(self.markets)
        values = [
            group.read(self.tables, window % self.ring, count)
            if group.COUNTS
            else np.full((count, len(group.FEATURES)), np.nan)
            for group in self.groups.values()
        ]
        return self._windows(window, self._laid(values), idle=False)

    def _laid(self, each: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """The groups' values (M, F each) beside each other, each feature's column in one piece: detectors read columns,
        and strided over rows of all features every number of one is a cache miss."""
        laid = np.empty((len(self.features), len(self.markets)))
        at = 0
        for values in each:
            laid[at : at + values.shape[1]] = values.T
            at += values.shape[1]
        return laid.T

    @property
    def folded(self) -> int:
        """Events folded since the log began."""
        return int(self.tables.counts[Count.EVENTS])

    def _windows(self, window: int, values: npt.NDArray[np.float64], idle: bool) -> Windows:
        close_ns = (window + 1) * self.width_ns
        calm, fresh = np.empty((2, len(self.markets)), np.bool_)
        stand(self.tables.markets, window, close_ns, calm, fresh)
        busy, closed = self.calendar.within(close_ns - self.width_ns, close_ns, self.markets)
        return Windows(
            close_ns=close_ns,
            width_ns=self.width_ns,
            markets=self.markets,
            features=self.features,
            values=values,
            calm=calm & ~closed,
            fresh=fresh,
            idle=idle,
            busy=busy,
            places=self._places,
        )

    def freeze(self, window: int, learn: npt.NDArray[np.bool_]) -> None:
        """Whether makers learn in the window that lies a whole ring ahead of `window`: none of it is sampled yet."""
        row = self.tables.frozen[(window + self.ring) % (2 * self.ring)]
        row[: len(learn)] = ~learn

    def step_back(self) -> None:
        """Event time begins again (a lane stepped back): windows restart, books stay."""
        for name in ("first_window", "head", "sampled"):
            self.tables.markets[name] = -1
        # or all that comes now would be late, or sent again, until time has caught up with where it was
        for name in ("newest_ns", "numbered_ns"):
            self.tables.markets[name] = 0
        self.tables.markets["era_ns"] = -1
        for name in ("renumbered", "rescaled"):
            self.tables.markets[name]["told_ns"] = 0
        self.tables.markets["late_ns"] = 0.0
        for group in self.groups.values():
            for slot in range(self.ring):
                group.clear(slot)
        self.tables.outward[:] = 0.0

    def feeds(self, market: int) -> int:
        """HAS_ bits: what this market's feed tells."""
        return int(self.tables.markets["has"][market])

    def contributors(self, market: int, behind: Behind, at_ns: int, feature: str = "") -> tuple[Contributor, ...]:
        """The accounts behind what is unusual in a market, most of all in `feature`; behind: Detector.BEHIND."""
        return contributors(self.tables, market, behind, at_ns, feature)

    def began(self, market: int, detector: str, at_ns: int) -> tuple[int, int]:
        """Between which instants what `detector` tells of at `at_ns` began, ns; (0, 0) = only the window is known."""
        cancels = self.groups.get("cancels")
        if detector != "cancel_burst" or not isinstance(cancels, Cancels):
            return (0, 0)
        return onset(cancels.begun[market], at_ns)

    @property
    def orders(self) -> int:
        """Orders that rest."""
        return int(self.tables.order_use[0])

    @property
    def orders_max(self) -> int:
        """So many may; beyond, an order is not booked."""
        return int(self.tables.limits[0])

    @orders_max.setter
    def orders_max(self, limit: int) -> None:
        self.tables.limits[0] = limit

    def restarts(self, close_ns: int) -> list[Restart]:
        """Markets that began anew, to be told with the window that ends at `close_ns`; each is given out once."""
        return restarts(self.tables.markets, self.markets, close_ns)

    def counts(self) -> dict[str, int]:
        """What the tables counted so far, by name."""
        return dict(zip(_COUNTED, self.tables.counts.tolist(), strict=True))

    def state(self) -> State:
        """Tables, groups and market names."""
        return {
            "tables": dict(to_state(self.tables)),
            "groups": {name: dict(group.state()) for name, group in self.groups.items()},
            "markets": list(self.markets),
        }

    def restore(self, state: State) -> None:
        """Go on from `state`; a group it does not know yet begins with nothing counted. Raises ValueError when widths,
        lateness or limits were changed, and where it is of a version with a group that is not here."""
        tables, groups, names = state["tables"], state["groups"], state["markets"]
        assert isinstance(tables, dict) and isinstance(groups, dict) and isinstance(names, list)
        if gone := ", ".join(sorted(groups.keys() - self.groups.keys())):
            raise ValueError(f"the saved state has feature groups that this version has not: {gone}")
        self.tables = from_state(self.tables, tables)
        for name, saved in groups.items():
            assert isinstance(saved, dict)
            self.groups[name].restore(saved)
        self.markets = tuple(str(name) for name in names)
        self.index = {name: i for i, name in enumerate(self.markets)}
        self._make_room()

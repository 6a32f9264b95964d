"""A synthetic exchange as decoded rows, made by a compiled loop: for benches of the engine alone, without any JSON.

Its live orders stay as many as were asked for: each event is the cancel (or fill) of a random one, or the order that
takes its place; one in twenty is a change of leverage. Order ids never come again. Each account trades in two markets.
With `churn` = n, every n orders a new account comes and the oldest places no more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.model.events import EventBatch, empty_events
from detector.model.state import State

START_NS = 1_767_225_600_000_000_000
ROWS = 8192  # of a batch: about what a partition hands over in one fetch
EVENTS_S = 100_000  # of event time
MID_TICKS, FAR_TICKS = 100_000, 400  # quotes lie this far from the mid at most, most of them near it

LIVE = np.dtype([("order", "<u8"), ("account", "<u8"), ("price_ticks", "<i8"), ("market", "<i4"), ("side", "i1")])
_ORDERED, _RANDOM, _PHASE, _HOLE, _FILLED, _CHURN = 0, 1, 2, 3, 4, 5  # places in `now`


class Synthetic:
    """`batch()` gives the next rows. markets may be raised while it runs: new ones appear."""

    def __init__(
        self, markets: int, accounts: int, orders: int, *, events_s: int = EVENTS_S, seed: int = 1, churn: int = 0
    ) -> None:
        self.markets = markets
        self.accounts = accounts
        self.events_s = events_s
        self.made = 0
        self._live = np.zeros(orders, LIVE)
        self._now = np.array([0, seed, 0, 0, 0, churn or 1 << 62], np.uint64)
        self._names: tuple[str, ...] = ()
        self._at_ns = START_NS

    @property
    def filled(self) -> bool:
        """All its orders rest."""
        return int(self._now[_FILLED]) == len(self._live)

    def batch(self, rows: int = ROWS) -> tuple[State, EventBatch]:
        """What Pipeline.take takes."""
        if len(self._names) != self.markets:
            self._names = tuple(f"M{number:04}" for number in range(self.markets))
        events = empty_events(rows)
        step_ns = 1_000_000_000 // self.events_s
        make(events, self._live, self._now, self.markets, self.accounts, self._at_ns, step_ns, self.made)
        first, self.made = self.made, self.made + rows
        self._at_ns += rows * step_ns
        return {}, EventBatch("synthetic", 0, first, self.made, self._names, events, records=rows)


@kernel
def _mixed(number: Any) -> Any:
    """A number that looks random, another for each other one (splitmix64)."""
    word = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@kernel
def make(
    events: Any, live: Any, now: Any, markets: Any, accounts: Any, at_ns: Any, step_ns: Any, first_offset: Any
) -> Any:
    """Fill `events` (EVENT, blank). now: uint64 (6), orders made, the random numbers' state, what the next row is,
    the place in `live` it is about, how many places are filled, and orders until a new account comes."""
    for row in range(len(events)):
        event = events[row]
        event["event_ns"] = at_ns + row * step_ns
        event["offset"] = first_offset + row
        now[_RANDOM] += np.uint64(1)
        dice = _mixed(now[_RANDOM])
        chance = dice & np.uint64(255)
        if now[_FILLED] < np.uint64(len(live)):
            now[_HOLE] = now[_FILLED]
            now[_FILLED] += np.uint64(1)
            _order(event, live, now, dice, markets, accounts)
        elif now[_PHASE] == np.uint64(1):
            now[_PHASE] = np.uint64(0)
            _order(event, live, now, dice, markets, accounts)
        elif chance < np.uint64(13):
            account = _account(now, dice, accounts)
            event["kind"] = 4
            event["market"] = _home(account, dice, markets)
            event["account"] = _mixed(account + np.uint64(1))
            event["leverage"] = float((dice >> np.uint64(50)) % np.uint64(20) + np.uint64(1))
            event["notional"] = 1000.0
        else:
            now[_PHASE] = np.uint64(1)
            now[_HOLE] = (dice >> np.uint64(8)) % np.uint64(len(live))
            gone = live[np.int64(now[_HOLE])]
            event["market"] = gone["market"]
            event["order"] = gone["order"]
            event["qty_lots"] = 10
            if chance < np.uint64(40):
                event["kind"] = 3
                event["price_ticks"] = gone["price_ticks"]
                event["side"] = gone["side"]
                event["taker"] = gone["account"]
            else:
                event["kind"] = 2
                event["account"] = gone["account"]
                event["flags"] = 16


@kernel
def _account(now: Any, dice: Any, accounts: Any) -> Any:
    """One of those that trade now."""
    return (dice >> np.uint64(8)) % np.uint64(accounts) + now[_ORDERED] // now[_CHURN]


@kernel
def _home(account: Any, dice: Any, markets: Any) -> Any:
    """One of the two markets that an account trades in."""
    return np.int32((account + ((dice >> np.uint64(60)) & np.uint64(1)) * np.uint64(7)) % np.uint64(markets))


@kernel
def _order(event: Any, live: Any, now: Any, dice: Any, markets: Any, accounts: Any) -> Any:
    """An order at the place that is free."""
    now[_ORDERED] += np.uint64(1)
    place = live[np.int64(now[_HOLE])]
    account = _account(now, dice, accounts)
    second = _mixed(dice)
    far = min(second % np.uint64(FAR_TICKS), (second >> np.uint64(20)) % np.uint64(FAR_TICKS))
    side = 1 if second >> np.uint64(63) else -1
    place["order"] = _mixed(now[_ORDERED] ^ np.uint64(0x5DEECE66D0000000))
    place["account"] = _mixed(account + np.uint64(1))
    place["market"] = _home(account, dice, markets)
    place["side"] = side
    place["price_ticks"] = MID_TICKS - side * (1 + np.int64(far))
    event["kind"] = 1
    event["market"] = place["market"]
    event["order"] = place["order"]
    event["account"] = place["account"]
    event["side"] = side
    event["price_ticks"] = place["price_ticks"]
    event["qty_lots"] = 10

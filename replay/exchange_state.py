"""What a simulated market is made of: the arrays its compiled loop works on, and how they are drawn from a seed.

Everything here is synthetic. Prices inside a market count in its own ticks; EVENT rows carry exchange units
(price_ticks = ticks * tick_units, see MARKET), accounts and orders are plain small numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detector.kernels import kernel
from detector.model.events import empty_events
from replay.scenario import Scenario

TICK_NS = 100_000_000  # the surroundings (mood, volatility, fair price, planted effects) move this often
BOOK_TICKS = 4096  # prices the book of one market can hold; older ones far away expire when it moves
MAKERS_MAX = 24
LEVELS_MAX = 12  # quotes of one maker on one side
ACTIVE_MAX = 24  # effects at work in one market at once
ORDERS_MIN, ORDERS_MAX = 4096, 131_072  # open orders of one market; past the limit an order is not placed (`refused`)
SWEEP_MAX = 48  # resting orders one taker can meet
SNAPSHOT_AND_SWEEP_ROWS = 256  # rows one action writes beyond one row for every open order
GRID_ORDERS = 20  # of one grid
MAKER_FIRST_ACCOUNT = 1
ORDINARY_FIRST_ACCOUNT = 1001
# Typed, because the compiler would else make one copy of a function for every number it is called with.
ZERO, ONE, NOBODY = np.int64(0), np.int64(1), np.int64(-1)
LADDER = np.array([1, 2, 3, 5, 8, 10, 15, 20, 25, 40, 50, 75, 100], np.float64)  # leverages an account can choose, x

# How the base rate is made up; the split gives a cancel-to-order ratio of 0.93 to 0.98.
MAKER_SHARE, ORDINARY_SHARE, TAKER_SHARE = 0.80, 0.15, 0.05
CANCEL_SHARE = 0.473  # measured: cancels per event at base rate, at events_per_s 2 to 2,000
CANCELS_PER_LEVERAGE = 400.0  # measured on a public venue
FILLS_PER_TAKER = 1.65  # measured on this simulator
LIFE_MEAN_S = 141.0  # of an ordinary order that nobody trades, before the next line shortens it
LIVE_TARGET = 400.0  # ordinary orders that rest at once; lives shrink where the rate is too high for it

ORDER_SLOT = np.dtype(
    [
        ("serial", "<i8"),  # 0 = free
        ("account", "<i8"),
        ("qty_lots", "<i8"),
        ("price", "<i8"),  # ticks
        ("next", "<i8"),  # in its price's queue, or of the free list; -1 = none
        ("previous", "<i8"),
        ("pool_at", "<i8"),  # where in the pool of ordinary orders, -1 = not in it
        ("maker", "<i8"),  # -1 = ordinary
        ("level", "<i8"),
        ("side", "<i8"),
    ],
    align=True,
)

QUEUE = np.dtype([("head", "<i4"), ("tail", "<i4")])  # one price, oldest order first; -1 = empty

DUE = np.dtype([("due_ns", "<i8"), ("serial", "<i8"), ("slot", "<i8"), ("action", "<i8")])
CANCEL_DUE, QUOTE_DUE, GRID_DUE = np.int64(1), np.int64(2), np.int64(3)

MAKER = np.dtype(
    [
        ("account", "<i8"),
        ("weight", "<f8"),  # share of wake-ups
        ("batch", "<f8"),  # quotes renewed at one wake-up, mean
        ("qty_lots", "<f8"),
        ("first", "<f8"),  # distance of the first level from the fair price, ticks
        ("step", "<f8"),  # between levels, ticks
        ("levels", "<i8"),
        ("active", "<i8"),
        ("back_ns", "<i8"),  # it has no quotes before
        ("near_ns", "<i8"),  # its quotes are far out before
    ],
    align=True,
)

EFFECT = np.dtype(
    [
        ("start_ns", "<i8"),
        ("rise_ns", "<i8"),
        ("hold_ns", "<i8"),
        ("fall_ns", "<i8"),
        ("amplitude", "<f8"),  # meaning by channel, see Channel
        ("detail", "<f8"),
        ("life_ns", "<i8"),  # of planted orders, median
        ("account_seed", "<u8"),
        ("accounts", "<i8"),
        ("market", "<i8"),
        ("channel", "<i8"),
        ("stage", "<i8"),  # 0 = to come, 1 = at work, 2 = over
        ("rate", "<f8"),  # extra actions a second, now
        ("level", "<f8"),  # 0..1, now
    ],
    align=True,
)


class Channel:
    """What an effect pulls on. Constants, so that the compiled loop may compare with them."""

    CANCELS = 1  # extra cancels, amplitude x normal; detail 1: of resting orders first, 0: order and cancel pairs
    WITHDRAW = 2  # amplitude: share of the makers' quotes that go
    CLUSTER = 3  # amplitude: share of the quotes regrouped; detail: ticks of the hole in front of them
    LEVERAGE = 4  # extra raises, amplitude x base rate; detail: x the median notional
    ACTIVITY = 5  # everybody's rate, x
    REQUOTE = 6  # the makers' rate, x
    JUMP = 7  # the fair price moves by amplitude bps over the rise
    FORCED = 8  # forced takers, amplitude x the base rate of takers; detail: side of the forced order
    HALT = 9
    MUTE = 10  # the feed is lost; afterwards a snapshot
    NEW_MAKER = 11  # a dormant maker starts, for good
    RAISES = 12  # `amplitude` raises by few accounts over the rise; detail: x the median notional


MARKET = np.dtype(
    [
        # what it is
        ("market", "<i8"),
        ("markets", "<i8"),
        ("makers", "<i8"),
        ("accounts", "<i8"),
        ("grids", "<i8"),
        ("price_decimals", "<i8"),
        ("qty_decimals", "<i8"),
        ("mark_every", "<i8"),  # ticks
        ("tick_units", "<i8"),  # price_ticks of one tick
        ("tick_value", "<f8"),  # one tick, quote currency
        ("lot_value", "<f8"),  # one lot, base currency
        ("wake_rate", "<f8"),  # makers' wake-ups a second at activity 1
        ("ordinary_rate", "<f8"),
        ("taker_rate", "<f8"),
        ("leverage_rate", "<f8"),
        ("cancel_rate", "<f8"),  # normal cancels a second
        ("life_scale", "<f8"),
        ("qty_scale", "<f8"),  # lots of an ordinary order
        ("notional_log", "<f8"),  # median notional of a leverage change, log of quote currency
        ("sigma", "<f8"),  # of the fair price, per square root of a second
        ("rho", "<f8"),  # with the market factor
        ("mood_sigma", "<f8"),
        ("season", "<f8"),
        ("branching", "<f8"),  # share of takers that earlier takers called
        ("unreplaced", "<f8"),  # share of the quotes taken back that stay away until their maker looks at them again
        ("break_rate", "<f8"),  # breaks a second and maker
        ("retreat_rate", "<f8"),  # the same of quoting far out for a while
        ("size_tail", "<f8"),  # Pareto index of position values, 0 = log-normal
        (
            "punctual",
            "<f8",
        ),  # share of ordinary orders whose accounts wait for a minute to end before they take them back
        ("toggle_rate", "<f8"),  # times a second that somebody begins to switch its leverage to and fro
        # how it stands
        ("now_ns", "<i8"),
        ("next_ns", "<i8"),
        ("tick_ns", "<i8"),
        ("ticks", "<i8"),
        ("start_ns", "<i8"),
        ("serial", "<i8"),
        ("seq", "<i8"),
        ("refused", "<i8"),
        ("rows", "<i8"),
        ("free", "<i8"),
        ("pool", "<i8"),  # ordinary orders that rest
        ("due", "<i8"),  # actions in the heap
        ("low", "<i8"),  # lowest price the book can hold now
        ("best_bid", "<i8"),  # low - 1 = none
        ("best_ask", "<i8"),  # low + BOOK_TICKS = none
        ("effect_next", "<i8"),
        ("active", "<i8"),
        ("halted", "<i8"),
        ("muted", "<i8"),
        ("drift_side", "<i8"),  # side of the last taker
        ("toggler", "<i8"),  # account that does so ...
        ("toggled_ns", "<i8"),  # ... until then
        ("log_fair", "<f8"),
        ("fair", "<f8"),  # ticks
        ("mood", "<f8"),
        ("nerves", "<f8"),  # log of volatility over its mean
        ("excitement", "<f8"),  # takers a second that were called lately
        ("activity", "<f8"),
        ("requote", "<f8"),
        ("extra", "<f8"),
        ("weight", "<f8"),
    ],
    align=True,
)


class Desk(NamedTuple):
    """One market, ready for the compiled loop. Shapes: state (1), orders and pool (orders), queues (BOOK_TICKS), due
    (2 x orders), makers (MAKERS_MAX), quotes int64 (MAKERS_MAX, 2, LEVELS_MAX) slots, leverages uint8 (accounts) steps
    of LADDER, effects EFFECT by start, active int64 (ACTIVE_MAX) indices into effects, rng uint64 (2) flow and
    surroundings, out EVENT rows that several desks may share."""

    state: npt.NDArray[Any]
    orders: npt.NDArray[Any]
    queues: npt.NDArray[Any]
    pool: npt.NDArray[np.int64]
    due: npt.NDArray[Any]
    makers: npt.NDArray[Any]
    quotes: npt.NDArray[np.int64]
    leverages: npt.NDArray[np.uint8]
    effects: npt.NDArray[Any]
    active: npt.NDArray[np.int64]
    rng: npt.NDArray[np.uint64]
    ladder: npt.NDArray[np.float64]
    out: npt.NDArray[Any]


@kernel
def ordinary_account(index: Any, accounts: Any) -> Any:
    """Account number of an ordinary account; `account % accounts` is its place in desk.leverages."""
    return ORDINARY_FIRST_ACCOUNT + index % accounts


def make_desk(scenario: Scenario, market: int, seed: int, effects: npt.NDArray[Any]) -> Desk:
    """The desk of market number `market`; `effects` are those of this market, by start."""
    dice = np.random.default_rng([seed, 1, market])
    state = np.zeros(1, MARKET)
    m = state[0]
    spec = scenario.markets[market]
    makers = _draw_makers(dice, market, spec.makers, spec.depth, spec.deep_levels)
    rate = spec.events_per_s
    mean_batch = float(np.average(makers["batch"][: spec.makers], weights=makers["weight"][: spec.makers]))
    ordinary = rate * ORDINARY_SHARE / 2
    orders_max = _orders_max(spec.makers, scenario.grids, rate, effects)
    tick = spec.price * spec.tick_bps * 1e-4
    decimals = max(
        0, 2 - math.floor(math.log10(tick))
    )  # ticks of at least 3 digits, so that tick_units is exact enough
    lot = 10.0 ** -max(0, math.ceil(math.log10(spec.price / 10.0)))  # a lot is worth about 1 to 10 quote units
    m["market"], m["markets"], m["makers"], m["accounts"] = (
        market,
        len(scenario.markets),
        spec.makers,
        scenario.accounts,
    )
    m["price_decimals"], m["tick_units"] = decimals, max(1, round(tick * 10**decimals))
    m["qty_decimals"], m["lot_value"] = round(-math.log10(lot)), lot
    m["tick_value"] = float(m["tick_units"]) / 10**decimals
    m["mark_every"] = max(1, round(scenario.mark_every_s * 1e9 / TICK_NS))
    m["wake_rate"] = rate * MAKER_SHARE / (2 * mean_batch)
    m["ordinary_rate"], m["taker_rate"] = ordinary, rate * TAKER_SHARE / FILLS_PER_TAKER
    m["cancel_rate"] = rate * CANCEL_SHARE
    m["leverage_rate"] = m["cancel_rate"] / CANCELS_PER_LEVERAGE
    m["life_scale"] = min(1.0, LIVE_TARGET / (ordinary * LIFE_MEAN_S))
    m["qty_scale"] = 400.0 * spec.depth
    m["notional_log"] = math.log(5_000.0) + 0.4 * dice.standard_normal()
    m["sigma"], m["rho"] = spec.volatility / math.sqrt(365.0 * 86_400.0), scenario.correlation
    m["mood_sigma"], m["season"], m["branching"] = scenario.mood, scenario.season, scenario.branching
    m["unreplaced"], m["break_rate"] = scenario.unreplaced, scenario.breaks_per_day / 86_400.0
    m["retreat_rate"], m["toggle_rate"] = scenario.retreats_per_day / 86_400.0, scenario.toggles_per_day / 86_400.0
    m["size_tail"], m["grids"], m["punctual"] = scenario.size_tail, scenario.grids, scenario.punctual
    m["start_ns"] = m["now_ns"] = m["tick_ns"] = scenario.start_ns
    m["next_ns"] = scenario.start_ns + TICK_NS  # replaced at the first tick
    m["log_fair"] = math.log(spec.price)
    m["mood"] = scenario.mood * dice.standard_normal()
    m["nerves"] = 0.3 * dice.standard_normal()
    m["excitement"] = m["taker_rate"]
    m["activity"] = m["requote"] = 1.0
    m["drift_side"] = 1
    orders = np.zeros(orders_max, ORDER_SLOT)
    orders["next"] = np.arange(1, orders_max + 1)
    orders["next"][-1] = -1
    return Desk(
        state=state,
        orders=orders,
        queues=np.full(BOOK_TICKS, -1, "<i8").view(QUEUE),
        pool=np.zeros(orders_max, np.int64),
        due=np.zeros(2 * orders_max, DUE),
        makers=makers,
        quotes=np.full((MAKERS_MAX, 2, LEVELS_MAX), -1, np.int64),
        leverages=dice.integers(0, len(LADDER) - 4, scenario.accounts).astype(np.uint8),
        effects=effects,
        active=np.zeros(ACTIVE_MAX, np.int64),
        rng=dice.integers(0, 2**63, 2, dtype=np.uint64),
        ladder=LADDER,
        out=empty_events(0),
    )


def rows_reserve(orders_max: int) -> int:
    """Rows that one action may write at most: a snapshot or a mass cancel of every open order, or a sweep."""
    return 3 * orders_max + SNAPSHOT_AND_SWEEP_ROWS


def _orders_max(makers: int, grids: int, rate: float, effects: npt.NDArray[Any]) -> int:
    """A power of two that holds the calm book and every planted order at once, ORDERS_MAX at most."""
    calm = (makers + 4) * 2 * LEVELS_MAX + grids * GRID_ORDERS + 3 * LIVE_TARGET
    bursts = effects[effects["channel"] == Channel.CANCELS]
    planted = (
        float(np.sum(bursts["amplitude"] * rate * CANCEL_SHARE * bursts["life_ns"] * 3e-9)) if len(bursts) else 0.0
    )
    return int(min(ORDERS_MAX, max(ORDERS_MIN, 2 ** math.ceil(math.log2(calm + min(planted, 1e6))))))


def _draw_makers(dice: np.random.Generator, market: int, count: int, depth: float, levels: int) -> npt.NDArray[Any]:
    """MAKER (MAKERS_MAX): `count` at work, fast and close ones and slow and deep ones; the rest dormant."""
    makers = np.zeros(MAKERS_MAX, MAKER)
    for i in range(MAKERS_MAX):
        maker = makers[i]
        slow = i % 4 == 3
        maker["account"] = MAKER_FIRST_ACCOUNT + (market * 5 + i) % 200  # big houses quote on many markets
        maker["weight"] = math.exp(0.7 * dice.standard_normal()) * (0.15 if slow else 1.0)
        maker["batch"] = dice.uniform(4.0, 9.0) if slow else dice.uniform(1.0, 3.5)
        maker["qty_lots"] = depth * 900.0 * math.exp(0.6 * dice.standard_normal()) * (3.0 if slow else 1.0)
        maker["first"] = dice.uniform(3.0, 12.0) if slow else dice.uniform(0.8, 3.0)
        maker["step"] = dice.uniform(2.0, 10.0) if slow else dice.uniform(0.8, 3.0)
        maker["levels"] = min(LEVELS_MAX, max(2, round(levels * dice.uniform(0.6, 1.4))))
        maker["active"] = i < count
    return makers

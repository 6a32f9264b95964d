"""The loop of one simulated market: who acts next, and what they do. Compiled; state lives in the Desk alone.

Within a tick of TICK_NS all rates stand still, so the next action is drawn from one exponential clock; the tick redraws
it. Nothing here depends on where a caller stops: the same events come in chunks of any length.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detector.kernels import inlined
from detector.model.events import CancelCode, Kind
from replay.exchange_book import (
    FLOW,
    SURROUNDINGS,
    below,
    cancel,
    due_remove,
    emit,
    normal,
    place,
    pool_add,
    recentre,
    schedule,
    snapshot,
    take,
    uniform,
)
from replay.exchange_effects import CROWD_SIGMA, planted_action, pull, quote_gone, quote_hole, set_leverage
from replay.exchange_habits import begin_grids, lay_grid, punctually, toggle
from replay.exchange_state import (
    BOOK_TICKS,
    CANCEL_DUE,
    GRID_DUE,
    LIFE_MEAN_S,
    NOBODY,
    ONE,
    QUOTE_DUE,
    TICK_NS,
    ZERO,
    ordinary_account,
)

_TICK_S = TICK_NS * 1e-9
_MOOD_S, _NERVES_S, _DAY_S = 600.0, 900.0, 86_400.0
_NERVES_SIGMA = 0.4
_NEVER = 2**62
_BREAK_S, _RETREAT_S = 30.0, 60.0
_RETREAT_TIMES = 10.0  # x as far out
_TWO = np.int64(2)
_NEW, _OLD = np.float64(0.0), np.float64(0.75)
_USER, _EXPIRED = np.int64(CancelCode.USER), np.int64(CancelCode.EXPIRED)
_MARK = np.int64(Kind.MARK)
_PASSIVE_TICKS_MAX = 1200
_REACH_TICKS = np.int64(40)  # past the touch, a taker goes no further


@inlined
def surroundings(state: Any, rng: Any, out: Any, mood_sigma: Any) -> None:
    """What all markets share, one row a tick: (ticks, 2) float64, the price factor's shock (sigma 1) and the mood.
    state: float64 (1), the mood; rng: uint64 (2)."""
    keep = math.exp(-_TICK_S / _MOOD_S)
    for i in range(len(out)):
        state[0] = keep * state[0] + mood_sigma * math.sqrt(1.0 - keep * keep) * normal(rng, FLOW)
        out[i, 0] = normal(rng, FLOW)
        out[i, 1] = state[0]


@inlined
def open_market(desk: Any) -> None:
    """Fill the book before the first row, then tell it as a snapshot."""
    m = desk.state[0]
    m["fair"] = math.exp(m["log_fair"]) / m["tick_value"]
    m["low"] = int(m["fair"]) - BOOK_TICKS // 2
    m["best_bid"] = m["low"] - 1
    m["best_ask"] = m["low"] + BOOK_TICKS
    total = 0.0
    for maker in range(m["makers"]):
        total += desk.makers[maker]["weight"]
    m["muted"] = 1
    for maker in range(len(desk.makers)):
        desk.makers[maker]["weight"] /= total
        if desk.makers[maker]["active"] != 0:
            quote_all(desk, np.int64(maker))
    for _ in range(int(m["ordinary_rate"] * m["life_scale"] * LIFE_MEAN_S) + 20):
        ordinary(desk, _OLD)
    m["muted"] = 0
    m["now_ns"] = m["start_ns"]
    begin_grids(desk)
    snapshot(desk)
    m["now_ns"] = m["start_ns"] + 1


@inlined
def advance(desk: Any, common: Any, first_tick: Any, until_ns: Any, rows_max: Any) -> Any:
    """Go on until the next thing would begin at `until_ns` or later (True), or `rows_max` rows stand in desk.out
    (False: empty it and call again). common: of `surroundings`, its row 0 belongs to tick `first_tick`."""
    m = desk.state[0]
    if m["ticks"] == 0:
        open_market(desk)
    while m["rows"] < rows_max:
        due_ns = desk.due[0]["due_ns"] if m["due"] > 0 else _NEVER
        at_ns = min(m["next_ns"], m["tick_ns"], due_ns)
        if at_ns >= until_ns:
            return True
        m["now_ns"] = max(m["now_ns"], at_ns)
        if at_ns == m["tick_ns"]:
            tick(desk, common[m["ticks"] - first_tick, 0], common[m["ticks"] - first_tick, 1])
        elif at_ns == due_ns:
            act_due(desk)
        else:
            act(desk)
    return False


@inlined
def tick(desk: Any, common_shock: Any, common_mood: Any) -> None:
    """Move mood, volatility and fair price; let planted effects pull; tell the mark; redraw the clock."""
    m = desk.state[0]
    keep = math.exp(-_TICK_S / _MOOD_S)
    m["mood"] = keep * m["mood"] + m["mood_sigma"] * math.sqrt(1.0 - keep * keep) * normal(desk.rng, SURROUNDINGS)
    calm = math.exp(-_TICK_S / _NERVES_S)
    m["nerves"] = calm * m["nerves"] + _NERVES_SIGMA * math.sqrt(1.0 - calm * calm) * normal(desk.rng, SURROUNDINGS)
    m["excitement"] *= math.exp(-_TICK_S * calling(m))
    hour = (m["tick_ns"] % 86_400_000_000_000) * 1e-9 / _DAY_S
    season = m["season"] * math.sin(2.0 * math.pi * (hour - 0.35))
    m["activity"] = math.exp(m["mood"] - 0.5 * m["mood_sigma"] ** 2 + 0.7 * common_mood + season)
    m["activity"] /= math.exp(0.245 * m["mood_sigma"] ** 2)  # 0.7**2 / 2: the mean of the shared mood's factor
    m["requote"] = 1.0
    m["extra"] = 0.0
    shock = m["rho"] * common_shock + math.sqrt(1.0 - m["rho"] ** 2) * normal(desk.rng, SURROUNDINGS)
    m["log_fair"] += m["sigma"] * math.sqrt(_TICK_S) * math.exp(m["nerves"]) * math.sqrt(m["activity"]) * shock
    pull(desk)
    if m["break_rate"] > 0.0:
        take_breaks(desk)
    if m["retreat_rate"] > 0.0:
        retreat(desk)
    if m["toggle_rate"] > 0.0:
        toggle(desk)
    m["fair"] = math.exp(m["log_fair"]) / m["tick_value"]
    if abs(m["fair"] - (m["low"] + BOOK_TICKS // 2)) > BOOK_TICKS // 8:
        recentre(desk, int(m["fair"]), _EXPIRED)
    m["weight"] = 0.0
    for maker in range(len(desk.makers)):
        if desk.makers[maker]["active"] != 0:
            m["weight"] += desk.makers[maker]["weight"]
    if (m["ticks"] + m["market"] * 3) % m["mark_every"] == 0:
        mark(desk)
    m["ticks"] += 1
    m["tick_ns"] += TICK_NS
    redraw(desk)


@inlined
def take_breaks(desk: Any) -> None:
    """Now and then a maker restarts, or loses its line: all its quotes go at once, and come again a while later."""
    m = desk.state[0]
    for maker in range(len(desk.makers)):
        who = desk.makers[maker]
        here = who["active"] != 0 and m["now_ns"] >= who["back_ns"]
        if here and uniform(desk.rng, FLOW) < m["break_rate"] * _TICK_S:
            who["back_ns"] = m["now_ns"] + 1 + int(-math.log(uniform(desk.rng, FLOW)) * _BREAK_S * 1e9)
            quote_all(desk, np.int64(maker))
            schedule(desk, who["back_ns"], QUOTE_DUE, np.int64(maker))


@inlined
def retreat(desk: Any) -> None:
    """Now and then a maker is told to stand back: all its quotes are moved far out at once, and back a while later."""
    m = desk.state[0]
    for maker in range(len(desk.makers)):
        who = desk.makers[maker]
        here = who["active"] != 0 and m["now_ns"] >= max(who["back_ns"], who["near_ns"])
        if here and uniform(desk.rng, FLOW) < m["retreat_rate"] * _TICK_S:
            who["near_ns"] = m["now_ns"] + 1 + int(-math.log(uniform(desk.rng, FLOW)) * _RETREAT_S * 1e9)
            quote_all(desk, np.int64(maker))
            schedule(desk, who["near_ns"], QUOTE_DUE, np.int64(maker))


@inlined
def calling(m: Any) -> Any:
    """1/s, how fast the excitement of a trade fades; slower where trades are rare."""
    return min(0.5, 0.4 * m["taker_rate"])


@inlined
def busy(m: Any) -> Any:
    """Everybody's rate now over its mean: mood, season and effects, and what the last trades called."""
    return (1.0 - m["branching"]) * m["activity"] + m["branching"] * m["excitement"] / m["taker_rate"]


@inlined
def total_rate(m: Any) -> Any:
    """Actions a second, now."""
    makers = m["wake_rate"] * m["requote"] * m["weight"]
    flow = busy(m) * (makers + m["ordinary_rate"] + m["taker_rate"])
    return flow + m["activity"] * m["leverage_rate"] + m["extra"]


@inlined
def redraw(desk: Any) -> None:
    """When the next action comes."""
    m = desk.state[0]
    if m["halted"] != 0:
        m["next_ns"] = _NEVER
    else:
        m["next_ns"] = m["now_ns"] + 1 + int(min(-math.log(uniform(desk.rng, FLOW)) / total_rate(m), 1e6) * 1e9)


@inlined
def act(desk: Any) -> None:
    """One action, drawn by rate."""
    m = desk.state[0]
    at = uniform(desk.rng, FLOW) * total_rate(m)
    now = busy(m)
    at -= now * m["wake_rate"] * m["requote"] * m["weight"]
    if at < 0.0:
        wake(desk)
    else:
        at -= now * m["ordinary_rate"]
        if at < 0.0:
            ordinary(desk, _NEW)
        else:
            at -= now * m["taker_rate"]
            if at < 0.0:
                taker(desk)
            else:
                at -= m["activity"] * m["leverage_rate"]
                if at < 0.0:
                    leverage(desk)
                else:
                    planted_action(desk, at)
    redraw(desk)


@inlined
def act_due(desk: Any) -> None:
    """What was put off until now."""
    slot = np.int64(desk.due[0]["slot"])
    serial = desk.due[0]["serial"]
    action = desk.due[0]["action"]
    due_remove(desk)
    if action == CANCEL_DUE:
        if desk.orders[slot]["serial"] == serial:  # else it was filled or cancelled meanwhile
            cancel(desk, slot, _USER)
    elif action == QUOTE_DUE:
        quote_all(desk, slot)
    elif action == GRID_DUE:
        lay_grid(desk, slot)


@inlined
def wake(desk: Any) -> None:
    """A maker looks at the market and renews some quotes, near ones more often."""
    m = desk.state[0]
    at = uniform(desk.rng, FLOW) * m["weight"]
    chosen = 0
    for maker in range(len(desk.makers)):
        if desk.makers[maker]["active"] != 0:
            chosen = maker
            at -= desk.makers[maker]["weight"]
            if at < 0.0:
                break
    batch = 1 + int(-math.log(uniform(desk.rng, FLOW)) * (desk.makers[chosen]["batch"] - 0.5))
    levels = desk.makers[chosen]["levels"]
    for _ in range(min(batch, 2 * levels)):
        side = ONE if uniform(desk.rng, FLOW) < 0.5 else -ONE
        quote(desk, chosen, side, min(int(levels * uniform(desk.rng, FLOW) ** 1.3), levels - 1))


@inlined
def quote_all(desk: Any, maker: Any) -> None:
    """Every quote of one maker."""
    for level in range(desk.makers[maker]["levels"]):
        quote(desk, np.int64(maker), ONE, np.int64(level))
        quote(desk, np.int64(maker), -ONE, np.int64(level))


@inlined
def quote(desk: Any, maker: Any, side: Any, level: Any) -> None:
    """Renew one quote: cancel what stands, place it where it belongs now. While the maker is away only the first."""
    m = desk.state[0]
    slot = np.int64(desk.quotes[maker, 0 if side > 0 else 1, level])
    if slot >= 0:
        cancel(desk, slot, _USER)
    who = desk.makers[maker]
    if quote_gone(desk, maker, level) or m["halted"] != 0 or m["now_ns"] < who["back_ns"]:
        return
    if slot >= 0 and m["unreplaced"] > 0.0 and uniform(desk.rng, FLOW) < m["unreplaced"]:
        return
    hole = quote_hole(desk, maker, level)
    distance = who["first"] * max(0.7, math.exp(m["nerves"])) + who["step"] * level
    if m["now_ns"] < who["near_ns"]:
        distance *= _RETREAT_TIMES
    if hole > 0.0:  # regrouped: threes of quotes, tight together, with gaps between them
        distance = hole + 12.0 * (level // 3) + (level % 3)
    else:
        distance += uniform(desk.rng, FLOW)
    price = math.floor(m["fair"] - side * distance + 0.5)
    qty = 1 + int(who["qty_lots"] * (0.5 + uniform(desk.rng, FLOW)))
    place(desk, side, price, qty, who["account"], maker, level)


@inlined
def someone(desk: Any) -> Any:
    """An ordinary account: the k-th busiest acts with weight 1/k, and each market has its own busiest."""
    m = desk.state[0]
    rank = int(math.exp(uniform(desk.rng, FLOW) * math.log(m["accounts"] + 1.0))) - 1
    return ordinary_account(min(rank, m["accounts"] - 1) * 7919 + m["market"] * 104_729, m["accounts"])


@inlined
def ordinary(desk: Any, patience: Any) -> None:
    """A limit order by an ordinary account, and when it will be cancelled unless it trades. patience: 0..1, the share
    of short lives left out (what rests at a random moment is mostly patient)."""
    m = desk.state[0]
    account = someone(desk)
    side = ONE if uniform(desk.rng, FLOW) < 0.5 else -ONE
    behind = min(int(2.0 * (uniform(desk.rng, FLOW) ** -0.9 - 1.0)), _PASSIVE_TICKS_MAX) - 1  # -1 = one better
    if side > 0:
        price = min(int(m["best_bid"]), int(m["fair"])) if m["best_bid"] >= m["low"] else int(m["fair"]) - 5
    else:
        empty = m["best_ask"] >= m["low"] + BOOK_TICKS
        price = int(m["fair"]) + 5 if empty else max(int(m["best_ask"]), int(m["fair"]) + 1)
    qty = 1 + int(m["qty_scale"] * math.exp(normal(desk.rng, FLOW)))
    slot = place(desk, side, price - side * behind, qty, account, NOBODY, ZERO)
    if slot < 0:
        return
    pool_add(desk, slot)
    which = patience + (1.0 - patience) * uniform(desk.rng, FLOW)
    median_s = 0.4 if which < 0.3 else (20.0 if which < 0.8 else 420.0)
    life_s = median_s * math.exp(0.9 * normal(desk.rng, FLOW)) * m["life_scale"]
    due_ns = m["now_ns"] + 1000 + int(life_s * 1e9)
    if m["punctual"] > 0.0 and uniform(desk.rng, FLOW) < m["punctual"]:
        due_ns = punctually(desk, due_ns)
    if not schedule(desk, due_ns, CANCEL_DUE, slot):
        cancel(desk, slot, _USER)


@inlined
def taker(desk: Any) -> None:
    """An ordinary account trades: towards the fair price, in runs of one side, with Pareto sizes."""
    m = desk.state[0]
    pull_ticks = m["fair"] - 0.5 * (m["best_bid"] + m["best_ask"])
    lean = min(max(0.4 * pull_ticks, -8.0), 8.0) + 0.7 * m["drift_side"]
    side = ONE if uniform(desk.rng, FLOW) < 1.0 / (1.0 + math.exp(-lean)) else -ONE
    m["drift_side"] = side
    m["excitement"] += calling(m)
    qty = 1 + int(m["qty_scale"] * 0.5 * min(uniform(desk.rng, FLOW) ** -0.7, 300.0))
    take(desk, side, qty, _REACH_TICKS, someone(desk), ZERO)


@inlined
def leverage(desk: Any) -> None:
    """A leverage change at the base rate: by anybody, up about as often as down, one or two steps."""
    m = desk.state[0]
    account = someone(desk)
    if uniform(desk.rng, FLOW) < 0.7:  # changes are spread wider over accounts than orders are
        account = ordinary_account(below(desk.rng, FLOW, m["accounts"]), m["accounts"])
    step = np.int64(desk.leverages[account % m["accounts"]])
    up = uniform(desk.rng, FLOW) < 0.5 + 0.05 * (5 - step)
    steps = 1 + below(desk.rng, FLOW, _TWO)
    set_leverage(desk, account, step + steps if up else step - steps, m["notional_log"], CROWD_SIGMA)


@inlined
def mark(desk: Any) -> None:
    """Mark price, index and funding rate, all synthetic. Open interest is not said: positions are not simulated."""
    m = desk.state[0]
    at = emit(desk, _MARK, ZERO, ZERO, ZERO, int(m["fair"]), ZERO, ZERO, ZERO, ZERO)
    if at >= 0:
        row = desk.out[at]
        row["price_ticks"] = int(m["fair"] * m["tick_units"])
        row["previous"] = math.floor(m["fair"] * m["tick_value"] * (1.0 - 2e-5 * m["mood"]) * 1e6) / 1e6
        row["leverage"] = math.floor(1e-4 * (1.0 + m["mood"]) * 1e8) / 1e8

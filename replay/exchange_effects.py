"""What planted incidents and confounders do inside a simulated market: they pull on rates, quotes, prices. Compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detector.kernels import inlined
from detector.model.events import CancelCode, Flag, Kind, StatusCode
from replay.exchange_book import FLOW, below, cancel, emit, mix, normal, place, schedule, snapshot, take, uniform
from replay.exchange_state import (
    ACTIVE_MAX,
    CANCEL_DUE,
    LIVE_TARGET,
    NOBODY,
    ONE,
    QUOTE_DUE,
    ZERO,
    Channel,
    ordinary_account,
)

_CANCELS, _WITHDRAW, _CLUSTER, _LEVERAGE = Channel.CANCELS, Channel.WITHDRAW, Channel.CLUSTER, Channel.LEVERAGE
_ACTIVITY, _REQUOTE, _JUMP, _FORCED = Channel.ACTIVITY, Channel.REQUOTE, Channel.JUMP, Channel.FORCED
_HALT, _MUTE, _NEW_MAKER, _RAISES = Channel.HALT, Channel.MUTE, Channel.NEW_MAKER, Channel.RAISES
_LEVERAGE_KIND, _LIQUIDATION, _STATUS = np.int64(Kind.LEVERAGE), np.int64(Kind.LIQUIDATION), np.int64(Kind.STATUS)
_HALTED, _RESUMED, _OPEN = np.int64(StatusCode.HALTED), np.int64(StatusCode.RESUMED), np.int64(StatusCode.OPEN)
_USER, _ADMIN = np.int64(CancelCode.USER), np.int64(CancelCode.ADMIN)
_CROSS, _ISOLATED, _FORCED_FLAG = np.int64(Flag.CROSS), np.int64(Flag.ISOLATED), np.int64(Flag.FORCED)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_POOL_LEFT = int(LIVE_TARGET * 0.15)  # a mass cancel of resting orders leaves this many
_WHALE_SIGMA = 0.2
CROWD_SIGMA = 1.3  # of anybody's position values
_NEAR_TICKS, _STEPS, _FORCED_REACH_TICKS = np.int64(12), np.int64(3), np.int64(400)
_TRIES = 12  # accounts asked before a raise is given up
_S11 = np.uint64(11)
_UNIT = 2.0**-53


@inlined
def planted_account(seed: Any, index: Any, accounts: Any) -> Any:
    """The account number of a planted crowd's member `index`; replay/incidents_plan.py names them by the same rule."""
    word = mix(np.uint64(seed) + np.uint64(index + 1) * _GOLDEN)
    return ordinary_account(np.int64(word >> _S11) % np.int64(accounts), accounts)


@inlined
def chance(seed: Any, maker: Any, level: Any) -> Any:
    """In (0, 1), fixed for one effect and one quote: who leaves first."""
    word = mix(np.uint64(seed) ^ (np.uint64(maker * 64 + level + 1) * _GOLDEN))
    return (np.float64(word >> _S11) + 0.5) * _UNIT


@inlined
def effect_level(effect: Any, now_ns: Any) -> Any:
    """0..1: rising, holding, falling; -1 = over."""
    elapsed = now_ns - effect["start_ns"]
    if elapsed < effect["rise_ns"]:
        return elapsed / effect["rise_ns"]
    elapsed -= effect["rise_ns"]
    if elapsed < effect["hold_ns"]:
        return 1.0
    elapsed -= effect["hold_ns"]
    if elapsed < effect["fall_ns"]:
        return 1.0 - elapsed / effect["fall_ns"]
    return -1.0


@inlined
def pull(desk: Any) -> None:
    """Once a tick: begin what is due, let what is at work pull, end what is over."""
    m = desk.state[0]
    effects = desk.effects
    while m["effect_next"] < len(effects) and m["active"] < ACTIVE_MAX:
        if effects[m["effect_next"]]["start_ns"] > m["tick_ns"]:
            break
        begin(desk, effects[m["effect_next"]])
        desk.active[m["active"]] = m["effect_next"]
        m["active"] += 1
        m["effect_next"] += 1
    i = 0
    while i < m["active"]:
        effect = effects[desk.active[i]]
        level = effect_level(effect, m["tick_ns"])
        if level < 0.0:
            finish(desk, effect)
            m["active"] -= 1
            for k in range(i, m["active"]):
                desk.active[k] = desk.active[k + 1]
        else:
            pull_one(desk, effect, level)
            i += 1
    for k in range(m["active"]):
        m["extra"] += effects[desk.active[k]]["rate"]


@inlined
def pull_one(desk: Any, effect: Any, level: Any) -> None:
    """One effect, one tick."""
    m = desk.state[0]
    channel = effect["channel"]
    if channel == _CANCELS:
        effect["rate"] = (effect["amplitude"] - 1.0) * m["cancel_rate"] * level
    elif channel == _LEVERAGE:
        effect["rate"] = (effect["amplitude"] - 1.0) * m["leverage_rate"] * level
    elif channel == _RAISES:
        effect["rate"] = effect["amplitude"] / (effect["rise_ns"] * 1e-9) if level < 1.0 else 0.0
    elif channel == _FORCED:
        effect["rate"] = effect["amplitude"] * m["taker_rate"] * level
    elif channel == _ACTIVITY:
        m["activity"] *= 1.0 + (effect["amplitude"] - 1.0) * level
    elif channel == _REQUOTE:
        m["requote"] *= 1.0 + (effect["amplitude"] - 1.0) * level
    elif channel == _JUMP:
        m["log_fair"] += effect["amplitude"] * 1e-4 * (level - effect["level"])
    effect["level"] = level
    if channel == _WITHDRAW:
        withdraw(desk, effect)


@inlined
def begin(desk: Any, effect: Any) -> None:
    """What happens at the very start of an effect."""
    m = desk.state[0]
    effect["stage"] = 1
    if effect["channel"] == _HALT:
        emit(desk, _STATUS, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, _HALTED, ZERO)
        m["halted"] = 1
        for maker in range(len(desk.makers)):
            for side in range(2):
                for level in range(desk.makers[maker]["levels"]):
                    if desk.quotes[maker, side, level] >= 0:
                        cancel(desk, np.int64(desk.quotes[maker, side, level]), _USER)
        for _ in range(m["pool"] // 2):
            cancel(desk, np.int64(desk.pool[below(desk.rng, FLOW, m["pool"])]), _ADMIN)
    elif effect["channel"] == _MUTE:
        m["muted"] = 1
    elif effect["channel"] == _NEW_MAKER:
        for maker in range(len(desk.makers)):
            if desk.makers[maker]["active"] == 0:
                desk.makers[maker]["active"] = 1
                schedule(desk, m["now_ns"] + 1_000_000, QUOTE_DUE, np.int64(maker))
                break


@inlined
def finish(desk: Any, effect: Any) -> None:
    """What happens at the end of an effect."""
    m = desk.state[0]
    effect["rate"] = 0.0
    effect["stage"] = 2
    if effect["channel"] == _JUMP:
        m["log_fair"] += effect["amplitude"] * 1e-4 * (1.0 - effect["level"])
    elif effect["channel"] == _MUTE:
        m["muted"] = 0
        snapshot(desk)
        m["now_ns"] += 1
    elif effect["channel"] == _HALT:
        m["halted"] = 0
        emit(desk, _STATUS, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, _RESUMED, ZERO)
        emit(desk, _STATUS, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, _OPEN, ZERO)
        for maker in range(len(desk.makers)):
            if desk.makers[maker]["active"] != 0:
                after_ns = int(uniform(desk.rng, FLOW) * 4e9)  # makers come back one after another
                schedule(desk, m["now_ns"] + 1000 + after_ns, QUOTE_DUE, np.int64(maker))


@inlined
def withdraw(desk: Any, effect: Any) -> None:
    """Makers take quotes away, a few each tick, until `amplitude` of them are gone."""
    share = effect["amplitude"] * effect["level"]
    for maker in range(len(desk.makers)):
        for level in range(desk.makers[maker]["levels"]):
            if chance(effect["account_seed"], np.int64(maker), np.int64(level)) < share:
                for side in range(2):
                    if desk.quotes[maker, side, level] >= 0:
                        cancel(desk, np.int64(desk.quotes[maker, side, level]), _USER)


@inlined
def quote_gone(desk: Any, maker: Any, level: Any) -> Any:
    """Whether a withdrawal at work holds this quote back."""
    for k in range(desk.state[0]["active"]):
        effect = desk.effects[desk.active[k]]
        share = effect["amplitude"] * effect["level"]
        if effect["channel"] == _WITHDRAW and chance(effect["account_seed"], maker, level) < share:
            return True
    return False


@inlined
def quote_hole(desk: Any, maker: Any, level: Any) -> Any:
    """Ticks that a regrouping at work keeps free before this quote, 0 = none."""
    for k in range(desk.state[0]["active"]):
        effect = desk.effects[desk.active[k]]
        share = effect["amplitude"] * effect["level"]
        if effect["channel"] == _CLUSTER and chance(effect["account_seed"], maker, level) < share:
            return effect["detail"]
    return 0.0


@inlined
def planted_action(desk: Any, at: Any) -> None:
    """One extra action, of the effect that `at` (a part of the sum of their rates) falls into."""
    m = desk.state[0]
    for k in range(m["active"]):
        effect = desk.effects[desk.active[k]]
        at -= effect["rate"]
        if at < 0.0:
            if effect["channel"] == _CANCELS:
                burst(desk, effect)
            elif effect["channel"] == _FORCED:
                forced(desk, effect)
            else:
                whale = effect["channel"] == _RAISES
                raise_leverage(desk, effect, _WHALE_SIGMA if whale else CROWD_SIGMA)
            return


@inlined
def burst(desk: Any, effect: Any) -> None:
    """One extra cancel: of an order that rests, or of one placed now that lives `life_ns` (median)."""
    m = desk.state[0]
    if effect["detail"] > 0.5 and m["pool"] > _POOL_LEFT:
        cancel(desk, np.int64(desk.pool[below(desk.rng, FLOW, m["pool"])]), _USER)
        return
    account = planted_account(effect["account_seed"], below(desk.rng, FLOW, effect["accounts"]), m["accounts"])
    side = ONE if uniform(desk.rng, FLOW) < 0.5 else -ONE
    price = int(m["fair"]) - side * (3 + below(desk.rng, FLOW, _NEAR_TICKS))
    qty = 1 + int(m["qty_scale"] * math.exp(0.5 * normal(desk.rng, FLOW)))
    slot = np.int64(place(desk, side, price, qty, account, NOBODY, ZERO))
    life_ns = int(effect["life_ns"] * math.exp(0.5 * normal(desk.rng, FLOW)))
    if slot >= 0 and not schedule(desk, m["now_ns"] + max(life_ns, 2000), CANCEL_DUE, slot):
        cancel(desk, slot, _USER)


@inlined
def raise_leverage(desk: Any, effect: Any, sigma: Any) -> None:
    """One of the crowd raises its leverage. Where the crowd is at the top already, it grows: somebody else does."""
    m = desk.state[0]
    first = below(desk.rng, FLOW, effect["accounts"])
    for i in range(_TRIES):
        account = planted_account(effect["account_seed"], (first + i) % effect["accounts"], m["accounts"])
        if 2 * i >= _TRIES:
            account = ordinary_account(below(desk.rng, FLOW, m["accounts"]), m["accounts"])
        step = np.int64(desk.leverages[account % m["accounts"]])
        if step < len(desk.ladder) - 1:
            median_log = m["notional_log"] + math.log(effect["detail"])
            set_leverage(desk, account, step + 1 + below(desk.rng, FLOW, _STEPS), median_log, sigma)
            return


@inlined
def set_leverage(desk: Any, account: Any, step: Any, median_log: Any, sigma: Any) -> None:
    """Write a leverage change to `step` of the ladder (kept inside it), with a log-normal notional; anybody's is a
    power law to either side of the median where the exchange has positions of all sizes."""
    m = desk.state[0]
    index = account % m["accounts"]
    before = np.int64(desk.leverages[index])
    after = min(max(step, 0), len(desk.ladder) - 1)
    desk.leverages[index] = after
    mode = _CROSS if uniform(desk.rng, FLOW) < 0.6 else _ISOLATED
    if m["size_tail"] > 0.0 and sigma >= CROWD_SIGMA:
        log_size = math.log(uniform(desk.rng, FLOW)) / m["size_tail"]
        notional = math.exp(median_log + (log_size if uniform(desk.rng, FLOW) < 0.5 else -log_size))
    else:
        notional = math.exp(median_log + sigma * normal(desk.rng, FLOW))
    at = emit(desk, _LEVERAGE_KIND, ZERO, account, ZERO, ZERO, ZERO, ZERO, ZERO, mode)
    if at >= 0:
        row = desk.out[at]
        row["leverage"] = desk.ladder[after]
        row["previous"] = desk.ladder[before]
        row["notional"] = math.floor(notional * 100.0) / 100.0
        row["margin"] = math.floor(notional / desk.ladder[after] * 100.0) / 100.0


@inlined
def forced(desk: Any, effect: Any) -> None:
    """A forced reduction: said, then traded against the book, whatever the price."""
    m = desk.state[0]
    side = ONE if effect["detail"] > 0.0 else -ONE
    account = ordinary_account(below(desk.rng, FLOW, m["accounts"]), m["accounts"])
    qty = 1 + int(m["qty_scale"] * 2.0 * min(uniform(desk.rng, FLOW) ** -0.7, 300.0))
    emit(desk, _LIQUIDATION, ZERO, account, ZERO, int(m["fair"]), qty, side, ZERO, ZERO)
    take(desk, side, qty, _FORCED_REACH_TICKS, account, _FORCED_FLAG)

"""The plan: which incidents and confounders are planted when, the effects they come down to, and their labels.

An amplitude is physical and its meaning is the class's, told in CLASSES. All of it is synthetic.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.exchange_effects import planted_account
from replay.exchange_state import ACTIVE_MAX, EFFECT, Channel
from replay.scenario import Planted, Scenario, ScenarioError

SECOND_NS = 1_000_000_000
FOREVER_S = 1e9
CHANGE_S = 1800.0
GRACE_S = 900.0  # drawn incidents keep this far from what was planted before on the same market
OVERLAP_SHARE = 0.15  # of drawn incidents may fall into a confounder: a burst inside a benign burst
TOGETHER_SHARE = 0.1  # of drawn incidents hit 3 to 6 markets within SPREAD_S
SPREAD_S = 30.0
ACCOUNTS_TOLD_MAX = 300
ACCOUNTS_CHOICES = (1, 5, 300)
CASCADE_RISE_S, CASCADE_FALL_S = 20.0, 60.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One class: what its amplitude means, and the ranges drawn from (log-uniform; seconds)."""

    kind: str  # of the label; "benign" = a confounder
    meaning: str
    amplitude: tuple[float, float]
    ramp_s: tuple[float, float] = (0.0, 0.0)
    hold_s: tuple[float, float] = (0.0, 0.0)
    fall_s: float = 0.0


CLASSES = {
    "cancel_burst": Recipe("cancel_burst", "cancels, x the market's normal rate", (4, 60), (0, 0), (1, 20)),
    "fleeting": Recipe("cancel_burst", "cancels of orders that lived 15 us to 1 ms, x", (2, 30), (0, 0), (5, 30)),
    # they do not come back: an hour later others begin to take their place, or the next one would find nobody
    "withdrawal": Recipe(
        "thin_book", "share of the makers' quotes that leave", (0.2, 0.95), (5, 1200), (3600, 3600), 3600
    ),
    "clusters": Recipe("thin_book", "share of quotes regrouped behind a hole", (0.2, 0.95), (5, 1200), (300, 300), 60),
    "crowd": Recipe("leverage_spike", "leverage raises by 300, x the base rate", (3, 80), (120, 900), (60, 60), 30),
    "whales": Recipe("leverage_spike", "size of raises by 2 to 5, x the median", (60, 3000), (120, 900), (60, 60)),
    "foreshock": Recipe("cascade", "all of it, weakly, then a cascade", (1.5, 5), (300, 1200), (20, 20), 60),
    "drift": Recipe("drift", "slow rise of raises, withdrawal, cancels", (1.5, 4), (3600, 14_400), (600, 600), 600),
    "news": Recipe("benign", "everybody's activity with a price jump, x", (3, 20), (1, 3), (20, 60), 180),
    "burst": Recipe("benign", "everybody's activity, x", (3, 10), (2, 10), (10, 120), 30),
    "funding": Recipe("benign", "everybody's activity, x", (2, 4), (20, 20), (40, 40), 30),
    "listing": Recipe("benign", "everybody's activity, x", (3, 8), (5, 5), (300, 300), 1500),
    "new_maker": Recipe("benign", "one more maker, for good", (1, 1)),
    "halt": Recipe("benign", "activity after the halt, x", (2, 6), (0, 0), (60, 300)),
    "gap": Recipe("benign", "the feed is lost, then a snapshot", (1, 1), (0, 0), (5, 30)),
    "disorder": Recipe("benign", "1 % duplicates and up to 500 ms disorder", (1, 1), (0, 0), (120, 600)),
    "quiet": Recipe("benign", "everybody's activity, x", (0.15, 0.5), (300, 600), (3600, 7200), 600),
    "fee": Recipe("benign", "the makers' re-quoting for good, x", (1.5, 1.5), (60, 60), (FOREVER_S, FOREVER_S)),
}
LIFE_MS = {"cancel_burst": 400.0, "fleeting": 0.15, "foreshock": 1500.0, "drift": 4000.0}
ACCOUNTS = {"cancel_burst": 5, "fleeting": 1, "crowd": 300, "whales": 3, "foreshock": 100, "drift": 200}
HOLE_TICKS = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """effects: EFFECT rows by market and start; labels: in the form of LABELS.json, by start."""

    effects: npt.NDArray[Any]
    labels: tuple[dict[str, Any], ...]


def plan(scenario: Scenario, seed: int) -> Plan:
    """All that is planted: what the scenario names and what it lets the dice draw. Raises ScenarioError."""
    dice = np.random.default_rng([seed, 2])
    wanted = [_complete(planted, dice) for planted in scenario.planted]
    wanted += _draw(scenario, wanted, dice)
    rows: list[tuple[Any, ...]] = []
    labels = []
    for planted in sorted(wanted, key=lambda one: (one.at_s, one.name, one.markets)):
        account_seed = int(dice.integers(0, 2**62))
        starts = [0.0] + [float(dice.uniform(0.0, planted.spread_s)) for _ in planted.markets[1:]]
        sign = 1.0 if dice.random() < 0.5 else -1.0
        for market, start_s in zip(planted.markets, starts, strict=True):
            at_ns = scenario.start_ns + round((planted.at_s + start_s) * SECOND_NS)
            for cells in _effects(planted, sign):
                rows.append(_row(scenario.names.index(market), at_ns, account_seed, **cells))
        labels.append(_label(scenario, planted, account_seed, starts))
    effects = np.array(rows, EFFECT) if rows else np.zeros(0, EFFECT)
    effects = effects[np.lexsort((effects["start_ns"], effects["market"]))]
    _check_together(scenario, effects)
    return Plan(effects, tuple(sorted(labels, key=lambda label: (label["start"], label["name"]))))


def labels_json(labels: Sequence[dict[str, Any]]) -> str:
    """The text of LABELS.json."""
    return json.dumps(list(labels), indent=1) + "\n"


def _complete(planted: Planted, dice: np.random.Generator) -> Planted:
    """Every number the scenario left open, drawn from the class's ranges."""
    if planted.name not in CLASSES:
        raise ScenarioError(f"no incident class {planted.name}; there are: {', '.join(CLASSES)}")
    recipe = CLASSES[planted.name]
    drawn = {name: _log_uniform(dice, getattr(recipe, name)) for name in ("amplitude", "ramp_s", "hold_s")}
    kept: dict[str, Any] = {
        name: value if math.isnan(getattr(planted, name)) else getattr(planted, name) for name, value in drawn.items()
    }
    life_ms = LIFE_MS.get(planted.name, 0.0) if math.isnan(planted.life_ms) else planted.life_ms
    if planted.name == "whales" and kept["ramp_s"] <= 0:
        raise ScenarioError("whales need a ramp_s: their raises are spread over it")
    if kept["amplitude"] < 0 or min(kept["ramp_s"], kept["hold_s"], life_ms) < 0 or planted.accounts < 0:
        raise ScenarioError(f"{planted.name} at {planted.at_s:g} s: a number is negative")
    return replace(planted, life_ms=life_ms, accounts=planted.accounts or ACCOUNTS.get(planted.name, 0), **kept)


def _effects(planted: Planted, sign: float) -> list[dict[str, float]]:
    """The channels an incident pulls on; cells are EFFECT columns, times in seconds after the incident's start."""
    a, ramp, hold = planted.amplitude, planted.ramp_s, planted.hold_s
    fall = CLASSES[planted.name].fall_s
    shape = {"rise": ramp, "hold": hold, "fall": fall, "accounts": float(planted.accounts), "life_ms": planted.life_ms}
    match planted.name:
        case "cancel_burst":
            return [shape | {"channel": Channel.CANCELS, "amplitude": a, "detail": float(planted.resting)}]
        case "fleeting":
            return [shape | {"channel": Channel.CANCELS, "amplitude": 1.0 + a}]
        case "withdrawal":
            return [shape | {"channel": Channel.WITHDRAW, "amplitude": a}]
        case "clusters":
            return [shape | {"channel": Channel.CLUSTER, "amplitude": a, "detail": HOLE_TICKS}]
        case "crowd":
            return [shape | {"channel": Channel.LEVERAGE, "amplitude": a, "detail": 1.0}]
        case "whales":
            return [shape | {"channel": Channel.RAISES, "amplitude": 3.0 * planted.accounts, "detail": a}]
        case "foreshock":
            weak = shape | {"hold": hold + CASCADE_FALL_S}
            return [
                weak | {"channel": Channel.CANCELS, "amplitude": 1.0 + 0.3 * a},
                weak | {"channel": Channel.WITHDRAW, "amplitude": min(0.8, 0.12 * a)},
                weak | {"channel": Channel.LEVERAGE, "amplitude": 2.0 * a, "detail": 2.0},
                {"after": ramp, "rise": CASCADE_RISE_S, "hold": hold, "fall": CASCADE_FALL_S}
                | {"channel": Channel.FORCED, "amplitude": 10.0 * a, "detail": -1.0},
                {"after": ramp, "rise": CASCADE_RISE_S + hold, "channel": Channel.JUMP, "amplitude": -80.0 * a},
            ]
        case "drift":
            return [
                shape | {"channel": Channel.LEVERAGE, "amplitude": a, "detail": 1.0},
                shape | {"channel": Channel.WITHDRAW, "amplitude": min(0.6, 0.1 * a)},
                shape | {"channel": Channel.CANCELS, "amplitude": 1.0 + 0.1 * a},
            ]
        case "news":
            jump = {"channel": Channel.JUMP, "amplitude": sign * 25.0 * math.sqrt(a), "rise": 3.0}
            return [shape | {"channel": Channel.ACTIVITY, "amplitude": a}, jump]
        case "burst" | "funding" | "listing" | "quiet":
            return [shape | {"channel": Channel.ACTIVITY, "amplitude": a}]
        case "new_maker":
            return [{"channel": Channel.NEW_MAKER, "amplitude": a}]
        case "halt":
            after = {"after": hold, "hold": 30.0, "fall": 90.0, "channel": Channel.ACTIVITY, "amplitude": a}
            return [{"channel": Channel.HALT, "amplitude": 1.0, "hold": hold}, after]
        case "gap":
            return [{"channel": Channel.MUTE, "amplitude": 1.0, "hold": hold}]
        case "fee":
            return [shape | {"channel": Channel.REQUOTE, "amplitude": a}]
        case _:  # disorder happens on the way, not in the market: replay/feed.py
            return []


def _row(
    market: int,
    at_ns: int,
    account_seed: int,
    *,
    channel: float,
    amplitude: float,
    after: float = 0.0,
    rise: float = 0.0,
    hold: float = 0.0,
    fall: float = 0.0,
    detail: float = 0.0,
    accounts: float = 0.0,
    life_ms: float = 0.0,
) -> tuple[Any, ...]:
    """One EFFECT row, in the order of its columns; after, rise, hold, fall in seconds."""
    times = tuple(round(seconds * SECOND_NS) for seconds in (rise, hold, fall))
    start_ns = at_ns + round(after * SECOND_NS)
    life_ns = round(life_ms * 1e6)
    return (
        start_ns,
        *times,
        amplitude,
        detail,
        life_ns,
        account_seed,
        int(accounts),
        market,
        int(channel),
        0,
        0.0,
        0.0,
    )


def _label(scenario: Scenario, planted: Planted, account_seed: int, starts: Sequence[float]) -> dict[str, Any]:
    """A label of LABELS.json with what a judge may want besides: all times in ns. starts: s, of each market."""
    recipe = CLASSES[planted.name]
    start_ns = scenario.start_ns + round(planted.at_s * SECOND_NS)
    climax_ns = start_ns + round((planted.ramp_s + (0.0 if planted.ramp_s else min(planted.hold_s, 1e6))) * SECOND_NS)
    length_s = planted.ramp_s + planted.hold_s + (recipe.fall_s if planted.name != "foreshock" else CASCADE_FALL_S)
    end_ns = start_ns + round(min(length_s + max(starts), scenario.duration_s - planted.at_s) * SECOND_NS)
    kind = "correlated" if recipe.kind != "benign" and len(planted.markets) > 1 else recipe.kind
    told = planted.accounts if not planted.resting else 0  # a mass cancel of resting orders is by whoever owns them
    names = {
        f"a{int(planted_account(np.uint64(account_seed), np.int64(i), np.int64(scenario.accounts)))}"
        for i in range(told)
    }
    return {
        "start": start_ns,
        "end": max(end_ns, start_ns + SECOND_NS),
        "markets": list(planted.markets),
        "kind": kind,
        "name": f"{planted.name} x{planted.amplitude:.3g} on {', '.join(planted.markets)}",
        "class": planted.name,
        "amplitude": planted.amplitude,
        "third": third(planted.name, planted.amplitude),
        "climax": climax_ns,
        "ramp_s": planted.ramp_s,
        "hold_s": planted.hold_s,
        "starts": [start_ns + round(start_s * SECOND_NS) for start_s in starts],  # of each market
        "accounts": sorted(names)[:ACCOUNTS_TOLD_MAX],
        "confounder": recipe.kind == "benign",
        "synthetic": True,
    }


def third(name: str, amplitude: float) -> str:
    """subtle, middle or obvious: where an amplitude lies in its class's range, on a log scale."""
    low, high = CLASSES[name].amplitude
    if high <= low:
        return "middle"
    at = math.log(max(amplitude, 1e-9) / low) / math.log(high / low)
    return "subtle" if at < 1 / 3 else "middle" if at < 2 / 3 else "obvious"


def _draw(scenario: Scenario, named: Sequence[Planted], dice: np.random.Generator) -> list[Planted]:
    """What the scenario's rates per market-day let the dice plant. Confounders first, incidents around them."""
    draw = scenario.draw
    incidents = draw.classes or tuple(name for name, recipe in CLASSES.items() if recipe.kind != "benign")
    confounders = draw.confounders or tuple(name for name, recipe in CLASSES.items() if recipe.kind == "benign")
    taken: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in scenario.names}
    for planted in named:
        _take(taken, planted)
    drawn: list[Planted] = []
    for names, rate in ((confounders, draw.confounders_per_market_day), (incidents, draw.incidents_per_market_day)):
        count = int(dice.poisson(rate * len(scenario.markets) * scenario.duration_s / 86_400.0))
        for _ in range(count):
            one = _draw_one(scenario, str(names[int(dice.integers(len(names)))]), dice)
            if one is not None and _fits(taken, one, float(dice.random()) < OVERLAP_SHARE):
                _take(taken, one)
                drawn.append(one)
    return drawn


def _draw_one(scenario: Scenario, name: str, dice: np.random.Generator) -> Planted | None:
    together = CLASSES[name].kind != "benign" and len(scenario.markets) >= 3 and float(dice.random()) < TOGETHER_SHARE
    count = int(dice.integers(3, min(6, len(scenario.markets)) + 1)) if together else 1
    markets = tuple(scenario.names[int(i)] for i in dice.choice(len(scenario.markets), count, replace=False))
    accounts = ACCOUNTS.get(name, 0)
    if name == "cancel_burst":
        accounts = int(ACCOUNTS_CHOICES[int(dice.integers(3))])
    elif name == "whales":
        accounts = int(dice.integers(2, 6))
    life_ms = _log_uniform(dice, (0.015, 1.0)) if name == "fleeting" else math.nan
    resting = name == "cancel_burst" and accounts == ACCOUNTS_CHOICES[-1]
    planted = Planted(
        name, 0.0, markets, accounts=accounts, life_ms=life_ms, resting=resting, spread_s=SPREAD_S * together
    )
    planted = _complete(planted, dice)
    last_s = scenario.duration_s - min(_length_s(planted), scenario.duration_s)
    if last_s <= scenario.draw.warm_up_s:
        return None
    return replace(planted, at_s=float(dice.uniform(scenario.draw.warm_up_s, last_s)))


def _length_s(planted: Planted) -> float:
    """How long others keep away. What changes for good is new for CHANGE_S, and then the way things are."""
    lasting_s = planted.hold_s if planted.hold_s < FOREVER_S else CHANGE_S
    return planted.ramp_s + lasting_s + CLASSES[planted.name].fall_s + planted.spread_s


def _take(taken: dict[str, list[tuple[float, float, bool]]], planted: Planted) -> None:
    for market in planted.markets:
        benign = CLASSES[planted.name].kind == "benign"
        taken[market].append((planted.at_s, planted.at_s + _length_s(planted), benign))


def _fits(taken: dict[str, list[tuple[float, float, bool]]], planted: Planted, may_overlap: bool) -> bool:
    """Far enough from every other incident; from confounders too, unless it may overlap them."""
    start_s, end_s = planted.at_s - GRACE_S, planted.at_s + _length_s(planted) + GRACE_S
    return not any(
        start_s < to_s and from_s < end_s and not (benign and may_overlap)
        for market in planted.markets
        for from_s, to_s, benign in taken[market]
    )


def _log_uniform(dice: np.random.Generator, between: tuple[float, float]) -> float:
    low, high = between
    if low <= 0 or high <= low:
        return float(high)
    return float(math.exp(dice.uniform(math.log(low), math.log(high))))


def _check_together(scenario: Scenario, effects: npt.NDArray[Any]) -> None:
    """No market has more effects at work at once than its table holds."""
    for market, name in enumerate(scenario.names):
        own = effects[effects["market"] == market]
        ends = own["start_ns"] + own["rise_ns"] + own["hold_ns"] + own["fall_ns"]
        for start_ns in own["start_ns"]:
            together = int(np.sum((own["start_ns"] <= start_ns) & (ends > start_ns)))
            if together > ACTIVE_MAX:
                raise ScenarioError(f"{name}: {together} effects at once, at most {ACTIVE_MAX}")

"""Balanced: incidents dealt so that every class has every third of its amplitudes on thin and on deep markets equally.

A random draw (replay/incidents_plan.py) leaves some class without its subtle third in a small run, and the mean hides
it. Here a shuffled deck of all (class, third) pairs is dealt to each kind of market in turn. All of it is synthetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from replay.incidents_plan import ACCOUNTS_CHOICES, CLASSES
from replay.scenario import NAMES, MarketSpec, Planted, Scenario

THIRDS = ("subtle", "middle", "obvious")
INCIDENTS = tuple(name for name, recipe in CLASSES.items() if recipe.kind != "benign")
CONFOUNDERS = tuple(name for name, recipe in CLASSES.items() if recipe.kind == "benign")
WARM_UP_S = 7200.0
APART_S = 9600.0  # between two incidents, at least: about five a market-day, as in the prototype
THIN, DEEP = 0.3, 3.0  # depth, x
FLEETING_MS = (0.015, 1.0)


def markets(count: int, events_per_s: tuple[float, float]) -> tuple[MarketSpec, ...]:
    """Thin and deep markets in turn, their base rates log-spaced over `events_per_s`."""
    low, high = events_per_s
    specs = []
    for i in range(count):
        part = i / max(1, count - 1)
        specs.append(
            MarketSpec(
                name=f"{NAMES[i] if i < len(NAMES) else f'M{i:03d}'}-PERP",
                price=round(0.5 * 10.0 ** ((i * 7 % count) / count * 5.0), 3),
                events_per_s=low * (high / low) ** part,
                makers=6 + i * 5 % 7,
                depth=THIN if i % 2 == 0 else DEEP,
            )
        )
    return tuple(specs)


def deal(scenario: Scenario, seed: int, classes: Sequence[str] = INCIDENTS) -> Scenario:
    """The scenario with as many incidents as fit one after the other on each market, dealt from balanced decks."""
    dice = np.random.default_rng([seed, 11])
    decks: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
    planted: list[Planted] = []
    for market in scenario.markets:
        at_s = WARM_UP_S + float(dice.uniform(0.0, APART_S))
        while True:
            deck = decks[market.depth > 1.0]
            if not deck:
                pairs = [(name, third) for name in classes for third in THIRDS]
                deck.extend(pairs[i] for i in dice.permutation(len(pairs)))
            one = _one(market.name, *deck[-1], dice)
            length_s = one.ramp_s + one.hold_s + CLASSES[one.name].fall_s
            if at_s + length_s + APART_S / 3 > scenario.duration_s:
                break
            deck.pop()
            planted.append(replace(one, at_s=round(at_s, 3)))
            at_s += length_s + APART_S * float(dice.uniform(1.0, 2.0))
    return replace(scenario, planted=tuple(planted))


def _one(market: str, name: str, third: str, dice: np.random.Generator) -> Planted:
    recipe = CLASSES[name]
    low, high = recipe.amplitude
    place = (THIRDS.index(third) + float(dice.uniform(0.001, 0.999))) / len(THIRDS)
    accounts = 0
    if name == "cancel_burst":
        accounts = ACCOUNTS_CHOICES[int(dice.integers(len(ACCOUNTS_CHOICES)))]
    elif name == "whales":
        accounts = int(dice.integers(2, 6))
    return Planted(
        name,
        0.0,
        (market,),
        amplitude=low * (high / low) ** place,
        ramp_s=_log_uniform(dice, recipe.ramp_s),
        hold_s=_log_uniform(dice, recipe.hold_s),
        accounts=accounts,
        life_ms=_log_uniform(dice, FLEETING_MS) if name == "fleeting" else math.nan,
        resting=name == "cancel_burst" and accounts == ACCOUNTS_CHOICES[-1],
    )


def _log_uniform(dice: np.random.Generator, between: tuple[float, float]) -> float:
    low, high = between
    return float(high) if low <= 0 or high <= low else float(low * (high / low) ** dice.random())

"""Balanced: incidents dealt so that every class has every third of its amplitudes on thin and on deep markets equally.

A random draw (replay/incidents_plan.py) leaves some class without its subtle third in a small run, and the mean hides
it. Here a shuffled deck of all (class, third) pairs is dealt to each kind of market in turn; now and then one of
another deck hits three to six markets at once, or falls into a benign burst. All of it is synthetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from replay.incidents_plan import ACCOUNTS_CHOICES, CLASSES, SPREAD_S
from replay.scenario import NAMES, MarketSpec, Planted, Scenario

THIRDS = ("subtle", "middle", "obvious")
INCIDENTS = tuple(name for name, recipe in CLASSES.items() if recipe.kind != "benign")
CONFOUNDERS = tuple(name for name, recipe in CLASSES.items() if recipe.kind == "benign")
SUDDEN = ("cancel_burst", "fleeting")  # what is short enough to fall into a benign burst whole
WARM_UP_S = 7200.0
APART_S = 9600.0  # between two incidents, at least: about five a market-day, as in the prototype
THIN, DEEP = 0.3, 3.0  # depth, x
FLEETING_MS = (0.015, 1.0)
TOGETHER_SHARE, INSIDE_SHARE = 0.05, 0.06  # of the deals
TOGETHER_MARKETS = (3, 6)
BURST_LEAD_S = (5.0, 40.0)  # a benign burst is this old when an incident falls into it


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


@dataclass(slots=True)
class Decks:
    """Shuffled (class, third) pairs by what they are dealt for; a deck is made anew when it is empty."""

    classes: tuple[str, ...]
    dice: np.random.Generator
    decks: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def top(self, deck: str) -> tuple[str, str]:
        """The pair that `take` would remove."""
        cards = self.decks.setdefault(deck, [])
        if not cards:
            classes = [name for name in self.classes if deck != "inside" or name in SUDDEN]
            pairs = [(name, third) for name in classes for third in THIRDS]
            cards.extend(pairs[i] for i in self.dice.permutation(len(pairs)))
        return cards[-1]

    def take(self, deck: str) -> None:
        """It was dealt."""
        self.decks[deck].pop()


def deal(
    scenario: Scenario,
    seed: int,
    classes: Sequence[str] = INCIDENTS,
    *,
    warm_up_s: float = WARM_UP_S,
    apart_s: float = APART_S,
) -> Scenario:
    """The scenario with as many incidents as fit one after the other on each market, dealt from balanced decks."""
    dice = np.random.default_rng([seed, 11])
    decks = Decks(tuple(classes), dice)
    planted: list[Planted] = []
    free_s = {market.name: warm_up_s + float(dice.uniform(0.0, apart_s)) for market in scenario.markets}
    deep = {market.name: market.depth > 1.0 for market in scenario.markets}
    while free_s:
        soonest = sorted(free_s, key=lambda name: free_s[name])
        chance = float(dice.random())
        hit, deck = soonest[:1], "deep" if deep[soonest[0]] else "thin"
        if chance < TOGETHER_SHARE and len(free_s) >= TOGETHER_MARKETS[0]:
            hit, deck = soonest[: int(dice.integers(TOGETHER_MARKETS[0], TOGETHER_MARKETS[1] + 1))], "together"
        elif chance < TOGETHER_SHARE + INSIDE_SHARE and set(SUDDEN) & set(classes):
            deck = "inside"
        one = replace(planted_one(hit, *decks.top(deck), dice), at_s=round(max(free_s[name] for name in hit), 3))
        length_s = one.ramp_s + one.hold_s + CLASSES[one.name].fall_s + one.spread_s
        # a label needs its climax in the stream, and some of what comes after
        if one.at_s + one.ramp_s + min(one.hold_s, apart_s / 4) + apart_s / 3 > scenario.duration_s:
            del free_s[soonest[0]]
            continue
        decks.take(deck)
        planted.extend((one, _benign(one, dice)) if deck == "inside" else (one,))
        for name in hit:
            free_s[name] = one.at_s + length_s + apart_s * float(dice.uniform(1.0, 2.0))
    return replace(scenario, planted=tuple(planted))


def planted_one(hit: Sequence[str], name: str, third: str, dice: np.random.Generator) -> Planted:
    """A class's incident on the markets `hit`, its amplitude drawn from a third of the range; `at_s` is to be set."""
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
        tuple(hit),
        amplitude=low * (high / low) ** place,
        ramp_s=_log_uniform(dice, recipe.ramp_s),
        hold_s=_log_uniform(dice, recipe.hold_s),
        accounts=accounts,
        life_ms=_log_uniform(dice, FLEETING_MS) if name == "fleeting" else math.nan,
        resting=name == "cancel_burst" and accounts == ACCOUNTS_CHOICES[-1],
        spread_s=SPREAD_S if len(hit) > 1 else 0.0,
    )


def _benign(one: Planted, dice: np.random.Generator) -> Planted:
    """A benign burst that is on when `one` begins, and not over before it."""
    recipe = CLASSES["burst"]
    ramp_s = _log_uniform(dice, recipe.ramp_s)
    lead_s = ramp_s + float(dice.uniform(*BURST_LEAD_S))
    return Planted(
        "burst",
        one.at_s - lead_s,
        one.markets,
        amplitude=_log_uniform(dice, recipe.amplitude),
        ramp_s=ramp_s,
        hold_s=lead_s - ramp_s + one.hold_s + float(dice.uniform(*BURST_LEAD_S)),
    )


def _log_uniform(dice: np.random.Generator, between: tuple[float, float]) -> float:
    low, high = between
    return float(high) if low <= 0 or high <= low else float(low * (high / low) ** dice.random())

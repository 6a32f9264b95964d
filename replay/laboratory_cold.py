"""A cold start: incidents while the engine has seen minutes of the market. All of it is synthetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from replay.balanced import INCIDENTS, THIRDS, planted_one
from replay.scenario import Planted, Scenario

COLD_HOURS, COLD_MARKETS = 0.75, 96
BURST_AT_S = 180.0  # issue: a burst three minutes in
OTHERS_AT_S = (600.0, 1200.0)  # the slow classes' onsets
BURST_AMPLITUDES = (6.0, 15.0, 40.0)
SLOW = tuple(name for name in INCIDENTS if name not in ("cancel_burst", "fleeting", "drift"))
RAMP_MAX_S = 900.0  # longer ones would be no cold start any more


def cold(scenario: Scenario) -> Scenario:
    """Every other market has a burst of cancels three minutes in; of the rest, half have one of the slow classes within
    twenty minutes, and half have nothing."""
    dice = np.random.default_rng([scenario.seed, 12])
    planted: list[Planted] = []
    pairs = [(name, third) for name in SLOW for third in THIRDS]
    for i, market in enumerate(scenario.names):
        if i % 2 == 0:
            at_s = BURST_AT_S + 20.0 * (i // 2 % 12)
            amplitude = BURST_AMPLITUDES[i // 2 % 3]
            planted.append(Planted("cancel_burst", at_s, (market,), amplitude=amplitude, hold_s=15.0, accounts=5))
        elif i % 4 == 1:
            one = planted_one((market,), *pairs[i // 4 % len(pairs)], dice)
            ramp_s = min(one.ramp_s, RAMP_MAX_S)
            planted.append(replace(one, at_s=float(dice.uniform(*OTHERS_AT_S)), ramp_s=ramp_s))
    return replace(scenario, planted=tuple(planted))

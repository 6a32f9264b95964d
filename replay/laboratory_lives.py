"""Lives: bursts by one account whose orders live from a tenth of a second to four. Synthetic.

An account that keeps orders resting and takes each back as it places the next looks like a maker that re-quotes. The
table says how long a burst's orders may live before it passes for one.
"""

from __future__ import annotations

from typing import Any

from replay.balanced import markets
from replay.laboratory import EVENTS_PER_S, HELD_OUT
from replay.laboratory_judge import recall_row
from replay.laboratory_run import run
from replay.laboratory_verdicts import verdicts_of
from replay.scenario import Planted, Scenario

LIVES_S = (0.1, 0.4, 1.5, 4.0)
AMPLITUDES = (6.0, 15.0, 40.0)  # cancels, x the market's normal rate
MARKETS, ROUNDS = 48, 4
FIRST_S, APART_S, HOLD_S = 3600.0, 3000.0, 20.0


def life_rows(*, held_out: bool) -> list[dict[str, Any]]:
    """Recall by how long the orders live (s, median) and by amplitude; every pair of them equally often."""
    seed = (HELD_OUT if held_out else 1) + 700
    specs = markets(MARKETS, EVENTS_PER_S[held_out])
    pairs = [(life_s, amplitude) for life_s in LIVES_S for amplitude in AMPLITUDES]
    planted = {}
    for again in range(ROUNDS):
        for i, market in enumerate(specs):
            at_s = round(FIRST_S + APART_S * again + APART_S / 2 / MARKETS * i, 3)
            # each pair on every twelfth market, another one each round: slow and busy, thin and deep ones alike
            life_s, amplitude = pairs[(i + again * 5) % len(pairs)]
            planted[market.name, at_s] = life_s, Planted(
                "cancel_burst", at_s, (market.name,),
                amplitude=amplitude, hold_s=HOLD_S, accounts=1, life_ms=1000.0 * life_s,
            )  # fmt: skip
    length_s = FIRST_S + APART_S * ROUNDS
    made = tuple(one for _, one in planted.values())
    scenario = Scenario("lives", specs, duration_s=length_s, seed=seed, planted=made)
    done = run("lives", scenario, seed, promises=(1.0,))
    lives = {key: life_s for key, (life_s, _) in planted.items()}
    found = [(lives[one.market, round(one.at_s, 6)], one) for one in verdicts_of(done, done.calls[1.0])]
    return [
        recall_row(
            [one for had_s, one in found if (had_s, one.amplitude) == (life_s, amplitude)],
            life_s=life_s,
            amplitude=amplitude,
        )
        for life_s, amplitude in pairs
    ]

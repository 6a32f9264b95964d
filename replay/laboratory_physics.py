"""What is planted, in events: how many cancels, raises, quotes each class and third adds up to its climax, and how many
there are anyway. From the plan alone, nothing is run.

python -m replay.laboratory_physics [--events-per-s 4] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from replay.balanced import INCIDENTS, THIRDS
from replay.exchange_state import CANCEL_SHARE, CANCELS_PER_LEVERAGE, MAKER_SHARE, Channel
from replay.incidents_plan import ACCOUNTS_CHOICES, CLASSES, LIFE_MS, Recipe, plan
from replay.scenario import MarketSpec, Planted, Scenario

STEP_S = 0.1
RAISES_UP = 0.55  # of the leverage changes at the base rate, about
COLUMNS = (
    "class", "third", "amplitude", "accounts", "to_climax_s", "cancels_normal", "cancels_extra", "cancels_lost",
    "cancels_sigmas",
    "raises_normal", "raises_extra", "notional_x", "quotes_gone", "quotes_moved",
)  # fmt: skip


def rows(events_per_s: float) -> list[dict[str, Any]]:
    """One row for each class and third, at the middle (on a log scale) of its amplitude, ramp and length. Counts are up
    to the climax; cancels_lost: those of makers who are gone; cancels_sigmas: the net of both in Poisson sigmas."""
    return [_row(name, third, events_per_s) for name in INCIDENTS for third in THIRDS]


def amplitude_of(recipe: Recipe, third: str) -> float:
    """The middle of a third, on a log scale."""
    low, high = recipe.amplitude
    return float(low * (high / low) ** ((THIRDS.index(third) + 0.5) / len(THIRDS)))


def _row(name: str, third: str, events_per_s: float) -> dict[str, Any]:
    recipe = CLASSES[name]
    planted = Planted(
        name, 0.0, ("M",), amplitude=amplitude_of(recipe, third), ramp_s=_middle(recipe.ramp_s),
        hold_s=_middle(recipe.hold_s), accounts=ACCOUNTS_CHOICES[1] if name == "cancel_burst" else 0,
        life_ms=LIFE_MS.get(name, math.nan),
    )  # fmt: skip
    scenario = Scenario(name, (MarketSpec("M", 100.0, events_per_s),), duration_s=1e6, planted=(planted,))
    made = plan(scenario, 1)
    label = made.labels[0]
    span_s = (label["climax"] - label["start"]) / 1e9
    cancel_rate = events_per_s * CANCEL_SHARE
    change_rate = cancel_rate / CANCELS_PER_LEVERAGE
    told = {
        "cancels_extra": 0.0,
        "cancels_lost": 0.0,
        "raises_extra": 0.0,
        "notional_x": 1.0,
        "quotes_gone": 0.0,
        "quotes_moved": 0.0,
    }
    for effect in made.effects:
        times_s = np.arange(0.0, span_s, STEP_S) + STEP_S / 2 + (label["start"] - int(effect["start_ns"])) / 1e9
        levels = _levels(effect, times_s)
        amplitude, detail = float(effect["amplitude"]), float(effect["detail"])
        match int(effect["channel"]):
            case Channel.CANCELS:
                told["cancels_extra"] += (amplitude - 1.0) * cancel_rate * float(levels.sum()) * STEP_S
            case Channel.LEVERAGE:
                told["raises_extra"] += (amplitude - 1.0) * change_rate * float(levels.sum()) * STEP_S
                told["notional_x"] = detail
            case Channel.RAISES:
                told["raises_extra"] += amplitude
                told["notional_x"] = detail
            case Channel.WITHDRAW:
                told["quotes_gone"] = amplitude * float(levels[-1])
                # who does not quote does not re-quote
                told["cancels_lost"] = amplitude * events_per_s * MAKER_SHARE / 2 * float(levels.sum()) * STEP_S
            case Channel.CLUSTER:
                told["quotes_moved"] = amplitude * float(levels[-1])
    normal = cancel_rate * span_s
    return {
        "class": name,
        "third": third,
        "amplitude": planted.amplitude,
        "accounts": int(made.effects["accounts"].max()),
        "to_climax_s": span_s,
        "cancels_normal": normal,
        "cancels_sigmas": (told["cancels_extra"] - told["cancels_lost"]) / math.sqrt(normal),
        "raises_normal": RAISES_UP * change_rate * span_s,
        **told,
    }


def _levels(effect: Any, times_s: Any) -> Any:
    """0..1 at times (s) after the effect's start: as exchange_effects.effect_level, 0 before and after."""
    rise, hold, fall = (float(effect[name]) / 1e9 for name in ("rise_ns", "hold_ns", "fall_ns"))
    up = times_s / rise if rise > 0 else np.ones(len(times_s))
    after = times_s - rise - hold
    down = 1.0 - after / fall if fall > 0 else np.where(after < 0, 1.0, 0.0)
    return np.where(times_s < 0, 0.0, np.clip(np.minimum(np.minimum(up, 1.0), down), 0.0, 1.0))


def _middle(between: tuple[float, float]) -> float:
    low, high = between
    return high if low <= 0 else math.sqrt(low * high)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="replay.laboratory_physics")
    parser.add_argument("--events-per-s", type=float, action="append", help="base rate of the market (4 and 16)")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    made = [{"events_per_s": rate, **row} for rate in chosen.events_per_s or (4.0, 16.0) for row in rows(rate)]
    if chosen.json:
        sys.stdout.write(json.dumps(made, indent=1) + "\n")
        return
    columns = ("events_per_s", *COLUMNS)
    cells = [columns, *[tuple(_cell(row[column]) for column in columns) for row in made]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        sys.stdout.write("  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)).rstrip() + "\n")


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()

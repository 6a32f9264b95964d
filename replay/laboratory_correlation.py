"""Correlation: is a shock over many markets told as one, are two unrelated troubles told as two, who led? Synthetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from replay.balanced import markets
from replay.instant import SECOND_NS
from replay.laboratory import EVENTS_PER_S, HELD_OUT
from replay.laboratory_run import run
from replay.laboratory_tally import Run
from replay.laboratory_verdicts import false_pages, verdicts_of
from replay.scenario import Planted, Scenario

SHOCK_MARKETS, SHOCKS = 50, 6
LEAD_S = 8.0  # of the market that is first, over the others
APART_S = 700.0
FIRST_S = 1800.0
PAIR_APART_S = (0.0, 4.0, 20.0, 45.0)


def correlation_rows(*, held_out: bool) -> list[dict[str, Any]]:
    """Shocks over 50 markets at once, shocks that one market leads, and pairs of unrelated incidents in one minute."""
    seed = (HELD_OUT if held_out else 1) + 600
    return [
        correlation_row("shock over 50 markets within 1 s", _shocks(seed, 1.0), wanted=1),
        correlation_row(f"shock over 5 markets within {LEAD_S:g} s", _shocks(seed + 1, LEAD_S, 5), wanted=1),
        correlation_row("shock over 5 markets within 1 s", _shocks(seed + 6, 1.0, 5), wanted=1),
        *(
            correlation_row(f"two unrelated, {apart_s:g} s apart", _pairs(seed + 2 + i, apart_s), wanted=2)
            for i, apart_s in enumerate(PAIR_APART_S)
        ),
    ]


def _scenario(seed: int, count: int, planted: tuple[Planted, ...]) -> Scenario:
    rates = EVENTS_PER_S[seed >= HELD_OUT]
    length_s = max(one.at_s for one in planted) + APART_S
    return Scenario("correlation", markets(count, rates), duration_s=length_s, seed=seed, planted=planted)


def _shocks(seed: int, spread_s: float, hit: int = SHOCK_MARKETS) -> Run:
    """SHOCKS of them, each on `hit` markets, all planted as one incident."""
    names = [market.name for market in markets(SHOCK_MARKETS, EVENTS_PER_S[False])]
    planted = tuple(
        Planted(
            "cancel_burst", FIRST_S + APART_S * i, tuple(names[(i + k) % len(names)] for k in range(hit)),
            amplitude=40.0, hold_s=10.0, accounts=5, spread_s=spread_s,
        )
        for i in range(SHOCKS)
    )  # fmt: skip
    scenario = _scenario(seed, SHOCK_MARKETS, planted)
    return run("correlation", scenario, seed, promises=(1.0,))


def _pairs(seed: int, apart_s: float) -> Run:
    """Orders of one account pulled at once on one market, a burst by five others on another: no account in common."""
    names = [market.name for market in markets(SHOCK_MARKETS, EVENTS_PER_S[False])]
    planted: list[Planted] = []
    for i in range(SHOCKS):
        at_s = FIRST_S + APART_S * i
        planted.append(Planted("fleeting", at_s, (names[2 * i],), amplitude=25.0, hold_s=20.0, life_ms=0.2))
        late = Planted("cancel_burst", at_s + apart_s, (names[2 * i + 1],), amplitude=40.0, hold_s=15.0, accounts=5)
        planted.append(late)
    return run("correlation", _scenario(seed, SHOCK_MARKETS, tuple(planted)), seed, promises=(1.0,))


def correlation_row(what: str, done: Run, wanted: int) -> dict[str, Any]:
    """Of each shock (or pair): how many incidents told of it, and whether the market named as first was."""
    calls = done.calls[1.0]
    starts = sorted({row["start"] for row in done.labels})
    groups = [at for at in starts if not any(0 < at - other < APART_S * SECOND_NS / 2 for other in starts)]
    told, first_right, named = [], 0, 0
    for at in groups:
        rows = [row for row in done.labels if 0 <= row["start"] - at < APART_S * SECOND_NS / 2]
        near = [call for call in calls if 0 <= call.at_ns - at < APART_S * SECOND_NS / 2]
        ids = {call.incident_id for call in near if any(set(call.markets) & set(row["markets"]) for row in rows)}
        told.append(len(ids))
        led = [call.led_by for call in near if call.led_by]
        if led and wanted == 1:
            named += 1
            first_right += led[-1] == rows[0]["markets"][0]
    return {
        "what": what,
        "times": len(groups),
        "wanted": wanted,
        "as_wanted": sum(count == wanted for count in told),
        "incidents": ", ".join(str(count) for count in told),
        "leader_named": named if wanted == 1 else None,
        "leader_right": first_right if wanted == 1 else None,
        "false_pages": len(false_pages(done, calls)),
    }


def together_row(runs: Sequence[Run]) -> dict[str, Any]:
    """The planted streams' incidents on three to six markets within 30 s: in how many incidents they were told."""
    found = [v for one in runs for v in verdicts_of(one, one.calls[1.0]) if v.setting == "together" and v.caught]
    return {
        "what": "planted: 3 to 6 markets within 30 s",
        "times": len(found),
        "wanted": 1,
        "as_wanted": sum(v.pages == 1 for v in found),
        "incidents": ", ".join(str(v.pages) for v in found[:12]),
    }

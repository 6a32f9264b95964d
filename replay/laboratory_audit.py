"""Audit: exchanges unlike the one the detectors were tuned on, and whether the audit says what came. Synthetic.

    python -m replay.laboratory_audit [--tuning] [--hours 26]

On a clean stream of each nothing is planted, so every page is a false one. On a second, shorter one incidents are
planted as on planted streams of bench.detection: whoever keeps quiet on a strange exchange must still hear.

What changes is what the shipped priors know nothing of: how far activity wanders, how much takers call each other, how
far prices move, how few accounts there are and how unlike their positions, whether they switch leverage to and fro, lay
grids or act as minutes end, and how often makers go away, stand back, and leave a quote away. Levels are return levels
of each market's own peaks, shrunk to what ships; where that is not enough the promise is broken, and the daemon is to
say so.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from detector.model.incident import Severity
from replay.instant import SECOND_NS
from replay.laboratory import HELD_OUT, Job, Size, scenario_of
from replay.laboratory_judge import recall_row, recall_rows
from replay.laboratory_report import table
from replay.laboratory_run import run
from replay.laboratory_tally import Run
from replay.laboratory_verdicts import verdicts_of
from replay.laboratory_windows import each
from replay.scenario import Scenario

MARKETS, HOURS = 64, 26.0  # longer than the first day, in which a promise for a week is not judged
PLANTED_HOURS = 14.0
PLANTED_FIRST = 50  # seeds of planted streams lie so far behind those of clean ones
COLUMNS = [
    *("exchange", "pages", "market_weeks", "realised", "evidence", "said_after_h", "features"),
    *("planted", "early", "worst"),
]


def unlike(name: str, scenario: Scenario) -> Scenario:
    """The same markets on another exchange."""
    match name:
        case "as shipped":
            return scenario
        case "activity wanders three times as far":
            return replace(scenario, mood=0.8, season=0.6)
        case "takers call each other":
            return replace(scenario, branching=0.85)
        case "prices move three times as far":
            wild = tuple(replace(market, volatility=3.0 * market.volatility) for market in scenario.markets)
            return replace(scenario, markets=wild)
        case "a twentieth of the accounts":
            return replace(scenario, accounts=scenario.accounts // 20)
        case "sixty robots lay grids in each market":
            return replace(scenario, grids=60)
        case "robots act as minutes end":
            return replace(scenario, punctual=0.3)
        case "makers go away four times a day":
            return replace(scenario, breaks_per_day=4.0)
        case "makers leave every twentieth quote away":
            return replace(scenario, unreplaced=0.05)
        case "makers stand back four times a day":
            return replace(scenario, retreats_per_day=4.0)
        case "leverage is switched to and fro":
            return replace(scenario, toggles_per_day=4.0)
        case "positions are of all sizes":
            return replace(scenario, size_tail=1.0)
    if name == ALL_HABITS:
        for habit in HABITS:
            scenario = unlike(habit, scenario)
        return scenario
    raise ValueError(f"no exchange is called {name}")


UNSTEADY_MAKERS = (
    "makers go away four times a day",
    "makers leave every twentieth quote away",
    "makers stand back four times a day",
)
HABITS = (
    "leverage is switched to and fro",
    "positions are of all sizes",
    "sixty robots lay grids in each market",
    "robots act as minutes end",
    *UNSTEADY_MAKERS,
)
ALL_HABITS = "all of these habits at once"
EXCHANGES = (
    "as shipped",
    "activity wanders three times as far",
    "takers call each other",
    "prices move three times as far",
    "a twentieth of the accounts",
    *HABITS,
    ALL_HABITS,
)


def audit_rows(*, held_out: bool, hours: float = HOURS, processes: int = 2) -> list[dict[str, Any]]:
    """One row for each of EXCHANGES, at a promise of 1."""
    first, count = (HELD_OUT if held_out else 1) + 800, len(EXCHANGES)
    clean = [Job("clean", first + i, Size(1, MARKETS, hours), False) for i in range(count)]
    size = Size(1, MARKETS, min(hours, PLANTED_HOURS))
    planted = [Job("planted", first + PLANTED_FIRST + i, size, False) for i in range(count)]
    parts: list[dict[str, Any]] = each([*clean, *planted], partial(audited, first=first), processes)
    return [kept | heard for kept, heard in zip(parts[:count], parts[count:], strict=True)]


def audited(job: Job, first: int) -> dict[str, Any]:
    """The exchange whose number is how far the job's seed is from the first one, or from the first of planted ones."""
    name = EXCHANGES[(job.seed - first) % PLANTED_FIRST]
    done = run(job.kind, unlike(name, scenario_of(job.kind, job.seed, job.size)), job.seed, promises=(1.0,))
    return recalled(done) if job.kind == "planted" else row(name, done)


def recalled(done: Run) -> dict[str, Any]:
    """How many incidents were planted, the share that was told of before its climax, and the class with the least."""
    found = verdicts_of(done, done.calls[1.0])
    classes = recall_rows(found, [("class", lambda one: one.name)])
    least = min(classes, key=lambda one: float(one["early"]), default=None)
    worst = f"{least['class']} {least['early']:g}" if least else "-"
    return {"planted": len(found), "early": recall_row(found)["early"], "worst": worst}


def row(name: str, done: Run) -> dict[str, Any]:
    """What came of the promise at warning, and when the audit said that it is broken ("-" = it did not)."""
    standing = next(one for one in done.audit if one.severity is Severity.WARNING)
    said = [at_ns for at_ns, severity in done.audit_said if severity is Severity.WARNING]
    spent = Counter(call.feature for call in done.calls[1.0] if call.page)
    return {
        "exchange": name,
        "pages": standing.pages,
        "market_weeks": round(standing.market_weeks, 2),
        "realised": round(standing.realised, 2),
        "evidence": float(f"{standing.evidence:.2g}"),
        "said_after_h": round((said[0] - done.scenario.start_ns) / SECOND_NS / 3600.0, 1) if said else "-",
        "features": ", ".join(f"{feature} {count}" for feature, count in spent.most_common(4)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="replay.laboratory_audit")
    parser.add_argument("--tuning", action="store_true", help="tuning seeds and markets instead of held-out ones")
    parser.add_argument("--hours", type=float, default=HOURS)
    chosen = parser.parse_args(arguments)
    rows = audit_rows(held_out=not chosen.tuning, hours=chosen.hours)
    sys.stdout.write("Synthetic.\n" + "\n".join(table(COLUMNS, rows)) + "\n")


if __name__ == "__main__":
    main()

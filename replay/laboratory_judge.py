"""From runs to figures: false pages with exact intervals, recall before the climax, lead, delay, first cause. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from replay.instant import SECOND_NS
from replay.laboratory_notes import note_rows
from replay.laboratory_run import PROMISES
from replay.laboratory_tally import CALIBRATION, Run
from replay.laboratory_verdicts import Verdict, false_pages, verdicts_of, weeks
from replay.poisson import poisson_interval

DAY_S = 86_400.0
BASE_RATES = (8.0, 20.0, 200.0)
CONFOUNDED_NS = 3600 * SECOND_NS  # a page this long after a lasting change began is not laid at its door


def rate_row(runs: Iterable[Run], promise: float, *, from_s: float = 0.0, to_s: float = float("inf")) -> dict[str, Any]:
    """Realised false pages a market-week with the exact Poisson 95 % interval, and which features they came from."""
    count, exposed = 0, 0.0
    causes: Counter[str] = Counter()
    for run in runs:
        start_ns = run.scenario.start_ns
        told = [
            call
            for call in false_pages(run, run.calls[promise])
            if from_s <= (call.at_ns - start_ns) / SECOND_NS < to_s
        ]
        count += len(told)
        causes.update(call.feature for call in told)
        exposed += weeks(run, from_s, to_s)
    low, high = poisson_interval(count)
    scale = 1.0 / exposed if exposed > 0 else float("nan")
    return {
        "promised": promise,
        "pages": count,
        "market_weeks": round(exposed, 2),
        "realised": round(count * scale, 3),
        "low": round(low * scale, 3),
        "high": round(high * scale, 3),
        "features": dict(causes.most_common()),
    }


def recall_row(found: Sequence[Verdict], **names: Any) -> dict[str, Any]:
    """Counts and shares over some verdicts; lead in s over those early. account_1, accounts: the largest
    contributor was planted, and how many of those told were, where accounts were planted."""
    leads = np.array([one.lead_s for one in found if one.early])
    delays = np.array([one.delay_s for one in found if one.caught])
    caught = [one for one in found if one.caught]
    return {
        **names,
        "planted": len(found),
        "early": _share([one.early for one in found]),
        "caught": _share([one.caught for one in found]),
        "lead_median_s": _quantile(leads, 0.5),
        "lead_p10_s": _quantile(leads, 0.1),
        "delay_median_s": _quantile(delays, 0.5),
        "delay_p90_s": _quantile(delays, 0.9),
        "hit_1": _share([one.hit for one in caught]),
        "hit_page": _share([one.hit_page for one in caught]),
        "account_1": _mean([one.first_named for one in caught]),
        "accounts": _mean([one.named for one in caught]),
    }


def recall_rows(found: Sequence[Verdict], keys: Sequence[tuple[str, Callable[[Verdict], Any]]]) -> list[dict[str, Any]]:
    """One row for each combination of the keys' values that occurs."""
    groups: dict[tuple[Any, ...], list[Verdict]] = {}
    for one in found:
        groups.setdefault(tuple(read(one) for _, read in keys), []).append(one)
    names = [name for name, _ in keys]
    return [recall_row(groups[values], **dict(zip(names, values, strict=True))) for values in sorted(groups)]


def calibration_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Per detector: how often a score was reached, over how often it should be, on clean streams."""
    observed: Counter[str] = Counter()
    beyond: dict[str, list[int]] = {}
    for run in runs:
        observed.update(run.observed)
        for name, counts in run.beyond.items():
            beyond[name] = [a + b for a, b in zip(beyond.get(name, [0] * len(counts)), counts, strict=True)]
    return [
        {"detector": name, "market_windows": observed[name]}
        | {
            f"1e-{score:.0f}": round(counts[k] / max(1, observed[name]) * 10.0**score, 3)
            for k, score in enumerate(CALIBRATION)
        }
        for name, counts in sorted(beyond.items())
    ]


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Everything the laboratory says of the product."""
    by_kind = {
        kind: [run for run in runs if run.kind == kind] for kind in ("clean", "dirty", "planted", "wide", "cold")
    }
    planted = by_kind["planted"]
    found = [one for run in planted for one in verdicts_of(run, run.calls[1.0])]
    wide = [one for run in by_kind["wide"] for one in verdicts_of(run, run.calls[1.0])]
    told: dict[str, Any] = {"false": {}, "first_day": {}, "later": {}}
    for kind, group in by_kind.items():
        if group:
            told["false"][kind] = [rate_row(group, promise) for promise in PROMISES]
            told["first_day"][kind] = rate_row(group, 1.0, to_s=DAY_S)
            told["later"][kind] = rate_row(group, 1.0, from_s=DAY_S)
    name, third, setting = (
        ("class", lambda v: v.name),
        ("third", lambda v: v.third),
        ("setting", lambda v: v.setting),
    )
    told["recall"] = recall_row(found)
    told["by_third"] = recall_rows(found, [third])
    told["by_class"] = recall_rows(found, [name])
    told["by_class_third"] = recall_rows(found, [name, third])
    told["by_setting"] = recall_rows(found, [setting, ("class", lambda v: v.name if v.setting != "alone" else "all")])
    told["by_depth"] = recall_rows(found, [("book", lambda v: "deep" if v.deep else "thin")])
    told["by_rate"] = recall_rows(found + wide, [("events_per_s", lambda v: base_rate(v.events_per_s))])
    told["by_ramp"] = recall_rows(found, [("ramp", lambda v: ramp_of(v.ramp_s, v.hold_s))])
    told["at_promise"] = [
        recall_row([one for run in planted for one in verdicts_of(run, run.calls[promise])], promised=promise)
        for promise in PROMISES
    ]
    told["calibration"] = calibration_rows(by_kind["clean"])
    told["confounders"] = confounder_rows(by_kind["dirty"] + planted)
    told["notes"] = note_rows([run for run in runs if run.kind not in ("wide", "cold")])
    told["cold"] = cold_rows(by_kind["cold"])
    return told


def confounder_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Of each kind of confounder: how many there were, and into how many a false page fell."""
    labels: Counter[str] = Counter()
    fired: Counter[str] = Counter()
    for run in runs:
        false = false_pages(run, run.calls[1.0])
        for row in run.labels:
            if row["confounder"]:
                labels[row["class"]] += 1
                last_ns = min(row["end"], row["start"] + CONFOUNDED_NS)
                fired[row["class"]] += any(
                    row["start"] <= call.at_ns <= last_ns and set(row["markets"]) & set(call.markets) for call in false
                )
    return [{"confounder": name, "labels": count, "paged": fired[name]} for name, count in sorted(labels.items())]


def cold_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """From an empty state: of the bursts three minutes in by amplitude, and of the other classes within 20 minutes."""
    found = [one for run in runs for one in verdicts_of(run, run.calls[1.0])]
    bursts = [one for one in found if one.name == "cancel_burst"]
    others = [one for one in found if one.name != "cancel_burst"]
    return [
        *recall_rows(bursts, [("class", lambda v: v.name), ("third", lambda v: f"x{v.amplitude:g}")]),
        *recall_rows(others, [("class", lambda v: v.name), ("third", lambda v: v.third)]),
    ]


def base_rate(events_per_s: float) -> str:
    """The market's base rate, in words that sort."""
    low = [limit for limit in BASE_RATES if events_per_s >= limit]
    names = ("2 to 8", "8 to 20", "20 to 200", "200 to 2,000")
    return f"{len(low)}: {names[len(low)]}"


def ramp_of(ramp_s: float, hold_s: float) -> str:
    """The grid's ramps, in words that sort; a sudden burst that is over within two windows is told apart."""
    if ramp_s < 1.0:
        return "0 sudden, under 2 s" if hold_s < 2.0 else "1 sudden"
    for limit_s, name in ((60.0, "2 under 1 min"), (300.0, "3 1 to 5 min"), (900.0, "4 5 to 15 min")):
        if ramp_s < limit_s:
            return name
    return "5 15 min to 20 min" if ramp_s <= 1200.0 else "6 hours"


def _mean(values: Sequence[float]) -> float:
    said = [value for value in values if value == value]
    return round(float(np.mean(said)), 3) if said else float("nan")


def _share(values: Sequence[bool]) -> float:
    return round(float(np.mean(values)), 3) if len(values) else float("nan")


def _quantile(values: Any, at: float) -> float:
    return round(float(np.quantile(values, at)), 1) if len(values) else float("nan")

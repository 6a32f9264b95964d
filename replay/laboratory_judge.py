"""From runs to figures: false pages with exact intervals, recall before the climax, lead, delay, first cause. Pure.

A page is an incident reaching warning. It answers a label as in replay/judge.py (same market, from the label's start to
ten minutes after its end); recall counts only answers at or before the climax. Never point-adjusted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from replay.instant import SECOND_NS
from replay.judge import GRACE_NS, exposure_ns
from replay.labels import Label
from replay.laboratory_run import PROMISES
from replay.laboratory_tally import CALIBRATION, Call, Run
from replay.poisson import poisson_interval

WEEK_NS = 7 * 86_400 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
_CANCEL = frozenset(("cancels", "new_cancellers", "fleeting_cancels", "cancels_unnamed", "cancels_net"))
_QUOTES = frozenset(("quotes_missing", "quotes_missing_long", "quotes_moved", "taken"))
_RAISES = frozenset(("raises", "raise_surprise"))
CAUSES = {
    "cancel_burst": _CANCEL,
    "fleeting": _CANCEL,
    "withdrawal": _QUOTES,
    "clusters": _QUOTES,
    "crowd": _RAISES,
    "whales": _RAISES,
    "foreshock": _CANCEL | _QUOTES | _RAISES,
    "drift": _CANCEL | _QUOTES | _RAISES,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one planted incident. early: called at or before the climax; caught: at all; lead_s: of the first
    call to the climax; delay_s: from the onset; hit: the first row of evidence belongs to the class."""

    name: str
    third: str
    deep: bool
    events_per_s: float
    amplitude: float
    ramp_s: float
    seed: int
    market: str
    at_s: float
    early: bool
    caught: bool
    lead_s: float
    delay_s: float
    hit: bool
    feature: str


def real_labels(run: Run) -> list[Label]:
    """The planted incidents, without confounders."""
    return [
        Label(row["start"], row["end"], tuple(row["markets"]), row["kind"], row["name"])
        for row in run.labels
        if not row["confounder"]
    ]


def verdicts_of(run: Run, calls: Sequence[Call]) -> list[Verdict]:
    """One for each planted incident."""
    specs = {spec.name: spec for spec in run.scenario.markets}
    found = []
    for row in run.labels:
        if row["confounder"]:
            continue
        label = Label(row["start"], row["end"], tuple(row["markets"]), row["kind"], row["name"])
        answers = [call for call in calls if _answers(call, label)]
        first = min(answers, key=lambda call: call.at_ns) if answers else None
        spec = specs[row["markets"][0]]
        found.append(
            Verdict(
                row["class"],
                row["third"],
                spec.depth > 1.0,
                spec.events_per_s,
                row["amplitude"],
                row["ramp_s"],
                run.seed,
                row["markets"][0],
                (row["start"] - run.scenario.start_ns) / SECOND_NS,
                first is not None and first.at_ns <= row["climax"],
                first is not None,
                (row["climax"] - first.at_ns) / SECOND_NS if first else float("nan"),
                (first.at_ns - row["start"]) / SECOND_NS if first else float("nan"),
                first is not None and first.feature in CAUSES[row["class"]],
                first.feature if first else "",
            )
        )
    return found


def _answers(call: Call, label: Label) -> bool:
    return label.start_ns <= call.at_ns <= label.end_ns + GRACE_NS and label.touches(call.markets)


def false_pages(run: Run, calls: Sequence[Call]) -> list[Call]:
    """Pages none of whose incident's calls answers a planted incident."""
    labels = real_labels(run)
    answered = {call.incident_id for call in calls for label in labels if _answers(call, label)}
    return [call for call in calls if call.page and call.incident_id not in answered]


def weeks(run: Run, from_s: float = 0.0, to_s: float = float("inf")) -> float:
    """Market-weeks of a run apart from its planted incidents."""
    start_ns = run.scenario.start_ns
    span = (start_ns + int(from_s * SECOND_NS), start_ns + int(min(to_s, run.scenario.duration_s) * SECOND_NS))
    observed = dict.fromkeys(run.scenario.names, span)
    return exposure_ns(observed, real_labels(run), 0, GRACE_NS) / WEEK_NS


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
    """Counts and shares over some verdicts; lead in s over those early."""
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
    by_kind = {kind: [run for run in runs if run.kind == kind] for kind in ("clean", "dirty", "planted")}
    planted = by_kind["planted"]
    found = [one for run in planted for one in verdicts_of(run, run.calls[1.0])]
    told: dict[str, Any] = {"false": {}, "first_day": {}, "later": {}}
    for kind, group in by_kind.items():
        if group:
            told["false"][kind] = [rate_row(group, promise) for promise in PROMISES]
            told["first_day"][kind] = rate_row(group, 1.0, to_s=86_400.0)
            told["later"][kind] = rate_row(group, 1.0, from_s=86_400.0)
    told["recall"] = recall_row(found)
    told["by_third"] = recall_rows(found, [("third", lambda v: v.third)])
    told["by_class"] = recall_rows(found, [("class", lambda v: v.name)])
    told["by_class_third"] = recall_rows(found, [("class", lambda v: v.name), ("third", lambda v: v.third)])
    told["by_depth"] = recall_rows(found, [("book", lambda v: "deep" if v.deep else "thin")])
    told["by_rate"] = recall_rows(found, [("events_per_s", lambda v: "< 8" if v.events_per_s < 8 else ">= 8")])
    told["by_ramp"] = recall_rows(found, [("ramp", lambda v: ramp_of(v.ramp_s))])
    told["at_promise"] = [
        recall_row([one for run in planted for one in verdicts_of(run, run.calls[promise])], promised=promise)
        for promise in PROMISES
    ]
    told["calibration"] = calibration_rows(by_kind["clean"])
    return told


def ramp_of(ramp_s: float) -> str:
    """The grid's ramps, in words."""
    for limit_s, name in (
        (1.0, "0 sudden"),
        (60.0, "1 under 1 min"),
        (300.0, "2 1 to 5 min"),
        (900.0, "3 5 to 15 min"),
    ):
        if ramp_s < limit_s:
            return name
    return "4 longer"


def _share(values: Sequence[bool]) -> float:
    return round(float(np.mean(values)), 3) if len(values) else float("nan")


def _quantile(values: Any, at: float) -> float:
    return round(float(np.quantile(values, at)), 1) if len(values) else float("nan")

"""What became of each planted incident, and which pages answer none. Pure.

A page is an incident reaching warning; an update that names a further market calls about that one. It answers a label
as in replay/judge.py (same market, from the label's start to ten minutes after its end); recall counts only answers at
or before the climax. Never point-adjusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from replay.instant import SECOND_NS
from replay.judge import GRACE_NS, exposure_ns
from replay.labels import Label
from replay.laboratory_run import digests_of
from replay.laboratory_tally import Call, Run

WEEK_NS = 7 * 86_400 * SECOND_NS
CAUSES = {  # which families of streams tell of a class
    "cancel_burst": ("cancels",),
    "fleeting": ("cancels",),
    "withdrawal": ("quotes",),
    "clusters": ("quotes",),
    "crowd": ("raises",),
    "whales": ("raises",),
    "foreshock": ("cancels", "quotes", "raises"),
    "drift": ("cancels", "quotes", "raises"),
}
BENIGN_RUSHES = ("burst", "news", "listing", "funding")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one planted incident.

    setting: alone, together (several markets), inside (a benign rush was on), cold (the stream is young)
    early: called at or before the climax; caught: at all; lead_s: of the first call to the climax; delay_s: from the
    onset; feature: the first row of its evidence about the label's markets; hit: that row belongs to the class;
    hit_page: the first row of all does, whatever market it is about
    named: share of the first call's contributors that were planted, NaN where no account was or none was told;
    first_named: the largest contributor was planted; pages: incidents that called about it
    """

    name: str
    third: str
    setting: str
    deep: bool
    events_per_s: float
    amplitude: float
    ramp_s: float
    hold_s: float
    seed: int
    market: str
    at_s: float
    early: bool
    caught: bool
    lead_s: float
    delay_s: float
    hit: bool
    hit_page: bool
    feature: str
    named: float
    first_named: float
    pages: int


def real_labels(run: Run) -> list[Label]:
    """The planted incidents, without confounders."""
    return [label_of(row) for row in run.labels if not row["confounder"]]


def label_of(row: dict[str, Any]) -> Label:
    """A row of LABELS.json."""
    return Label(row["start"], row["end"], tuple(row["markets"]), row["kind"], row["name"])


def verdicts_of(run: Run, calls: Sequence[Call]) -> list[Verdict]:
    """One for each planted incident."""
    specs = {spec.name: spec for spec in run.scenario.markets}
    by_market = _by_market(calls)
    rushes = [row for row in run.labels if row["class"] in BENIGN_RUSHES]
    found = []
    for row in run.labels:
        if row["confounder"]:
            continue
        answers = _answers_of(by_market, label_of(row))
        first = min(answers, key=lambda call: (call.at_ns, call.incident_id)) if answers else None
        spec = specs[row["markets"][0]]
        planted = digests_of(row["accounts"]) if first is not None and first.accounts else frozenset()
        feature = _about(first, row["markets"]) if first is not None else ""
        found.append(
            Verdict(
                name=row["class"],
                third=row["third"],
                setting=_setting(run, row, rushes),
                deep=spec.depth > 1.0,
                events_per_s=spec.events_per_s,
                amplitude=row["amplitude"],
                ramp_s=row["ramp_s"],
                hold_s=row["hold_s"],
                seed=run.seed,
                market=row["markets"][0],
                at_s=(row["start"] - run.scenario.start_ns) / SECOND_NS,
                early=first is not None and first.at_ns <= row["climax"],
                caught=first is not None,
                lead_s=(row["climax"] - first.at_ns) / SECOND_NS if first else float("nan"),
                delay_s=(first.at_ns - row["start"]) / SECOND_NS if first else float("nan"),
                hit=family(feature) in CAUSES[row["class"]],
                hit_page=first is not None and family(first.feature) in CAUSES[row["class"]],
                feature=feature,
                named=float(np.mean([who in planted for who in first.accounts])) if first and planted else float("nan"),
                first_named=float(first.accounts[0] in planted) if first and planted else float("nan"),
                pages=len({call.incident_id for call in answers}),
            )
        )
    return found


def _about(call: Call, markets: Sequence[str]) -> str:
    """The first row of evidence about the first of these markets that has one; of a call that has none, its first."""
    about = dict(call.of_market)
    return next((about[market] for market in markets if market in about), call.feature)


def family(feature: str) -> str:
    """cancels, quotes or raises: what a stream's name is about; other names are their own family."""
    if "cancel" in feature:
        return "cancels"
    if feature.startswith(("quotes", "taken")):
        return "quotes"
    return "raises" if feature.startswith(("raise", "leverage")) else feature


def _setting(run: Run, row: dict[str, Any], rushes: Sequence[dict[str, Any]]) -> str:
    if run.kind == "cold":
        return "cold"
    if len(row["markets"]) > 1:
        return "together"
    on = [rush for rush in rushes if rush["start"] <= row["start"] <= rush["end"]]
    return "inside" if any(set(rush["markets"]) & set(row["markets"]) for rush in on) else "alone"


def _by_market(calls: Iterable[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in calls:
        for market in call.markets or ("",):
            found.setdefault(market, []).append(call)
    return found


def _answers_of(by_market: dict[str, list[Call]], label: Label) -> list[Call]:
    near = [call for market in (*label.markets, "") for call in by_market.get(market, ())]
    return [call for call in near if label.start_ns <= call.at_ns <= label.end_ns + GRACE_NS]


def false_pages(run: Run, calls: Sequence[Call]) -> list[Call]:
    """Pages none of whose incident's calls answers a planted incident. That a planted market joined later makes a page
    no less false."""
    by_market = _by_market(call for call in calls if not call.joined)
    answered = {call.incident_id for label in real_labels(run) for call in _answers_of(by_market, label)}
    return [call for call in calls if call.page and call.incident_id not in answered]


def weeks(run: Run, from_s: float = 0.0, to_s: float = float("inf")) -> float:
    """Market-weeks of a run apart from its planted incidents."""
    start_ns = run.scenario.start_ns
    span = (start_ns + int(from_s * SECOND_NS), start_ns + int(min(to_s, run.scenario.duration_s) * SECOND_NS))
    if span[1] <= span[0]:
        return 0.0
    observed = dict.fromkeys(run.scenario.names, span)
    return exposure_ns(observed, real_labels(run), 0, GRACE_NS) / WEEK_NS

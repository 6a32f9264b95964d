"""What the laboratory found, as tables: for a terminal, and for docs/detection.md. Pure: rows in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RECALL = {
    "planted": "planted",
    "early": "before the climax",
    "caught": "at all",
    "lead_median_s": "lead, median (s)",
    "lead_p10_s": "lead, p10 (s)",
    "delay_median_s": "after onset, median (s)",
    "delay_p90_s": "after onset, p90 (s)",
    "hit_1": "hit@1",
    "hit_page": "of the page",
    "account_1": "account@1",
    "accounts": "accounts planted",
}
FALSE = {
    "stream": "stream",
    "promised": "promised",
    "realised": "realised",
    "low": "95 % from",
    "high": "to",
    "pages": "pages",
    "market_weeks": "market-weeks",
    "features": "by first evidence",
}
HEAD = """# Detection

Written by `python -m bench.detection --docs`; nothing here is typed by hand. **All of it is synthetic** but the last
table: order streams of a simulated exchange (`replay/exchange.py`), incidents and confounders planted by
`replay/balanced.py` and `replay/incidents_plan.py`, driven through the engine as shipped. What it says of a real
exchange is an indication.

{conditions}

A page is an incident that reaches warning. A planted incident counts as recalled only when somebody was told of it, by
a page or by an update of a page that names its market, between its onset and its climax, as its label says them; "at
all" also counts up to ten minutes after its end. Nothing is point-adjusted. Thresholds are the product's own return
levels from the promised budget; none was set on these streams. The subtle third is the lowest third of a class's range
of amplitudes, on a log scale;
`python -m replay.laboratory_physics` prints what each class and third comes to in events.

hit@1: the first row of the evidence about its market belongs to the class; of the page: the first row of all, which in
an incident over several markets may be about another market, where something else was planted. account@1: the largest
contributor was planted; accounts planted: the share of those named that were (where accounts were planted).
"""


def markdown(told: Mapping[str, Any], conditions: Sequence[str]) -> str:
    """docs/detection.md."""
    parts = [HEAD.format(conditions="\n".join(f"- {line}" for line in conditions))]
    parts += [section_text(section) for section in sections(told)]
    return "\n".join(parts)


def section_text(section: Section) -> str:
    """One table of the page under its heading."""
    title, sentence, columns, rows = section
    names = [RECALL.get(column, FALSE.get(column, column)) for column in columns]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join([f"## {title}", "", *([sentence, ""] if sentence else []), *lines, ""])


def terminal(told: Mapping[str, Any], conditions: Sequence[str]) -> str:
    """The same, for a screen."""
    parts = ["Synthetic.", *conditions, ""]
    for title, _, columns, rows in sections(told):
        parts += [f"-- {title}", *table(columns, rows), ""]
    return "\n".join(parts)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a table for a screen, the first its head."""
    cells = [[*columns], *[[_cell(row.get(column)) for column in columns] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


Section = tuple[str, str, list[str], list[dict[str, Any]]]  # title, sentence, columns, rows


PEER_COLUMNS = (
    *("peer", "input", "smoothing_s", "false_pages", "vus_pr", *[*RECALL][:5]),
    *("both", "lead_of_both_s", "ours_of_both_s", "sooner_s", "we_first", "they_first"),
)


def sections(told: Mapping[str, Any]) -> list[Section]:
    """Every table that has rows."""
    made = [
        ("Goals", "What was asked, and what these streams gave.", ["goal", "asked", "reached"], goals(told)),
        *_false_sections(told),
        *_recall_sections(told),
        *_other_sections(told),
        *separate_sections(told),
    ]
    return [section for section in made if section[3]]


def _false_sections(told: Mapping[str, Any]) -> list[Section]:
    false = [
        {"stream": kind, **row, "features": _counts(row["features"])}
        for kind, rows in told["false"].items()
        for row in rows
    ]
    days = [
        {"stream": kind, "time": name, **row, "features": _counts(row["features"])}
        for name, key in (("first day", "first_day"), ("later", "later"))
        for kind, row in told[key].items()
        if row["market_weeks"] > 0
    ]
    return [
        (
            "False pages per market-week",
            "Clean: nothing planted. Dirty: confounders only. Planted, wide, cold: apart from the planted incidents. "
            "Promises other than 1 come from the same scores against other levels; learning pauses as at a promise of "
            "1. Intervals are exact Poisson.",
            [*FALSE],
            false,
        ),
        ("From an empty state", "At a promise of 1.", ["time", *FALSE], days),
        (
            "Confounders",
            "Of each kind, on dirty and planted streams: how many there were, and into how many (their first hour) a "
            "false page fell.",
            ["confounder", "labels", "paged"],
            told["confounders"],
        ),
    ]


def _recall_sections(told: Mapping[str, Any]) -> list[Section]:
    recall = [*RECALL]
    return [
        ("Recall", "At a promise of 1, all planted incidents.", recall, [told["recall"]]),
        ("By amplitude third", "", ["third", *recall], told["by_third"]),
        ("By class", "", ["class", *recall], told["by_class"]),
        ("By class and third", "", ["class", "third", *recall], told["by_class_third"]),
        (
            "Beside the ceiling",
            "The recall of the best single statistic at its best scale, chosen with hindsight for the class and third, "
            "its threshold set on a clean stream to 1 false page a market-week with all looks counted "
            "(`replay/laboratory_oracle.py`); and ours as a share of it. class_by: the best over all three thirds.",
            ["class", "third", "planted", "ceiling", "ours", "of_ceiling", "by", "class_by"],
            told.get("ceilings", []),
        ),
        (
            "Ablation",
            "What each stream adds: recall of all streams at thresholds that give the same false pages, with one left "
            "out, and of one alone (`replay/laboratory_ablation.py`; from recorded windows, without early looks). What "
            "is not listed pages nobody: it is evidence (docs/adr/0010).",
            ["stream", "early", "adds", "most in", "alone", "alone in"],
            told.get("ablation", []),
        ),
        (
            "By setting",
            "Alone; on three to six markets within 30 s (together); inside a benign burst.",
            ["setting", "class", *recall],
            told["by_setting"],
        ),
        ("By book", "", ["book", *recall], told["by_depth"]),
        (
            "By base rate",
            "Events a second; from 20 on only the wide stream's markets.",
            ["events_per_s", *recall],
            told["by_rate"],
        ),
        ("By ramp", "", ["ramp", *recall], told["by_ramp"]),
        ("At other promises", "", ["promised", *recall], told["at_promise"]),
        (
            "Recall against false pages",
            "The largest score over its warning level as one series, in the peers' harness: an oracle's threshold on "
            "these very streams, ten-second samples dated to their beginning.",
            ["false_per_week", "reached", "planted", "early"],
            told.get("curve", []),
        ),
        (
            "From minute three",
            "From an empty state: bursts of cancels from 180 s on, and one of each slow class and third within twenty "
            "minutes, a market each.",
            ["class", "third", *recall],
            told["cold"],
        ),
        (
            "By how long a burst's orders live",
            "Bursts of one account that keeps orders resting and takes each back after a while, 20 s long: the longer "
            "they live (life_s, median), the more it looks like one more maker (`replay/laboratory_lives.py`).",
            ["life_s", "amplitude", *recall],
            told.get("lives", []),
        ),
    ]


def _other_sections(told: Mapping[str, Any]) -> list[Section]:
    return [
        (
            "Calibration",
            "On clean streams, after the first hour: how often a detector's score was reached, over how often its own "
            "tail probability says. Windows overlap in what they sum, so few of them are independent.",
            ["detector", "market_windows", "1e-2", "1e-3", "1e-4"],
            told["calibration"],
        ),
        (
            "Drift notes",
            "Never a page. Of lasting changes (a fee, one more maker, hours of slow poisoning, a quiet night): how "
            "many were noted within two hours of their height, how many minutes after they began, and how many would "
            "be by chance at the rate of clean streams.",
            ["what", "times", "per_market_week", "noted", "after_min", "by_chance"],
            told.get("notes", []),
        ),
        (
            "Correlation",
            "In how many incidents a shock was told, and whether the market that moved first was named so.",
            ["what", "times", "wanted", "as_wanted", "incidents", "leader_named", "leader_right", "false_pages"],
            told.get("correlation", []),
        ),
        (
            "Peers on the same streams",
            "Each is given ten-second means of every column our engine computes (raw) or of our detectors' residuals, "
            "and an oracle's threshold: the one at which it has at most as many false pages on all these streams as "
            "foreshock. The best of three smoothings; on some of the markets, and ours beside them. VUS-PR: "
            "Paparrizos et al., VLDB 2022. A lead is over what was told of before the climax, which differs; the last "
            "six columns are over the incidents of which the peer and we (with an oracle's threshold too, and dated "
            "alike) both told in time; sooner_s: the median of how much sooner we did, by incident.",
            [*PEER_COLUMNS],
            told.get("peers", []),
        ),
        (
            "Cost",
            "Of generation, engine, shadow correlators and counting together, CPU.",
            ["market_weeks", "cpu_s", "us_per_market_second"],
            [told["cost"]] if "cost" in told else [],
        ),
    ]


def separate_sections(told: Mapping[str, Any]) -> list[Section]:
    """Those that stand on streams of their own, so that they can be run alone: replay/laboratory_amend.py."""
    made = [
        (
            "Feeds that name less",
            "The same streams as feeds without accounts, and without accounts and order ids, would tell them "
            "(`replay/laboratory_degraded.py`): of foreshock and drift only the half without leverage can be seen. "
            "realised, dirty, robots: false pages a market-week on a clean stream, on one of confounders, and on a "
            "clean one where robots lay grids and act as minutes end, promised 1.",
            [
                *("feed", "class", "planted", "early", "caught", "lead_median_s", "delay_median_s", "hit_1"),
                *("realised", "dirty", "robots"),
            ],
            told.get("degraded", []),
        ),
        (
            "Peers where makers are unsteady",
            "As `Peers on the same streams`, on a planted stream of three of the other exchanges in one: makers "
            "go away four times a day, leave every twentieth quote away, and quote ten times as far out for a "
            "minute four times a day. Static limits are soonest where one stream says nothing at all in normal times.",
            [*PEER_COLUMNS],
            told.get("unsteady", []),
        ),
        (
            "On other exchanges",
            "Clean streams of exchanges that are unlike the one the detectors were tuned on, at a promise of 1: what "
            "came, the evidence that more came than promised, and after how many hours the audit said so (-: it did "
            "not; a promise is not judged within its first day). planted: on a second stream of each, and the class "
            "told of least. `replay/laboratory_audit.py`.",
            [
                *("exchange", "pages", "market_weeks", "realised", "evidence", "said_after_h", "features"),
                *("planted", "early", "worst"),
            ],
            told.get("audit", []),
        ),
        (
            "Real captures",
            "Not synthetic: recordings nobody here made, replayed as `foreshock replay` does. Nothing in them is "
            "labelled but the first one's shock at 23:57:52, so pages outside it are unexplained, not false.",
            ["capture", "minutes", "markets", "pages", "incidents", "told"],
            told.get("captures", []),
        ),
    ]
    return [section for section in made if section[3]]


def goals(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal beside what was reached, whether it was or not."""
    thirds = {row["third"]: row for row in told["by_third"]}
    upper = [thirds[third] for third in ("middle", "obvious") if third in thirds]
    early = sum(row["early"] * row["planted"] for row in upper) / max(1, sum(row["planted"] for row in upper))
    at_one = {kind: next(row for row in rows if row["promised"] == 1.0) for kind, rows in told["false"].items()}
    ramps = {row["ramp"][2:]: row for row in told["by_ramp"]}
    first = told["first_day"]
    rows = [
        ("recall, middle and obvious thirds", ">= 0.95", f"{early:.2f}"),
        ("recall, subtle third", ">= 0.75", f"{thirds['subtle']['early']:.2f}" if "subtle" in thirds else "-"),
    ]
    if told["by_class"]:
        worst = min(told["by_class"], key=lambda row: row["early"])
        rows.append(("recall of the worst class", ">= 0.75", f"{worst['early']:.2f} ({worst['class']})"))
    if "clean" in at_one:
        rows.append(("false pages a market-week, clean, promised 1", "0.8 to 1.2", _rate(at_one["clean"])))
        realised = ", ".join(f"{row['realised']:.2f}" for row in told["false"]["clean"] if row["promised"] != 1.0)
        rows.append(("promised 0.25, 0.5, 2, 4, clean", "each within x 1.4", realised))
        rows.append(("first day, clean, promised 1", "<= 2", _rate(first["clean"])))
    if "dirty" in at_one:
        rows.append(("false pages a market-week, dirty, promised 1", "<= 1.2", _rate(at_one["dirty"])))
    lead = ramps.get("5 to 15 min", {}).get("lead_median_s")
    delay = ramps.get("sudden", {}).get("delay_median_s")
    rows.append(("median lead on ramps of 5 to 15 min", ">= 240 s", f"{_cell(lead)} s"))
    rows.append(("median time to a sudden burst's page", "<= 3 s", f"{_cell(delay)} s"))
    hit, page = told["recall"]["hit_1"], told["recall"]["hit_page"]
    rows.append(("hit@1", ">= 0.97", f"{hit:.3f} ({page:.3f} by the first row of all)"))
    bursts = [row for row in told["cold"] if row["class"] == "cancel_burst"]
    if bursts:
        caught = ", ".join(f"{row['third']} {row['caught']:.2f}" for row in bursts)
        rows.append(("a burst three minutes in", "caught", caught))
    if told.get("ceilings"):
        planted = sum(row["planted"] for row in told["ceilings"])
        ceiling = sum(row["ceiling"] * row["planted"] for row in told["ceilings"]) / max(1, planted)
        share = told["recall"]["early"] / ceiling if ceiling > 0 else float("nan")
        rows.append(("recall as a share of the ceiling", "-", f"{share:.2f} of {ceiling:.2f}"))
    rows += [row for kind in ("raw", "residuals") for row in _peer_goal(told.get("peers", []), kind)]
    unsteady = _peer_goal(told.get("unsteady", []), "residuals")
    rows += [(f"{goal}, unsteady makers", asked, reached) for goal, asked, reached in unsteady]
    return [{"goal": goal, "asked": asked, "reached": reached} for goal, asked, reached in rows]


def _peer_goal(rows: Sequence[Mapping[str, Any]], kind: str) -> list[tuple[str, str, str]]:
    """Our own thresholds, the first row, against the best peer on one input, on the same markets."""
    peers = [row for row in rows if row["input"] == kind]
    if not peers:
        return []
    best, ours = max(peers, key=lambda row: float(row["early"])), rows[0]
    times = ours["early"] / best["early"] if best["early"] > 0 else float("inf")
    lead = f"lead {_cell(ours['lead_median_s'])} s against {_cell(best['lead_median_s'])} s"
    if best.get("both"):
        same = f"{_cell(best['ours_of_both_s'])} s against {_cell(best['lead_of_both_s'])} s"
        lead += f"; over the {best['both']} both told of in time, {same}"
        lead += (
            f", {_cell(best['sooner_s'])} s sooner by incident: we first {best['we_first']}, they {best['they_first']}"
        )
    asked = ">= 2 x" if kind == "raw" else "> 1 x, and more lead"
    return [(f"recall over the best peer's on {kind}", asked, f"{times:.1f} x ({best['peer']}), {lead}")]


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['realised']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _counts(features: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in features.items())


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.6g}"
    return "" if value is None else str(value)

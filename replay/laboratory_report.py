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

Written by `python -m bench.detection --docs`; nothing here is typed by hand. **All of it is synthetic**: order streams
of a simulated exchange (`replay/exchange.py`), incidents and confounders planted by `replay/balanced.py` and
`replay/incidents_plan.py`, driven through the engine as shipped. What it says of a real exchange is an indication.

{conditions}

A page is an incident that reaches warning. A planted incident counts as recalled only when it was paged between its
onset and its climax, as its label says them; "at all" also counts up to ten minutes after its end. Nothing is
point-adjusted. Thresholds are the product's own return levels from the promised budget; none was set on these
streams. The subtle third is the lowest third of a class's range of amplitudes, on a log scale.
"""


def sections(told: Mapping[str, Any]) -> list[tuple[str, str, list[str], list[dict[str, Any]]]]:
    """(title, sentence, columns, rows) of every table."""
    recall = [*RECALL]
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
    made = [
        ("Goals", "What was asked, and what these streams gave.", ["goal", "asked", "reached"], goals(told)),
        (
            "False pages per market-week",
            "Clean: nothing planted. Dirty: confounders only. Planted: apart from the planted incidents. Promises "
            "other than 1 come from the same scores against other levels; learning pauses as at a promise of 1.",
            [*FALSE],
            false,
        ),
        ("From an empty state", "At a promise of 1.", ["time", *FALSE], days),
        ("Recall", "At a promise of 1, all planted incidents.", recall, [told["recall"]]),
        ("By amplitude third", "", ["third", *recall], told["by_third"]),
        ("By class", "", ["class", *recall], told["by_class"]),
        ("By class and third", "", ["class", "third", *recall], told["by_class_third"]),
        ("By book", "", ["book", *recall], told["by_depth"]),
        ("By base rate", "", ["events_per_s", *recall], told["by_rate"]),
        ("By ramp", "", ["ramp", *recall], told["by_ramp"]),
        ("At other promises", "", ["promised", *recall], told["at_promise"]),
        (
            "Calibration",
            "On clean streams, after the first hour: how often a detector's score was reached, over how often its own "
            "tail probability says. Windows overlap in what they sum, so few of them are independent.",
            ["detector", "market_windows", "1e-2", "1e-3", "1e-4"],
            told["calibration"],
        ),
    ]
    if told.get("cold"):
        made.append(
            (
                "A burst three minutes in",
                "From an empty state, one planted burst of cancels 180 s after the first event, a market each.",
                ["amplitude", "planted", "caught", "delay_median_s", "false_pages"],
                told["cold"],
            )
        )
    if told.get("peers"):
        made.append(
            (
                "Peers on the same streams",
                "Each is given ten-second means of every column our engine computes, and an oracle's threshold: "
                "the one at which it has at most as many false pages on all these streams as foreshock. The best of "
                "three smoothings.",
                ["peer", "smoothing_s", "false_pages", *recall[:5]],
                told["peers"],
            )
        )
    return made


def goals(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal beside what was reached, whether it was or not."""
    thirds = {row["third"]: row for row in told["by_third"]}
    upper = [thirds[third] for third in ("middle", "obvious") if third in thirds]
    early = sum(row["early"] * row["planted"] for row in upper) / max(1, sum(row["planted"] for row in upper))
    worst = min(told["by_class"], key=lambda row: row["early"])
    at_one = {kind: next(row for row in rows if row["promised"] == 1.0) for kind, rows in told["false"].items()}
    ramps = {row["ramp"][2:]: row for row in told["by_ramp"]}
    first = told["first_day"]
    rows = [
        ("recall, middle and obvious thirds", ">= 0.95", f"{early:.2f}"),
        ("recall, subtle third", ">= 0.75", f"{thirds['subtle']['early']:.2f}" if "subtle" in thirds else "-"),
        ("recall of the worst class", ">= 0.75", f"{worst['early']:.2f} ({worst['class']})"),
        ("false pages a market-week, clean, promised 1", "0.8 to 1.2", _rate(at_one["clean"])),
        ("the same, dirty", "<= 1.2", _rate(at_one["dirty"])),
        ("first day, clean, promised 1", "<= 2", _rate(first["clean"])),
        (
            "median lead on ramps of 5 to 15 min",
            ">= 240 s",
            f"{_cell(ramps.get('5 to 15 min', {}).get('lead_median_s'))} s",
        ),
        ("median time to a sudden burst's page", "<= 3 s", f"{_cell(ramps.get('sudden', {}).get('delay_median_s'))} s"),
        ("hit@1", ">= 0.97", _cell(told["recall"]["hit_1"])),
    ]
    if told.get("peers"):
        best = max(told["peers"][1:], key=lambda row: row["early"])
        times = told["recall"]["early"] / best["early"] if best["early"] > 0 else float("inf")
        rows.append(("recall over the best peer's", ">= 2 x", f"{times:.1f} x ({best['peer']})"))
    return [{"goal": goal, "asked": asked, "reached": reached} for goal, asked, reached in rows]


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['realised']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def markdown(told: Mapping[str, Any], conditions: Sequence[str]) -> str:
    """docs/detection.md."""
    parts = [HEAD.format(conditions="\n".join(f"- {line}" for line in conditions))]
    for title, sentence, columns, rows in sections(told):
        names = [RECALL.get(column, FALSE.get(column, column)) for column in columns]
        lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
        parts.append("\n".join([f"## {title}", "", *([sentence, ""] if sentence else []), *lines, ""]))
    return "\n".join(parts)


def terminal(told: Mapping[str, Any], conditions: Sequence[str]) -> str:
    """The same, for a screen."""
    parts = ["Synthetic.", *conditions, ""]
    for title, _, columns, rows in sections(told):
        cells = [columns, *[[_cell(row.get(column)) for column in columns] for row in rows]]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        parts.append(f"-- {title}")
        parts += [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
        parts.append("")
    return "\n".join(parts)


def _counts(features: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in features.items())


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.6g}"
    return "" if value is None else str(value)

"""Render: incidents, verdicts and counts as a tired person wants to see them in a terminal. Shared by the commands.

Names of markets and accounts come from outside: they pass `printable` and are never read as markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from detector.cli.base import printable

SEVERITY_STYLES = {"critical": "bold white on red", "warning": "bold black on yellow", "info": "bold black on cyan"}
OUTCOME_STYLES = {"caught": "green", "already_firing": "yellow", "missed": "red", "not_observed": "dim"}
ROWS_MAX = 12  # evidence, contributors, steps of the story shown at once
LISTED_MAX = 40  # false incidents listed


def severity_text(severity: str) -> Text:
    """The word on its colour; readable without one."""
    return Text(f" {printable(severity).upper()} ", SEVERITY_STYLES.get(severity, "bold"))


def incident_line(body: Mapping[str, Any]) -> Text:
    """One alert on one line: when, how grave, why, what."""
    data = body["data"]
    return Text.assemble(
        f"{when(body['timestamp'])}  ",
        severity_text(str(data["severity"])),
        f"  {printable(data['reason']):<12}{printable(data['title'])}",
    )


def incident_panel(body: Mapping[str, Any]) -> Panel:
    """One alert whole: what happened, how unusual it is, why, who, since when."""
    data = body["data"]
    parts: list[RenderableType] = [Text(printable(data["summary"])), Text("")]
    every = data.get("expected_every")
    parts.append(
        Text(
            f"score {_number(data['score'])}"
            + (f", normally once in {printable(every)}" if every else "")
            + f"; began {when(data['started_at'])}, detected {when(data['detected_at'])}"
            + (f", over {when(data['ended_at'])}" if data.get("ended_at") else "")
            + " UTC"
            + (" (still learning what is normal here)" if data.get("warming") else ""),
            "dim",
        )
    )
    for make in (_evidence, _context, _contributors, _timeline):
        if (table := make(data)) is not None:
            parts += [Text(""), table]
    title = Text.assemble(severity_text(str(data["severity"])), f" {printable(data['title'])} ")
    return Panel(
        Group(*parts),
        title=title,
        title_align="left",
        subtitle=Text(printable(f"{data['incident_id']} {data['reason']}"), "dim"),
        subtitle_align="right",
        border_style="red" if data["severity"] == "critical" else "yellow" if data["severity"] == "warning" else "cyan",
    )


WEEKS_SAY = 1.0  # market-weeks; before, a rate a week says nothing


def summary_table(summary: Mapping[str, Any]) -> Table:
    """What went in and what came out."""
    table = _table("", ("", "left"), ("", "right"))
    table.show_header = False
    if summary["from"]:
        table.add_row("event time", f"{when(summary['from'])} to {when(summary['to'])} UTC")
    table.add_row("markets", f"{len(summary['markets']):,}")
    table.add_row("records", f"{summary['records']:,}")
    table.add_row("events", f"{summary['events']:,}")
    table.add_row("late", f"{summary['late']:,}")
    for reason, number in summary["rejects"].items():
        table.add_row(f"rejected: {printable(reason)}", f"{number:,}", style="yellow")
    for name, number in summary["counts"].items():
        if name not in ("events", "records", "late", "rejects"):
            table.add_row(printable(name.replace("_", " ")), f"{number:,}", style="dim")
    if summary["events_per_s"] is not None:
        table.add_row("speed", f"{summary['events_per_s']:,} events/s, {summary['elapsed_s']:.1f} s")
    for severity in ("critical", "warning", "info"):
        table.add_row(Text.assemble("incidents ", severity_text(severity)), f"{summary['incidents'][severity]:,}")
    for severity, promise in summary["budget"].items():
        if promise["market_weeks"] >= WEEKS_SAY:
            said = f"{promise['realised']:.3g} a market-week, {promise['promised']:g} promised"
            said += ": broken" if promise["broken"] else f", evidence against {promise['evidence']:.2g}"
            table.add_row(Text.assemble("told at ", severity_text(severity)), said, style="dim")
    return table


def _then(row: Mapping[str, Any]) -> str:
    """What it became, where the first alert was milder."""
    return f", then {row['worst']}" if row["worst"] != row["severity"] else ""


def _rule(verdict: Mapping[str, Any]) -> str:
    """What counts, and what came of it."""
    median = verdict["median_lead_s"]
    known = verdict["recall"] is not None
    said = f"recall {verdict['recall']:.2f}, by pages {verdict['recall_paged']:.2f}, " if known else ""
    said += f"median {lead(median)}, " if median is not None else ""
    return f"({said}alerts from {verdict['early_s']:g} s before a start to {verdict['grace_s']:g} s after an end)"


def verdict_group(verdict: Mapping[str, Any]) -> Group:
    """Alerts against labels: label by label, then what was false, then what was harmless and fired."""
    labels = _table(
        f"labels: {verdict['caught']} of {len(verdict['labels'])} caught {_rule(verdict)}",
        ("label", "left"),
        ("start", "left"),
        ("outcome", "left"),
        ("first alert", "left"),
        ("lead", "right"),
        ("severity", "left"),
    )
    for row in verdict["labels"]:
        since = row["firing_since"]
        labels.add_row(
            printable(row["name"]),
            when(row["start"]),
            Text(row["outcome"].replace("_", " "), OUTCOME_STYLES.get(row["outcome"], "")),
            when(row["first_alert"] or "-") if row["first_alert"] or not since else f"firing since {when(since)}",
            lead(row["lead_s"]),
            "-" if row["severity"] is None else row["severity"] + _then(row),
        )
    false = _table(
        f"false incidents, over {verdict['market_days']:.2f} market-days apart from labels "
        f"({verdict['market_weeks_observed']:.2f} market-weeks observed in all)",
        ("severity", "left"),
        ("highest", "right"),
        ("this or worse", "right"),
        ("per market-day", "right"),
        ("95 % interval", "right"),
    )
    for severity, rate in verdict["false"].items():
        interval = "-" if rate["low"] is None else f"{rate['low']:.3g} to {rate['high']:.3g}"
        per_day = "-" if rate["per_market_day"] is None else f"{rate['per_market_day']:.3g}"
        false.add_row(severity, f"{rate['count']:,}", f"{rate['or_worse']:,}", per_day, interval)
    parts: list[RenderableType] = [*([labels] if verdict["labels"] else []), false]
    if verdict["confounders"]:
        harmless = _table("harmless, and yet told", ("confounder", "left"), ("fired", "right"), ("of", "right"))
        for row in verdict["confounders"]:
            harmless.add_row(printable(row["name"]), f"{row['fired']:,}", f"{row['labels']:,}")
        parts.append(harmless)
    for row in verdict["false_incidents"][:LISTED_MAX]:
        parts.append(
            Text.assemble(
                "false: ", when(row["at"]), "  ", severity_text(row["severity"]), f" {printable(row['title'])}"
            )
        )
    if len(verdict["false_incidents"]) > LISTED_MAX:
        parts.append(Text(f"... and {len(verdict['false_incidents']) - LISTED_MAX} more", "dim"))
    return Group(*parts)


def when(instant: str) -> str:
    """An alert's time for people: UTC, without what they do not need.

    >>> when("2026-11-22T10:03:31.120Z"), when("-")
    ('2026-11-22 10:03:31', '-')
    """
    return printable(instant[:19].replace("T", " "))


def lead(lead_s: float | None) -> str:
    """A lead or a lag in words.

    >>> lead(95.0), lead(-4.5), lead(0.0), lead(None)
    ('1 min 35 s early', '4.5 s late', '0 s', '-')
    """
    if lead_s is None:
        return "-"
    minutes, seconds = divmod(round(abs(lead_s), 1), 60)
    text = f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:g} s"
    return text + (" early" if lead_s > 0 else " late" if lead_s < 0 else "")


def _evidence(data: Mapping[str, Any]) -> Table | None:
    rows = data.get("evidence") or ()
    if not rows:
        return None
    several = len({row["market"] for row in rows}) > 1
    table = _table(
        "why",
        *([("market", "left")] if several else []),
        ("feature", "left"),
        ("observed", "right"),
        ("expected", "right"),
        ("normally", "right"),
        ("unit", "left"),
        ("share", "right"),
    )
    for row in rows[:ROWS_MAX]:
        table.add_row(
            *([printable(row["market"])] if several else []),
            printable(row["feature"]),
            _number(row["observed"]),
            _number(row["expected"]),
            f"{_number(row['low'])} to {_number(row['high'])}",
            printable(row["unit"]),
            f"{row['share']:.0%}",
        )
    return table


def _context(data: Mapping[str, Any]) -> Table | None:
    rows = data.get("context") or ()
    if not rows:
        return None
    table = _table(
        "unusual with it", ("what", "left"), ("observed", "right"), ("usual", "right"), ("unit", "left"),
        ("deviations", "right"),
    )  # fmt: skip
    for row in rows[:ROWS_MAX]:
        table.add_row(
            printable(row["meaning"]),
            _number(row["observed"]),
            _number(row["usual"]),
            printable(row["unit"]),
            _number(row["deviations"]),
        )
    return table


def _contributors(data: Mapping[str, Any]) -> Table | None:
    rows = data.get("contributors") or ()
    if not rows:
        return None
    table = _table("who", ("account", "left"), ("share", "right"))
    for row in rows[:ROWS_MAX]:
        table.add_row(printable(row["account"]), f"{row['share']:.0%}")
    return table


def _timeline(data: Mapping[str, Any]) -> Table | None:
    rows = data.get("timeline") or ()
    if not rows:
        return None
    table = _table("since when", ("at", "left"), ("market", "left"), ("detector", "left"), ("score", "right"))
    for row in rows[-ROWS_MAX:]:
        table.add_row(when(row["at"]), printable(row["market"]), printable(row["detector"]), _number(row["score"]))
    return table


def _table(title: str, *columns: tuple[str, Any]) -> Table:
    table = Table(
        title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for name, justify in columns:
        table.add_column(name, justify=justify, header_style="dim", overflow="fold")
    return table


def _number(value: Any) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def note_lines(sentences: Sequence[str], style: str) -> Group:
    """Sentences, a line each."""
    return Group(*(Text(printable(sentence), style) for sentence in sentences))

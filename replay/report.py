"""Report: one HTML file that holds everything it shows. No script, nothing loaded, every word from outside escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #8884; --red: #c8102e; --amber: #b26a00; --blue: #00688b; --green: #177245 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; margin: .5rem 0 } th { text-align: left; font-weight: 600 }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.scroll { overflow-x: auto } .quiet { opacity: .7 }
.critical, .warning, .info, .missed, .already_firing, .caught { font-weight: 600 }
.critical, .missed { color: var(--red) } .warning, .already_firing { color: var(--amber) }
.info { color: var(--blue) } .caught { color: var(--green) }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .8rem; margin: .5rem 0 }
summary { cursor: pointer }
"""


def report(summary: Mapping[str, Any], bodies: Sequence[Mapping[str, Any]], version: str) -> str:
    """The page. summary: summary.summarise(); bodies: the last alert of each incident, in the order of the page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>foreshock replay</title><style>{STYLE}</style></head><body>",
        "<h1>What foreshock would have said</h1>",
        f'<p class="quiet">{_text(", ".join(summary["paths"]))}<br>foreshock {_text(version)}</p>',
        *(f'<p class="critical">{_text(sentence)}</p>' for sentence in summary["damage"]),
        *_counts(summary),
        *(_verdict(summary["verdict"]) if summary["verdict"] is not None else []),
        f"<h2>Incidents ({sum(summary['incidents'].values()):,})</h2>",
        *(part for body in bodies for part in _incident(body)),
        "" if len(bodies) == sum(summary["incidents"].values()) else "<p>Only the gravest are shown.</p>",
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _counts(summary: Mapping[str, Any]) -> Iterable[str]:
    rows: list[Sequence[Any]] = [
        ("event time", f"{summary['from']} to {summary['to']}" if summary["from"] else "no events"),
        ("markets", ", ".join(summary["markets"][:50]) + (" ..." if len(summary["markets"]) > 50 else "")),
        ("events", summary["events"]),
        ("late", summary["late"]),
        *((f"rejected: {reason}", number) for reason, number in summary["rejects"].items()),
        *((f"incidents, {severity}", number) for severity, number in reversed(summary["incidents"].items())),
        *(
            (f"told at {severity} a market-week, {promise['promised']:g} promised", f"{promise['realised']:.3g}")
            for severity, promise in reversed(summary["budget"].items())
            if promise["market_weeks"] >= 1.0  # before, a rate a week says nothing
        ),
    ]
    yield _table((), rows)


def _verdict(verdict: Mapping[str, Any]) -> Iterable[str]:
    yield f"<h2>Labels: {verdict['caught']} of {len(verdict['labels'])} caught</h2>"
    yield _table(
        ("label", "kind", "start", "outcome", "first alert", "lead (s)", "severity"),
        [
            (
                row["name"],
                row["kind"],
                row["start"],
                _Marked(row["outcome"].replace("_", " "), row["outcome"]),
                row["first_alert"] or (f"firing since {row['firing_since']}" if row["firing_since"] else "-"),
                row["lead_s"],
                _Marked(row["severity"] or "-", row["severity"] or ""),
            )
            for row in verdict["labels"]
        ],
    )
    yield (
        f'<p class="quiet">An alert counts from {verdict["early_s"]:g} s before a label\'s start '
        f"to {verdict['grace_s']:g} s after its end. A lead above 0 came before the start. "
        "An incident that was open already is no catch.</p>"
    )
    yield f"<h2>False incidents, over {verdict['market_days']:.2f} market-days apart from labels</h2>"
    yield _table(
        ("severity", "highest", "this or worse", "per market-day", "95 % from", "to"),
        [
            (_Marked(name, name), rate["count"], rate["or_worse"], rate["per_market_day"], rate["low"], rate["high"])
            for name, rate in verdict["false"].items()
        ],
    )
    weeks = f"{verdict['market_weeks_observed']:.2f} market-weeks"
    yield f'<p class="quiet">{weeks} observed in all; the intervals are exact (Poisson, 95 %).</p>'
    if verdict["confounders"]:
        yield "<h2>Harmless, and yet told</h2>"
        rows = [(row["name"], row["fired"], row["labels"]) for row in verdict["confounders"]]
        yield _table(("confounder", "fired", "of"), rows)


def _incident(body: Mapping[str, Any]) -> Iterable[str]:
    data = body["data"]
    severity = str(data["severity"])
    yield (
        f'<details id="{_text(data["incident_id"])}"><summary>{_text(data["detected_at"])} '
        f'<span class="{_text(severity)}">{_text(severity)}</span> {_text(data["title"])}</summary>'
    )
    yield f"<p>{_text(data['summary'])}</p>"
    yield _table(
        (),
        [
            ("incident", data["incident_id"]),
            ("began", data["started_at"]),
            ("over", data["ended_at"] or "-"),
            ("score", data["score"]),
            ("normally once in", data.get("expected_every") or "-"),
        ],
    )
    if data.get("evidence"):
        keys = ("market", "feature", "observed", "expected", "low", "high", "unit", "share")
        yield _table(keys, [[row[key] for key in keys] for row in data["evidence"]])
    if data.get("context"):
        said = ("market", "meaning", "observed", "usual", "unit", "deviations")
        yield _table(said, [[row[key] for key in said] for row in data["context"]])
    if data.get("contributors"):
        yield _table(("account", "share"), [(row["account"], row["share"]) for row in data["contributors"]])
    if data.get("timeline"):
        steps = ("at", "market", "detector", "score")
        yield _table(steps, [[row[key] for key in steps] for row in data["timeline"]])
    yield "</details>"


class _Marked:
    """A cell with a class."""

    def __init__(self, text: str, mark: str) -> None:
        self.text = text
        self.mark = mark


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    head = f"<tr>{''.join(f'<th>{_text(name)}</th>' for name in names)}</tr>" if names else ""
    lines = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{head}{lines}</table></div>'


def _cell(cell: Any) -> str:
    if isinstance(cell, _Marked):
        return f'<td class="{_text(cell.mark)}">{_text(cell.text)}</td>'
    if cell is None:
        return '<td class="number">-</td>'
    if isinstance(cell, int | float):
        number = f"{cell:,}" if isinstance(cell, int) else f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
        return f'<td class="number">{number}</td>'
    return f"<td>{_text(cell)}</td>"


def _text(value: Any) -> str:
    """Escaped, and with what no eye can see made visible."""
    return escape("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(value)))

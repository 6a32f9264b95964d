"""What a replay says at its end: the summary, the page, the tables."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from rich.console import Console

from detector.cli.render import incident_line, incident_panel, summary_table, verdict_group
from detector.sources.file import open_files
from replay.instant import SECOND_NS
from replay.judge import judge
from replay.labels import Label
from replay.report import report
from replay.run import replay
from replay.summary import BODIES_MAX, Collector, summarise
from tests.replay.counting import CountingEngine

EVIL = '<script>alert(1)</script>"&\x1b[31m\u202e'


def story(tmp_path: Path) -> tuple[dict[str, Any], Collector]:
    """Two crowds, one of them labelled, and one line nobody can read."""
    path = tmp_path / "events.txt"
    lines = ["A 5"] * 3 + ["rubbish"] + ["B 100"] * 7 + ["A 1805"]
    path.write_text("".join(line + "\n" for line in lines))
    collector = Collector()
    tally = replay(CountingEngine(), open_files([str(path)]), listeners=[collector])
    labels = [
        Label(100 * SECOND_NS, 110 * SECOND_NS, ("B",), "cascade", "the fall"),
        Label(1000 * SECOND_NS, 1001 * SECOND_NS, ("C",), "cascade", EVIL),
        Label(0, 10 * SECOND_NS, ("A",), "benign", "news"),
    ]
    verdict = judge(collector.told, labels, tally.observed_ns)
    return summarise(tally, collector, verdict, 2.0, [str(path)]), collector


def test_the_summary_is_plain_json_with_everything_in_it(tmp_path: Path) -> None:
    summary, _ = story(tmp_path)
    summary = json.loads(json.dumps(summary, allow_nan=False))
    assert summary["events"] == 11 and summary["events_per_s"] == 6 and summary["records"] == 12
    assert summary["rejects"] == {"no_words": 1}
    assert summary["incidents"] == {"info": 0, "warning": 1, "critical": 1}
    assert summary["from"] == "1970-01-01T00:00:05.000Z" and summary["to"] == "1970-01-01T00:30:06.000Z"
    caught, missed = summary["verdict"]["labels"]
    assert (caught["outcome"], caught["lead_s"], caught["severity"]) == ("caught", -1.0, "critical")
    assert (missed["outcome"], missed["first_alert"], missed["markets"]) == ("not_observed", None, ["C"])
    assert summary["verdict"]["recall"] == 1.0 and summary["verdict"]["median_lead_s"] == -1.0
    assert summary["verdict"]["false"]["warning"]["or_worse"] == 1
    assert summary["verdict"]["confounders"] == [{"name": "news", "labels": 1, "fired": 1}]


class Page(HTMLParser):
    """What a browser would see: tags, what they load, the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    summary, collector = story(tmp_path)
    bodies = [json.loads(alert.body()) for alert in collector.bodies]
    bodies[0]["data"]["summary"] = EVIL
    bodies[0]["data"]["evidence"] = [
        dict.fromkeys(("market", "feature", "unit"), EVIL)
        | dict.fromkeys(("observed", "expected", "low", "high", "share"), 0.5)
    ]
    page = Page()
    text = report(summary, bodies, "0.1")
    page.feed(text)
    page.close()
    assert page.open == [], "every tag is closed"
    assert not page.tags & {"script", "img", "link", "iframe", "object", "b"} and page.loads == []
    assert "url(" not in text and "http:" not in text and "https:" not in text
    assert "the fall" in text and "not observed" in text and "no_words" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)
    assert any("<script>alert(1)</script>" in part for part in page.text), "said, not run"


def test_the_terminal_shows_the_verdict_and_no_control_characters(tmp_path: Path) -> None:
    summary, collector = story(tmp_path)
    screen = Console(width=160, record=True, color_system=None, file=io.StringIO())
    body = json.loads(collector.bodies[0].body())
    body["data"]["title"] = body["data"]["summary"] = "[red]" + EVIL
    body["data"]["contributors"] = [{"account": EVIL, "share": 0.5}]
    body["data"]["timeline"] = [{"at": "now", "market": EVIL, "detector": "crowd", "score": 1.0}]
    for part in (summary_table(summary), verdict_group(summary["verdict"]), incident_line(body), incident_panel(body)):
        screen.print(part)
    text = screen.export_text()
    assert "labels: 1 of 2 caught" in text and "the fall" in text and "1 s late" in text
    assert "rejected: no_words" in text and "confounder" in text and "WARNING" in text
    assert "\x1b" not in text and "\u202e" not in text and "[red]" in text


def test_of_very_many_incidents_the_gravest_are_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.txt"
    lines = []
    for second in range(1, 3 * BODIES_MAX):
        lines += [f"A {second}"] * (6 if second % 5 == 0 else 3)
    path.write_text("".join(line + "\n" for line in lines))
    collector = Collector()
    replay(CountingEngine(), open_files([str(path)], batch_max=50), listeners=[collector])
    assert len(collector.episodes) == 3 * BODIES_MAX - 1
    assert len(collector.bodies) == BODIES_MAX
    assert sum(alert.data["severity"] == "critical" for alert in collector.bodies) == 3 * BODIES_MAX // 5 - 1

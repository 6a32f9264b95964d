"""Destinations in other services' formats: their configuration, what is wrong with it, and that no key is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detector.cli.config import app
from detector.model.alert import Alert
from detector.sinks.alertmanager import Alertmanager
from detector.sinks.pagerduty import Pagerduty
from detector.sinks.slack import Slack
from detector.wiring.config import ConfigurationError, of
from detector.wiring.edges import build_sinks, route
from tests.sinks.letters import ALERTS, with_data

KEY = "canary0123456789abcdef0123456789"
HOOK = "https://hooks.slack.com/services/canary"


def complaints(**table: Any) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        build_sinks(of({"destinations": {"d": table}}))
    assert "canary" not in str(caught.value)
    return {problem.key: problem.sentence for problem in caught.value.problems}


def told(alert: Alert, **tables: Any) -> tuple[str, ...]:
    config = of({"destinations": tables})
    return route(config, build_sinks(config))(alert)


@pytest.mark.parametrize("in_files", [False, True])
def test_each_kind_becomes_its_sink_with_its_secret_from_the_file_or_beside_it(tmp_path: Path, in_files: bool) -> None:
    secrets = {"routing_key": KEY, "hook": HOOK, "token": "canary"}
    for name, text in secrets.items():
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    end = "_file" if in_files else ""
    given = {name: str(tmp_path / name) if in_files else text for name, text in secrets.items()}
    config = of(
        {
            "incidents": {"venue": "seed-x"},
            "destinations": {
                "a": {"type": "alertmanager", "url": "https://am.example", f"token{end}": given["token"]},
                "p": {"type": "pagerduty", f"routing_key{end}": given["routing_key"]},
                "s": {"type": "slack", f"url{end}": given["hook"], "updates": True},
            },
        }
    )
    made = build_sinks(config)
    assert [type(sink) for sink in made] == [Alertmanager, Pagerduty, Slack]
    assert [sink.where for sink in made if isinstance(sink, Alertmanager | Pagerduty | Slack)] == [
        "https://am.example", "https://events.pagerduty.com", "https://hooks.slack.com",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"type": "pagerduty"}, "give routing_key_file"),
        ({"type": "pagerduty", "routing_key": KEY, "routing_key_file": "x"}, "not both"),
        ({"type": "pagerduty", "routing_key": "canary"}, "32 letters and digits"),
        ({"type": "pagerduty", "routing_key_file": "absent"}, "cannot be read"),
        ({"type": "pagerduty", "routing_key": KEY, "url": "http://canary.example"}, "https"),
        ({"type": "pagerduty", "routing_key": KEY, "token": "canary"}, "no such key"),
        ({"type": "slack"}, "give url_file"),
        ({"type": "slack", "url": HOOK, "url_file": "x"}, "not both"),
        ({"type": "slack", "url": "hooks.slack.com/canary"}, "https"),
        ({"type": "slack", "url_file": "absent"}, "cannot be read"),
        ({"type": "slack", "url": HOOK, "updates": "often"}, "boolean"),
        ({"type": "alertmanager"}, "is missing"),
        ({"type": "alertmanager", "url": "http://am:9093"}, "allow_http"),
        ({"type": "alertmanager", "url": "https://am", "token": "two canaries"}, "one word"),
        ({"type": "alertmanager", "url": "https://am", "ends_after": "1s"}, "at least 5m"),
        ({"type": "alertmanager", "url": "https://am", "allow_cidrs": ["10.0.0.1/8"]}, "network"),
        ({"type": "pager"}, "alertmanager, jsonl, pagerduty, slack, stdout, webhook"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_without_the_secret(table: dict[str, Any], sentence: str) -> None:
    assert any(sentence in said for said in complaints(**table).values())


def test_an_address_in_a_file_is_checked_as_one_beside_it_is(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("http://hooks.example/canary")
    (tmp_path / "hook").chmod(0o600)
    assert "in the clear" in complaints(type="slack", url_file=str(tmp_path / "hook"))["destinations.d"]


def test_what_is_in_force_is_shown_without_any_secret(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(
        f'[destinations.p]\ntype = "pagerduty"\nrouting_key = "{KEY}"\n'
        f'[destinations.s]\ntype = "slack"\nurl = "{HOOK}"\n'
        '[destinations.a]\ntype = "alertmanager"\nurl = "https://am.example/canary"\ntoken = "canary"\n'
    )
    for arguments in (["show"], ["show", "--json"], ["show", "--origin"]):
        shown = CliRunner().invoke(app, [*arguments, "--config", str(path)])
        assert shown.exit_code == 0 and "canary" not in shown.output
    shown = CliRunner().invoke(app, ["show", "--json", "--config", str(path)])
    tables = json.loads(shown.output)["settings"]["destinations"]
    assert tables["p"]["url"] == "https://events.pagerduty.com/v2/enqueue"
    assert tables["s"]["url"] == tables["a"]["token"] == tables["p"]["routing_key"] == "(set, not shown)"


def test_no_letter_is_written_for_what_a_destination_leaves_out() -> None:
    tables: dict[str, Any] = {
        "log": {"type": "stdout"},
        "p": {"type": "pagerduty", "routing_key": KEY, "min_severity": "warning"},
        "s": {"type": "slack", "url": HOOK},
    }
    assert told(ALERTS["opened"], **tables) == ("log", "p", "s")
    assert told(ALERTS["updated"], **tables) == ("log", "p")
    assert told(with_data("opened", severity="info"), **tables) == ("log", "s")
    assert told(ALERTS["momentary end"], **tables) == ("log",)

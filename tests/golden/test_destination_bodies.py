"""What one incident becomes at each kind of destination, a file each: opened and resolved. FORESHOCK_BLESS=1 writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from detector.sinks import alertmanager
from detector.sinks.alertmanager import Alertmanager
from detector.sinks.foreign import ForeignSink
from detector.sinks.pagerduty import Pagerduty
from detector.sinks.slack import Slack
from tests.sinks.letters import ALERTS, parcel

HERE = Path(__file__).parent / "destinations"
SINKS: dict[str, ForeignSink] = {
    "pagerduty": Pagerduty("oncall", routing_key="0" * 32, venue="seed-x"),
    "slack": Slack("chat", url="https://hooks.example/", venue="seed-x"),
    "alertmanager": Alertmanager("am", url="https://am.example", venue="seed-x"),
}


@pytest.mark.parametrize("kind", sorted(SINKS))
def test_the_body_is_as_it_was_read_in_review(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        @staticmethod
        def time() -> float:
            return 1_795_343_101.0

    monkeypatch.setattr(alertmanager, "time", Clock)
    made = {name: msgspec.json.decode(SINKS[kind].request(parcel(ALERTS[name]))[1]) for name in ("opened", "resolved")}
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    path = HERE / f"{kind}.json"
    if os.environ.get("FORESHOCK_BLESS"):
        path.write_text(text)
    assert text == path.read_text()

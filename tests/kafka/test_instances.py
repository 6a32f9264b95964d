"""Two daemons of a group share a topic, each record is read by one of them, and both begin and end together."""

from __future__ import annotations

import pytest

from bench.instances import LAYOUTS, measure
from tools.kafka import BOOTSTRAP_VARIABLE

EVENTS, RESTING = 60_000, 400


def test_every_record_is_read_once_by_one_instance_and_once_by_two(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BOOTSTRAP_VARIABLE, broker)
    one, two = measure(EVENTS, RESTING, 1)
    assert (one.instances, two.instances) == LAYOUTS
    opening = EVENTS // 10
    for row in (one, two):
        assert EVENTS - opening - EVENTS // 2 < row.events <= EVENTS - opening + row.instances
        assert 0.0 < row.cpu_s <= 1.2 * row.instances * row.wall_s

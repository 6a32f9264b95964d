"""docs/operating.md lists what there is: every metric, and the paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detector.daemon.telemetry import Telemetry
from detector.page.server import OPEN_PATHS

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text("utf-8")


def test_every_metric_is_listed_and_no_other() -> None:
    table = PAGE[PAGE.index("## Metrics") :]
    rows = [line for line in table.splitlines() if line.startswith("| `foreshock_")]
    listed = {name: line.split("|")[2].strip() for line in rows for name in re.findall(r"`(foreshock_\w+)`", line)}
    assert listed == {metric.name: metric.type for metric in Telemetry().registry.collect()}


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_every_open_path_is_listed(path: str) -> None:
    assert f"`{path}`" in PAGE

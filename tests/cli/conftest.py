"""The command line in an empty folder, with nothing of ours in its environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.calling import Foreshock, call


@pytest.fixture
def foreshock(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Foreshock:
    """`foreshock("replay", path)`: what it says, and its exit code."""
    for name in [name for name in os.environ if name.startswith("FORESHOCK_") and name != "FORESHOCK_KERNELS"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capfd, [str(argument) for argument in arguments])

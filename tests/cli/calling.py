"""Calling the command line as a person does, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from detector.cli import main


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    err: str


Foreshock = Callable[..., Answer]


def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: Sequence[str]) -> Answer:
    """What `foreshock ARGUMENTS` says, and its exit code."""
    monkeypatch.setattr("sys.argv", ["foreshock", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    captured = capfd.readouterr()
    code = exited.value.code
    return Answer(code if isinstance(code, int) else 0 if code is None else 1, captured.out, captured.err)

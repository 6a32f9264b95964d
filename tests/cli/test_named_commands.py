"""Whoever is told at night to run a command can run it: what texts and pages name is there."""

from __future__ import annotations

import re

import pytest

from detector.cli import COMMANDS
from tests.cli.calling import Answer
from tests.house.tree import ROOT

NAMED = re.compile(r"`(?:\.venv/bin/)?foreshock ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+(?:-[a-z]+)*)\b(?![./=]))?")
PLACES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "detector").rglob("*.py"))]
FOUND = {words for path in PLACES for words in NAMED.findall(path.read_text("utf-8"))}


def test_texts_name_commands_at_all() -> None:
    assert {("dlq", "ls"), ("outbox", "ls"), ("position", "set")} <= FOUND


@pytest.mark.parametrize("name", sorted({name for name, _ in FOUND}))
def test_a_command_that_a_text_names_is_there(name: str) -> None:
    assert name in COMMANDS, name


@pytest.mark.parametrize(("name", "own"), sorted(words for words in FOUND if words[1]))
def test_so_is_what_stands_behind_it(foreshock, name: str, own: str) -> None:  # type: ignore[no-untyped-def]
    answer: Answer = foreshock(name, own, "--help")
    assert answer.code == 0, (name, own, answer.err)

"""Tables run by themselves, put into a page that a whole run wrote."""

from __future__ import annotations

from typing import Any

import pytest

from replay.laboratory_amend import amended, carried

PAGE = """# Detection

- some conditions

## Recall

| a |
|---|
| 1 |

## Cost

| b |
|---|
| 2 |

## Real captures

Old sentence.

| capture |
|---|
| old |
"""
DEGRADED: dict[str, Any] = {"degraded": [{"feed": "orders by id", "class": "withdrawal", "planted": 16, "early": 0.25}]}
CAPTURES: dict[str, Any] = {"captures": [{"capture": "new", "minutes": 3.9}]}


def headings(page: str) -> list[str]:
    """Its tables, in order."""
    return [line for line in page.splitlines() if line.startswith("## ")]


def test_a_table_takes_its_own_place_and_says_when_it_was_run() -> None:
    page = amended(PAGE, CAPTURES, "a Monday, on this machine")
    assert headings(page) == ["## Recall", "## Cost", "## Real captures"]
    assert "| new | 3.9 |" in page and "| old |" not in page and "Old sentence" not in page
    assert "run by itself: a Monday, on this machine." in page
    assert page.startswith(PAGE[: PAGE.index("## Real captures")]) and page.endswith("|\n")


def test_a_new_table_comes_before_the_next_of_its_kind_and_touches_no_other() -> None:
    page = amended(PAGE, DEGRADED, "today")
    assert headings(page) == ["## Recall", "## Cost", "## Feeds that name less", "## Real captures"]
    assert "| orders by id | withdrawal | 16 | 0.25 |" in page
    for block in PAGE.split("\n## "):
        assert block.strip() in page


def test_twice_is_once() -> None:
    once = amended(PAGE, DEGRADED | CAPTURES, "today")
    assert amended(once, DEGRADED | CAPTURES, "today") == once
    assert once == amended(amended(PAGE, CAPTURES, "today"), DEGRADED, "today")
    assert "\n\n\n" not in once


def test_no_page_is_made_of_a_part() -> None:
    with pytest.raises(ValueError, match="run the whole first"):
        amended("# Detection\n", CAPTURES, "today")


def test_their_order_does_not_depend_on_which_was_run_first() -> None:
    audit: dict[str, Any] = {"audit": [{"exchange": "as shipped", "pages": 3}]}
    page = amended(amended(PAGE, audit, "today"), DEGRADED, "today")
    assert page == amended(amended(PAGE, DEGRADED, "today"), audit, "today")
    assert headings(page)[2:] == ["## Feeds that name less", "## On other exchanges", "## Real captures"]


def test_a_page_made_anew_keeps_the_tables_that_were_run_apart_and_says_of_which_run_they_are() -> None:
    before = PAGE.replace("some conditions", "2026-01-01; commit abcdef0; a machine")
    before = amended(before, DEGRADED, "a Monday").replace("| old |", "| older |")
    page = carried(PAGE, before, ("degraded", "captures"))
    assert headings(page) == ["## Recall", "## Cost", "## Feeds that name less", "## Real captures"]
    assert page.count("run by itself: a Monday.") == 1 and "| old |" not in page
    captures = page[page.index("## Real captures") :]
    assert "run before the others: 2026-01-01; commit abcdef0; a machine." in captures and "| older |" in captures
    assert carried(PAGE, page, ("degraded", "captures")) == page, "of a run before that it still says so"
    assert carried(PAGE, before, ("degraded",)).endswith(PAGE[PAGE.index("## Real captures") :])

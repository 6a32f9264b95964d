"""Amend: tables of docs/detection.md that are run by themselves, for a whole run takes hours. Text in, text out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from replay.laboratory_report import Section, section_text, separate_sections

SEPARATE = ("degraded", "unsteady", "audit", "captures")  # keys of what `investigate` and bench.detection tell
RUN_APART, RUN_BEFORE = "This table was run by itself:", "This table was run before the others:"


def amended(page: str, told: Mapping[str, Any], line: str) -> str:
    """The page with the tables of `told` in place of its own, or at their place; each with `line`, which says when and
    with what it was run, for the page's head says it of the others. ValueError where the page has none of a whole run.
    """
    head, *parts = page.split("\n## ")
    blocks = {part.partition("\n")[0]: part for part in parts}
    if not blocks:
        raise ValueError("there is no table to amend: run the whole first")
    order = [title for title, _, _, _ in separate_sections({key: [{}] for key in SEPARATE})]
    for section in separate_sections(told):
        made = section_text(_dated(section, line)).removeprefix("## ")
        blocks = _placed(blocks, section[0], made, order)
    return "\n## ".join([head, *blocks.values()])


def carried(page: str, before: str, names: Collection[str]) -> str:
    """`page` with the tables of `names` as the page `before` has them, each with when and with what that was run."""
    wanted = [title for title, _, _, _ in separate_sections({key: [{}] for key in names})]
    order = [title for title, _, _, _ in separate_sections({key: [{}] for key in SEPARATE})]
    head, *parts = page.split("\n## ")
    blocks = {part.partition("\n")[0]: part for part in parts}
    old_head, *old_parts = before.split("\n## ")
    run = next((line.removeprefix("- ") for line in old_head.splitlines() if "; commit " in line), "nobody knows when")
    for old in old_parts:
        title = old.partition("\n")[0]
        if title in wanted:
            kept = RUN_APART in old or RUN_BEFORE in old
            made = old if kept else old.replace("\n|", f"\n{RUN_BEFORE} {run}.\n\n|", 1)
            blocks = _placed(blocks, title, made, order)
    return "\n## ".join([head, *blocks.values()])


def _dated(section: Section, line: str) -> Section:
    title, sentence, columns, rows = section
    return title, f"{sentence} {RUN_APART} {line}.", columns, rows


def _placed(blocks: Mapping[str, str], title: str, made: str, order: Sequence[str]) -> dict[str, str]:
    """In its own place; a new one before the next that may be amended, which a whole page always has."""
    if title in blocks:
        return {name: made if name == title else block for name, block in blocks.items()}
    after = [name for name in order[order.index(title) + 1 :] if name in blocks]
    placed: dict[str, str] = {}
    for name, block in blocks.items():
        if after and name == after[0]:
            placed[title] = made
        placed[name] = block
    return placed if title in placed else {**placed, title: made}

"""What every command shares: the exit codes, how a command line is made, how a table is printed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import typer

ROW_CHARS_MAX = 120  # a cell longer than this is cut in a table, never in --json


class Exit(IntEnum):
    """The contract's section 3, and one that must not be taken for any of them. An exception class anywhere may carry
    one as `exit_code`, which main() exits with."""

    DONE = 0
    FINDINGS = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4
    STATE = 5
    MISTAKE = 70  # our own; as in sysexits.h


class Refusal(Exception):
    """A command cannot go on. `sentence` is all that is printed."""

    def __init__(self, exit_code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def command_line(**settings: Any) -> typer.Typer:
    """A typer app as all of ours are: plain help (rich costs 200 ms), honest traces, completion once."""
    settings.setdefault("no_args_is_help", "cls" in settings)
    return typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion="cls" in settings,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


def printable(value: object) -> str:
    """Text safe for a terminal: control, bidirectional and other unprintable characters as escapes.

    >>> printable("BTC\\x1b[31m")
    'BTC\\\\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print `rows` as an aligned table of `columns`, or whole as a JSON array. `empty` is said when there are none."""
    if as_json:
        typer.echo(json.dumps(list(rows), indent=2, ensure_ascii=True, default=str))
        return
    if not rows:
        typer.echo(empty)
        return
    cells = [[printable(row.get(name, ""))[:ROW_CHARS_MAX] for name in columns] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(columns)]
    for line in [list(columns), *cells]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

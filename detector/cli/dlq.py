"""foreshock dlq: messages nobody could read, where they stand in the log and why."""

from __future__ import annotations

from typing import Annotated

import typer

from detector.cli.ask import ask, instant
from detector.cli.base import Exit, Refusal, command_line, printable, show_rows
from detector.cli.options import ConfigOption, JsonOption, LimitOption
from detector.store.rows import DeadLetter

app = command_line()


@app.callback(no_args_is_help=True)
def dlq() -> None:
    """Messages nobody could read: list and show."""


@app.command("ls")
def listed(path: ConfigOption = None, as_json: JsonOption = False, limit: LimitOption = 100) -> None:
    """The newest unreadable messages."""
    letters = ask(path, lambda store: store.dead_letters(limit))
    columns = ("position", "reason", "met", "sample")
    show_rows([_row(letter) for letter in letters], columns, as_json=as_json, empty="every message could be read")


@app.command()
def show(
    position: Annotated[str, typer.Argument(help="TOPIC/PARTITION/OFFSET as `dlq ls` shows it.")],
    path: ConfigOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they came, for another program.")] = False,
) -> None:
    """One message's first bytes, whole."""
    letters = ask(path, lambda store: store.dead_letters(1_000_000))
    for letter in letters:
        if _position(letter) == position:
            if raw:
                typer.echo(letter.reject.sample, nl=False)
            else:
                typer.echo(f"{position}: {printable(letter.reject.reason)}, met {instant(letter.at_s)}")
                typer.echo(printable(letter.reject.sample.decode("utf-8", "backslashreplace")))
            return
    raise Refusal(Exit.USAGE, f"no unreadable message is kept from {position!r}")


def _position(letter: DeadLetter) -> str:
    return f"{letter.reject.topic}/{letter.reject.partition}/{letter.reject.offset}"


def _row(letter: DeadLetter) -> dict[str, str]:
    sample = letter.reject.sample.decode("utf-8", "backslashreplace")
    return {
        "position": _position(letter),
        "reason": letter.reject.reason,
        "met": instant(letter.at_s),
        "sample": sample if len(sample) <= 60 else f"{sample[:57]}...",
    }

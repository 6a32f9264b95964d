"""The command line. A command is a file here with the command's name; nothing of it is imported until it is asked for.

To add one: write `NAME.py` with `app = command_line()` and `@app.command()` functions (one function: `foreshock NAME`;
several: `foreshock NAME SUBCOMMAND`), and give it a line in COMMANDS. tests/cli/ checks that the two agree.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer
import typer.core
import typer.main

from detector.cli.base import Exit, command_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# In the order of the help; each line is the first line of the command's own docstring.
COMMANDS: dict[str, str] = {
    "run": "The daemon: Kafka in, pages out.",
    "replay": "The same engine on files: what it would have said, and when.",
    "convert": "Any log to a columnar file, which replays fastest, or back to native NDJSON.",
    "demo": "A simulated exchange with scheduled incidents and the engine in one process; finds are judged.",
    "check": "Is the configuration right? With --online: can everything it names be reached?",
    "config": "Show the effective configuration, or its JSON Schema.",
    "doctor": "What this machine is missing, and how to get it.",
    "explain": "Tell an incident's story, where in the log it stands, and how to see it again.",
    "incident": "List and show incidents.",
    "outbox": "Alerts not delivered yet: list, retry, move, drop.",
    "position": "Where in the log the daemon goes on: list, set, forget.",
    "dlq": "Messages nobody could read: list and show.",
    "webhook": "Send a test alert to a destination, or listen as one.",
    "bench": "Measure this program itself: how much it finds, and how often it is wrong.",
    "health": "Ask a running daemon whether it is well; for container health checks.",
}


class Commands(typer.core.TyperGroup):
    """A group that knows its commands' names and lines, and imports only the one that was asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, imported; None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(f"detector.cli.{cmd_name}").app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The help's list, from COMMANDS alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = command_line(cls=Commands)


def _version(wanted: bool) -> None:
    if wanted:
        from detector import __version__

        typer.echo(f"foreshock {__version__}")
        raise typer.Exit


@app.callback()
def foreshock(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of a mistake in foreshock.")] = False,
) -> None:
    """Early warning beside a perpetual-futures exchange.

    Exit codes: 0 done, 1 findings, 2 usage, 3 bad configuration, 4 cannot reach something, 5 bad state,
    70 a mistake in foreshock.
    """
    context.obj["debug"] = debug


def main() -> None:
    """Run the command line, exit with the contract's code. An error that knows its code says its sentence, no trace."""
    asked = {"debug": False}
    try:
        app(prog_name="foreshock", obj=asked)
    except Exception as error:
        code = getattr(error, "exit_code", Exit.UNREACHABLE if _refused(error) else Exit.MISTAKE)
        sentence = str(error)
        if code is Exit.MISTAKE:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            sentence = f"this is a mistake in foreshock: {what} (foreshock --debug COMMAND shows the trace)"
        if code is Exit.MISTAKE and asked["debug"]:
            traceback.print_exc()
        typer.echo(sentence, err=True)
        _leave(int(code))


def _refused(error: Exception) -> bool:
    """The world's doing, wherever it comes up: nobody there, or no room left for what is printed."""
    return isinstance(error, ConnectionError) or (isinstance(error, OSError) and error.errno in FULL)


def _leave(code: int) -> NoReturn:
    """Exit, whether or not somebody still takes what stands in the buffer of standard output."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)

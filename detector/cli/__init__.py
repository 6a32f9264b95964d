"""The command line. A command is a file here with the command's name; nothing of it is imported until it is asked for.

To add one: write `NAME.py` with `app = command_line()` and `@app.command()` functions (one function: `foreshock NAME`;
several: `foreshock NAME SUBCOMMAND`), and give it a line in COMMANDS. tests/cli/ checks that the two agree.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from detector.cli.base import Exit, command_line

# In the order of the help; each line is the first line of the command's own docstring.
COMMANDS: dict[str, str] = {
    "run": "The daemon: Kafka in, pages out.",
    "replay": "The same engine on files: what it would have said, and when.",
    "convert": "Any log to a columnar file, which replays fastest, or back to native NDJSON.",
    "demo": "A simulated exchange with scheduled incidents, the daemon and the page in one process.",
    "check": "Is the configuration right? With --online: can everything it names be reached?",
    "config": "Show the effective configuration, or its JSON Schema.",
    "doctor": "What this machine is missing, and how to get it.",
    "explain": "Tell an incident's story, where in the log it stands, and how to see it again.",
    "incident": "List and show incidents.",
    "outbox": "Alerts not delivered yet: list, retry, drop.",
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
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Early warning beside a perpetual-futures exchange.

    Exit codes: 0 done, 1 findings, 2 usage, 3 bad configuration, 4 cannot reach something, 5 bad state.
    """


def main() -> None:
    """Run the command line, exit with the contract's code. An error that knows its code says its sentence, no trace."""
    try:
        app(prog_name="foreshock")
    except Exception as error:
        code = getattr(error, "exit_code", Exit.UNREACHABLE if isinstance(error, ConnectionError) else None)
        if code is None:
            raise  # our own mistake: the trace is what helps
        typer.echo(str(error), err=True)
        sys.exit(int(code))

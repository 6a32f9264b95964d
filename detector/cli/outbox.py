"""foreshock outbox: alerts not delivered yet, and those that never will be."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from detector.cli.ask import ask, instant
from detector.cli.base import Exit, Refusal, command_line, show_rows
from detector.cli.options import ConfigOption, JsonOption, LimitOption
from detector.wiring.config import load

app = command_line()
KeyArgument = Annotated[str, typer.Argument(help="KEY as `outbox ls` shows it.")]
DestinationOption = Annotated[str, typer.Option("--destination", help="Only to this one.")]


@app.callback(no_args_is_help=True)
def outbox() -> None:
    """Alerts not delivered yet: list, retry, move, drop."""


@app.command("ls")
def listed(
    path: ConfigOption = None,
    as_json: JsonOption = False,
    limit: LimitOption = 100,
    delivered: Annotated[bool, typer.Option("--delivered", help="Those that were delivered, too.")] = False,
) -> None:
    """Pending and dead alerts, newest first, and why they are not delivered."""
    statuses = ("pending", "dead", "delivered") if delivered else ("pending", "dead")
    entries = ask(path, lambda store: store.outbox_list(statuses, limit))
    rows = [
        {
            "status": entry.status,
            "severity": entry.severity,
            "destination": entry.destination,
            "key": entry.key,
            "written": instant(entry.created_s),
            "attempts": entry.attempts,
            "next": instant(entry.due_s) if entry.status == "pending" else "",
            "why": entry.why,
        }
        for entry in entries
    ]
    columns = ("status", "severity", "destination", "key", "written", "attempts", "next", "why")
    show_rows(rows, columns, as_json=as_json, empty="nothing waits")


@app.command()
def retry(
    key: Annotated[str, typer.Argument(help="KEY as `outbox ls` shows it; without it every one.")] = "",
    path: ConfigOption = None,
    destination: DestinationOption = "",
) -> None:
    """Try again now: waiting alerts are due, dead ones come back to life, unless something later of the same incident
    has arrived."""
    count, overtaken = ask(path, lambda store: store.outbox_retry(time.time(), key, destination))
    if key and not count and not overtaken:
        raise Refusal(Exit.USAGE, f"no pending or dead alert {key!r}")
    left = f"; {overtaken} not: something later of the same incident has arrived" if overtaken else ""
    typer.echo(f"{count} will be tried again{left}")


@app.command()
def move(
    old: Annotated[str, typer.Argument(help="Destination that they wait for.")],
    new: Annotated[str, typer.Argument(help="Destination that is to get them.")],
    path: ConfigOption = None,
) -> None:
    """Pending alerts of one destination go to another: of one that was renamed or removed."""
    if new not in load(path).settings.destinations:
        raise Refusal(Exit.USAGE, f"no destination {new!r} is configured")
    count = ask(path, lambda store: store.outbox_move(time.time(), old, new))
    typer.echo(f"{count} moved")


@app.command()
def drop(key: KeyArgument, path: ConfigOption = None, destination: DestinationOption = "") -> None:
    """Give up a pending alert. It stays listed as dead."""
    count = ask(path, lambda store: store.outbox_drop(time.time(), key, destination))
    if not count:
        raise Refusal(Exit.USAGE, f"no pending alert {key!r}")
    typer.echo(f"{count} dropped")

"""foreshock incident: what is going on, and what was."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import typer

from detector.cli.ask import ask
from detector.cli.base import Exit, Refusal, command_line, show_rows
from detector.cli.options import ConfigOption, JsonOption, LimitOption

app = command_line()


@app.callback(no_args_is_help=True)
def incident() -> None:
    """List and show incidents."""


@app.command("ls")
def listed(
    path: ConfigOption = None,
    as_json: JsonOption = False,
    limit: LimitOption = 20,
    firing: Annotated[bool, typer.Option("--firing", help="Only those that are going on.")] = False,
) -> None:
    """Incidents, newest first."""
    rows = [data(row.body) for row in ask(path, lambda store: store.incidents(limit))]
    wanted = [row for row in rows if not firing or row.get("status") == "firing"]
    columns = ("status", "severity", "started_at", "incident_id", "title")
    show_rows(wanted, columns, as_json=as_json, empty="no incident")


@app.command()
def show(
    incident_id: Annotated[str, typer.Argument(help="inc_... as `incident ls` shows it.")],
    path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """One incident, as it was last told: the story, the evidence, who, where in the log."""
    from rich.console import Console

    from detector.cli.render import incident_panel

    row = ask(path, lambda store: store.incident(incident_id))
    if row is None:
        raise Refusal(Exit.USAGE, f"no incident {incident_id!r} is kept")
    if as_json:
        typer.echo(json.dumps(data(row.body), indent=2))
    else:
        Console(highlight=False).print(incident_panel({"data": data(row.body)}))


def data(body: bytes) -> dict[str, Any]:
    """What the state file holds of an incident: the alert's data."""
    return msgspec.json.decode(body, type=dict[str, Any])

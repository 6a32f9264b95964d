"""foreshock explain: an incident's story, where in the log it stands, and how to see it again."""

from __future__ import annotations

import json
import shlex
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from detector.cli.ask import ask
from detector.cli.base import Exit, Refusal, command_line, printable
from detector.cli.incident import data
from detector.cli.options import ConfigOption, JsonOption
from detector.wiring.config import load_settings

app = command_line()
BEFORE = timedelta(minutes=30)  # what the engine should have seen before, to know what is normal


@app.command()
def explain(
    incident_id: Annotated[str, typer.Argument(help="inc_... as `incident ls` or an alert has it.")],
    path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell an incident's story, where in the log it stands, and how to see it again."""
    row = ask(path, lambda store: store.incident(incident_id))
    if row is None:
        raise Refusal(Exit.USAGE, f"no incident {incident_id!r} is kept")
    told = data(row.body)
    bootstrap = load_settings(path).kafka.bootstrap[0]
    again = [again_command(told, position, bootstrap) for position in told.get("position", [])]
    if as_json:
        typer.echo(json.dumps({"incident": told, "again": again}, indent=2))
        return
    from rich.console import Console

    from detector.cli.render import incident_panel

    Console(highlight=False).print(incident_panel({"data": told}))
    for position, command in zip(told.get("position", []), again, strict=True):
        place = (
            f"{position['topic']}/{position['partition']} offsets {position['first_offset']}..{position['last_offset']}"
        )
        typer.echo(
            f"\nin the log: {printable(place)}\nto see it again, from half an hour before:\n  {printable(command)}"
        )


def again_command(told: dict[str, Any], position: dict[str, Any], bootstrap: str) -> str:
    """The replay that shows it again, with enough before it to know what is normal."""
    begin = datetime.fromisoformat(told["started_at"]) - BEFORE
    since = begin.isoformat(timespec="seconds").replace("+00:00", "Z")
    until = f" --to {told['ended_at']}" if told.get("ended_at") else ""
    return f"foreshock replay {shlex.quote(f'kafka://{bootstrap}/' + position['topic'])} --from {since}{until}"

"""foreshock check: is the configuration right? With --online: can everything it names be reached?"""

from __future__ import annotations

import json
import socket
import time
from typing import Annotated
from urllib.parse import urlsplit

import typer

from detector.cli.base import Exit, command_line, printable
from detector.cli.options import ConfigOption, JsonOption
from detector.wiring.config import Configuration, load
from detector.wiring.destination_section import HttpDestination
from detector.wiring.edges import address
from detector.wiring.section import parted
from detector.wiring.trial import trial

app = command_line()
REACH_S = 5.0


@app.command()
def check(
    path: ConfigOption = None,
    online: Annotated[bool, typer.Option("--online", help="Also connect to brokers and destinations.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Is the configuration right? With --online: can everything it names be reached?

    Exit codes: 0 right, 3 wrong, 4 something cannot be reached.
    """
    configuration = load(path)
    trial(configuration)
    places = _places(configuration) if online else []
    unreachable = [line for name, host, port in places if (line := _reach(name, host, port))]
    if as_json:
        about = {"path": configuration.path, "config_rev": configuration.config_rev, "unreachable": unreachable}
        typer.echo(json.dumps(about, default=str, indent=2))
    else:
        for line in unreachable:
            typer.echo(printable(line), err=True)
        if not unreachable:
            enabled = ", ".join(d.name for d in configuration.detectors if d.enabled)
            typer.echo(
                f"{configuration.path or 'the defaults'}: right; detectors {enabled}; {configuration.config_rev}"
            )
    raise typer.Exit(Exit.UNREACHABLE if unreachable else Exit.DONE)


def _places(configuration: Configuration) -> list[tuple[str, str, int]]:
    places = []
    for bootstrap in configuration.settings.kafka.bootstrap:
        places.append((f"kafka.bootstrap {bootstrap}", *parted(bootstrap)))
    for name, destination in configuration.settings.destinations.items():
        if isinstance(destination, HttpDestination):
            url = urlsplit(address(destination))
            standard = 443 if url.scheme == "https" else 80
            places.append((f"destinations.{name}", url.hostname or "", url.port or standard))
    return places


def _reach(name: str, host: str, port: int) -> str:
    """Nothing when something listens there, else a sentence."""
    started = time.monotonic()
    try:
        socket.create_connection((host, port), REACH_S).close()
    except OSError as error:
        return (
            f"{name}: cannot connect after {time.monotonic() - started:.1f} s: {error.strerror or type(error).__name__}"
        )
    return ""

"""foreshock check: is the configuration right? With --online: can everything it names be reached?"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from detector.cli.base import Exit, command_line, printable
from detector.cli.options import ConfigOption, JsonOption
from detector.sinks.http import HttpSink
from detector.sources.kafka_reach import reach
from detector.wiring.config import Configuration, load
from detector.wiring.edges import build_sinks, kafka_settings
from detector.wiring.trial import trial

app = command_line()


@app.command()
def check(
    path: ConfigOption = None,
    online: Annotated[bool, typer.Option("--online", help="Also connect to brokers and destinations.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Is the configuration right? With --online: can everything it names be reached, and spoken with?

    Exit codes: 0 right, 3 wrong, 4 something cannot be reached.
    """
    configuration = load(path)
    trial(configuration)
    unreachable = asyncio.run(_unreachable(configuration)) if online else []
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


async def _unreachable(configuration: Configuration) -> list[str]:
    """A sentence for everything that cannot be used: brokers, topics, destinations. Nothing is read and nobody told."""
    kafka = kafka_settings(configuration)
    sinks = [sink for sink in build_sinks(configuration) if isinstance(sink, HttpSink)]
    found = await asyncio.gather(
        *(reach(kafka, bootstrap) for bootstrap in configuration.settings.kafka.bootstrap), *map(_destination, sinks)
    )
    return list(dict.fromkeys(line for lines in found for line in lines))


async def _destination(sink: HttpSink) -> list[str]:
    """Through its own door: the addresses it may connect to, and TLS."""
    await sink.start()
    try:
        why = await sink.reach()
    finally:
        await sink.close()
    return [f"destinations.{sink.name}: {why}"] if why else []

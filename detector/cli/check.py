"""foreshock check: is the configuration right? With --online: can what it names be used, as far as one can ask?"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from detector.cli.base import Exit, command_line, printable
from detector.cli.options import ConfigOption, JsonOption
from detector.sinks.base import Sink
from detector.sources import kafka_reach
from detector.wiring.config import Configuration, load
from detector.wiring.edges import build_sinks, kafka_settings
from detector.wiring.trial import trial

app = command_line()
REACH_S = 10.0  # one destination, however long delivery.timeout lets an alert take


@app.command()
def check(
    path: ConfigOption = None,
    online: Annotated[bool, typer.Option("--online", help="Also ask brokers and destinations.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Is the configuration right? With --online: can everything it names be reached?

    --online speaks Kafka with each broker, logs in, looks for the topics and for the brokers that the cluster names;
    nothing is joined, read or made. It connects to each destination as an alert would (address guard, TLS) and asks for
    the headers of its root; no alert is sent: `foreshock webhook test NAME` does that.

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
    """All at once, so that it takes as long as the slowest."""
    sinks = build_sinks(configuration)
    of_kafka, *of_sinks = await asyncio.gather(
        kafka_reach.reach(kafka_settings(configuration)), *(_reach(sink) for sink in sinks)
    )
    return [*of_kafka, *(line for lines in of_sinks for line in lines)]


async def _reach(sink: Sink) -> list[str]:
    """Nothing when it can be told, else a sentence."""
    try:
        async with asyncio.timeout(REACH_S):
            await sink.start()
            why = await sink.reach()
    except TimeoutError:
        why = f"no answer within {REACH_S:g} s"
    finally:
        await sink.close()
    return [f"destinations.{sink.name}: {why}"] if why else []

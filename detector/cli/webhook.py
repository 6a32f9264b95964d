"""foreshock webhook: send a test alert to a destination, or be one that verifies signatures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.base import Exit, Refusal, command_line, printable
from detector.cli.options import ConfigOption
from detector.daemon import notices
from detector.model.alert import Alert
from detector.page.receiver import Receiver, Word
from detector.sinks.base import Delivery, Outcome, Parcel, Sink
from detector.sinks.http import GONE
from detector.wiring.config import load, secret
from detector.wiring.edges import SEVERITIES, build_sink

app = command_line()


@app.callback(no_args_is_help=True)
def webhook() -> None:
    """Send a test alert to a destination, or listen as one."""


@app.command()
def test(
    destination: Annotated[str, typer.Argument(help="A name under [destinations].")],
    path: ConfigOption = None,
    severity: Annotated[
        str, typer.Option("--severity", help="info, warning or critical; by default the least that is sent there.")
    ] = "",
) -> None:
    """Send a test alert to one destination and say what it answered: it fires and, when that was delivered, ends.

    Each is tried once. Where a destination is not told of ends that come at once (a pager, a chat), only the first is.
    Exit codes: 0 delivered, 2 nothing so mild is sent there, 3 no such destination, 4 not delivered.
    """
    settings = load(path).settings
    if destination not in settings.destinations:
        known = ", ".join(sorted(settings.destinations)) or "none"
        raise Refusal(Exit.CONFIGURATION, f"no destination {destination!r}; there is {known}")
    least = settings.destinations[destination].min_severity
    if severity and severity not in SEVERITIES:
        raise Refusal(Exit.USAGE, f"--severity is one of {', '.join(SEVERITIES)}")
    if severity and SEVERITIES.index(severity) < SEVERITIES.index(least):
        raise Refusal(Exit.USAGE, f"{destination} is sent alerts from {least} on (min_severity): {severity} is not")
    try:
        sink = build_sink(destination, settings.destinations[destination], settings)
    except ValueError as error:
        raise Refusal(Exit.CONFIGURATION, f"destinations.{destination}: {error}") from error
    outcome = asyncio.run(_tell(sink, notices.test(destination, time.time(), severity or least)))
    raise typer.Exit(Exit.DONE if outcome.delivery is Delivery.DELIVERED else Exit.UNREACHABLE)


async def _tell(sink: Sink, alerts: Sequence[Alert]) -> Outcome:
    """One after the other, as the daemon does, until one is not delivered; the last outcome."""
    outcome = Outcome(Delivery.DELIVERED)
    await sink.start()
    try:
        for alert in alerts:
            data = alert.data
            what = f"{sink.name}: {data['status']}, {data['severity']}, seq {data['seq']}"
            if not sink.wants(alert):
                typer.echo(f"{what}: left out, as it is of every alert that is over when it is told")
                continue
            parcel = Parcel(alert.key, str(data["incident_id"]), str(data["severity"]), alert.body())
            outcome = await sink.send(parcel)
            typer.echo(f"{what}: {_said(outcome)}")
            if outcome.delivery is not Delivery.DELIVERED:
                break
    finally:
        await sink.close()
    return outcome


def _said(outcome: Outcome) -> str:
    why = printable(outcome.why)
    match outcome.delivery:
        case Delivery.DELIVERED:
            return f"delivered {why}".rstrip()  # a status, where there is one
        case Delivery.RETRY:
            return f"not delivered: {why}; an alert would be tried again"
        case Delivery.REJECTED if outcome.why == GONE:
            return "answered 410, gone: nothing more would be sent to it until the next start"
        case Delivery.REJECTED:
            return f"refused for good: {why}; an alert would be given up"


@app.command()
def listen(
    secret_file: Annotated[Path, typer.Option("--secret-file", help="File with the key, as the destination has it.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On 127.0.0.1; 0: any free one.")] = 9465,
    count: Annotated[int, typer.Option("--count", min=0, help="Stop after so many alerts; 0: go on.")] = 0,
) -> None:
    """Receive webhooks on 127.0.0.1, verify their signatures, say each alert once and what to do about it.

    What comes again, and what is older than what was said of its incident, is answered 200 and not acted on. A receiver
    to copy from: detector/page/receiver.py; what one may rely on: docs/webhooks.md.
    """
    enough = asyncio.Event()

    def handle(word: Word) -> None:
        _handle(word)
        if receiver.handled + 1 == count:
            enough.set()

    try:
        keys = secret(None, secret_file).split()
        receiver = Receiver(keys, handle, port=port, say=lambda line: typer.echo(printable(line)))
    except ValueError as error:
        raise Refusal(Exit.CONFIGURATION, f"{secret_file}: {error}") from error
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_listen(receiver, enough))
    typer.echo(
        f"{receiver.handled} alerts, {receiver.again} repeated, {receiver.late} late, {receiver.refused} refused"
    )


def _handle(word: Word) -> None:
    """Here a receiver opens, updates or closes something of its own. What it raises makes the alert come again."""
    alert, data = word.alert, word.alert.data
    told = f"{alert.timestamp} {word.act}: {data.severity} {alert.type} {data.incident_id} seq {data.seq}: {data.title}"
    typer.echo(printable(told))


async def _listen(receiver: Receiver, enough: asyncio.Event) -> None:
    try:
        await receiver.start()
    except OSError as error:
        raise Refusal(Exit.UNREACHABLE, f"--port {receiver.port}: {os.strerror(error.errno or 0)}") from None
    typer.echo(f"listening on {receiver.url} (needs allow_http and allow_cidrs 127.0.0.0/8)")
    try:
        await enough.wait()
    finally:
        await receiver.close()

"""foreshock webhook: send a test alert to a destination, or be one that verifies signatures."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.cli.base import Exit, Refusal, command_line, printable
from detector.cli.options import ConfigOption
from detector.daemon import notices
from detector.sinks.base import Delivery, Outcome, Parcel, Sink
from detector.sinks.signature import Secret, Verdict, verify
from detector.wiring.config import load, secret
from detector.wiring.edges import build_sink

app = command_line()
BODY_BYTES_MAX = 1 << 20
SEEN_MAX = 10_000  # webhook-ids remembered; a repeated one older than that is printed again


@app.callback(no_args_is_help=True)
def webhook() -> None:
    """Send a test alert to a destination, or listen as one."""


@app.command()
def test(
    destination: Annotated[str, typer.Argument(help="A name under [destinations].")], path: ConfigOption = None
) -> None:
    """Send a test alert to one destination, once, and say what it answered.

    Exit codes: 0 delivered, 3 no such destination, 4 not delivered.
    """
    settings = load(path).settings
    if destination not in settings.destinations:
        known = ", ".join(sorted(settings.destinations)) or "none"
        raise Refusal(Exit.CONFIGURATION, f"no destination {destination!r}; there is {known}")
    try:
        sink = build_sink(destination, settings.destinations[destination], settings)
    except ValueError as error:
        raise Refusal(Exit.CONFIGURATION, f"destinations.{destination}: {error}") from error
    alert = notices.test(destination, time.time())
    parcel = Parcel(alert.key, str(alert.data["incident_id"]), str(alert.data["severity"]), alert.body())
    outcome = asyncio.run(_send(sink, parcel))
    typer.echo(f"{destination}: {outcome.delivery} {printable(outcome.why)}".rstrip())
    raise typer.Exit(Exit.DONE if outcome.delivery is Delivery.DELIVERED else Exit.UNREACHABLE)


async def _send(sink: Sink, parcel: Parcel) -> Outcome:
    await sink.start()
    try:
        return await sink.send(parcel)
    finally:
        await sink.close()


@app.command()
def listen(
    secret_file: Annotated[Path, typer.Option("--secret-file", help="File with the key, as the destination has it.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On 127.0.0.1; 0: any free one.")] = 9465,
    count: Annotated[int, typer.Option("--count", min=0, help="Stop after so many alerts; 0: go on.")] = 0,
) -> None:
    """Receive webhooks on 127.0.0.1, verify their signatures, say each alert once. A receiver to copy from."""
    try:
        keys = [Secret(text) for text in secret(None, secret_file).split()]
    except ValueError as error:
        raise Refusal(Exit.CONFIGURATION, f"{secret_file}: {error}") from error
    try:
        listening = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    except OSError as error:
        raise Refusal(Exit.UNREACHABLE, f"--port {port}: {error.strerror}") from None
    with listening as server:
        receiver = Received(keys, count)
        server.daemon_threads = True
        server.received = receiver  # type: ignore[attr-defined]  # the handler's only way to it
        typer.echo(
            f"listening on http://127.0.0.1:{server.server_port}/ (needs allow_http and allow_cidrs 127.0.0.0/8)"
        )
        server.timeout = 0.5
        try:
            while not receiver.enough:
                server.handle_request()
        except KeyboardInterrupt:
            pass
    typer.echo(f"{receiver.alerts} alerts, {receiver.repeated} repeated, {receiver.refused} refused")


class Received:
    """What came so far. An alert's webhook-id is the same on every attempt: a repeated one is answered, not said."""

    def __init__(self, keys: list[Secret], count: int) -> None:
        self.keys = keys
        self.count = count
        self.alerts = 0
        self.repeated = 0
        self.refused = 0
        self._seen: OrderedDict[str, None] = OrderedDict()

    @property
    def enough(self) -> bool:
        """As many as were wanted have come."""
        return 0 < self.count <= self.alerts

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """The answer's status, and the line to print."""
        verdict = verify(self.keys, headers, body, time.time())
        if verdict is not Verdict.GENUINE:
            self.refused += 1
            return 401, f"refused: {verdict}"
        key = headers["webhook-id"]
        if key in self._seen:
            self.repeated += 1
            return 200, f"again: {key}"
        self._seen[key] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        self.alerts += 1
        return 200, _line(key, body)


def _line(key: str, body: bytes) -> str:
    try:
        alert = json.loads(body)
        data = alert["data"]
        return f"{alert['timestamp']} {data['severity']} {alert['type']} {key}: {data['title']}"
    except (ValueError, KeyError, TypeError):
        return f"{key}: genuine, but no alert: {len(body)} bytes"


class Receiver(BaseHTTPRequestHandler):
    """One request."""

    timeout = 10

    def do_POST(self) -> None:
        """Verify, say, answer."""
        received: Received = self.server.received  # type: ignore[attr-defined]
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and int(length) <= BODY_BYTES_MAX):
            self._answer(413)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, line = received.take(headers, self.rfile.read(int(length)))
        typer.echo(printable(line))
        self._answer(status)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Said by take()."""

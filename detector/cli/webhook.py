"""foreshock webhook: send a test alert to a destination, or be one that verifies signatures."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from detector.cli.base import Exit, Refusal, command_line, printable
from detector.cli.options import ConfigOption
from detector.daemon import notices
from detector.model.alert import Alert
from detector.sinks.base import Delivery, Outcome, Parcel, Sink
from detector.sinks.signature import Secret, Verdict, verify
from detector.wiring.config import load, secret
from detector.wiring.edges import build_sink


class Severity(StrEnum):
    """As the configuration writes it."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


app = command_line()
BODY_BYTES_MAX = 1 << 20
SEEN_MAX = 10_000  # webhook-ids and incidents remembered; what repeats one older than that is taken for new


@app.callback(no_args_is_help=True)
def webhook() -> None:
    """Send a test alert to a destination, or listen as one."""


@app.command()
def test(
    destination: Annotated[str, typer.Argument(help="A name under [destinations].")],
    path: ConfigOption = None,
    severity: Annotated[
        Severity | None, typer.Option("--severity", help="Instead of the least that the destination is told of.")
    ] = None,
) -> None:
    """Send a test alert to one destination: it fires, and if that arrives, it is resolved. Says what was answered.

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
    least = severity or Severity(settings.destinations[destination].min_severity)
    alerts = [alert for alert in notices.test(destination, time.time(), least) if sink.wants(alert)]
    outcomes = asyncio.run(_send(sink, alerts))
    for alert, outcome in zip(alerts, outcomes, strict=False):
        answer = f"{outcome.delivery} {printable(outcome.why)}".rstrip()
        typer.echo(f"{destination}: {alert.data['status']}, {least}: {answer}")
    delivered = all(outcome.delivery is Delivery.DELIVERED for outcome in outcomes)
    raise typer.Exit(Exit.DONE if delivered else Exit.UNREACHABLE)


async def _send(sink: Sink, alerts: Sequence[Alert]) -> list[Outcome]:
    """Of each alert, until one does not arrive."""
    outcomes: list[Outcome] = []
    await sink.start()
    try:
        for alert in alerts:
            told = alert.data
            parcel = Parcel(alert.key, str(told["incident_id"]), str(told["severity"]), alert.body())
            outcomes.append(await sink.send(parcel))
            if outcomes[-1].delivery is not Delivery.DELIVERED:
                break
    finally:
        await sink.close()
    return outcomes


@app.command()
def listen(
    secret_file: Annotated[Path, typer.Option("--secret-file", help="File with the key, as the destination has it.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On 127.0.0.1; 0: any free one.")] = 9465,
    count: Annotated[int, typer.Option("--count", min=0, help="Stop after so many alerts; 0: go on.")] = 0,
) -> None:
    """Receive webhooks on 127.0.0.1, verify their signatures, say each alert once and in order: a receiver to copy from
    (docs/webhooks.md)."""
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
    told = f"{receiver.alerts} alerts, {receiver.repeated} repeated, {receiver.late} late, {receiver.refused} refused"
    typer.echo(f"{told}; {len(receiver.open)} incidents open")


class Received:
    """What came so far. An alert's webhook-id is the same on every attempt: a repeated one is answered, not said; and
    so is one that a later one of its incident has overtaken. What fires is open until it is resolved."""

    def __init__(self, keys: list[Secret], count: int, act: Callable[[str], object] = lambda line: None) -> None:
        """act: does with a line what is to be done; what it fails at comes again."""
        self.keys = keys
        self.count = count
        self.alerts = 0
        self.repeated = 0
        self.refused = 0
        self.late = 0
        self.open: set[str] = set()
        self._act = act
        self._newest: OrderedDict[str, int] = OrderedDict()  # seq of an incident
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
        line, told = _line(key, body), _told(body)
        if told is not None and told.seq <= self._newest.get(told.incident_id, 0):
            self.late += 1
            line = f"late: {key}"
        else:
            self._act(line)
            self._note(told)
            self.alerts += 1
        self._seen[key] = None  # after it was done: what failed on the way must come again
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return 200, line

    def _note(self, told: Told | None) -> None:
        if told is None:
            return
        self._newest[told.incident_id] = told.seq
        self._newest.move_to_end(told.incident_id)
        (self.open.add if told.status == "firing" else self.open.discard)(told.incident_id)
        if len(self._newest) > SEEN_MAX:
            self.open.discard(self._newest.popitem(last=False)[0])


class Told(msgspec.Struct):
    """What of an alert says what to do with it."""

    incident_id: str
    seq: int
    status: str


class Body(msgspec.Struct):
    """An alert, as far as that goes."""

    data: Told


def _told(body: bytes) -> Told | None:
    """None = no alert."""
    try:
        return msgspec.json.decode(body, type=Body).data
    except msgspec.MsgspecError:
        return None


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
        try:
            status, line = received.take(headers, self.rfile.read(int(length)))
        except Exception as error:  # of whatever is done with an alert: it must come again
            status, line = 500, f"failed: {type(error).__name__}"
        typer.echo(printable(line))
        self._answer(status)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Said by take()."""

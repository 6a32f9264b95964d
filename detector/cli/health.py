"""foreshock health: ask a running daemon whether it is well; for container health checks."""

from __future__ import annotations

import http.client
import json
from typing import Annotated

import typer

from detector.cli.base import Exit, command_line, printable
from detector.cli.options import ConfigOption, JsonOption
from detector.wiring.config import load_settings, secret
from detector.wiring.section import parted

app = command_line()
ANSWER_BYTES_MAX = 1 << 20


@app.command()
def health(
    path: ConfigOption = None,
    as_json: JsonOption = False,
    live: Annotated[
        bool, typer.Option("--live", help="Only whether a restart would help, not whether all is well.")
    ] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, max=60.0, help="Seconds to wait.")] = 5.0,
) -> None:
    """Ask a running daemon whether it is well; for container health checks.

    Exit codes: 0 well, 1 not well, 4 nobody answers.
    """
    told = load_settings(path).http
    host, port = parted(told.bind)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  where to ask, not to listen
    token = secret(told.token, told.token_file)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", "/livez" if live else "/readyz?verbose", headers=headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        typer.echo(f"nobody answers at {told.bind}: {error}", err=True)
        raise typer.Exit(Exit.UNREACHABLE) from None
    finally:
        connection.close()
    if as_json:
        typer.echo(json.dumps({"status": answer.status, "answer": _json(body)}, indent=2))
    else:
        typer.echo("\n".join(printable(line) for line in body.splitlines()))
    raise typer.Exit(Exit.DONE if answer.status == 200 else Exit.FINDINGS)


def _json(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body

"""foreshock bench: measure this program itself. `bench detection` is the detection laboratory."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.cli.base import Exit, Refusal, command_line

app = command_line(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure this program itself: how much it finds, and how often it is wrong."""


@app.command()
def detection(
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes, small counts.")] = False,
    full: Annotated[bool, typer.Option("--full", help="More than 100 market-weeks.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    docs: Annotated[Path | None, typer.Option(help="Also write the tables to this Markdown file.")] = None,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Compare peers (needs a source checkout).")] = True,
) -> None:
    """Recall before the climax at a promised budget of false pages, on simulated order streams. All synthetic."""
    if quick and full:
        raise Refusal(Exit.USAGE, "--quick and --full: choose one")
    from replay.laboratory_investigate import conditions, investigate
    from replay.laboratory_report import markdown, terminal

    size = "quick" if quick else "full" if full else "default"
    told = investigate(
        size,
        held_out=True,
        peers=_checkout("bench.peers", "compare") if peers else None,
        say=lambda line: typer.echo(line, err=True),
    )
    told["captures"] = _checkout("bench.captures", "rows")() if peers else []
    lines = conditions(size, held_out=True)
    if peers:
        lines.append(_checkout("bench.machine", "machine")("numpy", "numba", "river", "pyod"))
    if docs is not None:
        docs.write_text(markdown(told, lines), encoding="utf-8")
    typer.echo(json.dumps(told, indent=1) if as_json else terminal(told, lines))


def _checkout(module: str, name: str) -> Any:
    """Something of a source checkout; refused where only the program is installed."""
    if importlib.util.find_spec("bench") is None:
        raise Refusal(Exit.USAGE, "peers and captures need a source checkout: add --no-peers")
    return getattr(importlib.import_module(module), name)

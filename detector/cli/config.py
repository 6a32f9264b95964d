"""foreshock config: what is in force and where it came from, the JSON Schema, the annotated template."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from detector.cli.base import command_line, printable
from detector.cli.options import ConfigOption, JsonOption
from detector.wiring.config import load
from detector.wiring.template import effective, schema, template, toml

app = command_line()


@app.callback(no_args_is_help=True)
def config() -> None:
    """Show the effective configuration, or its JSON Schema."""


@app.command()
def show(
    path: ConfigOption = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say beside each key where it came from.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Every key as it is in force. Secrets are not shown."""
    configuration = load(path)
    tree = effective(configuration)
    if as_json:
        about = {"config_rev": configuration.config_rev, "path": configuration.path, "settings": tree}
        typer.echo(
            json.dumps(about | ({"origins": dict(configuration.origins)} if origin else {}), default=str, indent=2)
        )
        return
    typer.echo(f"# from {configuration.path or 'the defaults'}; config_rev {configuration.config_rev}")
    for key, value in _leaves(tree, ""):
        line = f"{key} = {toml(value)}"
        if origin:
            line = f"{line:<64} # {configuration.origins.get(key, 'default')}"
        typer.echo(printable(line))


@app.command("schema")
def show_schema() -> None:
    """The JSON Schema of foreshock.toml, for editors."""
    typer.echo(json.dumps(schema(), indent=2))


@app.command("template")
def show_template() -> None:
    """A foreshock.toml with every key, its default, its unit and why."""
    typer.echo(template(), nl=False)


def _leaves(tree: dict[str, object], before: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            found.extend(_leaves(value, f"{before}{name}."))
        elif value is not None:
            found.append((f"{before}{name}", value))
    return found

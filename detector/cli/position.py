"""foreshock position: where in the log a daemon goes on when it starts, and an operator's word about that."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.ask import ask, instant
from detector.cli.base import Exit, Refusal, command_line, show_rows
from detector.cli.options import ConfigOption, JsonOption
from detector.store.rows import StoreError
from detector.store.store import Store
from detector.wiring.config import load_settings

app = command_line()
PartitionArgument = Annotated[str, typer.Argument(metavar="TOPIC/PARTITION", help="As `position ls` shows it.")]


@app.callback(no_args_is_help=True)
def position() -> None:
    """Where in the log the daemon goes on: list, set, forget."""


@app.command("ls")
def listed(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The next offset of each partition, as the state file has it."""
    at_s, positions = ask(path, lambda store: store.positions())
    rows = [
        {"partition": f"{topic}/{number}", "next_offset": offset, "saved": instant(at_s)}
        for (topic, number), offset in sorted(positions.items())
    ]
    show_rows(rows, ("partition", "next_offset", "saved"), as_json=as_json, empty="nothing was read yet")


@app.command("set")
def put(
    partition: PartitionArgument,
    offset: Annotated[int, typer.Argument(min=0, help="Of the next record to be read; 0 = the first that is kept.")],
    path: ConfigOption = None,
) -> None:
    """Go on there at the next start: with a partition that is held, or over records that cannot be read.

    The daemon must be stopped. What was learned stays; records in between are not read, earlier ones are read again.
    """
    _place(path, partition, offset)
    typer.echo(f"{partition} goes on at {offset}")


@app.command()
def forget(partition: PartitionArgument, path: ConfigOption = None) -> None:
    """At the next start it begins at kafka.start_at; or with its first record where its group never committed one.

    The daemon must be stopped. What was learned stays.
    """
    _place(path, partition, None)
    typer.echo(f"{partition} has no position any more")


def _place(path: Path | None, named: str, offset: int | None) -> None:
    topic, _, number = named.rpartition("/")
    if not topic or not (number.isascii() and number.isdigit()):
        raise Refusal(Exit.USAGE, f"{named!r} is no TOPIC/PARTITION, such as orders/0")
    settings = load_settings(path)
    known = ask(path, lambda store: store.positions())[1]
    partition = (topic, int(number))
    if partition not in known and topic not in settings.kafka.topics:
        raise Refusal(Exit.USAGE, f"no topic {topic!r} is known: {', '.join(settings.kafka.topics)} are read")
    if not asyncio.run(_placed(settings.state.directory, partition, offset)):
        raise Refusal(Exit.STATE, "there is no saved state yet: kafka.start_at says where a daemon begins")


async def _placed(directory: Path, partition: tuple[str, int], offset: int | None) -> bool:
    try:
        store = await Store.open(directory)  # as the daemon would: it cannot run meanwhile
    except StoreError as error:
        raise Refusal(Exit.STATE, f"{error}; stop the daemon first") from error
    try:
        return await store.place(partition, offset)
    except StoreError as error:
        raise Refusal(Exit.STATE, str(error)) from error
    finally:
        await store.close()

"""foreshock convert: any log to a columnar file, which replays fastest, or to native NDJSON."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.base import Exit, Refusal, command_line, printable
from detector.cli.options import ConfigOption
from detector.cli.replay import open_inputs
from detector.wiring import plugins
from detector.wiring.build import build_format
from detector.wiring.config import load
from replay.columnar_write import ColumnarFile
from replay.convert import Converted, convert, counted, noting_key
from replay.native_lines import NativeFile
from replay.outputs import OutputError, keep_apart, part_of
from replay.run import Selection

app = command_line(no_args_is_help=True)

ENDINGS = (".parquet", ".ndjson", ".jsonl")
PACKED = (".gz", ".zst", ".xz")


@app.command("convert")
def command(
    paths: Annotated[
        list[str],
        typer.Argument(help="What to read, as for replay; last, the file to write: OUT.parquet, OUT.ndjson.zst."),
    ],
    language: Annotated[str | None, typer.Option("--format", help="Instead of input.format.")] = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was counted, as JSON.")] = False,
) -> None:
    """Any log to a columnar file, which replays fastest, or back to native NDJSON.

    A replay of the columnar file says what a replay of the log would: the same alerts, the same positions in the log.
    Unreadable messages are counted, told and left out. The file holds ids and accounts as they came.

    Exit codes: 0 done, 2 usage, 3 bad configuration, 4 something cannot be read to its end, or not be written.
    """
    *sources, target = paths
    if not sources:
        raise Refusal(Exit.USAGE, "name what to read and, last, the file to write")
    ending = Path(target).with_suffix("").suffix if Path(target).suffix in PACKED else Path(target).suffix
    if ending not in ENDINGS or (ending == ".parquet" and Path(target).suffix in PACKED):
        raise Refusal(Exit.USAGE, f"{target}: write OUT.parquet, OUT.ndjson or OUT.ndjson.zst (.gz, .xz)")
    configuration = load(config)
    read = [*sources, str(configuration.path)] if configuration.path else sources
    keep_apart(read, {"the file to write": target, "the file in the making": str(part_of(Path(target)))})
    if language is not None and language not in plugins.names("formats"):
        raise Refusal(Exit.USAGE, f"--format {language}: there is {', '.join(plugins.names('formats'))}")
    # nothing that is written depends on the key: it only keeps ids from being crafted to have one digest
    key = noting_key((secrets.randbits(64), secrets.randbits(64)))
    decoder = build_format(configuration, language or configuration.settings.input.format, key)
    inputs = open_inputs(sources, configuration, decoder, Selection(), paced=False)
    try:
        output = ColumnarFile(target) if ending == ".parquet" else NativeFile(target)
        try:
            told = convert(inputs, decoder, output)
            output.close()
        except BaseException:
            output.discard()
            raise
    except OutputError as error:
        raise Refusal(Exit.UNREACHABLE, str(error)) from None
    finally:
        for each in inputs:
            each.close()
    if as_json:
        typer.echo(json.dumps(counted(told), indent=2))
    else:
        _show(target, told)
    raise typer.Exit(Exit.UNREACHABLE if told.damage else Exit.DONE)


def _show(target: str, told: Converted) -> None:
    typer.echo(f"{printable(target)}: {told.rows:,} rows of {told.records:,} records")
    for reason, number in sorted(told.rejects.items(), key=lambda item: (-item[1], item[0])):
        typer.echo(f"not readable, left out: {number:,} {printable(reason)}")
    for why, number in sorted(told.skipped.items()):
        typer.echo(f"of no interest, left out: {number:,} {printable(why)}")
    if told.ids_lost:
        typer.echo(f"{told.ids_lost:,} ids whose text is not in their record stand as ? and a number")
    for sentence in told.damage:
        typer.echo(printable(sentence), err=True)

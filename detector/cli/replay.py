"""foreshock replay: the same engine on files, what it found, and the verdict against labels."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from detector import __version__
from detector.cli.base import Exit, Refusal, command_line
from detector.cli.options import SECONDS_MAX, ConfigOption
from detector.cli.progress import ProgressBar
from detector.cli.render import incident_line, note_lines, summary_table, verdict_group
from detector.engine.step import Step
from detector.formats.base import Format
from detector.formats.columnar import ColumnarRows
from detector.model.incident import Severity
from detector.sources.file import BATCH_BYTES_MAX, open_files
from detector.sources.file import BATCH_MAX as LINES_MAX
from detector.sources.packed import FileUnreadable, begins_as_parquet, legible
from detector.wiring import plugins
from detector.wiring.build import build_pipeline
from detector.wiring.config import Configuration, load, secret
from detector.wiring.edges import kafka_settings
from replay.instant import EVENT_NS_MAX, SECOND_NS, parse_instant
from replay.judge import judge
from replay.labels import Label, read_labels
from replay.outputs import AlertLines, OutputError, Page, ScoredWindows, keep_apart
from replay.reading import Input
from replay.report import report
from replay.run import Listener, Pace, Selection, Tally, replay
from replay.summary import Collector, summarise
from replay.topic import BATCH_MAX, SCHEME, Bound, TopicUrl, open_topic, parse_url
from replay.workers import Workers, later

app = command_line(no_args_is_help=True)

# Without privacy.key_file pseudonyms in a replay are made with this key, so that the same file gives the same alerts.
# Whoever holds the file knows the accounts anyway; who hands the alerts on sets a key.
PSEUDONYM_KEY = b"foreshock replay"
CLOCKS_APART_NS = 3600 * SECOND_NS  # the broker's clock and the events' are taken to differ by less
WORKERS_MAX = 64
SAMPLE_SHOWN = 120  # bytes of a record that could not be read
SHARED_BYTES_MAX = 4 << 20  # of lines, where several threads share a piece
PACED_BATCH_MAX = 64  # records: at a chosen speed events should not come in lumps


@app.command("replay")
def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files (plain, gzip, zstd, xz, or Parquet of `convert`), - for standard input, or kafka://HOST:PORT/TOPIC?from=T&to=T."
        ),
    ],
    language: Annotated[str | None, typer.Option("--format", help="Instead of input.format.")] = None,
    markets: Annotated[list[str] | None, typer.Option("--market", help="Only this market; may be repeated.")] = None,
    config: ConfigOption = None,
    alerts: Annotated[
        str | None, typer.Option(help="Write every alert, a line of JSON each; - is standard output.")
    ] = None,
    windows: Annotated[
        str | None, typer.Option(help="Write every scored window: .parquet, .csv or .jsonl by its ending.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="What really happened: gives a verdict.")] = None,
    report_path: Annotated[str | None, typer.Option("--report", help="Write a page (HTML) of what was found.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=WORKERS_MAX, help="Cores to use, 0 = all; what is told is the same.")
    ] = 1,
    speed: Annotated[str, typer.Option(help="max, or a multiple of the events' own time, like 10x.")] = "max",
    begin: Annotated[str, typer.Option("--from", help="Leave out events before (ISO-8601 or nanoseconds).")] = "",
    end: Annotated[str, typer.Option("--to", help="Leave out events after.")] = "",
    early: Annotated[
        float,
        typer.Option(min=0, max=SECONDS_MAX, help="Seconds before a label's start that an alert may answer it."),
    ] = 600.0,
    grace: Annotated[
        float,
        typer.Option(min=0, max=SECONDS_MAX, help="Seconds after a label's end that an alert may answer it."),
    ] = 600.0,
    fail_on: Annotated[
        str | None, typer.Option(help="Exit 1 on an incident this grave: info, warning, critical.")
    ] = None,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Bar; default: on a terminal.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON, nothing else.")] = False,
) -> None:
    """The same engine on files: what it would have said, and when.

    Exit codes: 0 done, 1 --fail-on found something, 2 usage, 3 bad configuration, 4 a file cannot be read to its end,
    or nothing of it could be read.
    """
    if as_json and "-" in (alerts, windows, report_path):
        raise Refusal(Exit.USAGE, "--json and an output on - would both write to standard output: give one a file")
    threshold = _severity(fail_on)
    selection = _selection(begin, end, markets)
    pace = _pace(speed)
    known = _labels(labels)
    configuration = load(config)
    beside = [str(path) for path in (labels, configuration.path) if path is not None]
    keep_apart([*paths, *beside], {"--alerts": alerts, "--windows": windows, "--report": report_path})
    if language is not None and language not in plugins.names("formats"):
        raise Refusal(Exit.USAGE, f"--format {language}: there is {', '.join(plugins.names('formats'))}")
    key = secret(None, configuration.settings.privacy.key_file).encode() or PSEUDONYM_KEY
    threads = _threads(workers)
    count = threads.count if threads is not None else 1
    engine = build_pipeline(
        configuration,
        pseudonym_key=key,
        format_name=language,
        keep_scored=windows is not None,
        workers=count,
        together=threads.together if threads is not None else None,
    )
    inputs = open_inputs(paths, configuration, engine.decoder, selection, paced=pace is not None, workers=count)
    collector = Collector()
    screen = Console(stderr="-" in (alerts, windows, report_path), highlight=False, quiet=as_json)
    bar = ProgressBar() if (sys.stderr.isatty() if progress is None else progress) else None
    listeners: list[Listener] = [collector]
    try:
        if alerts is not None:
            listeners.append(AlertLines(alerts))
        if windows is not None:
            listeners.append(ScoredWindows(windows))
        page = Page(report_path) if report_path is not None else None
    except OutputError as error:
        raise Refusal(Exit.UNREACHABLE, str(error)) from None
    listeners.append(_Printer(bar.console if bar is not None and screen.is_terminal else screen))
    if bar is not None:
        listeners.append(bar)
    started_s = time.monotonic()
    with threads or nullcontext():
        ahead = threads.ahead if threads is not None and not any(map(_may_wait, paths)) else later
        tally = replay(engine, inputs, selection=selection, listeners=listeners, pace=pace, ahead=ahead)
    found = collector.episodes
    verdict = None
    if labels is not None:
        early_ns, grace_ns = round(early * SECOND_NS), round(grace * SECOND_NS)
        verdict = judge(collector.told, known, tally.observed_ns, early_ns=early_ns, grace_ns=grace_ns)
    if why := _unread(tally, language or configuration.settings.input.format):
        tally.damage.append(why)
    summary = summarise(tally, collector, verdict, time.monotonic() - started_s, list(map(legible, paths)))
    if page is not None:
        bodies = [json.loads(alert.body()) for alert in collector.bodies]
        page.write(report(summary, bodies, __version__))
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    else:
        _show(screen, summary)
    raise typer.Exit(_exit(tally, threshold, max((episode.severity for episode in found), default=None)))


class _Printer:
    """A line for every alert that opens, raises or resolves an incident, as it comes."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def take(self, step: Step, tally: Tally) -> None:
        for alert in step.alerts:
            body = {"type": alert.type, "timestamp": alert.timestamp, "data": alert.data}
            if alert.data.get("reason") != "updated":
                self._screen.print(incident_line(body), soft_wrap=True)

    def close(self) -> None:
        pass


def _show(screen: Console, summary: dict[str, Any]) -> None:
    parts: list[RenderableType] = ["", summary_table(summary)]
    if summary["verdict"] is not None:
        parts += ["", verdict_group(summary["verdict"])]
    for part in parts:
        screen.print(part)
    Console(stderr=True, highlight=False).print(note_lines(summary["damage"], "red"), end="")


def _unread(tally: Tally, language: str) -> str:
    """Why this was no replay of anything, '' = something was read: a quiet market looks no different."""
    if tally.counts.get("events", 0):
        return ""
    if not tally.counts.get("records", 0):
        return "there is no record in it"
    if not tally.rejects:
        return "none of its records is an event of these markets and in this time (--market, --from, --to, --format)"
    reason, number = max(tally.rejects.items(), key=lambda told: told[1])
    sample = next((one.sample[:SAMPLE_SHOWN].decode(errors="replace") for one in tally.samples), "")
    others = ", ".join(name for name in plugins.names("formats") if name != language)
    first = f"; the first is {legible(sample)}" if sample else ""
    return f"no record could be read as {language}: {reason} ({number:,} times){first}. --format also knows {others}"


def _exit(tally: Tally, threshold: Severity | None, worst: Severity | None) -> Exit:
    if threshold is not None and worst is not None and worst >= threshold:
        return Exit.FINDINGS
    return Exit.UNREACHABLE if tally.damage else Exit.DONE


def open_inputs(
    paths: Sequence[str],
    configuration: Configuration,
    decoder: Format,
    selection: Selection,
    *,
    paced: bool,
    workers: int = 1,
) -> list[Input]:
    """An input for every file, for every source of a columnar one, and for every partition of a topic. decoder: whose
    key and limit of markets columnar files are read with. workers: threads that share the work, and that wait for each
    other less often over larger pieces. Raises Refusal with all of them closed."""
    if paths.count("-") > 1:
        raise Refusal(Exit.USAGE, "standard input (-) can be read once only")
    urls = [path for path in paths if path.startswith(SCHEME)]
    inputs: list[Input] = []
    try:
        files = [path for path in paths if not path.startswith(SCHEME)]
        columnar = [path for path in files if path != "-" and begins_as_parquet(path)]
        lines = [path for path in files if path not in columnar]
        inputs += open_files(
            lines,
            batch_max=PACED_BATCH_MAX if paced else LINES_MAX,
            batch_bytes_max=SHARED_BYTES_MAX if workers > 1 else BATCH_BYTES_MAX,
        )
        if columnar:
            inputs += _columnar(columnar, decoder, inputs)
        for url in (_narrowed(parse_url(url), selection) for url in urls):
            security = kafka_settings(configuration).security.client_arguments()
            inputs += open_topic(url, security, batch_max=PACED_BATCH_MAX if paced else BATCH_MAX)
        names = [each.partition for each in inputs]
        if len(set(names)) < len(names):
            raise Refusal(Exit.USAGE, "a topic is named twice, or a file bears a topic's name")
    except BaseException as error:
        for each in inputs:
            each.close()
        if isinstance(error, FileUnreadable):
            raise Refusal(Exit.UNREACHABLE, str(error)) from None
        raise
    return inputs


def _columnar(paths: Sequence[str], decoder: Format, others: Sequence[Input]) -> list[Input]:
    """Sources of columnar files; where another input bears a source's name, it gets the next free number."""
    from replay.columnar import open_columnar  # pyarrow is not needed for files of lines

    rows = ColumnarRows(decoder.key, decoder.markets_max)
    taken: dict[str, int] = {}
    for topic, number in (each.partition for each in others):
        taken[topic] = max(taken.get(topic, 0), number + 1)
    inputs: list[Input] = []
    for path in paths:
        inputs += (opened := open_columnar(path, rows, taken))
        for topic, number in (each.partition for each in opened):
            taken[topic] = max(taken.get(topic, 0), number + 1)
    return inputs


def _narrowed(url: TopicUrl, selection: Selection) -> TopicUrl:
    """A range without a begin need not begin long before the first event that is wanted."""
    if url.begin != Bound() or selection.from_ns <= CLOCKS_APART_NS:
        return url
    return replace_fields(url, begin=Bound(at_ms=(selection.from_ns - CLOCKS_APART_NS) // 1_000_000))


def _severity(text: str | None) -> Severity | None:
    if text is None:
        return None
    try:
        return Severity[text.upper()]
    except KeyError:
        raise Refusal(Exit.USAGE, f"--fail-on {text}: there is info, warning, critical") from None


def _selection(begin: str, end: str, markets: Sequence[str] | None) -> Selection:
    try:
        from_ns = parse_instant(begin) if begin else 0
        to_ns = parse_instant(end) if end else EVENT_NS_MAX
    except ValueError as error:
        raise Refusal(Exit.USAGE, f"--from, --to: {error}") from None
    if to_ns < from_ns:
        raise Refusal(Exit.USAGE, "--to lies before --from")
    return Selection(from_ns, to_ns, frozenset(markets or ()))


def _pace(text: str) -> Pace | None:
    if text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise Refusal(Exit.USAGE, f"--speed {text}: write max, or a multiple like 10x")
    return Pace(speed, time.monotonic, time.sleep)


def _threads(workers: int) -> Workers | None:
    """None when one core is to be used."""
    count = min(workers or len(os.sched_getaffinity(0)), WORKERS_MAX)
    return Workers(count) if count > 1 else None


def _may_wait(path: str) -> bool:
    """A pipe, which may say nothing for ever: a thread that waits for it could not be told to stop."""
    return path == "-" or (not path.startswith(SCHEME) and not Path(path).is_file())


def _labels(path: Path | None) -> tuple[Label, ...]:
    if path is None:
        return ()
    try:
        return read_labels(path.read_bytes())
    except OSError as error:
        raise Refusal(Exit.UNREACHABLE, f"{path}: {error.strerror}") from None

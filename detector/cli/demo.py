"""foreshock demo: a simulated exchange and the engine in one process; every incident explained, and the verdict."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.console import Console

from detector.cli.base import Exit, Refusal, command_line
from detector.cli.options import SECONDS_MAX
from detector.cli.render import incident_line, incident_panel, summary_table, verdict_group
from detector.engine.step import Step
from detector.wiring.build import build_pipeline
from detector.wiring.config import load
from replay.exchange import Exchange
from replay.instant import SECOND_NS
from replay.judge import GRACE_NS, judge
from replay.run import Listener, Pace, Tally, replay
from replay.scenario import ScenarioError
from replay.simulated import SimulatedInput, labels_of
from replay.summary import Collector, summarise

app = command_line()

PSEUDONYM_KEY = b"foreshock demo"  # the accounts are made up
CHUNK_S = 0.25  # event time handed over at once


@app.command("demo")
def command(
    scenario: Annotated[str, typer.Option(help="A shipped scenario (demo, quiet), or a TOML file.")] = "demo",
    seed: Annotated[int | None, typer.Option(help="Another run of the same scenario.")] = None,
    speed: Annotated[float, typer.Option(min=0.01, help="Times the market's own speed.")] = 20.0,
    grace: Annotated[
        float,
        typer.Option(
            min=0,
            max=SECONDS_MAX,
            help="Seconds after a planted incident that an alert may answer it.",
        ),
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Only the summary, as JSON, at full speed.")] = False,
) -> None:
    """A simulated exchange with scheduled incidents and the engine in one process; finds are judged.

    Everything it shows is synthetic. Exit codes: 0 done, 2 no such scenario, 3 bad configuration.
    """
    try:
        exchange = Exchange(scenario, seed)
    except (FileNotFoundError, ScenarioError) as error:
        raise Refusal(Exit.USAGE, str(error)) from None
    screen = Console(highlight=False, quiet=as_json)
    length_s = (exchange.end_ns - exchange.scenario.start_ns) / SECOND_NS
    labels = labels_of(exchange)
    planted = sum(not label.benign for label in labels)
    screen.print(
        f"Synthetic: {length_s:g} s of {len(exchange.markets)} simulated markets at {speed:g}x, seed {exchange.seed}, "
        f"{planted} incidents planted.\n"
        "Getting ready; the first time on a machine this compiles for a minute or two ..."
    )
    engine = build_pipeline(load(), pseudonym_key=PSEUDONYM_KEY, format_name="native")
    collector = Collector()
    listeners: list[Listener] = [collector, Announcer(screen)]
    pace = None if as_json else Pace(speed, time.monotonic, time.sleep)
    started_s = time.monotonic()
    tally = replay(engine, [SimulatedInput(exchange, chunk_s=CHUNK_S)], listeners=listeners, pace=pace)
    verdict = judge(collector.told, labels, tally.observed_ns, grace_ns=min(GRACE_NS, round(grace * SECOND_NS)))
    name = f"simulated exchange, scenario {exchange.scenario.name}, seed {exchange.seed}"
    summary = summarise(tally, collector, verdict, time.monotonic() - started_s, [name])
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
        return
    screen.print()
    screen.print(summary_table(summary))
    screen.print()
    screen.print(verdict_group(summary["verdict"]))


class Announcer:
    """Shows an incident whole when it opens and when it becomes critical; in a line when it rises or is over."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def take(self, step: Step, tally: Tally) -> None:
        """Show the step's alerts."""
        for alert in step.alerts:
            body = {"type": alert.type, "timestamp": alert.timestamp, "data": alert.data}
            reason, severity = alert.data.get("reason"), alert.data.get("severity")
            if reason == "opened" or (reason == "escalated" and severity == "critical"):
                self._screen.print(incident_panel(body))
            elif reason in ("escalated", "resolved"):
                self._screen.print(incident_line(body), soft_wrap=True)

    def close(self) -> None:
        """The screen stays."""

"""Progress: a bar on standard error that says how far a replay is, in bytes and in event time."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from detector.engine.step import Step
from replay.instant import format_instant
from replay.run import Tally


class ProgressBar:
    """A listener of a replay. `console`: where lines may be printed above the bar."""

    def __init__(self) -> None:
        self._progress = Progress(
            BarColumn(),
            DownloadColumn(binary_units=True),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None, told="")
        self._progress.start()

    @property
    def console(self) -> Console:
        """Prints above the bar."""
        return self._progress.console

    def take(self, step: Step, tally: Tally) -> None:
        """Move on."""
        task = self._progress.tasks[0]
        speed = f"{tally.counts.get('events', 0) / task.elapsed:,.0f} events/s" if task.elapsed else ""
        at = format_instant(tally.watermark_ns)[:19] if 0 < tally.watermark_ns < 2**62 else ""
        self._progress.update(
            self._task,
            completed=tally.bytes_done,
            total=tally.bytes_total,
            told=f"{at}  {speed}  {tally.alerts:,} alerts",
        )

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()

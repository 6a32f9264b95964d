"""The detection laboratory: simulated order streams through the real engine, judged. Everything in it is synthetic.

Three kinds of streams: "clean" (nothing planted), "dirty" (confounders only), "planted" (balanced incidents, and fewer
confounders). Seeds below HELD_OUT are for tuning; what is reported comes from seeds above it, and from other markets.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from replay.balanced import INCIDENTS, deal, markets
from replay.laboratory_judge import false_pages, recall_row, summary, verdicts_of
from replay.laboratory_run import run
from replay.laboratory_tally import Run
from replay.scenario import Draw, Planted, Scenario

Peers = Callable[[Sequence[Run], int], list[dict[str, Any]]]

HELD_OUT = 1000
KINDS = ("clean", "dirty", "planted")
CONFOUNDERS_PER_MARKET_DAY = {"clean": 0.0, "dirty": 6.0, "planted": 2.0}
NICE = 2
COLD_HOURS = 0.25
COLD_AMPLITUDES = (6.0, 15.0, 40.0)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is run: streams of each kind, markets in each, hours of each."""

    streams: int
    markets: int
    hours: float

    @property
    def market_weeks(self) -> float:
        """All streams together."""
        return len(KINDS) * self.streams * self.markets * self.hours / 168.0


# detectors are vectorised over markets: 128 of them cost little more a window than 32
SIZES = {"quick": Size(1, 64, 6.0), "default": Size(1, 128, 12.0), "full": Size(2, 128, 30.0)}
EVENTS_PER_S = {False: (4.0, 16.0), True: (3.0, 20.0)}  # of the slowest and the busiest market; held out or not


@dataclass(frozen=True, slots=True)
class Job:
    """One stream to run."""

    kind: str
    seed: int
    size: Size
    sampled: bool


def scenario_of(kind: str, seed: int, size: Size) -> Scenario:
    """The stream's scenario."""
    held_out = seed >= HELD_OUT
    draw = Draw(confounders_per_market_day=CONFOUNDERS_PER_MARKET_DAY[kind], classes=(), warm_up_s=600.0)
    made = Scenario(
        name=f"laboratory {kind}",
        markets=markets(size.markets, EVENTS_PER_S[held_out]),
        duration_s=size.hours * 3600.0,
        accounts=4000 if held_out else 3000,
        seed=seed,
        draw=draw,
    )
    return deal(made, seed) if kind == "planted" else made


def jobs(size: Size, *, held_out: bool, sampled: bool) -> list[Job]:
    """Every stream of a laboratory run; each kind and stream has its own seed."""
    first = HELD_OUT if held_out else 1
    return [
        Job(kind, first + 10 * stream + k, size, sampled)
        for stream in range(size.streams)
        for k, kind in enumerate(KINDS)
    ]


def work(job: Job) -> Run:
    """One stream, in a process of low priority."""
    cold = job.kind == "cold"
    made = cold_scenario(job.seed, job.size) if cold else scenario_of(job.kind, job.seed, job.size)
    return run(job.kind, made, job.seed, sampled=job.sampled)


def investigate(
    size: Size, *, held_out: bool, peers: Peers | None, say: Callable[[str], None], processes: int = 2
) -> dict[str, Any]:
    """Run every stream, and say what came of it: the tables of replay/laboratory_report.py, as rows."""
    todo = [*jobs(size, held_out=held_out, sampled=peers is not None), *cold_jobs(size, held_out=held_out)]

    def done(one: Run) -> None:
        say(f"{one.kind}, seed {one.seed}: {one.events:,} events in {one.cpu_s:.0f} s of CPU")

    runs = run_all(todo, processes, done)
    warm = [one for one in runs if one.kind != "cold"]
    told = summary(warm)
    told["cold"] = cold_rows([one for one in runs if one.kind == "cold"])
    if peers is not None:
        false = sum(len(false_pages(one, one.calls[1.0])) for one in warm)
        ours = {"peer": "foreshock (its own thresholds)", "false_pages": false, **told["recall"]}
        say("peers")
        told["peers"] = [ours, *peers(warm, false)]
    return told


def conditions(size: Size, *, held_out: bool) -> list[str]:
    """How it was run, in sentences."""
    todo = jobs(size, held_out=held_out, sampled=False)
    seeds = "; ".join(f"{kind}: {', '.join(str(job.seed) for job in todo if job.kind == kind)}" for kind in KINDS)
    low, high = EVENTS_PER_S[held_out]
    rates = ", ".join(f"{kind} {rate:g}" for kind, rate in CONFOUNDERS_PER_MARKET_DAY.items())
    return [
        f"{size.streams} streams of each kind, {size.markets} markets, {size.hours:g} hours each: "
        f"{size.market_weeks:.1f} market-weeks, {low:g} to {high:g} events a second and market, "
        "thin and deep books in turn",
        f"{'held-out' if held_out else 'TUNING'} seeds: {seeds}",
        f"confounders a market-day: {rates}; incidents: {', '.join(INCIDENTS)}, every class and third alike",
    ]


def cold_jobs(size: Size, *, held_out: bool) -> list[Job]:
    """Streams that begin with a burst."""
    first = (HELD_OUT if held_out else 1) + 500
    return [Job("cold", first, replace(size, hours=COLD_HOURS), False)]


def cold_scenario(seed: int, size: Size) -> Scenario:
    """A burst of cancels three minutes in, on every other market, a minute apart from each other."""
    made = replace(scenario_of("clean", seed, size), name="laboratory cold")
    names = made.names[::2]
    planted = tuple(
        Planted("cancel_burst", 180.0 + 20.0 * i, (name,), amplitude=COLD_AMPLITUDES[i % 3], hold_s=15.0, accounts=5)
        for i, name in enumerate(names)
    )
    return replace(made, planted=planted)


def cold_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Of the bursts three minutes in: caught, how fast, and what else was paged in those minutes."""
    found = [one for each in runs for one in verdicts_of(each, each.calls[1.0])]
    false = sum(len(false_pages(each, each.calls[1.0])) for each in runs)
    return [
        {"amplitude": amplitude, "false_pages": false}
        | recall_row([one for one in found if one.amplitude == amplitude])
        for amplitude in COLD_AMPLITUDES
    ]


def run_all(todo: Sequence[Job], processes: int = 2, told: Callable[[Run], None] | None = None) -> list[Run]:
    """Every job, at most `processes` at a time, in the order of the jobs."""
    return list(_each(todo, processes, told))


def _each(todo: Sequence[Job], processes: int, told: Callable[[Run], None] | None) -> Iterator[Run]:
    if processes <= 1:
        for job in todo:
            done = work(job)
            if told is not None:
                told(done)
            yield done
        return
    # spawned, not forked: a compiled loop's threads do not survive a fork
    with multiprocessing.get_context("spawn").Pool(min(processes, len(todo)), _give_way, (), 1) as pool:
        for done in pool.imap(work, todo):
            if told is not None:
                told(done)
            yield done


def _give_way() -> None:
    """Others on this machine go first."""
    os.nice(max(0, NICE - os.nice(0)))

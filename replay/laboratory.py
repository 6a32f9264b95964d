"""The detection laboratory: simulated order streams through the real engine. Everything in it is synthetic.

Kinds of streams: "clean" (nothing planted), "dirty" (confounders only), "planted" (balanced incidents, and fewer
confounders); "wide" (planted, base rates from 2 to 2,000 events a second) and "cold" (planted from minute 3 on). Seeds
below HELD_OUT are for tuning; what is reported comes from seeds above it, and from other markets.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from replay.balanced import INCIDENTS, deal, markets
from replay.laboratory_cold import COLD_HOURS, COLD_MARKETS, cold
from replay.laboratory_run import run
from replay.laboratory_tally import Run
from replay.scenario import Draw, Scenario

HELD_OUT = 1000
KINDS = ("clean", "dirty", "planted")
CONFOUNDERS_PER_MARKET_DAY = {"clean": 0.0, "dirty": 6.0, "planted": 2.0, "wide": 2.0, "cold": 0.0}
NICE = 2


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
SIZES = {"quick": Size(1, 64, 6.0), "default": Size(1, 128, 14.0), "full": Size(2, 128, 30.0)}
EVENTS_PER_S = {False: (4.0, 16.0), True: (3.0, 20.0)}  # of the slowest and the busiest market; held out or not
WIDE_EVENTS_PER_S = (2.0, 2000.0)  # of "wide" streams: few and short, because they hold as many events as the others
WIDE = {"quick": Size(1, 8, 2.5), "default": Size(1, 12, 4.0), "full": Size(1, 24, 6.0)}
WIDE_WARM_UP_S, WIDE_APART_S = 3600.0, 2400.0
WIDE_CLASSES = tuple(name for name in INCIDENTS if name != "drift")  # hours of drift have no room there


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
        markets=markets(size.markets, WIDE_EVENTS_PER_S if kind == "wide" else EVENTS_PER_S[held_out]),
        duration_s=size.hours * 3600.0,
        accounts=4000 if held_out else 3000,
        seed=seed,
        draw=draw,
    )
    if kind == "planted":
        return deal(made, seed)
    if kind == "wide":
        return deal(made, seed, WIDE_CLASSES, warm_up_s=WIDE_WARM_UP_S, apart_s=WIDE_APART_S)
    return cold(made) if kind == "cold" else made


def jobs(size: Size, *, held_out: bool, sampled: bool) -> list[Job]:
    """Every stream of a laboratory run; each kind and stream has its own seed."""
    first = HELD_OUT if held_out else 1
    return [
        Job(kind, first + 10 * stream + k, size, sampled)
        for stream in range(size.streams)
        for k, kind in enumerate(KINDS)
    ]


def extra_jobs(name: str, *, held_out: bool) -> list[Job]:
    """Streams beside those of the size called `name`: base rates from 2 to 2,000 events a second, and a cold start."""
    first = (HELD_OUT if held_out else 1) + 500
    return [Job("cold", first, Size(1, COLD_MARKETS, COLD_HOURS), False), Job("wide", first + 1, WIDE[name], False)]


def work(job: Job) -> Run:
    """One stream, in a process of low priority."""
    return run(job.kind, scenario_of(job.kind, job.seed, job.size), job.seed, sampled=job.sampled)


def in_order(do: Callable[[Job], Any], todo: Sequence[Job], processes: int = 2) -> Iterator[Any]:
    """`do` of every job, at most `processes` at a time, as each is done, in the order of the jobs."""
    if processes <= 1:
        yield from map(do, todo)
        return
    # spawned, not forked: a compiled loop's threads do not survive a fork
    with multiprocessing.get_context("spawn").Pool(min(processes, len(todo)), _give_way, (), 1) as pool:
        yield from pool.imap(do, todo)


def _give_way() -> None:
    """Others on this machine go first."""
    os.nice(max(0, NICE - os.nice(0)))

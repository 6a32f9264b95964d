"""Investigate: every stream of the laboratory run and judged; the rows of replay/laboratory_report.py's tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from replay.balanced import INCIDENTS
from replay.laboratory import (
    CONFOUNDERS_PER_MARKET_DAY,
    EVENTS_PER_S,
    HELD_OUT,
    KINDS,
    SIZES,
    WIDE,
    WIDE_EVENTS_PER_S,
    Job,
    Size,
    extra_jobs,
    jobs,
    scenario_of,
)
from replay.laboratory_ablation import ablate
from replay.laboratory_audit import UNSTEADY_MAKERS, audit_rows, unlike
from replay.laboratory_cold import COLD_HOURS, COLD_MARKETS
from replay.laboratory_correlation import correlation_rows, together_row
from replay.laboratory_degraded import degraded_rows
from replay.laboratory_judge import recall_row, summary
from replay.laboratory_kept import Kept
from replay.laboratory_lives import life_rows
from replay.laboratory_matched import curve, matched
from replay.laboratory_oracle import Ceilings
from replay.laboratory_run import run
from replay.laboratory_surface import vus_pr
from replay.laboratory_tally import Run
from replay.laboratory_verdicts import Verdict, false_pages, verdicts_of, weeks
from replay.laboratory_windows import Recording, each, load, ready

Say = Callable[[str], None]
Peers = Callable[[Sequence[Run], int, Sequence[Verdict], Say], list[dict[str, Any]]]  # runs, false pages, ours

PEER_MARKETS = 8  # peers are given one pair of markets in so many
UNSTEADY_MARKETS, UNSTEADY_HOURS, UNSTEADY_EVERY = 64, 14.0, 2


def investigate(
    name: str,
    *,
    held_out: bool,
    peers: Peers | None,
    say: Say,
    processes: int = 2,
    ceilings: bool = True,
    kept: Kept | None = None,
) -> dict[str, Any]:
    """All of it, at the size called `name`. peers: of bench/peers.py, where there is a source checkout. kept: what is
    there already, and takes what is made now."""
    main = jobs(SIZES[name], held_out=held_out, sampled=True)
    kept = Kept(None) if kept is None else kept

    def done(one: Run) -> None:
        say(f"{one.kind}, seed {one.seed}: {one.events:,} events in {one.cpu_s:.0f} s of CPU")

    def piece(key: str, what: str, make: Callable[[], Any]) -> Any:
        say(what)
        return kept.rows(key, make)

    runs = kept.runs([*main, *extra_jobs(name, held_out=held_out)], processes, done)
    told = summary(runs)
    warm = [one for one in runs if one.kind in KINDS]
    planted = [one for one in runs if one.kind == "planted"]
    told["cost"] = cost_row(warm)
    told["correlation"] = piece("correlation", "correlation", lambda: correlation_rows(held_out=held_out))
    told["correlation"].append(together_row(planted))
    told["lives"] = piece("lives", "lives", lambda: life_rows(held_out=held_out))
    if name == "full":
        told["degraded"] = piece(
            "degraded", "feeds that name less", lambda: degraded_rows(held_out=held_out, processes=processes)
        )
        if peers is not None:
            told["unsteady"] = piece(
                "unsteady", "where makers are unsteady", lambda: unsteady_rows(peers, say, held_out=held_out)
            )
        told["audit"] = piece("audit", "other exchanges", lambda: audit_rows(held_out=held_out, processes=processes))
    if ceilings:
        told["ceilings"] = piece("ceilings", "ceilings", lambda: ceiling_rows(main, runs, processes))
        told["ablation"] = piece("ablation", "ablation", lambda: ablate(recordings(main, processes)[0], processes))
    told["curve"] = piece("curve", "curve", lambda: curve(warm, [one.margins for one in warm]))
    if peers is not None:
        told["peers"] = piece("peers", "peers", lambda: peer_rows(warm, peers, say))
    return told


def recordings(main: Sequence[Job], processes: int) -> tuple[list[Job], tuple[Recording, Recording]]:
    """The first clean and the first planted job, and their recorded windows."""
    first = [next(job for job in main if job.kind == kind) for kind in ("clean", "planted")]
    clean, planted = (load(made) for made in each(first, ready, processes))
    return first, (clean, planted)


def ceiling_rows(main: Sequence[Job], runs: Sequence[Run], processes: int) -> list[dict[str, Any]]:
    """Beside each class and third of the first planted stream: the oracle's recall, and ours as a share of it."""
    first, (clean, planted) = recordings(main, processes)
    ours = [v for one in runs if one.seed == first[1].seed for v in verdicts_of(one, one.calls[1.0])]
    rows = Ceilings([clean], [planted]).rows()
    for row in rows:
        same = [v.early for v in ours if (v.name, v.third) == (row["class"], row["third"])]
        assert len(same) == row["planted"], "the recording and the run plant the same"
        row["ours"] = round(sum(same) / len(same), 3)
        row["of_ceiling"] = round(row["ours"] / row["ceiling"], 3) if row["ceiling"] > 0 else float("nan")
    return rows


def unsteady_rows(peers: Peers, say: Say, *, held_out: bool, hours: float = UNSTEADY_HOURS) -> list[dict[str, Any]]:
    """The same comparison on a planted stream of an exchange whose makers go away, leave quotes away and stand back."""
    size = Size(1, UNSTEADY_MARKETS, hours)
    seed = (HELD_OUT if held_out else 1) + 870
    scenario = scenario_of("planted", seed, size)
    for name in UNSTEADY_MAKERS:
        scenario = unlike(name, scenario)
    done = run("planted", scenario, seed, sampled=True, promises=(1.0,))
    return peer_rows([done], peers, say, UNSTEADY_EVERY)


def peer_rows(runs: Sequence[Run], peers: Peers, say: Say, every: int = PEER_MARKETS) -> list[dict[str, Any]]:
    """Ours as shipped, ours in the peers' harness, and each peer, all at the same number of false pages, on one pair of
    markets in `every` of the first stream of each kind: some peers take a thousand times our time."""
    firsts = {one.kind: one for one in reversed(runs)}
    some = [part(one, max(1, min(every, len(one.scenario.markets) // 16))) for one in firsts.values()]
    pages = sum(len(false_pages(one, one.calls[1.0])) for one in some)
    found = [v for one in some for v in verdicts_of(one, one.calls[1.0])]
    shipped = {"peer": "foreshock, its own thresholds", "input": "", "false_pages": pages, **recall_row(found)}
    margins = [one.margins for one in some]
    # with none at all a peer's threshold would be the largest clean score, which says little: one in four market-weeks
    allowed = max(pages, 1, round(0.25 * sum(weeks(one) for one in some)))
    reached, judged = matched(some, margins, allowed)
    harness = {
        "peer": "foreshock, an oracle's threshold",
        "input": "",
        "false_pages": reached,
        "vus_pr": round(vus_pr(some, margins), 3),
        **recall_row(judged),
    }
    return [shipped, harness, *peers(some, allowed, judged, say)]


def part(run: Run, every: int) -> Run:
    """The run as if only each `every`-th pair of markets were there (a thin and a deep one)."""
    keep = [i for i in range(len(run.scenario.markets)) if (i // 2) % every == 0]
    specs = tuple(run.scenario.markets[i] for i in keep)
    names = {spec.name for spec in specs}
    labels = [
        {**row, "markets": [name for name in row["markets"] if name in names]}
        for row in run.labels
        if names & set(row["markets"])
    ]
    calls = {
        promise: [
            replace(call, markets=tuple(name for name in call.markets if name in names))
            for call in told
            if names & set(call.markets)
        ]
        for promise, told in run.calls.items()
    }
    return replace(
        run,
        scenario=replace(run.scenario, markets=specs, planted=()),
        labels=labels,
        calls=calls,
        samples=run.samples[:, keep],
        residuals=run.residuals[:, keep],
        margins=run.margins[:, keep],
    )


def cost_row(runs: Sequence[Run]) -> dict[str, Any]:
    """CPU of generation, engine and judge together."""
    cpu_s = sum(one.cpu_s for one in runs)
    windows = sum(len(one.scenario.markets) * one.scenario.duration_s for one in runs)
    return {
        "market_weeks": round(windows / 604_800.0, 1),
        "cpu_s": round(cpu_s),
        "us_per_market_second": cpu_s / windows * 1e6,
    }


def conditions(name: str, *, held_out: bool) -> list[str]:
    """How it was run, in sentences."""
    size = SIZES[name]
    todo = [*jobs(size, held_out=held_out, sampled=False), *extra_jobs(name, held_out=held_out)]
    kinds = (*KINDS, "wide", "cold")
    seeds = "; ".join(f"{kind}: {', '.join(str(job.seed) for job in todo if job.kind == kind)}" for kind in kinds)
    low, high = EVENTS_PER_S[held_out]
    wide = WIDE[name]
    rates = ", ".join(f"{kind} {rate:g}" for kind, rate in CONFOUNDERS_PER_MARKET_DAY.items())
    return [
        f"{size.streams} streams of each kind, {size.markets} markets, {size.hours:g} hours each: "
        f"{size.market_weeks:.1f} market-weeks at order level, {low:g} to {high:g} events a second and market, "
        "thin and deep books in turn",
        f"beside them a wide stream: {wide.markets} markets of {WIDE_EVENTS_PER_S[0]:g} to {WIDE_EVENTS_PER_S[1]:g} "
        f"events a second, {wide.hours:g} hours; and a cold one: {COLD_MARKETS} markets, {COLD_HOURS:g} hours",
        f"{'held-out' if held_out else 'TUNING'} seeds: {seeds}",
        f"confounders a market-day: {rates} (of every kind); incidents: {', '.join(INCIDENTS)}, every class and third "
        "alike; some on 3 to 6 markets within 30 s, some inside a benign burst",
    ]

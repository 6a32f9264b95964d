"""The simulated exchange: order-level events of many markets from a scenario and a seed. Synthetic, all of it.

python -m replay.exchange --scenario demo --stats
python -m replay.exchange --scenario demo --out demo.ndjson.zst --labels demo.labels.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.model.events import EVENT, EventColumn, Flag, Kind, empty_events
from replay.exchange_kernel import advance, surroundings
from replay.exchange_state import TICK_NS, make_desk, rows_reserve
from replay.incidents_plan import SECOND_NS, labels_json, plan
from replay.scenario import Scenario, ScenarioError, load

OUT_ROWS = 65_536  # rows one market writes before they are taken from it


class Exchange:
    """One run of a scenario. The same scenario and seed give the same events, in chunks of any length.

    scenario  a Scenario, or the name or path of one
    seed      replaces the scenario's own
    """

    def __init__(self, scenario: Scenario | str | Path, seed: int | None = None) -> None:
        self.scenario = scenario if isinstance(scenario, Scenario) else load(scenario)
        self.seed = self.scenario.seed if seed is None else seed
        self.markets: tuple[str, ...] = self.scenario.names
        self._plan = plan(self.scenario, self.seed)
        effects = self._plan.effects
        desks = [
            make_desk(self.scenario, i, self.seed, effects[effects["market"] == i].copy())
            for i in range(len(self.markets))
        ]
        self._reserves = [rows_reserve(len(desk.orders)) for desk in desks]
        out = empty_events(OUT_ROWS + max(self._reserves))
        self._desks = [desk._replace(out=out) for desk in desks]
        self._common_rng = np.random.default_rng([self.seed, 3]).integers(0, 2**63, 2, dtype=np.uint64)
        self._common_mood = np.zeros(1)
        self._common = np.zeros((0, 2))
        self._common_tick = 0  # of row 0 of _common
        self.until_ns = self.scenario.start_ns  # everything before is told
        self._ahead = np.zeros(0, EVENT)  # rows that belong to the next chunk
        self._messages = 0
        self.rows = 0  # told so far

    @property
    def end_ns(self) -> int:
        """Event time at which the scenario ends."""
        return self.scenario.start_ns + round(self.scenario.duration_s * SECOND_NS)

    def labels(self) -> list[dict[str, Any]]:
        """What is planted, as in LABELS.json (times in ns), confounders too (kind "benign")."""
        return [dict(label) for label in self._plan.labels]

    def chunks(self, seconds_per_chunk: float = 1.0) -> Iterator[EventColumn]:
        """EVENT arrays, one a stretch of event time, from where the exchange stands to its end; empty ones too."""
        step_ns = max(1, round(seconds_per_chunk * SECOND_NS))
        while self.until_ns < self.end_ns:
            yield self.run(min(self.until_ns + step_ns, self.end_ns))

    def run(self, until_ns: int) -> EventColumn:
        """EVENT (rows): everything from where the exchange stands to before `until_ns`, all markets, by event time
        (then by market); `offset` counts messages, and rows of one snapshot share one."""
        if until_ns <= self.until_ns:
            return np.zeros(0, EVENT)
        self._extend_common(until_ns)
        parts = [_opaque(self._ahead)]
        for desk, reserve in zip(self._desks, self._reserves, strict=True):
            done = False
            while not done:
                rows_max = np.int64(len(desk.out) - reserve)
                done = bool(advance(desk, self._common, np.int64(self._common_tick), np.int64(until_ns), rows_max))
                parts.append(_opaque(desk.out[: int(desk.state[0]["rows"])]).copy())
                desk.state[0]["rows"] = 0
        self.until_ns = until_ns
        joined = np.concatenate(parts)
        events = joined.view(EVENT)
        events = np.take(joined, np.lexsort((events["market"], events["event_ns"]))).view(EVENT)
        cut = int(np.searchsorted(events["event_ns"], until_ns))
        events, self._ahead = events[:cut], events[cut:].copy()
        inside = (events["flags"] & Flag.SNAPSHOT) != 0
        events["offset"] = self._messages - 1 + np.cumsum(~inside)
        self._messages += int(np.sum(~inside))
        self.rows += len(events)
        return events

    def _extend_common(self, until_ns: int) -> None:
        """What all markets share, for the ticks that begin before `until_ns`."""
        done = int(self._desks[0].state[0]["ticks"]) if self._desks else 0
        wanted = -((self.scenario.start_ns - until_ns) // TICK_NS)
        kept = self._common[done - self._common_tick :]
        fresh = np.zeros((max(0, wanted - done - len(kept)), 2))
        surroundings(self._common_mood, self._common_rng, fresh, self.scenario.mood)
        self._common, self._common_tick = np.concatenate((kept, fresh)), done


def _opaque(events: EventColumn) -> EventColumn:
    """The same rows without their columns: those numpy copies whole, three times as fast."""
    return events.view(np.dtype((np.void, EVENT.itemsize)))


def stats(exchange: Exchange, seconds: float) -> list[dict[str, Any]]:
    """Rates per market over the next `seconds` of event time, as rows of a table."""
    counts = np.zeros((len(exchange.markets), len(Kind) + 2), np.int64)
    start_ns = exchange.until_ns
    until_ns = min(exchange.end_ns, start_ns + round(seconds * SECOND_NS))
    length_s = (until_ns - start_ns) / SECOND_NS
    while exchange.until_ns < until_ns:
        events = exchange.run(min(until_ns, exchange.until_ns + 60 * SECOND_NS))
        live = events[(events["flags"] & Flag.SNAPSHOT) == 0]
        np.add.at(counts, (live["market"], live["kind"].astype(np.int64)), 1)
    rows = []
    for name, row in zip(exchange.markets, counts, strict=True):
        told = {kind.name.lower(): round(float(row[kind]) / length_s, 3) for kind in Kind if counts[:, kind].any()}
        rows.append({"market": name, "per_s": round(float(row.sum()) / length_s, 2), **told})
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module. 0 done, 2 no such scenario, 3 a faulty one."""
    from replay.feed import write_native

    parser = argparse.ArgumentParser(
        prog="replay.exchange", description="The simulated exchange. Its data is synthetic."
    )
    parser.add_argument("--scenario", default="demo", help="name of a shipped scenario, or a TOML file")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=None, help="stop after this much event time")
    parser.add_argument("--out", type=Path, default=None, help="write NDJSON here (.gz and .zst are compressed)")
    parser.add_argument("--labels", type=Path, default=None, help="write the labels here")
    parser.add_argument("--stats", action="store_true", help="print rates per market and what is planted")
    chosen = parser.parse_args(arguments)
    try:
        exchange = Exchange(chosen.scenario, chosen.seed)
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except ScenarioError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    if chosen.labels is not None:
        chosen.labels.write_text(labels_json(exchange.labels()), encoding="utf-8")
    if chosen.out is not None:
        messages = write_native(exchange, chosen.out, seconds=chosen.seconds)
        sys.stdout.write(f"{messages} synthetic messages of {len(exchange.markets)} markets in {chosen.out}\n")
    if chosen.stats or chosen.out is None:
        _print_stats(Exchange(chosen.scenario, chosen.seed), chosen.seconds)
    return 0


def _print_stats(exchange: Exchange, seconds: float | None) -> None:
    length_s = exchange.scenario.duration_s if seconds is None else seconds
    rows = stats(exchange, length_s)
    lines = [f"scenario {exchange.scenario.name}, seed {exchange.seed}, {length_s:g} s, synthetic; rows a second"]
    columns = list(rows[0])
    for cells in [columns, *([str(row[column]) for column in columns] for row in rows)]:
        lines.append("  ".join(f"{cell:>12}" for cell in cells))
    for label in exchange.labels():
        at_s = (label["start"] - exchange.scenario.start_ns) / SECOND_NS
        lines.append(f"planted at {at_s:8.1f} s: {label['name']} ({label['kind']})")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

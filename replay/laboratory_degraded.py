"""Degraded: the same streams as feeds that name less would tell them, and what the detectors still find. Synthetic.

    python -m replay.laboratory_degraded [--tuning]

Three feeds of one exchange: orders by id with their accounts; orders by id; price levels and trades. The last two are
what most venues publish, and neither tells of leverage: the classes made of it alone are left out, and of foreshock and
drift only the other half can be seen. Nothing is planted beside the incidents. A dirty stream has confounders alone:
what a busy market costs where nobody can ask how many act. Disorder is not among them, for it cannot be converted. On
another clean stream sixty robots lay grids in each market, and robots act as minutes end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from detector.model.events import EventColumn, Flag, Kind
from replay.balanced import CONFOUNDERS, INCIDENTS, deal
from replay.laboratory import CONFOUNDERS_PER_MARKET_DAY, HELD_OUT, Job, Size, scenario_of
from replay.laboratory_audit import unlike
from replay.laboratory_judge import rate_row, recall_row
from replay.laboratory_report import table
from replay.laboratory_run import run
from replay.laboratory_tally import Run
from replay.laboratory_verdicts import verdicts_of
from replay.laboratory_windows import each

MARKETS, HOURS = 64, 14.0
CLASSES = tuple(name for name in INCIDENTS if name not in ("crowd", "whales"))
CONVERTED = tuple(name for name in CONFOUNDERS if name != "disorder")
FEEDS = ("orders and accounts", "orders by id", "levels and trades")
COLUMNS = [
    "feed",
    "class",
    "planted",
    "early",
    "caught",
    "lead_median_s",
    "delay_median_s",
    "hit_1",
    "realised",
    "dirty",
    "robots",
]
ROBOTS = "robots"  # a kind of stream
ROBOTS_HABITS = ("sixty robots lay grids in each market", "robots act as minutes end")
_NAMELESS = (Kind.LEVERAGE, Kind.POSITION)


def degraded_rows(*, held_out: bool, processes: int = 2, hours: float = HOURS) -> list[dict[str, Any]]:
    """For each of FEEDS: all classes with the false pages of a clean stream (`realised`), of a dirty one (`dirty`) and
    of one with robots (`robots`), then each class."""
    first = (HELD_OUT if held_out else 1) + 900
    size = Size(1, MARKETS, hours)
    todo = [Job(kind, first + k, size, False) for k, kind in enumerate(("planted", "clean", "dirty", ROBOTS))]
    rows: list[dict[str, Any]] = []
    for feed in FEEDS:
        planted, *rest = each(todo, partial(told_by, feed=feed), processes)
        found = verdicts_of(planted, planted.calls[1.0])
        named = zip(("realised", "dirty", "robots"), rest, strict=True)
        false = {name: rate_row([one], 1.0)["realised"] for name, one in named}
        rows.append(recall_row(found, feed=feed, **false) | {"class": "all"})
        rows += [recall_row([v for v in found if v.name == one], feed=feed) | {"class": one} for one in CLASSES]
    return rows


def told_by(job: Job, feed: str) -> Run:
    """The job's stream, as `feed` tells it."""
    scenario = scenario_of("clean", job.seed, job.size)
    rate = CONFOUNDERS_PER_MARKET_DAY["dirty"] if job.kind == "dirty" else 0.0
    draw = replace(scenario.draw, confounders_per_market_day=rate, confounders=CONVERTED)
    scenario = replace(scenario, draw=draw)
    if job.kind == "planted":
        scenario = deal(scenario, job.seed, CLASSES)
    if job.kind == ROBOTS:
        for habit in ROBOTS_HABITS:
            scenario = unlike(habit, scenario)
    return run(job.kind, scenario, job.seed, promises=(1.0,), through=through(feed))


def through(feed: str) -> Callable[[EventColumn], EventColumn] | None:
    """What makes a feed's rows of the exchange's, chunk by chunk; None = they are those."""
    match feed:
        case "orders and accounts":
            return None
        case "orders by id":
            return nameless
        case "levels and trades":
            return Levels()
    raise ValueError(f"no feed is called {feed}")


def nameless(events: EventColumn) -> EventColumn:
    """Without accounts, without what only an account's owner is told, and without numbers that would lack those."""
    told: EventColumn = events[~np.isin(events["kind"], _NAMELESS)].copy()
    told["account"] = told["taker"] = 0
    told["seq"] = told["first_seq"] = -1
    return told


class Levels:
    """Called with one chunk after the other: each order, cancel and fill as the new quantity of its price level, a fill
    with the trade before it. One exchange's."""

    def __init__(self) -> None:
        self._orders: dict[int, dict[int, list[int]]] = {}  # market -> order -> side, price, lots
        self._levels: dict[int, dict[tuple[int, int], int]] = {}  # market -> (side, price) -> lots

    def __call__(self, events: EventColumn) -> EventColumn:
        """The rows that a feed of levels has for these."""
        source = nameless(events)
        names = ("kind", "market", "order", "side", "price_ticks", "qty_lots", "flags")
        rows: list[tuple[int, int, int, int, int]] = []  # row it is made from, kind, side, price, lots
        for i, (kind, market, order, side, price, lots, flags) in enumerate(
            zip(*(source[name].tolist() for name in names), strict=True)
        ):
            if kind == Kind.BOOK:
                self._orders[market], self._levels[market] = {}, {}
                rows.append((i, kind, side, price, lots))
            elif kind == Kind.ORDER:
                rows += [(i, Kind.LEVEL, *level) for level in self._placed(market, order, side, price, lots)]
            elif kind in (Kind.CANCEL, Kind.FILL):
                taken = self._taken(market, order, lots, everything=bool(flags & Flag.ALL))
                if taken is not None:
                    resting, at, left = taken
                    if kind == Kind.FILL:
                        rows.append((i, Kind.TRADE, -resting, at, lots))
                    rows.append((i, Kind.LEVEL, resting, at, left))
            else:
                rows.append((i, kind, side, price, lots))
        return _laid(source, rows)

    def _placed(self, market: int, order: int, side: int, price: int, lots: int) -> list[tuple[int, int, int]]:
        """Levels that are new: side, price, lots."""
        changed = []
        orders, levels = self._orders.setdefault(market, {}), self._levels.setdefault(market, {})
        before = orders.get(order)
        if before is not None:
            changed.append(self._left(market, before[0], before[1], before[2]))
        orders[order] = [side, price, lots]
        levels[side, price] = levels.get((side, price), 0) + lots
        return [*changed, (side, price, levels[side, price])]

    def _taken(self, market: int, order: int, lots: int, *, everything: bool) -> tuple[int, int, int] | None:
        """The level that is left; None where nobody knows the order."""
        orders = self._orders.setdefault(market, {})
        resting = orders.get(order)
        if resting is None:
            return None
        gone = resting[2] if everything else min(lots, resting[2])
        resting[2] -= gone
        if resting[2] == 0:
            del orders[order]
        return self._left(market, resting[0], resting[1], gone)

    def _left(self, market: int, side: int, price: int, gone: int) -> tuple[int, int, int]:
        levels = self._levels[market]
        levels[side, price] -= gone
        left = levels[side, price]
        if left == 0:
            del levels[side, price]
        return side, price, left


def _laid(source: EventColumn, rows: Sequence[tuple[int, int, int, int, int]]) -> EventColumn:
    """EVENT rows; decimals are those of the row each is made from, or of its market where that has none."""
    if not rows:
        return source[:0].copy()
    origin, kind, side, price, lots = (np.array(column) for column in zip(*rows, strict=True))
    told: EventColumn = source[origin].copy()
    book = np.isin(kind, (Kind.LEVEL, Kind.TRADE))
    told["kind"] = kind
    told["side"], told["price_ticks"], told["qty_lots"] = side, price, lots
    told["order"][book] = 0
    told["code"][book] = 0
    told["flags"][book] &= ~np.uint8(Flag.ALL)
    for name in ("price_decimals", "qty_decimals"):
        finest = np.zeros(int(source["market"].max()) + 1, np.int8)
        np.maximum.at(finest, source["market"], source[name])
        told[name][book] = finest[told["market"][book]]
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="replay.laboratory_degraded")
    parser.add_argument("--tuning", action="store_true", help="tuning seeds and markets instead of held-out ones")
    parser.add_argument("--hours", type=float, default=HOURS)
    chosen = parser.parse_args(arguments)
    rows = degraded_rows(held_out=not chosen.tuning, hours=chosen.hours)
    sys.stdout.write("Synthetic.\n" + "\n".join(table(COLUMNS, rows)) + "\n")


if __name__ == "__main__":
    main()

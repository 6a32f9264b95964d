"""Scenario: which markets the simulated exchange has, how busy they are, and what is planted in them. From TOML.

Everything the simulated exchange makes is synthetic, and a scenario says so in its first line.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCENARIOS = Path(__file__).parent / "scenarios"
MARKETS_MAX = 1024
EVENTS_PER_S_MAX = 5_000.0
GRIDS_MAX = 500
ACCOUNTS_MAX = 200_000
DURATION_S_MAX = 60 * 86_400.0
MAKERS_RANGE = (4, 20)  # the rest of the makers' table is kept for new ones

NAMES = (
    "BTC",
    "ETH",
    "SOL",
    "XRP",
    "DOGE",
    "ADA",
    "AVAX",
    "LINK",
    "LTC",
    "DOT",
    "ATOM",
    "NEAR",
    "APT",
    "SUI",
    "ARB",
    "OP",
)
PRICES = (61_800.0, 2_650.0, 148.0, 0.57, 0.104, 0.34, 22.4, 10.2, 62.5, 4.6, 4.9, 3.9, 6.1, 0.93, 0.54, 1.37)


class ScenarioError(ValueError):
    """Everything that is wrong with a scenario, one sentence a line."""


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """One market. events_per_s: orders, cancels, fills and leverage changes a second on average (marks come on top);
    depth: size of quotes, x; deep_levels: quotes of a maker a side; volatility: of a year."""

    name: str
    price: float
    events_per_s: float
    makers: int = 8
    depth: float = 1.0
    deep_levels: int = 6
    volatility: float = 0.7
    tick_bps: float = 0.5


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted incident or confounder, as a scenario writes it. The numbers' meaning is the class's
    (replay/incidents_plan.py); NaN or 0 = the class's own default. `spread_s`: markets start this far apart at most."""

    name: str
    at_s: float
    markets: tuple[str, ...]
    amplitude: float = math.nan
    ramp_s: float = math.nan
    hold_s: float = math.nan
    accounts: int = 0
    life_ms: float = math.nan
    resting: bool = False
    spread_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Draw:
    """What is planted at random, per market and day. `classes`, `confounders`: names, empty = all."""

    incidents_per_market_day: float = 0.0
    confounders_per_market_day: float = 0.0
    classes: tuple[str, ...] = ()
    confounders: tuple[str, ...] = ()
    warm_up_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """start_ns: event time of the first row; mood: how far activity wanders (sigma of its log); season: the same for
    the time of day; correlation: of the markets' prices; branching: share of takers that earlier takers called;
    unreplaced: share of the quotes makers take back that stay away until they look at them again; breaks_per_day: how
    often a maker takes all its quotes away for half a minute; retreats_per_day: how often it quotes ten times as far
    out for a minute; toggles_per_day: how often a market's account begins to switch its leverage to and fro, some times
    a minute for a quarter of an hour; size_tail: index of the power law of position values, 0 = they are log-normal;
    grids: robots in each market that rest a grid of orders and lay it anew every ten minutes or so;
    punctual: share of ordinary orders that are taken back as a minute ends."""

    name: str
    markets: tuple[MarketSpec, ...]
    duration_s: float
    start_ns: int = 1_767_571_200_000_000_000  # 2026-01-05T00:00:00Z, a Monday
    seed: int = 1
    accounts: int = 3000
    mood: float = 0.3
    season: float = 0.2
    correlation: float = 0.6
    branching: float = 0.5
    mark_every_s: float = 1.0
    unreplaced: float = 0.0
    breaks_per_day: float = 0.0
    retreats_per_day: float = 0.0
    toggles_per_day: float = 0.0
    size_tail: float = 0.0
    grids: int = 0
    punctual: float = 0.0
    planted: tuple[Planted, ...] = ()
    draw: Draw = field(default_factory=Draw)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(market.name for market in self.markets)


def load(name_or_path: str | Path) -> Scenario:
    """A shipped scenario by name ("demo"), or a file. Raises ScenarioError with every fault, FileNotFoundError."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = SCENARIOS / f"{name_or_path}.toml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SCENARIOS.glob("*.toml")))
        raise FileNotFoundError(f"no scenario {name_or_path}; shipped are: {shipped}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path.name}: {error}") from error
    return parse(path.stem, table)


def parse(name: str, table: Mapping[str, Any]) -> Scenario:
    """A Scenario from a TOML table. Raises ScenarioError with every fault."""
    faults: list[str] = []
    top = {key: value for key, value in table.items() if key not in ("markets", "incident", "draw", "start")}
    known = {item.name for item in fields(Scenario)} - {"name", "markets", "planted", "draw", "start_ns"}
    faults += [f"{name}: unknown key {key}" for key in top if key not in known]
    try:
        markets = _markets(dict(table.get("markets", {})), faults)
        planted = tuple(_planted(row, i, faults) for i, row in enumerate(table.get("incident", [])))
        cells: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.get("draw", {}).items()}
        draw = Draw(**cells)
        scenario = Scenario(
            name=name, markets=markets, planted=planted, draw=draw, **{k: top[k] for k in top if k in known}
        )
        if "start" in table:
            scenario = replace(scenario, start_ns=_start_ns(table["start"]))
        faults += check(scenario)
    except (TypeError, ValueError, AttributeError) as error:
        faults.append(f"{name}: {error}")
    if faults:
        raise ScenarioError("\n".join(faults))
    return scenario


def check(scenario: Scenario) -> list[str]:
    """What is wrong with the numbers, one sentence each; empty = nothing."""
    faults = []
    if not 1 <= len(scenario.markets) <= MARKETS_MAX:
        faults.append(f"markets: {len(scenario.markets)}, wanted 1 to {MARKETS_MAX}")
    if len(set(scenario.names)) != len(scenario.names):
        faults.append("markets: a name stands twice")
    for market in scenario.markets:
        if not 0.5 <= market.events_per_s <= EVENTS_PER_S_MAX:
            faults.append(f"{market.name}: events_per_s {market.events_per_s}, wanted 0.5 to {EVENTS_PER_S_MAX:g}")
        if not MAKERS_RANGE[0] <= market.makers <= MAKERS_RANGE[1]:
            faults.append(f"{market.name}: makers {market.makers}, wanted {MAKERS_RANGE[0]} to {MAKERS_RANGE[1]}")
        if not (0 < market.price < 1e9 and 0.1 <= market.tick_bps <= 10 and 0 < market.depth <= 1000):
            faults.append(f"{market.name}: price, tick_bps or depth out of range")
    if not 0 < scenario.duration_s <= DURATION_S_MAX:
        faults.append(f"duration_s: {scenario.duration_s}, wanted up to {DURATION_S_MAX:g}")
    if not 500 <= scenario.accounts <= ACCOUNTS_MAX:
        faults.append(f"accounts: {scenario.accounts}, wanted 500 to {ACCOUNTS_MAX}")
    if not 0 <= scenario.start_ns < 2**62:
        faults.append("start: out of range")
    if not 0.1 <= scenario.mark_every_s <= 3600:
        faults.append(f"mark_every_s: {scenario.mark_every_s}, wanted 0.1 to 3600")
    if not 0 <= scenario.punctual <= 1:
        faults.append(f"punctual: {scenario.punctual}, wanted 0 to 1")
    if not 0 <= scenario.unreplaced <= 0.5:
        faults.append(f"unreplaced: {scenario.unreplaced}, wanted 0 to 0.5")
    if not 0 <= scenario.grids <= GRIDS_MAX:
        faults.append(f"grids: {scenario.grids}, wanted 0 to {GRIDS_MAX}")
    if scenario.size_tail and not 0.5 <= scenario.size_tail <= 5.0:
        faults.append(f"size_tail: {scenario.size_tail}, wanted 0 or 0.5 to 5")
    for name in ("breaks_per_day", "retreats_per_day", "toggles_per_day"):
        if not 0 <= getattr(scenario, name) <= 288:
            faults.append(f"{name}: {getattr(scenario, name)}, wanted 0 to 288")
    for planted in scenario.planted:
        unknown = [market for market in planted.markets if market not in scenario.names]
        if unknown or not planted.markets:
            faults.append(f"incident {planted.name} at {planted.at_s:g} s: no market {', '.join(unknown) or 'named'}")
    return faults


def _planted(row: Mapping[str, Any], index: int, faults: list[str]) -> Planted:
    cells = dict(row)
    known = {item.name for item in fields(Planted)} - {"name"} | {"class"}
    faults += [f"incident {index + 1}: unknown key {key}" for key in cells if key not in known]
    for key in ("class", "at_s", "markets"):
        if key not in cells:
            faults.append(f"incident {index + 1}: {key} is missing")
    rest = {key: value for key, value in cells.items() if key in known and key not in ("class", "at_s", "markets")}
    return Planted(str(cells.get("class")), float(cells.get("at_s", 0.0)), tuple(cells.get("markets", ())), **rest)


def _markets(table: dict[str, Any], faults: list[str]) -> tuple[MarketSpec, ...]:
    """`[markets]`: count, and for each number either one value or a list [first, last], log-spaced over the markets."""
    count = int(table.pop("count", 8))
    known = {item.name for item in fields(MarketSpec)} - {"name", "price"}
    faults += [f"markets: unknown key {key}" for key in table if key not in known]
    count = max(1, min(count, MARKETS_MAX))
    specs = []
    for i in range(count):
        name = NAMES[i] if i < len(NAMES) else f"M{i:03d}"
        cells: dict[str, Any] = {key: _spaced(value, i, count) for key, value in table.items() if key in known}
        for key in ("makers", "deep_levels"):
            if key in cells:
                cells[key] = round(cells[key])
        price = PRICES[i] if i < len(PRICES) else PRICES[i % len(PRICES)] * (1.0 + 0.01 * i)
        specs.append(MarketSpec(name=f"{name}-PERP", price=price, **cells))
    return tuple(specs)


def _spaced(value: Any, index: int, count: int) -> float:
    if not isinstance(value, list):
        return float(value)
    first, last = float(value[0]), float(value[-1])
    return float(first * (last / first) ** (index / max(1, count - 1)))


def _start_ns(value: Any) -> int:
    if isinstance(value, int):
        return value
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000_000

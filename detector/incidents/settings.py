"""What the correlator and the alerts are told by the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detector.model.incident import Contributor, Position

SECOND_NS = 1_000_000_000
ACCOUNTS, ORDER_IDS = "accounts", "order ids"


@dataclass(frozen=True, slots=True)
class IncidentSettings:
    """Durations in ns. `venue` and `rule_rev` are part of every incident's id."""

    venue: str = "exchange"
    rule_rev: str = "1"
    join_ns: int = (
        600 * SECOND_NS
    )  # a crossing this long after an incident's last one still belongs to it (same market)
    together_ns: int = 5 * SECOND_NS  # markets that cross within this of the first are hit by one thing
    at_once_ns: int = 2 * SECOND_NS  # within this, whatever crosses is one thing; later it must be akin (kinship.py)
    # the same trouble (its strongest feature) within this, or within what that feature sums over, is one thing too
    alike_ns: int = 30 * SECOND_NS
    alike_max_ns: int = 300 * SECOND_NS  # however long it sums
    hold_ns: int = 60 * SECOND_NS  # quiet this long: resolved
    update_ns: int = 60 * SECOND_NS  # an `updated` at most this often
    open_max: int = 256  # open incidents; past it the weakest new one is counted, not opened
    members_max: int = 4096  # (market, detector) pairs of one incident; past it they are counted, not listed
    updates_max: int = 20  # `updated` told of one incident; past it, what joins waits for an escalation or the end
    quiet_margin: float = 0.5  # a member is quiet once its score is this far below the info level
    timeline_max: int = 50
    evidence_max: int = 24
    contributors_max: int = 8


@dataclass(frozen=True, slots=True)
class Context:
    """What the engine knows about the closed window beyond scores. Asked only when an incident is told."""

    contributors: Callable[[str, str], tuple[Contributor, ...]]  # (market, detector)
    positions: Callable[[tuple[str, ...], int, int], tuple[Position, ...]]  # (markets, from_ns, to_ns)
    lacks: Callable[[str], tuple[str, ...]]  # market: what its feed does not tell (ACCOUNTS, ORDER_IDS)
    phases: Callable[[str], tuple[str, ...]] = lambda market: ()  # market: planned phases it is in
    # (market, detector): between which instants what it tells of began, ns; (0, 0) = only the window is known
    began: Callable[[str, str], tuple[int, int]] = lambda market, detector: (0, 0)

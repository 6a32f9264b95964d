"""The same job for every peer of bench.beside: simple features per market, and River's HalfSpaceTrees on them.

What it leaves out, each in the peers' favour: order ids, books, depth, late events, gaps, state that survives a
restart, an explanation. Its state is plain memory; a window closes when its own market's next event comes.

The features are cancels, orders, distinct accounts and raised leverages over the last second and over the last ten.
As River's own documentation and our measurements have it, they are standardised first (StandardScaler) and the trees'
range is told: limits (-13, 13); on River's default, 0 to 1, standardised features lose most of what trees can tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from river import anomaly, preprocessing

SECOND_NS = 1_000_000_000
SHORT_NS, LONG_NS = SECOND_NS, 10 * SECOND_NS
TREES, HEIGHT, REACH = 10, 8, 13.0
LIMIT = 0.95  # a score above it is said
KINDS = ("cancel", "order", "raise")
NAMES = tuple(f"{what}_{width}" for width in ("1s", "10s") for what in (*KINDS, "accounts"))

Values = list[float]
Say = Callable[[str, int, float], None]


class EventMarket:
    """One market; every event is scored, then learned, over the seconds that end with it."""

    def __init__(self, name: str, scorer: Scorer, say: Say) -> None:
        self._name, self._scorer, self._say = name, scorer, say
        self._short, self._long = Trailing(SHORT_NS), Trailing(LONG_NS)

    def see(self, event: Mapping[str, Any]) -> None:
        """One event."""
        now_ns, kind = event["ts"], kind_of(event)
        account = event.get("account", "")
        self._short.add(now_ns, kind, account)
        self._long.add(now_ns, kind, account)
        score = self._scorer(self._short.values() + self._long.values())
        if score > LIMIT:
            self._say(self._name, now_ns, score)


class WindowMarket:
    """One market; a second is scored, then learned, when an event of the next one comes."""

    def __init__(self, name: str, scorer: Scorer, say: Say) -> None:
        self._name, self._scorer, self._say = name, scorer, say
        self._number = -1
        self._counts, self._accounts = [0, 0, 0], set[str]()
        self._past = deque[tuple[list[int], set[str]]](maxlen=LONG_NS // SHORT_NS)

    def see(self, event: Mapping[str, Any]) -> None:
        """One event."""
        number = event["ts"] // SHORT_NS
        if number != self._number:
            if self._number >= 0:
                self._close()
            self._number = number
        kind = kind_of(event)
        if kind is not None:
            self._counts[kind] += 1
            self._accounts.add(event["account"])

    def _close(self) -> None:
        self._past.append((self._counts, self._accounts))
        ten = [float(sum(counts[kind] for counts, _ in self._past)) for kind in range(len(KINDS))]
        everybody = len(set[str]().union(*(accounts for _, accounts in self._past)))
        score = self._scorer([*map(float, self._counts), float(len(self._accounts)), *ten, float(everybody)])
        if score > LIMIT:
            self._say(self._name, (self._number + 1) * SHORT_NS, score)
        self._counts, self._accounts = [0, 0, 0], set()


Market = EventMarket | WindowMarket
Scorer = Callable[[Values], float]
PER: dict[str, type[EventMarket] | type[WindowMarket]] = {"event": EventMarket, "window": WindowMarket}


class Job:
    """All markets of one process."""

    def __init__(self, per: str, scorer: Callable[[], Scorer], say: Say) -> None:
        self._made, self._scorer, self._say = PER[per], scorer, say
        self._markets: dict[str, Market] = {}

    def see(self, event: Mapping[str, Any]) -> None:
        """One parsed message."""
        name = event["market"]
        market = self._markets.get(name)
        if market is None:
            market = self._markets[name] = self._made(name, self._scorer(), self._say)
        market.see(event)


class Trailing:
    """Counts and distinct accounts of the last `width_ns`."""

    def __init__(self, width_ns: int) -> None:
        self._width_ns = width_ns
        self._held = deque[tuple[int, int, str]]()
        self._counts = [0, 0, 0]
        self._accounts: dict[str, int] = {}

    def add(self, now_ns: int, kind: int | None, account: str) -> None:
        """Let go what is too old; take in the event, unless it is of no kind that counts."""
        held, counts, accounts = self._held, self._counts, self._accounts
        gone_ns = now_ns - self._width_ns
        while held and held[0][0] <= gone_ns:
            _, old, whose = held.popleft()
            counts[old] -= 1
            left = accounts[whose] - 1
            if left:
                accounts[whose] = left
            else:
                del accounts[whose]
        if kind is not None:
            held.append((now_ns, kind, account))
            counts[kind] += 1
            accounts[account] = accounts.get(account, 0) + 1

    def values(self) -> Values:
        """KINDS, then accounts."""
        return [*map(float, self._counts), float(len(self._accounts))]


def kind_of(event: Mapping[str, Any]) -> int | None:
    """A place in KINDS, or None for what is not counted."""
    what = event["type"]
    if what == "cancel":
        return 0
    if what == "order":
        return 1
    return 2 if what == "leverage" and event["leverage"] > event.get("previous", event["leverage"]) else None


def half_space_trees() -> Scorer:
    """One market's model: score first, then learn."""
    limits = dict.fromkeys(NAMES, (-REACH, REACH))
    scaler: Any = preprocessing.StandardScaler()
    trees: Any = anomaly.HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=250, limits=limits, seed=1)
    model: Any = scaler | trees

    def score(values: Values) -> float:
        row = dict(zip(NAMES, values, strict=True))
        told: float = model.score_one(row)
        model.learn_one(row)
        return told

    return score

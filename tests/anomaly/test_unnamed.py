"""Bursts of cancels on a feed that names nobody: told by how long the orders had rested, where the feed can say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.anomaly.cancel_burst import TRADING, note_trades
from detector.anomaly.streams import StreamDetector
from detector.model.windows import Feature, Windows
from detector.wiring.build import build_detectors
from detector.wiring.config import of

START_NS = 1_767_225_600_000_000_000
WARNING = 1
FEATURES = tuple(
    Feature(name, "", "")
    for name in ("acting_accounts", "cancels", "orders", "trades", "cancels_by_others", "fleeting_cancels",
                 "young_cancels", "cancels_unsettled", "cancels_relaid", "cancels_moved")
)  # fmt: skip
MAKERS, OTHERS = 30.0, 2.0  # quotes that makers move a second, by rushes; orders that others place
TRADES = 1.0
YOUNG, FLEETING = 0.3, 0.1  # of the others' orders, taken back so soon


class Market:
    """One market whose makers move quotes in rushes, through cancel_burst."""

    def __init__(self, *, orders: bool, named: bool = False, trades: bool = True) -> None:
        self.detector = next(
            d for d in build_detectors(of({})) if isinstance(d, StreamDetector) and d.name == "cancel_burst"
        )
        self.orders, self.named, self.trades = orders, named, trades
        self.dice = np.random.default_rng(11)
        self.second = 0
        self.score: Any = None

    def see(self, times: float = 1.0, burst: float = 0.0, others: float = 1.0, traded: float = 1.0) -> Any:
        """A window in which everybody is `times` as busy, all but makers `others` times on top and trading `traded`
        times; and of `burst` orders that live for half a second. A Score."""
        self.second += 1
        rush = self.dice.gamma(3.0) / 3.0
        moved = float(self.dice.poisson(times * MAKERS * rush))
        placed = float(self.dice.poisson(times * others * OTHERS))
        young, fleeting = (float(self.dice.binomial(int(placed), share)) for share in (YOUNG, FLEETING))
        extra = float(self.dice.poisson(burst))
        told = {
            "acting_accounts": 10.0 if self.named else np.nan,
            "cancels": moved + placed + extra,
            "orders": moved + placed + extra,
            "trades": float(self.dice.poisson(times * traded * TRADES)) if self.trades else np.nan,
            "cancels_by_others": placed + extra if self.named else np.nan,
            "cancels_unsettled": 0.0 if self.named else np.nan,
            "cancels_relaid": 0.0 if self.named else np.nan,
            "cancels_moved": 0.0 if self.named else np.nan,
            "fleeting_cancels": min(young, fleeting) if self.orders else np.nan,
            "young_cancels": young + extra if self.orders else np.nan,
        }
        values = np.array([[told[feature.name] for feature in FEATURES]], np.float64)
        close_ns = START_NS + self.second * 10**9
        windows = Windows(close_ns, 10**9, ("m",), FEATURES, values, np.array([True]), np.array([True]))
        self.score = self.detector.score(windows, np.array([True]), ())
        return self.score

    def surprise(self, stream: str) -> float:
        """Of a stream, in the last window."""
        names = [one.name for one in self.detector.streams]
        return float(self.score.surprises[0, names.index(stream)])


def settled(**how: bool) -> Market:
    market = Market(**how)
    for _ in range(3600):
        market.see()
    return market


def crosses(market: Market, seconds: int, **unlike: float) -> bool:
    """Whether one of so many windows is at warning or above."""
    found = [market.see(**unlike) for _ in range(seconds)]
    return any(score.values[0] >= score.levels[WARNING, 0] for score in found)


def test_a_burst_among_makers_cancels_is_told_by_how_young_its_orders_are() -> None:
    """A burst no larger than a rush of the makers: their number alone says nothing."""
    assert crosses(settled(orders=True), 5, burst=25.0)
    assert not crosses(settled(orders=False), 5, burst=25.0)


def test_a_busy_market_is_no_burst_of_young_orders() -> None:
    market = settled(orders=True)
    for _ in range(60):
        market.see(times=6.0)
        assert market.surprise("young_cancels_unnamed") < 5.0
        assert market.surprise("fleeting_cancels_unnamed") < 5.0


@pytest.mark.parametrize("stream", ["young_cancels_unnamed", "fleeting_cancels_unnamed"])
def test_they_speak_only_where_orders_are_told_and_nobody_is_named(stream: str) -> None:
    for how, silent in (
        ({"orders": True}, False),
        ({"orders": True, "named": True}, True),
        ({"orders": False}, True),
    ):
        market = settled(**how)
        market.see(burst=50.0)
        assert np.isnan(market.surprise(stream)) == silent, how


@pytest.mark.parametrize("how", [{"orders": True}, {"orders": False}], ids=["orders by id", "levels"])
def test_a_rush_that_trades_is_no_burst_and_one_that_does_not_is(how: dict[str, bool]) -> None:
    """News brings strangers, and their orders are younger than those of makers. But it trades."""
    rush = {"times": 3.0, "others": 6.0}
    assert not crosses(settled(**how), 30, **rush, traded=3.0)
    assert crosses(settled(**how), 30, **rush, traded=0.3)


def test_a_burst_within_a_rush_that_trades_is_told() -> None:
    market = settled(orders=True)
    assert not crosses(market, 30, times=3.0, others=2.0, traded=3.0)
    assert crosses(market, 5, times=3.0, others=2.0, traded=3.0, burst=150.0)


def test_a_feed_that_never_tells_of_trades_is_as_brisk_as_ever() -> None:
    assert crosses(settled(orders=True, trades=False), 5, burst=25.0)


def test_a_lone_trade_where_hardly_anybody_trades_excuses_nothing() -> None:
    """Some usual trading, then a single trade in the very windows of a burst."""
    market = settled(orders=True, trades=False)
    market.trades = True
    assert crosses(market, 5, burst=25.0)


def test_a_checkpoint_of_before_keeps_what_it_knew_of_trades() -> None:
    market, again = settled(orders=True), Market(orders=True)
    saved = dict(market.detector.state())
    trading = saved["trading"]
    older = {**saved, "trades": np.array(trading["told"]), "trading": np.array(trading["bearing"])}
    again.detector.restore(older)
    known = again.detector.state()["trading"]
    assert known["told"].tolist() == trading["told"].tolist() and known["bearing"][0] == trading["bearing"][0]
    assert known["seen"][0] == 0.0
    del older["trading"]  # of a version before that one
    again.detector.restore(older)
    assert again.detector.state()["trading"]["told"].tolist() == trading["told"].tolist()
    assert crosses(again, 5, burst=60.0)


def briskness(spans: list[tuple[int, float, bool]]) -> float:
    """Of the last window; each span is so many windows with so many trades, learned from or not."""
    trading, brisk = np.zeros(1, TRADING), np.empty(1)
    for length, trades, learn in spans:
        for _ in range(length):
            note_trades(np.array([trades]), np.array([learn]), trading, brisk)
    return float(brisk[0])


def test_a_rush_is_brisk_from_its_first_window_and_a_lull_is_as_usual() -> None:
    usual = (3600, 1.0, True)
    assert briskness([usual]) == pytest.approx(1.0, abs=0.01)
    assert briskness([usual, (1, 17.0, False)]) == pytest.approx(np.sqrt((8.5 + 1 / 3) / (1.0 + 1 / 3)), rel=0.01)
    assert briskness([usual, (60, 17.0, False)]) == pytest.approx(np.sqrt((17.0 + 1 / 3) / (1.0 + 1 / 3)), rel=0.01)
    assert briskness([usual, (60, 0.0, True)]) == 1.0
    assert briskness([usual, (60, np.nan, True)]) == 1.0


def test_an_open_incident_does_not_become_the_usual() -> None:
    usual, rush = (3600, 1.0, True), (3600, 9.0, False)
    assert briskness([usual, rush]) == pytest.approx(np.sqrt((9.0 + 1 / 3) / (1.0 + 1 / 3)), rel=0.01)
    assert briskness([usual, (3600, 9.0, True)]) < 1.5

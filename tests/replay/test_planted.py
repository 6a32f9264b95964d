"""What is planted shows in the stream, with the amplitude its label says; and confounders look like what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from detector.model.events import EventColumn, Flag, Kind
from replay.exchange import Exchange
from replay.exchange_state import CANCEL_SHARE
from replay.incidents_plan import CLASSES, SECOND_NS, third
from replay.scenario import MarketSpec, Planted, Scenario

NAMES = ("BTC-PERP", "ETH-PERP", "SOL-PERP", "XRP-PERP")
RATE = 60.0


def run(
    *planted: Planted, seconds: float = 120.0, rate: float = RATE, markets: int = 1
) -> tuple[Exchange, EventColumn]:
    specs = tuple(MarketSpec(NAMES[i], 250.0, rate) for i in range(markets))
    exchange = Exchange(Scenario("test", specs, seconds, mood=0.0, season=0.0, planted=planted), 4)
    return exchange, exchange.run(exchange.end_ns)


def at_s(exchange: Exchange, events: EventColumn) -> npt.NDArray[np.float64]:
    return np.asarray((events["event_ns"] - exchange.scenario.start_ns) / SECOND_NS)


def of_kind(events: EventColumn, kind: Kind) -> EventColumn:
    return events[(events["kind"] == kind) & ((events["flags"] & Flag.SNAPSHOT) == 0)]


def rate_between(exchange: Exchange, events: EventColumn, kind: Kind, from_s: float, to_s: float) -> float:
    when = at_s(exchange, of_kind(events, kind))
    return float(np.sum((when >= from_s) & (when < to_s))) / (to_s - from_s)


def maker_orders(exchange: Exchange, events: EventColumn, until_s: float) -> dict[int, int]:
    """Orders of makers that rest at `until_s`: order number to price."""
    resting: dict[int, int] = {}
    left: dict[int, int] = {}
    for event in events[at_s(exchange, events) < until_s]:
        order = int(event["order"])
        if event["kind"] == Kind.ORDER and event["account"] <= 1000:
            resting[order], left[order] = int(event["price_ticks"]), int(event["qty_lots"])
        elif event["kind"] == Kind.FILL and order in left:
            left[order] -= int(event["qty_lots"])
        if event["kind"] == Kind.CANCEL or left.get(order, 1) <= 0:
            resting.pop(order, None)
    return resting


@pytest.mark.parametrize("amplitude", [4.0, 15.0, 60.0])
@pytest.mark.parametrize("accounts", [1, 5, 300])
def test_a_cancel_burst_multiplies_the_cancel_rate_by_its_amplitude(amplitude: float, accounts: int) -> None:
    planted = Planted("cancel_burst", 60.0, NAMES[:1], amplitude=amplitude, hold_s=20.0, accounts=accounts)
    exchange, events = run(planted, seconds=90.0)
    burst = rate_between(exchange, events, Kind.CANCEL, 61.0, 80.0)
    calm = rate_between(exchange, events, Kind.CANCEL, 10.0, 60.0)
    assert calm == pytest.approx(RATE * CANCEL_SHARE, rel=0.3)
    assert burst - calm == pytest.approx((amplitude - 1) * RATE * CANCEL_SHARE, rel=0.25)
    label = exchange.labels()[0]
    cancels = of_kind(events, Kind.CANCEL)
    cancels = cancels[(at_s(exchange, cancels) > 60) & (at_s(exchange, cancels) < 80)]
    named = {int(name[1:]) for name in label["accounts"]}
    assert len(named) == pytest.approx(accounts, rel=0.1)
    by_named = np.mean(np.isin(cancels["account"], list(named)))
    assert by_named > 0.8 * (1 - 1 / amplitude)


def test_a_mass_cancel_of_resting_orders_is_by_those_who_placed_them() -> None:
    planted = Planted("cancel_burst", 60.0, NAMES[:1], amplitude=10.0, hold_s=1.0, accounts=300, resting=True)
    exchange, events = run(planted, seconds=70.0)
    cancels = of_kind(events, Kind.CANCEL)
    within = cancels[(at_s(exchange, cancels) >= 60) & (at_s(exchange, cancels) < 61.1)]
    placed = {int(order): int(ns) for order, ns in zip(events["order"], events["event_ns"], strict=True) if order}
    assert len(within) > 4 * RATE * CANCEL_SHARE and len(placed) > len(within)
    assert len(np.unique(within["account"])) > 30
    assert exchange.labels()[0]["accounts"] == []


@pytest.mark.parametrize("life_ms", [0.015, 0.15, 1.0])
def test_fleeting_orders_live_as_short_as_planted(life_ms: float) -> None:
    planted = Planted("fleeting", 30.0, NAMES[:1], amplitude=10.0, hold_s=10.0, life_ms=life_ms)
    exchange, events = run(planted, seconds=45.0)
    placed: dict[int, int] = {}
    lives: list[int] = []
    accounts = {int(name[1:]) for name in exchange.labels()[0]["accounts"]}
    assert len(accounts) == 1
    for event in events[at_s(exchange, events) > 30]:
        if event["account"] in accounts and event["kind"] == Kind.ORDER:
            placed[int(event["order"])] = int(event["event_ns"])
        elif event["kind"] == Kind.CANCEL and int(event["order"]) in placed:
            lives.append(int(event["event_ns"]) - placed[int(event["order"])])
    assert len(lives) > 0.7 * 10 * RATE * CANCEL_SHARE * 10
    assert np.median(lives) == pytest.approx(life_ms * 1e6, rel=0.35, abs=6000)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_makers_who_withdraw_leave_their_share_of_quotes_and_do_not_come_back(share: float) -> None:
    planted = Planted("withdrawal", 40.0, NAMES[:1], amplitude=share, ramp_s=20.0)
    exchange, events = run(planted, seconds=900.0)
    before = len(maker_orders(exchange, events, 40.0))
    assert len(maker_orders(exchange, events, 95.0)) / before == pytest.approx(1 - share, abs=0.15)
    assert len(maker_orders(exchange, events, 899.0)) / before == pytest.approx(1 - share, abs=0.15)


def test_quotes_regroup_behind_a_hole_at_a_constant_count() -> None:
    planted = Planted("clusters", 40.0, NAMES[:1], amplitude=0.9, ramp_s=10.0, hold_s=60.0)
    exchange, events = run(planted, seconds=130.0)
    marks = of_kind(events, Kind.MARK)

    def distances(when_s: float) -> npt.NDArray[np.float64]:
        mark = int(marks["price_ticks"][np.searchsorted(at_s(exchange, marks), when_s)])
        prices = np.array(list(maker_orders(exchange, events, when_s).values()), float)
        return np.abs(prices - mark) / mark * 1e4

    before, during = distances(40.0), distances(105.0)
    assert len(during) == pytest.approx(len(before), rel=0.1)
    assert np.mean(during > 20.0) > np.mean(before > 20.0) + 0.4


@pytest.mark.parametrize("amplitude", [10.0, 80.0])
def test_a_crowd_raises_leverage_at_its_multiple_of_the_base_rate(amplitude: float) -> None:
    planted = Planted("crowd", 100.0, NAMES[:1], amplitude=amplitude, ramp_s=1.0, hold_s=400.0)
    exchange, events = run(planted, seconds=510.0)
    changes = of_kind(events, Kind.LEVERAGE)
    changes = changes[(at_s(exchange, changes) > 101) & (at_s(exchange, changes) < 501)]
    base = RATE * CANCEL_SHARE / 400
    assert len(changes) == pytest.approx(base * amplitude * 400, rel=0.25)
    assert np.mean(changes["leverage"] > changes["previous"]) > 0.8
    assert len(np.unique(changes["account"])) > min(150, 0.6 * len(changes))


def test_whales_raise_leverage_on_many_times_the_median_notional() -> None:
    planted = Planted("whales", 100.0, NAMES[:1], amplitude=1000.0, ramp_s=200.0, accounts=3)
    exchange, events = run(planted, seconds=400.0, rate=400.0)
    changes = of_kind(events, Kind.LEVERAGE)
    whales = {int(name[1:]) for name in exchange.labels()[0]["accounts"]}
    large = changes[changes["notional"] > 200 * np.median(changes["notional"])]
    assert 3 <= len(large) <= 18 and set(large["account"].tolist()) <= whales
    assert np.all((at_s(exchange, large) > 100) & (at_s(exchange, large) < 301))
    assert np.all(large["leverage"] > large["previous"])


def test_a_foreshock_ends_in_forced_sales_and_a_falling_price() -> None:
    planted = Planted("foreshock", 60.0, NAMES[:1], amplitude=3.0, ramp_s=120.0, hold_s=20.0)
    exchange, events = run(planted, seconds=280.0)
    forced = of_kind(events, Kind.LIQUIDATION)
    label = exchange.labels()[0]
    assert label["kind"] == "cascade" and label["climax"] == exchange.scenario.start_ns + 180 * SECOND_NS
    assert len(forced) > 50 and np.all(forced["event_ns"] >= label["climax"]) and np.all(forced["side"] == -1)
    fills = of_kind(events, Kind.FILL)
    assert np.mean((fills["flags"] & Flag.FORCED) != 0) > 0.1
    marks = of_kind(events, Kind.MARK)
    assert marks["price_ticks"][-1] < 0.985 * marks["price_ticks"][170]
    for kind in (Kind.CANCEL, Kind.LEVERAGE):
        assert rate_between(exchange, events, kind, 130, 180) > 1.3 * rate_between(exchange, events, kind, 0, 60)


def test_news_moves_price_orders_cancels_and_fills_together() -> None:
    exchange, events = run(Planted("news", 60.0, NAMES[:1], amplitude=10.0, ramp_s=2.0, hold_s=30.0), seconds=100.0)
    for kind in (Kind.ORDER, Kind.CANCEL, Kind.FILL):
        ratio = rate_between(exchange, events, kind, 70, 92) / rate_between(exchange, events, kind, 5, 60)
        assert 5 < ratio < 16, kind
    marks = of_kind(events, Kind.MARK)["price_ticks"].astype(float)
    jump = abs(marks[66] / marks[59] - 1) * 1e4
    assert jump > 40  # bps
    assert exchange.labels()[0]["kind"] == "benign" and exchange.labels()[0]["confounder"]


def test_a_fee_change_lifts_requoting_by_half_for_good() -> None:
    exchange, events = run(Planted("fee", 100.0, NAMES[:1], ramp_s=1.0), seconds=400.0, rate=100.0)

    def maker_cancels(from_s: float, to_s: float) -> float:
        cancels = of_kind(events, Kind.CANCEL)
        return rate_between(exchange, cancels[cancels["account"] <= 1000], Kind.CANCEL, from_s, to_s)

    assert maker_cancels(102, 400) / maker_cancels(0, 100) == pytest.approx(1.5, rel=0.2)


def test_a_new_maker_stays() -> None:
    exchange, events = run(Planted("new_maker", 60.0, NAMES[:1]), seconds=120.0)
    orders = of_kind(events, Kind.ORDER)
    orders = orders[orders["account"] <= 1000]
    before = set(orders["account"][at_s(exchange, orders) < 60].tolist())
    late = orders[at_s(exchange, orders) > 100]
    assert len(set(late["account"].tolist()) - before) == 1


def test_a_quiet_night_is_quiet() -> None:
    exchange, events = run(Planted("quiet", 60.0, NAMES[:1], amplitude=0.2, ramp_s=5.0, hold_s=100.0), seconds=160.0)
    assert rate_between(exchange, events, Kind.ORDER, 100, 160) < 0.4 * rate_between(
        exchange, events, Kind.ORDER, 0, 60
    )


def test_a_correlated_incident_hits_its_markets_within_its_spread_and_no_other() -> None:
    planted = Planted("cancel_burst", 30.0, NAMES[:3], amplitude=30.0, hold_s=10.0, spread_s=8.0)
    exchange, events = run(planted, seconds=60.0, markets=4)
    (label,) = exchange.labels()
    assert label["kind"] == "correlated" and label["markets"] == list(NAMES[:3])
    cancels = of_kind(events, Kind.CANCEL)
    for market in range(4):
        own = cancels[cancels["market"] == market]
        counts = np.bincount(at_s(exchange, own).astype(int), minlength=60)
        busy = np.flatnonzero(counts > 8 * np.median(counts))
        if market == 3:
            assert not len(busy)
        else:
            assert 29 <= busy[0] <= 38 and label["start"] <= exchange.scenario.start_ns + int(busy[0] + 1) * SECOND_NS
            assert exchange.scenario.start_ns + int(busy[-1]) * SECOND_NS <= label["end"]


def test_an_incident_can_be_planted_inside_a_benign_burst_and_one_at_the_very_start() -> None:
    burst = Planted("burst", 40.0, NAMES[:1], amplitude=4.0, ramp_s=2.0, hold_s=40.0)
    inside = Planted("cancel_burst", 60.0, NAMES[:1], amplitude=20.0, hold_s=10.0)
    first = Planted("cancel_burst", 0.0, NAMES[:1], amplitude=20.0, hold_s=5.0)
    exchange, events = run(burst, inside, first, seconds=100.0)
    rates = [rate_between(exchange, events, Kind.CANCEL, a, b) for a, b in ((0.5, 5), (10, 40), (45, 60), (61, 70))]
    assert rates[0] > 8 * rates[1] and rates[3] > rates[2] + 10 * RATE * CANCEL_SHARE


@pytest.mark.parametrize("name", list(CLASSES))
def test_every_class_runs_from_its_own_ranges_and_its_label_says_all(name: str) -> None:
    exchange, events = run(Planted(name, 5.0, NAMES[:1]), seconds=30.0, rate=10.0)
    label: dict[str, Any] = exchange.labels()[0]
    assert len(events) and label["class"] == name and label["confounder"] == (CLASSES[name].kind == "benign")
    low, high = CLASSES[name].amplitude
    assert low <= label["amplitude"] <= high and label["synthetic"]


def test_thirds_of_an_amplitude_are_thirds_of_its_log_range() -> None:
    assert [third("cancel_burst", amplitude) for amplitude in (4, 9, 11, 23, 26, 60)] == [
        "subtle",
        "subtle",
        "middle",
        "middle",
        "obvious",
        "obvious",
    ]

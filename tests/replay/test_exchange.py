"""The simulated exchange: the same seed tells the same story, the books are books, and the rates are what was asked."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.events import EventColumn, Flag, Kind, Side, StatusCode
from replay.exchange import Exchange, main
from replay.incidents_plan import CLASSES, SECOND_NS
from replay.scenario import Draw, MarketSpec, Planted, Scenario, ScenarioError, load, parse

ROOT = Path(__file__).parents[2]
NAMES = ("BTC-PERP", "ETH-PERP", "SOL-PERP")


def scenario(*planted: Planted, rate: float = 20.0, seconds: float = 60.0, markets: int = 1, **more: Any) -> Scenario:
    specs = tuple(MarketSpec(NAMES[i], 100.0 * (i + 1), rate) for i in range(markets))
    return Scenario("test", specs, seconds, **{"mood": 0.0, "season": 0.0, "planted": planted} | more)


def everything(of: Scenario, seed: int | None = None) -> EventColumn:
    exchange = Exchange(of, seed)
    return exchange.run(exchange.end_ns)


def told(events: EventColumn) -> bytes:
    """Every column's bytes: the padding between columns means nothing and is not copied by all of numpy."""
    return b"".join(np.ascontiguousarray(events[name]).tobytes() for name in events.dtype.names)


def seconds_of(events: EventColumn, of: Scenario) -> Any:
    return (events["event_ns"] - of.start_ns) / SECOND_NS


ALL = tuple(
    Planted(name, 6.0 + 3.0 * i, (NAMES[i % 2],), ramp_s=2.0, hold_s=3.0)
    for i, name in enumerate(CLASSES)
    if name not in ("gap", "quiet")
)


class Book:
    """A reader's book of one market, which believes nothing: it asserts what every event must find."""

    def __init__(self) -> None:
        self.orders: dict[int, list[int]] = {}  # order -> [side, price, qty, account]
        self.seen: set[int] = set()
        self.levels: dict[int, dict[int, int]] = {1: {}, -1: {}}  # side -> price -> orders

    def apply(self, event: Any) -> None:
        kind, order = int(event["kind"]), int(event["order"])
        if kind == Kind.BOOK:
            self.orders, self.levels = {}, {1: {}, -1: {}}
        elif kind == Kind.ORDER:
            assert order not in self.orders, "an order id lives twice"
            assert order not in self.seen or event["flags"] & Flag.SNAPSHOT, "an order id came back"
            assert event["qty_lots"] > 0 and event["account"] > 0
            side, price = int(event["side"]), int(event["price_ticks"])
            self.seen.add(order)
            self.orders[order] = [side, price, int(event["qty_lots"]), int(event["account"])]
            self.levels[side][price] = self.levels[side].get(price, 0) + 1
        elif kind == Kind.CANCEL:
            assert order in self.orders, "a cancel of an order that does not rest"
            assert self.orders[order][3] == event["account"]
            self.remove(order)
        elif kind == Kind.FILL:
            assert order in self.orders, "a fill of an order that does not rest"
            side, price, qty, account = self.orders[order]
            best = max(self.levels[1]) if side == Side.BUY else min(self.levels[-1])
            assert price == event["price_ticks"] == best, "a fill behind the touch"
            assert account == event["account"] != event["taker"] and 0 < event["qty_lots"] <= qty
            self.orders[order][2] -= int(event["qty_lots"])
            if self.orders[order][2] == 0:
                self.remove(order)
        if self.levels[1] and self.levels[-1] and not event["flags"] & Flag.SNAPSHOT:
            assert max(self.levels[1]) < min(self.levels[-1]), "the book is crossed"

    def remove(self, order: int) -> None:
        side, price, _, _ = self.orders.pop(order)
        self.levels[side][price] -= 1
        if not self.levels[side][price]:
            del self.levels[side][price]


def test_the_same_seed_tells_the_same_story_and_another_seed_another() -> None:
    of = scenario(*ALL, markets=3)
    assert told(everything(of, 5)) == told(everything(of, 5))
    assert told(everything(of, 5)) != told(everything(of, 6))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 12 * SECOND_NS), min_size=1, max_size=12))
def test_chunks_of_any_length_hold_the_same_events(seed: int, steps_ns: list[int]) -> None:
    of = scenario(*ALL, seconds=12.0, markets=2)
    whole = everything(of, seed)
    exchange, parts = Exchange(of, seed), []
    for step_ns in [*steps_ns, 12 * SECOND_NS]:
        parts.append(exchange.run(min(exchange.until_ns + step_ns, exchange.end_ns)))
        if len(parts[-1]):
            assert int(parts[-1]["event_ns"][-1]) < exchange.until_ns
    assert told(np.concatenate(parts)) == told(whole)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_cancel_and_fill_finds_its_order_and_no_book_is_crossed(seed: int) -> None:
    of = scenario(*ALL, markets=2, seconds=75.0, rate=30.0, mood=0.4)
    events = everything(of, seed)
    assert np.all(np.diff(events["event_ns"]) >= 0)
    books = [Book(), Book()]
    for event in events:
        books[event["market"]].apply(event)
    for market in range(2):
        own = events[(events["market"] == market) & ((events["flags"] & Flag.SNAPSHOT) == 0)]
        assert np.all(np.diff(own["seq"]) == 1) and np.all(np.diff(own["event_ns"]) > 0)
    kinds = {int(kind) for kind in np.unique(events["kind"])}
    assert kinds >= {Kind.ORDER, Kind.CANCEL, Kind.FILL, Kind.LEVERAGE, Kind.MARK, Kind.STATUS, Kind.LIQUIDATION}


def test_a_cascade_of_many_percent_keeps_the_book_whole() -> None:
    of = scenario(Planted("foreshock", 5.0, NAMES[:1], amplitude=20.0, ramp_s=5.0, hold_s=20.0), seconds=200.0)
    events = everything(of)
    marks = events[events["kind"] == Kind.MARK]["price_ticks"]
    assert marks[-1] < 0.9 * marks[0]
    book = Book()
    for event in events:
        book.apply(event)
    assert book.levels[1] and book.levels[-1]


@pytest.mark.parametrize(("rate", "seconds"), [(2.0, 4000.0), (25.0, 1200.0), (300.0, 200.0), (2000.0, 40.0)])
def test_rates_are_what_was_asked(rate: float, seconds: float) -> None:
    of = scenario(rate=rate, seconds=seconds, markets=3)
    events = everything(of)
    events = events[(events["flags"] & Flag.SNAPSHOT) == 0]
    counts = {kind: int(np.sum(events["kind"] == kind)) for kind in Kind}
    rows = counts[Kind.ORDER] + counts[Kind.CANCEL] + counts[Kind.FILL] + counts[Kind.LEVERAGE]
    assert rows / (3 * seconds) == pytest.approx(rate, rel=0.15)
    assert counts[Kind.MARK] / 3 == pytest.approx(seconds, abs=2)
    assert 0.85 < counts[Kind.CANCEL] / counts[Kind.ORDER] < 1.02
    assert 0.02 < counts[Kind.FILL] / rows < 0.10


def test_about_one_leverage_change_comes_with_400_cancels_over_many_accounts() -> None:
    events = everything(scenario(rate=1000.0, seconds=150.0, markets=3))
    cancels, changes = int(np.sum(events["kind"] == Kind.CANCEL)), events[events["kind"] == Kind.LEVERAGE]
    assert cancels / len(changes) == pytest.approx(400, rel=0.2)
    assert len(np.unique(changes["account"])) > 0.5 * len(changes)
    up = np.mean(changes["leverage"] > changes["previous"])
    assert 0.35 < up < 0.65
    assert np.all(changes["notional"] > 0) and np.all(changes["margin"] <= changes["notional"])


def test_each_leverage_change_says_what_the_last_one_of_the_account_left() -> None:
    events = everything(scenario(Planted("crowd", 5.0, NAMES[:1], amplitude=4000.0, ramp_s=20.0), rate=50.0))
    last: dict[int, float] = {}
    for change in events[events["kind"] == Kind.LEVERAGE]:
        account = int(change["account"])
        assert last.get(account, change["previous"]) == change["previous"]
        last[account] = float(change["leverage"])
    assert len(last) > 100


def test_ordinary_accounts_are_heavy_tailed_and_makers_do_most() -> None:
    events = everything(scenario(rate=300.0, seconds=200.0))
    orders = events[(events["kind"] == Kind.ORDER) & ((events["flags"] & Flag.SNAPSHOT) == 0)]
    makers = orders["account"] <= 1000
    assert 0.7 < np.mean(makers) < 0.95
    _, counts = np.unique(orders["account"][~makers], return_counts=True)
    counts = np.sort(counts)[::-1]
    assert len(counts) > 200
    assert counts[: len(counts) // 100 + 1].sum() > 0.15 * counts.sum()
    assert np.mean(counts <= 2) > 0.3


def test_markets_move_together_and_activity_clusters() -> None:
    of = scenario(markets=2, rate=10.0, seconds=3600.0, mood=0.4, correlation=0.8)
    events = everything(of)
    paths = []
    for market in range(2):
        marks = events[(events["kind"] == Kind.MARK) & (events["market"] == market)]["price_ticks"]
        paths.append(np.diff(np.log(marks[:3590:10].astype(float))))
    assert np.corrcoef(paths[0], paths[1])[0, 1] > 0.5
    trades = events[(events["kind"] == Kind.FILL) & (events["market"] == 0)]
    counts = np.bincount((seconds_of(trades, of) / 10).astype(int), minlength=360)
    assert counts.var() > 1.5 * counts.mean()  # a Poisson stream would have 1


def test_the_price_path_is_the_same_with_and_without_an_incident() -> None:
    calm = everything(scenario())
    hit = everything(scenario(Planted("cancel_burst", 10.0, NAMES[:1], amplitude=20.0, hold_s=10.0)))
    marks = [events[events["kind"] == Kind.MARK]["price_ticks"] for events in (calm, hit)]
    assert marks[0].tolist() == marks[1].tolist()


def test_a_halt_empties_the_makers_and_nobody_acts_until_it_is_over() -> None:
    of = scenario(Planted("halt", 20.0, NAMES[:1], hold_s=20.0), rate=100.0)
    events = everything(of)
    statuses = events[events["kind"] == Kind.STATUS]
    assert statuses["code"].tolist() == [StatusCode.HALTED, StatusCode.RESUMED, StatusCode.OPEN]
    at_s = seconds_of(events, of)
    during = events[(at_s > 20.5) & (at_s < 39.9)]
    assert not np.any(np.isin(during["kind"], [Kind.ORDER, Kind.FILL]))
    book = Book()
    for event in events[at_s < 20.5]:
        book.apply(event)
    assert book.orders and not any(account <= 1000 for _, _, _, account in book.orders.values())
    assert np.sum((at_s > 40) & (events["kind"] == Kind.ORDER)) > 1000


def test_after_a_gap_in_the_feed_a_snapshot_tells_the_book_and_sequence_numbers_are_missing() -> None:
    of = scenario(Planted("gap", 20.0, NAMES[:1], hold_s=10.0), rate=100.0)
    events = everything(of)
    at_s = seconds_of(events, of)
    assert not np.any((at_s > 20.2) & (at_s < 29.9))
    books = events["kind"] == Kind.BOOK
    assert books.sum() == 2 and at_s[books][1] == pytest.approx(30, abs=0.2)
    assert np.diff(events["seq"]).max() > 300
    book = Book()
    for event in events:
        book.apply(event)


def test_rows_of_a_snapshot_share_one_offset_and_messages_count_up() -> None:
    exchange = Exchange(scenario(Planted("gap", 5.0, NAMES[:1], hold_s=3.0), markets=3, seconds=20.0))
    events = np.concatenate(list(exchange.chunks(3.0)))
    steps = np.diff(events["offset"])
    inside = ((events["flags"] & Flag.SNAPSHOT) != 0) & (events["kind"] != Kind.BOOK)
    assert events["offset"][0] == 0 and np.all(steps == np.where(inside[1:], 0, 1))


PLAIN = """
import hashlib, warnings, sys
warnings.simplefilter("ignore")
sys.path.insert(0, ".")
from tests.replay.test_exchange import ALL, everything, scenario, told
print(hashlib.sha256(told(everything(scenario(*ALL, seconds=float(sys.argv[1]), markets=2)))).hexdigest())
"""


def test_the_compiled_loop_does_what_its_lines_say() -> None:
    digest = hashlib.sha256(told(everything(scenario(*ALL, seconds=25.0, markets=2)))).hexdigest()
    plain = subprocess.run(
        [sys.executable, "-c", PLAIN, "25"],
        cwd=ROOT,
        env=os.environ | {"FORESHOCK_KERNELS": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.strip() == digest


def test_shipped_scenarios_load_and_say_what_is_planted() -> None:
    for name in ("demo", "quiet", "bench"):
        exchange = Exchange(name)
        assert exchange.markets[0] == "BTC-PERP"
    demo = Exchange("demo").labels()
    assert [label["kind"] for label in demo] == ["cancel_burst", "thin_book", "leverage_spike", "correlated"]
    assert all(label["confounder"] and label["kind"] == "benign" for label in Exchange("quiet").labels())


def test_a_faulty_scenario_is_told_all_its_faults_at_once() -> None:
    table = {"duration_s": -1, "sead": 2, "markets": {"count": 1, "events_per_s": 9e9}, "incident": [{"class": "news"}]}
    with pytest.raises(ScenarioError) as fault:
        parse("mine", table)
    for word in ("duration_s", "sead", "events_per_s", "at_s is missing"):
        assert word in str(fault.value)
    with pytest.raises(FileNotFoundError, match="demo"):
        load("no_such")
    with pytest.raises(ScenarioError, match="no incident class"):
        Exchange(scenario(Planted("earthquake", 1.0, NAMES[:1])))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_drawn_incidents_have_labels_inside_the_run_and_do_not_hit_one_market_twice_at_once(seed: int) -> None:
    of = scenario(markets=3, seconds=86_400.0, draw=Draw(incidents_per_market_day=12, confounders_per_market_day=12))
    exchange = Exchange(of, seed)
    labels = exchange.labels()
    assert labels == Exchange(of, seed).labels()
    for label in labels:
        assert of.start_ns <= label["start"] < label["end"] <= exchange.end_ns + SECOND_NS
        assert label["start"] <= label["climax"]
    for market in of.names:
        own = [label for label in labels if market in label["markets"] and not label["confounder"]]
        for before, after in pairwise(own):
            assert before["end"] <= after["start"]


def test_the_command_prints_rates_and_what_is_planted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "demo", "--stats", "--seconds", "20"]) == 0
    printed = capsys.readouterr().out
    assert "BTC-PERP" in printed and "synthetic" in printed and "withdrawal" in printed
    assert main(["--scenario", "no_such"]) == 2

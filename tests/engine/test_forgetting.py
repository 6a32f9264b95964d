"""Forgetting: who gives up its place at a limit, and when, is for the events to say, however the log was cut."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.features.tables import Limits
from tests.engine.story import Story, assigned, pipeline, told

MARKETS = ("BTC-PERP", "ETH-PERP", "X-PERP")
ROOM = Limits()
FEW_ACCOUNTS = Limits(participants_per_market_max=16)
TIGHT = {
    "accounts": FEW_ACCOUNTS,
    "no account": Limits(participants_per_market_max=1),
    "makers": Limits(makers_max=1, participants_per_market_max=64),
    "levels": Limits(levels_max=20),
    "orders": Limits(orders_max=90),  # shared by all markets: at the same event only where one partition holds them
    "all of them": Limits(orders_max=90, levels_max=20, participants_per_market_max=24, makers_max=2),
}

Told = tuple[list[bytes], dict[tuple[int, str], bytes], dict[str, int]]


def crowd(seed: int, partitions: int = 2) -> Story:
    """A minute and more in which strangers come by the dozen, do two things and stay away for a while; makers among
    them leave orders behind, order ids are used again, and one market tells levels before it tells orders."""
    made = Story(seed, markets=MARKETS, partitions=partitions).busy(5, rate=30)
    dice = Random(seed)
    for second in range(5, 72):
        for _ in range(dice.randrange(2, 24)):
            market, at_s = dice.choice(MARKETS), second + dice.random()
            account = f"s{dice.randrange(40) + 3 * second if dice.random() < 0.8 else dice.randrange(300)}"
            what = dice.random()
            if what < 0.25:
                made.say(market, at_s, type="leverage", account=account, leverage=dice.choice((2, 9, 50)), notional=900)
            elif what < 0.6:
                name = made.order(market, at_s, account)
                made.live[market].remove(name)
                made.say(market, at_s + 0.03, type="cancel", order_id=name, account=dice.choice((account, "another")))
                if dice.random() < 0.7:
                    price, side = dice.choice((("99.5", "buy"), ("100.5", "sell")))
                    again = {"order_id": name, "side": side, "price": price, "qty": "1", "account": account}
                    made.say(market, at_s + 0.05, type="order", **again)
                    made.say(market, at_s + 0.06, type="cancel", order_id=name)
            elif what < 0.7:
                price = f"{100 + dice.randrange(1, 40) / 8}"
                made.say(market, at_s, type="level", side="sell", price=price, qty=dice.choice((0, 1, 2)))
            elif what < 0.8 and made.live.get(market):
                made.say(market, at_s, type="fill", order_id=dice.choice(made.live[market]), price="100", qty="0.25",
                         taker_account=account)  # fmt: skip
            else:
                made.order(market, at_s, dice.choice((account, f"m{dice.randrange(6)}")))
    return made


def run(story: Story, sizes: list[int], limits: Limits, parts: int = 1) -> Told:
    engine = assigned(pipeline(limits, parts=parts), story)
    steps = [engine.step([batch]) for batch in story.batches(sizes)]
    steps.append(engine.finish())
    counts: Counter[str] = Counter()
    for step in steps:
        counts.update(step.counts)
    return *told(steps), dict(counts)


def differing(one: Told, other: Told) -> list[object]:
    """Which windows of which market, which counts, and whether alerts: [] = all the same."""
    windows = [key for key in one[1] if one[1][key] != other[1].get(key)]
    counts = [name for name in one[2] if one[2][name] != other[2].get(name)]
    return [*windows, *counts, *(["alerts"] if one[0] != other[0] or len(one[1]) != len(other[1]) else [])]


def test_the_crowd_reaches_the_limits() -> None:
    story = crowd(1)
    roomy = run(story, [200], ROOM)
    assert roomy[0], "without an alert nothing is compared"
    assert len(differing(roomy, run(story, [200], FEW_ACCOUNTS))) > 30, "forgetting accounts must show"
    counts = run(crowd(1, partitions=1), [200], TIGHT["all of them"])[2]
    assert min(counts[name] for name in ("orders_full", "levels_full", "participants_full", "late")) > 0


@pytest.mark.parametrize("name", TIGHT)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 900), min_size=1, max_size=4))
def test_a_limit_is_reached_at_the_same_event_in_any_chunks(name: str, seed: int, sizes: list[int]) -> None:
    shared = TIGHT[name].orders_max < ROOM.orders_max
    story = crowd(seed, partitions=1 if shared else 2)
    whole = run(story, [10**6], TIGHT[name])
    for cut in ([1], [7], [200], [900], sizes):
        assert differing(whole, run(story, cut, TIGHT[name])) == []


@pytest.mark.parametrize("name", [name for name, limits in TIGHT.items() if limits.orders_max == ROOM.orders_max])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6), parts=st.integers(2, 4), sizes=st.lists(st.integers(1, 900), min_size=1, max_size=4))
def test_a_limit_of_a_market_is_reached_at_the_same_event_in_any_parts(
    name: str, seed: int, parts: int, sizes: list[int]
) -> None:
    story = crowd(seed)
    assert differing(run(story, [200], TIGHT[name]), run(story, sizes, TIGHT[name], parts)) == []

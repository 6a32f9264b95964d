"""Who is named: behind a burst of others' cancels no maker is, however many quotes it moved in the same seconds."""

from __future__ import annotations

import json

import pytest

from detector.features.contributors import OTHERS
from detector.model.incident import Contributor
from detector.model.records import pack
from detector.wiring import plugins
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from tests.engine.story import Story, assigned, pipeline
from tests.features.quoting import LEVELS, MARKET, SETTLED_S, Market


def named(market: Market, feature: str) -> tuple[tuple[Contributor, ...], tuple[Contributor, ...]]:
    """By `feature`, and by nothing in particular."""
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    values = [json.dumps(message).encode() for message in market.messages]
    engine.step([pack("t", 0, values, range(len(values)))])
    at_ns, row = market.messages[-1]["ts"], engine.shard.index[MARKET]
    return tuple(engine.shard.contributors(row, "cancels", at_ns, one) for one in (feature, ""))  # type: ignore[return-value]


def sweeping(market: Market) -> Market:
    """Every maker moves all its quotes within a second."""
    for maker in range(5):
        for level in range(2 * LEVELS):
            market.quote(market.second + 0.1 * maker + 0.001 * level, maker, level)
    market.second += 1
    return market


def test_makers_that_move_their_quotes_have_no_part_in_what_others_cancel() -> None:
    market = sweeping(Market().ordinary(SETTLED_S))
    for pair in range(6):
        market.quote(market.second + 0.01 * pair, 9, 100)
        market.cancel(market.second + 0.01 * pair + 0.002, 9, 100)
    market.say(market.second + 2.0, type="mark", price=market.middle)
    others, everybody = named(market, OTHERS)
    assert [(who.share, who.maker) for who in others] == [(1.0, False)]
    assert everybody[0].maker and others[0].account in {who.account for who in everybody}


def test_who_switches_its_leverage_to_and_fro_is_not_named_for_it() -> None:
    market = Market().ordinary(60)
    for at_s, account, before, now in ((1, "a", 5, 20), (2, "a", 20, 5), (1500, "a", 5, 20), (1500, "b", 5, 10)):
        fields = {"account": account, "previous": before, "leverage": now, "notional": 1000.0}
        market.say(60 + at_s, type="leverage", **fields)
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    engine.step([market.batch()])
    at_ns, row = market.messages[-1]["ts"], engine.shard.index[MARKET]
    shares = [who.share for who in engine.shard.contributors(row, "raises", at_ns, "raised_far")]
    assert shares[0] > 0.9 and len(shares) <= 2


def test_makers_are_named_where_nobody_else_cancels() -> None:
    market = sweeping(Market().ordinary(SETTLED_S))
    market.say(market.second + 2.0, type="mark", price=market.middle)
    others, everybody = named(market, OTHERS)
    assert others == everybody and len(others) == 5 and all(who.maker for who in others)


@pytest.mark.parametrize("behind", ["", "cancels"])
def test_an_alert_names_whom_its_detectors_say_is_behind_it(monkeypatch: pytest.MonkeyPatch, behind: str) -> None:
    for name in plugins.names("anomaly"):  # an incident of several names whom any of them does
        monkeypatch.setattr(plugins.load("anomaly", name), "BEHIND", behind, raising=False)
    story = Story(1).busy(95).burst("ETH-PERP", 80.0, 300).busy(25, 95)
    engine = assigned(pipeline(), story)
    alerts = [alert for batch in story.batches([97]) for alert in engine.step([batch]).alerts]
    named = {bool(alert.data["contributors"]) for alert in alerts if alert.type == "foreshock.incident.opened"}
    assert named == {bool(behind)}

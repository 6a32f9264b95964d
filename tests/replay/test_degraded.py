"""Feeds that name less tell of the same book."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.model.windows import Windows
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from replay.balanced import deal
from replay.exchange import Exchange
from replay.laboratory import Size, scenario_of
from replay.laboratory_degraded import CLASSES, FEEDS, through
from replay.laboratory_run import KEY, steps
from replay.scenario import Draw

SAME = ("mid", "spread_bps", "bid_depth_10_bps", "ask_depth_50_bps", "levels", "gap_bps")
LACKS = {"orders and accounts": (), "orders by id": ("accounts",), "levels and trades": ("accounts", "order ids")}


def windows_of(feed: str) -> tuple[list[Windows], tuple[str, ...], dict[str, int]]:
    scenario = replace(scenario_of("clean", 5, Size(1, 4, 0.25)), draw=Draw(warm_up_s=60.0))
    scenario = deal(scenario, 5, CLASSES, warm_up_s=60.0, apart_s=300.0)
    pipeline = build_pipeline(of({}), pseudonym_key=KEY, format_name="native", keep_scored=True)
    found = [one.windows for s in steps(pipeline, Exchange(scenario, 5), through(feed)) for one in s.scored]
    context = pipeline._context(found[-1].close_ns, ())
    return found, context.lacks(found[-1].markets[0]), pipeline.shard.counts()


@pytest.fixture(scope="module")
def full() -> list[Windows]:
    return windows_of(FEEDS[0])[0]


@pytest.mark.parametrize("feed", FEEDS[1:])
def test_the_book_is_the_same_and_what_is_lacking_is_known(feed: str, full: list[Windows]) -> None:
    found, lacks, counts = windows_of(feed)
    assert lacks == LACKS[feed]
    assert counts["unknown_order"] == counts["sequence_gap"] == counts["duplicate"] == counts["out_of_scale"] == 0
    assert len(found) == len(full) > 800
    for ours, theirs in zip(found, full, strict=True):
        assert ours.markets == theirs.markets
        for name in SAME:
            np.testing.assert_allclose(ours.column(name), theirs.column(name), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("feed", FEEDS[1:])
def test_no_cancel_is_lost(feed: str, full: list[Windows]) -> None:
    """Of a feed of levels a fill is told from a cancel by its trade."""
    found, _, _ = windows_of(feed)
    ours, theirs = (sum(float(w.column("cancels").sum()) for w in windows) for windows in (found, full))
    assert theirs > 500
    assert ours == pytest.approx(theirs, rel=0.05)


def test_how_long_orders_rested_is_known_without_accounts_and_not_of_levels(full: list[Windows]) -> None:
    for feed, known in (("orders by id", True), ("levels and trades", False)):
        for name in ("young_cancels", "fleeting_cancels"):
            ours, theirs = (np.array([w.column(name).sum() for w in ws]) for ws in (windows_of(feed)[0], full))
            assert theirs.sum() > 0.0
            if known:
                np.testing.assert_array_equal(ours, theirs)
            else:
                assert np.isnan(ours).all()

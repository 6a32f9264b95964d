"""Shares: what of the promise each detector gets to spend."""

from __future__ import annotations

from typing import Any

import pytest

from detector.wiring.build import DEALT, build_detectors
from detector.wiring.config import of

PAGING = ("cancel_burst", "feed", "joint", "leverage_spike", "thin_book")


def dealt(*enabled: str, **shares: float) -> dict[str, float]:
    """What each enabled detector may spend on warnings, at a promise of two."""
    detectors: dict[str, Any] = {name: {"enabled": name in enabled} for name in (*PAGING, "drift")}
    for name, share in shares.items():
        detectors[name]["budget_share"] = share
    budget = {"info": 14.0, "warning": 2.0, "critical": 0.2}
    found = build_detectors(of({"detectors": detectors, "budget": budget}))
    return {one.name: float(getattr(one, "budgets", [0.0, 0.0])[1]) for one in found}


def test_together_they_get_somewhat_more_than_is_promised_in_proportion_to_their_shares() -> None:
    told = dealt(*PAGING)
    assert sum(told.values()) == pytest.approx(2.0 * DEALT)
    assert told["leverage_spike"] == pytest.approx(2.0 * told["cancel_burst"])


def test_one_that_never_pages_takes_nothing() -> None:
    with_drift = dealt(*PAGING, "drift")
    assert {name: with_drift[name] for name in PAGING} == dealt(*PAGING)


@pytest.mark.parametrize("share", [0.1, 1.0, 50.0])
def test_nobody_gets_more_than_the_whole(share: float) -> None:
    assert dealt("thin_book", thin_book=share) == {"thin_book": 2.0}
    assert dealt("thin_book", "cancel_burst", thin_book=share, cancel_burst=99 * share if share < 1 else share)[
        "cancel_burst"
    ] == pytest.approx(2.0 if share < 1 else DEALT)

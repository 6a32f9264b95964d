"""How steady a market's makers are is learned within minutes: what is nothing for some is a withdrawal for others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from detector.anomaly.base import Detector
from detector.model.windows import Windows
from tests.anomaly.test_conditioning import FEATURES, NAMES, START_NS, detector

MARKETS = 32
WEIGHT = 1500.0  # eight makers of a dozen quotes each
WARNING = 1
PULLED, MISSING = NAMES.index("quotes_pulled"), NAMES.index("quotes_missing")


def told(
    found: Detector, shares: npt.NDArray[np.float64], first: int = 0, *, pulled: bool = True
) -> npt.NDArray[np.bool_]:
    """bool (W, M): who is at warning, window by window, of shares float64 (W, M). pulled: or else missing alone, as when
    one maker has gone."""
    blank = np.zeros((MARKETS, len(FEATURES)))
    blank[:, NAMES.index("quotes_weight")], blank[:, NAMES.index("quotes_usual")] = WEIGHT, 100.0
    names, every = tuple(f"m{i}" for i in range(MARKETS)), np.ones(MARKETS, np.bool_)
    at_warning = []
    for number, share in enumerate(shares, first):
        values = blank.copy()
        values[:, PULLED], values[:, MISSING] = share if pulled else 0.0, 100.0 * np.maximum(0.0, share)
        close_ns = START_NS + number * 10**9
        score = found.score(Windows(close_ns, 10**9, names, FEATURES, values, every, every), every, ())
        at_warning.append(score.values >= score.levels[WARNING])
    return np.array(at_warning)


def strays(windows: int, seed: int) -> npt.NDArray[np.float64]:
    """float64 (W, M): the share of quotes away strays by 4 in a hundred, for half a minute."""
    dice = np.random.default_rng(seed)
    keep = np.exp(-1.0 / 30.0)
    shares = np.zeros((windows, MARKETS))
    for at in range(1, windows):
        shares[at] = keep * shares[at - 1] + 0.04 * np.sqrt(1.0 - keep * keep) * dice.standard_normal(MARKETS)
    return shares


@pytest.mark.parametrize("seed", [1, 2])
def test_makers_that_always_stray_page_next_to_nobody_until_far_more_is_gone(seed: int) -> None:
    found = detector("thin_book")
    paged = told(found, strays(7200, seed)).any(axis=0)
    assert paged.sum() <= 1  # of 64 market-hours in all, from an empty state
    gone = strays(60, seed + 10)
    gone[:, :4] += np.linspace(0.0, 0.6, 60)[:, None]
    later = told(found, gone, 7200)
    assert later[:, :4].any(axis=0).all() and not later[:, 4:].any()


def test_where_makers_never_stray_a_few_in_a_hundred_are_told_within_seconds() -> None:
    found = detector("thin_book")
    assert not told(found, np.zeros((3600, MARKETS))).any()
    gone = np.zeros((10, MARKETS))
    gone[:, 0] = 0.045
    assert told(found, gone, 3600)[:, 0].any()


def test_a_market_that_is_young_is_not_known_to_be_steady() -> None:
    found = detector("thin_book")
    assert not told(found, np.zeros((120, MARKETS))).any()
    gone = np.zeros((10, MARKETS))
    gone[:, 0] = 0.045
    assert not told(found, gone, 120).any()


def test_one_maker_with_a_quarter_of_a_young_market_s_quotes_may_be_away_for_a_while() -> None:
    found = detector("thin_book")
    told(found, np.zeros((360, MARKETS)))
    gone = np.zeros((60, MARKETS))
    gone[:40] = 0.27
    assert not told(found, gone, 360, pulled=False).any()
    assert told(found, np.full((90, MARKETS), 0.75), 420, pulled=False).any(axis=0).all()


def test_a_tail_that_shipped_lighter_is_what_ships_now_and_one_that_was_learned_stays() -> None:
    found = detector("thin_book")
    told(found, np.zeros((120, MARKETS)))
    saved = found.state()
    tables = np.array(saved["tables"])
    shipped = tables[0, 0]["tail"].copy()
    tables[0]["tail"]["quantile"][:2], tables[0]["tail"]["excess"][:2] = (1.7, 9.0), (0.43, 3.0)
    again = detector("thin_book")
    again.restore(saved | {"tables": tables})
    first, second = np.array(again.state()["tables"])[0]["tail"][:2]
    assert (first["quantile"], first["excess"]) == (shipped["quantile"], shipped["excess"])
    assert (second["quantile"], second["excess"]) == (9.0, 3.0)
    again.restore(saved)
    assert np.array(again.state()["tables"]).tobytes() == np.array(saved["tables"]).tobytes()

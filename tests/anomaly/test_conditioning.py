"""What a count is held against, and what is in no sum at all."""

from __future__ import annotations

import json

import numpy as np

from detector.anomaly.base import Detector
from detector.model.records import pack
from detector.model.windows import Windows
from detector.wiring.build import build_groups, build_pipeline
from detector.wiring.config import of

START_NS = 1_767_225_600_000_000_000
FEATURES = tuple(f for group in build_groups(2).values() for f in group.FEATURES)
NAMES = [feature.name for feature in FEATURES]


def detector(name: str) -> Detector:
    (found,) = (d for d in build_pipeline(of({}), pseudonym_key=b"k" * 32).detectors if d.name == name)
    return found


def window(number: int, told: dict[str, float], calm: bool = True) -> Windows:
    """One market; what is not told is 0."""
    values = np.zeros((1, len(FEATURES)))
    for name, value in told.items():
        values[0, NAMES.index(name)] = value
    close_ns = START_NS + (30 + number) * 10**9  # not as a minute begins
    return Windows(close_ns, 10**9, ("m",), FEATURES, values, np.array([calm]), np.array([True]))


def after(found: Detector, *spans: tuple[int, Windows]) -> float:
    """The score of the last window; each span is so many windows alike."""
    value = np.nan
    for length, one in spans:
        for _ in range(length):
            value = float(found.score(one, np.array([True]), ()).values[0])
    return value


QUIET = {"cancels": 4.0, "new_cancellers": 1.0, "acting_accounts": 4.0, "orders": 4.0, "trades": 0.3}
RUSH = {"cancels": 80.0, "new_cancellers": 20.0, "acting_accounts": 80.0, "orders": 80.0}


def test_hundreds_that_place_and_pull_together_and_do_not_trade_are_no_busy_market() -> None:
    traded = after(detector("cancel_burst"), (900, window(1, QUIET)), (10, window(2, RUSH | {"trades": 10.0})))
    untraded = after(detector("cancel_burst"), (900, window(1, QUIET)), (10, window(2, RUSH | {"trades": 0.3})))
    assert traded < 2.0 < 4.0 < untraded


def test_a_feed_that_never_tells_of_a_trade_has_busy_markets_all_the_same() -> None:
    quiet = QUIET | {"trades": 0.0}
    assert after(detector("cancel_burst"), (900, window(1, quiet)), (10, window(2, RUSH))) < 2.0


def test_a_moment_without_trades_in_a_busy_market_is_no_burst() -> None:
    busy = {"cancels": 50.0, "cancels_by_others": 6.0, "new_cancellers": 5.0, "acting_accounts": 20.0, "orders": 50.0}
    spans = [(1, window(1, busy | {"trades": 12.0 * (number % 6 == 0)})) for number in range(900)]
    still = window(2, busy | {"trades": 0.0})
    found = detector("cancel_burst")
    after(found, (600, window(1, QUIET | {"cancels_by_others": 0.7})), *spans)
    assert after(found, (5, still)) < 2.0
    assert after(found, (3, window(3, RUSH | {"cancels_by_others": 80.0, "trades": 0.0}))) > 4.0


def test_makers_that_are_gone_in_a_halt_are_not_missing_after_it() -> None:
    habit = {"quotes_missing": 5.0, "quotes_usual": 50.0, "acting_accounts": 4.0}
    gone = habit | {"quotes_missing": 50.0}
    halted = after(detector("thin_book"), (900, window(1, habit)), (200, window(2, gone, calm=False)))
    assert np.isnan(halted)
    spans = (900, window(1, habit)), (200, window(2, gone, calm=False)), (5, window(3, habit))
    assert after(detector("thin_book"), *spans) < 2.0


def test_what_a_snapshot_takes_away_was_our_mistake_and_nobodys_withdrawal() -> None:
    def missing(keep: int, message: str) -> float:
        """quotes_missing ten seconds after `keep` of a maker's 20 orders are left, by cancels or by a snapshot."""
        engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native", keep_scored=True)
        lines: list[dict[str, object]] = []
        for second in range(200):
            common = {"ts": START_NS + second * 10**9, "market": "m", "account": "maker"}
            price, side = f"{100 - second % 20}", "buy"
            order = {"type": "order", "order_id": f"o{second % 20}", "side": side, "price": price, "qty": 1}
            if second < 150 or second % 20 < keep:
                lines.append(common | order)
            lines.append({"ts": START_NS + second * 10**9, "market": "m", "type": "mark", "price": "101"})
            if second == 150 and message == "cancel":
                lines += [common | {"type": "cancel", "order_id": f"o{i}"} for i in range(keep, 20)]
            if second == 150 and message == "book":
                bids = [[f"{100 - i}", "1", f"o{i}", "maker"] for i in range(keep)]
                lines.append({**common, "type": "book", "bids": bids, "asks": []})
        values = [json.dumps(line).encode() for line in lines]
        scored = engine.step([pack("t", 0, values, range(len(values)))]).scored
        by_close = {one.windows.close_ns: one.windows for one in scored}
        return float(by_close[START_NS + 160 * 10**9].column("quotes_missing")[0])

    assert missing(10, "cancel") > 8.0
    assert missing(10, "book") < 2.0


def test_a_market_ten_times_as_busy_as_the_shipped_rate_is_not_unusual_in_its_second_minute() -> None:
    busy = {"cancels": 300.0, "cancels_by_others": 90.0, "new_cancellers": 60.0, "orders": 300.0, "trades": 30.0}
    for seconds in (61, 90, 150):
        assert after(detector("cancel_burst"), (seconds, window(1, busy | {"acting_accounts": 60.0}))) < 2.5


def test_a_feed_that_names_nobody_peaks_higher_and_needs_more() -> None:
    def needed(accounts: float) -> float:
        found = detector("thin_book")
        told = {
            "acting_accounts": accounts,
            "taken_by_sellers": 1.0,
            "bid_depth_10_bps": 100.0,
            "ask_depth_10_bps": 100.0,
        }
        for number in range(1900):
            score = found.score(window(number, told), np.array([True]), ())
        return float(score.levels[1, 0])

    assert needed(np.nan) > needed(4.0) + 1.0

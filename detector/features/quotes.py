"""Quotes: what became of a seated maker's orders. Told apart: moved, traded away, and taken back for good.

A maker who re-quotes takes an order back and places another at once, or the other way round; one whose order traded
places a new one when it next looks; one who leaves takes orders back and places none. Only the last is a withdrawal: a
book that was merely eaten does not look like one.

How soon "at once" is, each maker's own habit says, a second at most: where quotes are renewed and traded many times a
second, all that is taken back would soon be followed by some new quote or other. What was taken back last is replaced
first, and what waits longer is pulled.

Who came a moment ago is not known as a maker yet. Its first moves are told as moves (MOVED), so that it is no stranger
whose cancels burst; but only of quotes that stood for a second: who bursts places and pulls within less.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.distance import quote_distance
from detector.features.ledger import AMENDED, CANCELLED, FILLED, LATE, PLACED
from detector.features.swing import swing_bps
from detector.features.venue import met_itself
from detector.kernels import inlined
from detector.model.events import Flag, StatusCode

REPLACE_NS = 1_000_000_000  # a quote taken back and placed anew this soon was moved, not pulled, if its maker is slow
GAP_FIRST_NS = REPLACE_NS / 4.0  # a maker's gap at first
GAP_TIMES = 4.0  # of its gap: what is placed so soon replaces what was taken back ...
AT_ONCE_NS = 100_000_000.0  # ... at the least: a sweep over all quotes takes a while
AHEAD_MIN, AHEAD_MEMORY = 0.25, 32.0  # who places first less often than that never does; moves that say so
GAP_UP, GAP_DOWN = 1.07, 0.978  # a gap that is longer or shorter than three in four moves their quantile by so much
MOVES_MIN, MOVES_TO_LEAVES = 4, 4  # moves seen, and moves for one quote that is taken back for good
MOVES_MEMORY = 4000
PLACED_FIRST = 100  # new quotes before a maker's distance is known
PLACED_MEMORY = 2000
DISTANCE_MAX = 4.0  # x usual: a quote further out teaches no more than one this far (winsorised)
BOTH_NS = 15_000_000_000  # quotes leap when bids and asks do, this close to each other
LEAPT_NS = 30_000_000_000  # a maker that leapt does not leap again so soon: it takes several to regroup a book
LEAP = 6.0  # x usual, beyond what the price went: a quote moved out further has left its place (docs/adr/0037)
OUTWARD_MAX = 16.0  # x usual: a quote further out counts no more than one this far
OUTWARD_MEMORY = 16.0  # new quotes that say how far out a maker places them lately
_DISTANCE_MIN_BPS = 0.05
_SNAPSHOT, _BY_MAKER, _MOVED = int(Flag.SNAPSHOT), int(Flag.BY_MAKER), int(Flag.MOVED)
_HALTED, _AUCTION = int(StatusCode.HALTED), int(StatusCode.AUCTION)


@inlined
def note_quote(tables: Any, event: Any, market: Any, participant: Any, learning: Any) -> None:
    """An applied event changed a seated maker's resting orders, or moved one of them. Counts and distances."""
    place = tables.participants[participant]
    maker = tables.makers[market, place["seat"]]
    late_ns = tables.markets[market]["late_ns"]
    count = place["bid_orders"] + place["ask_orders"]
    change = count - maker["count"]
    maker["count"] = count
    if change < 0:
        _gone(tables, maker, event, market, late_ns, _planned(tables.markets[market], event["event_ns"]))
        return
    known = (event["flags"] & _SNAPSHOT) == 0 and not np.isnan(event["distance_bps"])
    distance = quote_distance(tables, event, market) if known else np.nan
    old = np.nan
    if change > 0:
        old = _came(maker, event, distance, late_ns, event["event_ns"] // tables.span[1])
    elif event["effect"] == AMENDED:
        _moved(maker, False)
        old = event["previous"]
    if known:
        _requoted(tables, maker, event, market, old, distance)
        _placed(tables, maker, event, market, distance, learning)


@inlined
def _planned(place: Any, event_ns: Any) -> Any:
    """The market is halted or in an auction, or was a moment ago."""
    return place["status"] == _HALTED or place["status"] == _AUCTION or event_ns < place["restless_ns"]


@inlined
def requotes(maker: Any) -> Any:
    """It moves quotes and seldom takes one back for good: that is what makes a maker, not how much it has resting."""
    return maker["moves"] >= MOVES_MIN and maker["moves"] >= MOVES_TO_LEAVES * maker["leaves"]


@inlined
def _moved(maker: Any, stood: Any) -> None:
    """A quote was moved; `stood`, for a second and more before it was."""
    maker["moves"] += 1
    if stood and maker["stood"] < MOVES_MIN:
        maker["stood"] += 1
    if maker["moves"] >= MOVES_MEMORY:
        maker["moves"] //= 2
        maker["leaves"] //= 2
        maker["sweeps"] //= 2


@inlined
def _soon_ns(maker: Any, late_ns: Any) -> Any:
    """What this maker places so soon after a cancel replaces it. Where messages come late, its half may yet come."""
    return min(float(REPLACE_NS), max(AT_ONCE_NS, GAP_TIMES * maker["gap_ns"])) + late_ns


@inlined
def _note_gap(maker: Any, gap_ns: Any) -> None:
    """Their 75 % quantile, by steps; never so short that a slow one could not be seen any more."""
    maker["gap_ns"] *= GAP_UP if gap_ns > maker["gap_ns"] else GAP_DOWN
    maker["gap_ns"] = min(GAP_FIRST_NS, max(AT_ONCE_NS / GAP_TIMES, maker["gap_ns"]))


@inlined
def _note_order(maker: Any, now_ns: Any) -> None:
    """A first cancel after a placement: of the ways from the cancel before to it, and on to here, the shorter
    one is a move."""
    if 0 < maker["cancel_ns"] <= maker["placed_ns"]:
        first = 1.0 if now_ns - maker["placed_ns"] < maker["placed_ns"] - maker["cancel_ns"] else 0.0
        maker["ahead"] += (first - maker["ahead"]) / AHEAD_MEMORY


@inlined
def not_resting(maker: Any, count: Any) -> Any:
    """So many of its usual orders, int32, it has not resting: who has them all again has pulled none."""
    return np.int32(max(0.0, maker["usual"] - count) + 0.999)


@inlined
def not_replaced(maker: Any, end_ns: Any, late_ns: Any) -> Any:
    """Quotes taken back that nothing has replaced by `end_ns`, the end of a window. What may yet be replaced is gone
    for now; but not where the new quote may have been placed already, and is late."""
    gone = maker["pulled"]
    passed_ns = float(end_ns - maker["pending_ns"]) if late_ns >= AT_ONCE_NS else np.inf
    if passed_ns > _soon_ns(maker, late_ns):
        gone += maker["pending"][1]
    if passed_ns > 2.0 * _soon_ns(maker, late_ns):
        gone += maker["pending"][0]
    return gone


@inlined
def _pass(maker: Any, now_ns: Any, late_ns: Any) -> None:
    """What was taken back longer ago than `_soon_ns`, and at most twice that, has not been replaced: it is pulled."""
    soon_ns = _soon_ns(maker, late_ns)
    passed_ns = float(now_ns - maker["pending_ns"])
    if passed_ns <= soon_ns:
        return
    maker["pulled"] += maker["pending"][1]
    maker["leaves"] += maker["pending"][1]
    _forget(maker, 1)
    if passed_ns > 2.0 * soon_ns:
        maker["pulled"] += maker["pending"][0]
        maker["leaves"] += maker["pending"][0]
    else:
        maker["pending"][1] = maker["pending"][0]
        maker["pending_stood"][1] = maker["pending_stood"][0]
        for side in range(2):
            maker["taken"][1][side] = maker["taken"][0][side]
            maker["taken_bps"][1][side] = maker["taken_bps"][0][side]
    _forget(maker, 0)
    maker["pending_ns"] = now_ns
    maker["pulled"] = min(maker["pulled"], not_resting(maker, maker["count"]))


@inlined
def _forget(maker: Any, age: Any) -> None:
    maker["pending"][age] = 0
    maker["pending_stood"][age] = 0
    for side in range(2):
        maker["taken"][age][side] = 0
        maker["taken_bps"][age][side] = 0.0


@inlined
def forget_taken(maker: Any) -> None:
    """Nothing of what was taken back may be replaced any more."""
    _forget(maker, 0)
    _forget(maker, 1)


@inlined
def _requoted(tables: Any, maker: Any, event: Any, market: Any, old_bps: Any, new_bps: Any) -> None:
    """A quote that was placed `old_bps` from the middle was moved to `new_bps`; NaN = not known. Unlike how far out a
    quote is this does not ask which of its maker's quotes it is; only how far the price went of late."""
    if np.isnan(old_bps) or np.isnan(new_bps) or maker["placed"] < PLACED_FIRST or event["window"] == LATE:
        return
    out = tables.outward[event["window"], market]
    out[2] += 1.0
    # what was placed ahead of a mid that lags a jump, and now is at the touch, has not moved out
    beyond_bps = new_bps - max(0.0, old_bps) - LEAP * maker["distance_bps"]
    if beyond_bps <= 0.0 or beyond_bps <= swing_bps(tables.markets[market]):
        return
    place = tables.markets[market]
    side = 0 if event["side"] > 0 else 1
    place["leapt_ns"][side] = event["event_ns"]
    # a price that jumps makes the quotes of one side look far out, until mid and mark have followed
    both = abs(event["event_ns"] - place["leapt_ns"][1 - side]) <= BOTH_NS
    # once a maker and a while: what one maker goes on to renew far out is moved by one decision
    window = event["event_ns"] // tables.span[1] + 1
    # event time may begin again at an earlier instant
    if both and (maker["leapt"] == 0 or abs(window - maker["leapt"]) >= max(1, LEAPT_NS // tables.span[1])):
        maker["leapt"] = window
        out[3] += 1.0


@inlined
def _gone(tables: Any, maker: Any, event: Any, market: Any, late_ns: Any, planned: Any) -> None:
    side = 0 if event["side"] > 0 else 1
    if event["effect"] == FILLED or met_itself(event):
        maker["filled"] += 1
        return
    since_ns = event["event_ns"] - maker["spare_ns"]
    if since_ns >= 0:
        _note_order(maker, event["event_ns"])
    maker["cancel_ns"] = max(maker["cancel_ns"], event["event_ns"])
    # who never places first did so all the same where the two came in the wrong order
    soon_ns = _soon_ns(maker, late_ns)
    # nor does it say anything which of a sweep came first where messages are late
    ahead = maker["ahead"] >= AHEAD_MIN or late_ns >= AT_ONCE_NS
    replaced = ahead if since_ns >= 0 else -since_ns <= soon_ns
    if maker["spare"] > 0 and replaced and since_ns <= soon_ns:
        maker["spare"] -= 1  # the new one was placed first; or this is that very one, and nothing was moved
        if maker["lent"] > 0:
            maker["lent"] -= 1
            maker["filled"] += 1
        if event["age_ns"] > REPLACE_NS:
            _moved(maker, True)
            if event["effect"] == CANCELLED:
                event["flags"] |= _MOVED
            _note_gap(maker, float(event["event_ns"] - maker["spare_ns"]))
            _requoted(tables, maker, event, market, event["previous"], maker["spare_bps"][side])
            maker["spare_bps"][side] = np.nan
        return
    if planned:  # as if it had traded: who clears the book for a halt has not left, and soon quotes again
        maker["filled"] += 1
        return
    if maker["count"] == 0:
        maker["sweeps"] += 1
    _pass(maker, event["event_ns"], late_ns)
    if _may_be_moved(event):
        window = event["event_ns"] // tables.span[1]
        maker["doubted"] = maker["doubted"] + 1 if maker["doubted_window"] == window else 1
        maker["doubted_window"] = window
    maker["pending"][0] += 1
    maker["pending_stood"][0] += 1 if event["age_ns"] > REPLACE_NS else 0
    if not np.isnan(event["previous"]):
        maker["taken"][0][side] += 1
        maker["taken_bps"][0][side] += event["previous"]


@inlined
def _may_be_moved(event: Any) -> Any:
    """features/cancels.py counts it as a cancel by one that is no maker, and it may turn out to be half of a move: the
    quote stood for a while. What a snapshot clears away is no cancel."""
    told = event["effect"] == CANCELLED and event["participant"] >= 0 and event["window"] != LATE
    return told and event["age_ns"] > REPLACE_NS and (event["flags"] & _BY_MAKER) == 0


@inlined
def _came(maker: Any, event: Any, distance: Any, late_ns: Any, window: Any) -> Any:
    """It replaces what was just taken back; else what was traded; else what was pulled earlier. How far out was what it
    replaces (NaN = not known): of several taken back on its side it is their mean, which over a sweep comes to the
    same."""
    side = 0 if event["side"] > 0 else 1
    late = event["event_ns"] < max(maker["placed_ns"], maker["cancel_ns"])
    maker["placed_ns"] = max(maker["placed_ns"], event["event_ns"])
    _pass(maker, event["event_ns"], late_ns)
    gap_ns = float(event["event_ns"] - maker["cancel_ns"])
    for age in range(2):
        if maker["pending"][age] > 0:
            maker["pending"][age] -= 1
            stood = maker["pending_stood"][age] > 0
            maker["pending_stood"][age] -= 1 if stood else 0
            _moved(maker, stood)
            if maker["doubted"] > 0 and maker["doubted_window"] == window and event["effect"] == PLACED:
                maker["doubted"] -= 1
                event["flags"] |= _MOVED
            _note_gap(maker, gap_ns)
            mean = np.nan
            if maker["taken"][age][side] > 0:
                mean = maker["taken_bps"][age][side] / maker["taken"][age][side]
                maker["taken"][age][side] -= 1
                maker["taken_bps"][age][side] -= mean
            if maker["pending"][age] == 0:
                _forget(maker, age)  # a quote that went to the other side has replaced one of this
            return mean
    if maker["filled"] == 0 and maker["pulled"] > 0 and gap_ns <= REPLACE_NS:
        _note_gap(maker, gap_ns)  # it is slower than was thought
    if event["event_ns"] - maker["spare_ns"] > _soon_ns(maker, late_ns):
        maker["spare"] = 0
        maker["lent"] = 0
        maker["spare_bps"][0] = np.nan
        maker["spare_bps"][1] = np.nan
    owed = maker["filled"] + maker["pulled"] > 0
    # what comes late belongs to a cancel that has waited for it
    if maker["filled"] > 0 and not (late and maker["pulled"] > 0):
        maker["filled"] -= 1
    elif maker["pulled"] > 0:
        maker["pulled"] -= 1
    if owed or maker["count"] > maker["usual"] + 0.5:  # more than it usually has: it will take another back
        maker["spare"] += 1
        maker["lent"] += 1 if owed else 0
        maker["spare_bps"][side] = np.nan if owed else distance
        maker["spare_ns"] = max(maker["spare_ns"], event["event_ns"])
    return np.nan


@inlined
def _outward(maker: Any, times: Any) -> Any:
    """What a new quote `times` its maker's usual distance out counts: by itself a maker that stands back is nothing, so
    that the one furthest out lately counts no more than the next one (docs/adr/0043)."""
    if maker["outward"] <= 0.0:
        maker["outward"] = times
    maker["outward"] += (times - maker["outward"]) / OUTWARD_MEMORY
    most = max(1.0, maker["outward_others"])
    return times if maker["outward"] <= most else times * most / maker["outward"]


@inlined
def _placed(tables: Any, maker: Any, event: Any, market: Any, distance: Any, learning: Any) -> None:
    """How far out a new quote is, against what is usual for its maker."""
    if maker["placed"] >= PLACED_FIRST and event["window"] != LATE:
        out = tables.outward[event["window"], market]
        out[0] += _outward(maker, min(OUTWARD_MAX, max(0.0, distance / maker["distance_bps"])))
        out[1] += 1.0
    if learning or maker["placed"] < PLACED_FIRST:
        maker["placed"] = min(maker["placed"] + 1, PLACED_MEMORY)
        step = max(0.0, distance) - maker["distance_bps"]
        if maker["placed"] > 1:
            step = min(step, (DISTANCE_MAX - 1.0) * maker["distance_bps"])
        maker["distance_bps"] = max(_DISTANCE_MIN_BPS, maker["distance_bps"] + step / maker["placed"])

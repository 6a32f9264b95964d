"""Seats: who is watched as one of a market's makers, where more accounts quote than `limits.makers_max`.

An account that keeps `SEAT_ORDERS` orders resting gets a seat and keeps it for long: membership is sticky, or whole
accounts would flip in and out of the figures. What counts is how many orders it rests, times in how many seconds of the
last ten minutes it took some back: trading robots rest grids of dozens and lay them anew every few minutes, and are not
watched in the place of a maker that quotes eight (docs/adr/0046, 0048).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.quotes import GAP_FIRST_NS, MOVES_MIN, MOVES_TO_LEAVES, forget_taken
from detector.kernels import inlined, kernel

SEAT_ORDERS = 4
KNOWN_SAMPLES = 300  # windows after which a maker is known: how regular it is takes a while
PROVEN = 8.0  # x as many orders count for one that moves a few at a time, however seldom it does
ON_TRIAL = 2.0  # x as many for one that came minutes ago
MOVES_TO_SWEEPS = 4.0  # times it moved all it usually has, for one time it went with all of it at once
SECOND_NS = 1_000_000_000
RENEWS_S = 600  # a second in which it took orders back fades within this long, seconds
ONCE = 64  # what such a second counts in whole numbers: fractions of it fade
CLOCK_S = 1 << 16  # seconds are kept modulo this
LATE_S = 60  # an event that comes so late, seconds, is told from one that comes hours later
LEARN_DOWN = 1.0 / 14400.0  # per window: who renews its quotes less than it did keeps its seat for long
FIRST_SPREAD2 = 4.0


@inlined
def moves_quotes(maker: Any) -> Any:
    """It moved four quotes for each time it went with all of them."""
    return maker["moves"] >= MOVES_MIN and maker["moves"] * maker["usual"] >= MOVES_TO_LEAVES * maker["leaves"]


@inlined
def note_taken_back(place: Any, event_ns: Any) -> None:
    """The participant took back or amended an order that had stood. Counts once a second."""
    passed_s = _passed_s(place, event_ns)
    if place["taken_back"] > 0 and passed_s == 0:
        return
    place["taken_back"] = _faded(place, passed_s) + ONCE
    place["taken_back_s"] = (event_ns // SECOND_NS) % CLOCK_S


@inlined
def _passed_s(place: Any, now_ns: Any) -> Any:
    """Seconds since `taken_back_s`; 0 for an earlier instant, whose event comes late."""
    passed_s = (now_ns // SECOND_NS - np.int64(place["taken_back_s"])) % CLOCK_S
    return passed_s if passed_s < CLOCK_S - LATE_S else 0


@inlined
def _faded(place: Any, passed_s: Any) -> Any:
    """What is left of `taken_back` after so long. Whole numbers: the same on every machine."""
    count = np.int64(place["taken_back"])
    return count - count * min(passed_s, RENEWS_S) // RENEWS_S


@inlined
def _renews(place: Any, now_ns: Any) -> Any:
    """In how many of the last RENEWS_S seconds the participant took back orders that had stood, or so."""
    return _faded(place, _passed_s(place, now_ns)) / ONCE


@inlined
def learn_renewing(maker: Any, place: Any, now_ns: Any) -> None:
    """A window ended in which its maker may learn: it renews its quotes as it does at its best."""
    maker["renews"] = max(_renews(place, now_ns), maker["renews"] * (1.0 - LEARN_DOWN))


@inlined
def held(maker: Any) -> Any:
    """What it holds its seat with: the orders it usually rests, many times over if it renews them, and many times more
    if it leaves most of them where they are when it does. One that had no time to show it holds it somewhat more."""
    strength = maker["usual"] * (1.0 + maker["renews"])
    if moves_quotes(maker) and maker["moves"] >= MOVES_TO_SWEEPS * maker["usual"] * maker["sweeps"]:
        return strength * PROVEN
    return strength * ON_TRIAL if maker["samples"] < KNOWN_SAMPLES else strength


@inlined
def _claim(place: Any, now_ns: Any) -> Any:
    """Half of what the participant would hold a seat with."""
    return 0.5 * (place["bid_orders"] + place["ask_orders"]) * (1.0 + _renews(place, now_ns))


@inlined
def wants_seat(tables: Any, market: Any, participant: Any, now_ns: Any) -> Any:
    """The participant quotes like a maker and has no seat yet, and not every maker holds its with half as much."""
    place = tables.participants[participant]
    if place["seat"] >= 0 or place["bid_orders"] + place["ask_orders"] < SEAT_ORDERS:
        return False
    return _claim(place, now_ns) > tables.markets[market]["seat_floor"]


@kernel
def seat(tables: Any, market: Any, participant: Any, now_ns: Any) -> Any:
    """Give one that wants a seat a free one, or the weakest maker's if it has twice as much."""
    place = tables.participants[participant]
    count = place["bid_orders"] + place["ask_orders"]
    makers = tables.makers[market]
    weakest = -1
    least = np.inf
    for k in range(len(makers)):
        if makers[k]["participant"] < 0:
            weakest = k
            least = 0.0
            break
        if held(makers[k]) < least:
            least = held(makers[k])
            weakest = k
    tables.markets[market]["seat_floor"] = least  # still true when one with more has taken the weakest one's place
    if weakest < 0 or least >= _claim(place, now_ns):
        return
    if makers[weakest]["participant"] >= 0:
        tables.participants[makers[weakest]["participant"]]["seat"] = -1
    makers[weakest]["participant"] = participant
    makers[weakest]["usual"] = count
    makers[weakest]["renews"] = _renews(place, now_ns)
    makers[weakest]["usual_lots"] = place["bid_lots"] + place["ask_lots"]
    makers[weakest]["mean"] = 0.0
    makers[weakest]["spread2"] = 0.0
    makers[weakest]["missing"] = 0.0
    makers[weakest]["pulled_usual"] = 0.0
    makers[weakest]["pulled_spread2"] = FIRST_SPREAD2
    makers[weakest]["distance_bps"] = 0.0
    makers[weakest]["outward"] = 0.0
    makers[weakest]["outward_others"] = 0.0
    makers[weakest]["gap_ns"] = GAP_FIRST_NS
    makers[weakest]["pending_ns"] = 0
    makers[weakest]["cancel_ns"] = 0
    makers[weakest]["placed_ns"] = 0
    makers[weakest]["ahead"] = 0.5
    makers[weakest]["leapt"] = 0
    makers[weakest]["doubted_window"] = 0
    makers[weakest]["doubted"] = 0
    forget_taken(makers[weakest])
    for side in range(2):
        makers[weakest]["spare_bps"][side] = np.nan
    makers[weakest]["samples"] = 0
    makers[weakest]["present"] = 0
    makers[weakest]["count"] = count
    makers[weakest]["pulled"] = 0
    makers[weakest]["filled"] = 0
    makers[weakest]["spare_ns"] = 0
    makers[weakest]["spare"] = 0
    makers[weakest]["lent"] = 0
    makers[weakest]["moves"] = 0
    makers[weakest]["leaves"] = 0
    makers[weakest]["sweeps"] = 0
    # whoever quotes when the market is new to us was there before, however fast it is
    market_age = tables.markets[market]["head"] - tables.markets[market]["first_window"]
    makers[weakest]["stood"] = MOVES_MIN if market_age < KNOWN_SAMPLES else 0
    makers[weakest]["placed"] = 0
    makers[weakest]["corrected"] = 0
    place["seat"] = weakest

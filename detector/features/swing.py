"""Swing: how far the price went in the last half minute. A quote is far out only when it is further than that.

Where the price moves fast, mid and mark lag it, and every quote placed where the price is now looks far out: bids while
it falls, asks when it turns. That is no maker that stepped back (docs/adr/0037). A wrong mark is a swing as well: it
hides leaps until it is forgotten, and makes none.
"""

from __future__ import annotations

from typing import Any

from detector.kernels import inlined

SWING_NS = 15_000_000_000  # the range is of this long to twice as long


@inlined
def note_price(tables: Any, market: Any, slot: Any, end_ns: Any) -> None:
    """A window of `market` ended at end_ns with its book in samples[slot]: its mark, or where none is told its mid, is
    one more price of the range."""
    place = tables.markets[market]
    price = place["mark"]
    if not price > 0.0:
        price = 0.5 * (tables.samples[slot, market]["bid"] + tables.samples[slot, market]["ask"])
    if not price > 0.0:  # NaN: a side is empty
        return
    turn = end_ns // SWING_NS
    if turn != place["swing_turn"]:
        last = turn == place["swing_turn"] + 1
        place["swing_low"][1] = place["swing_low"][0] if last else price
        place["swing_high"][1] = place["swing_high"][0] if last else price
        place["swing_low"][0] = price
        place["swing_high"][0] = price
        place["swing_turn"] = turn
    place["swing_low"][0] = min(place["swing_low"][0], price)
    place["swing_high"][0] = max(place["swing_high"][0], price)


@inlined
def swing_bps(place: Any) -> Any:
    """Of a row of Tables.markets: its highest price against its lowest of the last 15 to 30 s, bps, the mark of now
    among them. 0 = no price is known."""
    low = min(place["swing_low"][0], place["swing_low"][1])
    high = max(place["swing_high"][0], place["swing_high"][1])
    if place["mark"] > 0.0:
        low, high = min(low, place["mark"]), max(high, place["mark"])
    return (high / low - 1.0) * 1e4 if low > 0.0 else 0.0

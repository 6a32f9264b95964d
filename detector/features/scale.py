"""Scale: prices and quantities as whole ticks and lots, exactly, at the finest decimals a market has shown so far.

A market begins without decimals and is made finer when a value asks for it: everything it holds is multiplied, nothing
is rounded. So one market may trade at 0.00000001 and another hold a level of 10**12 units, each in 64 bits.

What does not fit beside the rest is refused. One extreme value would so refuse all that come after it: when RESCALE_MIN
more events have been refused that fit each other than have come that fit the market's scale alone, theirs becomes the
market's (docs/adr/0050).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.features.tables import CREDITS, OVERTAKEN_MAX
from detector.kernels import inlined, kernel

TICKS_MAX = 1 << 62
RESCALE_MIN = 32
HEADROOM = 10**15  # a finer scale takes two decimals more than asked for while everything stays below this


@kernel
def _rescale_prices(tables: Any, market: Any, by: Any) -> Any:
    for run in (2 * market, 2 * market + 1):
        start = tables.runs[run]["start"]
        for at in range(start, start + tables.runs[run]["count"]):
            tables.levels[at]["key"] *= by
    if tables.markets[market]["open_orders"] > 0:
        for row in range(tables.order_use[1]):
            if tables.order_markets[row] == market:
                tables.orders[row]["price_ticks"] *= by
    index = tables.first[market]
    while index >= 0:
        tables.participants[index]["bid_price_sum"] *= by
        tables.participants[index]["ask_price_sum"] *= by
        index = tables.participants[index]["next"]
    for at in range(CREDITS):
        tables.credits[market, at]["price_ticks"] *= by
    tables.markets[market]["price_top"] *= by
    tables.markets[market]["price_scale"] *= float(by)


@kernel
def _rescale_quantities(tables: Any, market: Any, by: Any) -> Any:
    most = TICKS_MAX // by
    for run in (2 * market, 2 * market + 1):
        start = tables.runs[run]["start"]
        for at in range(start, start + tables.runs[run]["count"]):
            tables.levels[at]["qty_lots"] *= by
    if tables.markets[market]["open_orders"] > 0:
        for row in range(tables.order_use[1]):
            if tables.order_markets[row] == market:
                tables.orders[row]["qty_lots"] *= by
    index = tables.first[market]
    while index >= 0:
        tables.participants[index]["bid_lots"] *= by
        tables.participants[index]["ask_lots"] *= by
        index = tables.participants[index]["next"]
    for seat in range(tables.makers.shape[1]):
        tables.makers[market, seat]["usual_lots"] *= float(by)
    for at in range(CREDITS):
        credit = tables.credits[market, at]
        credit["lots"] = max(-most, min(most, credit["lots"])) * by
    for at in range(OVERTAKEN_MAX):
        gone = tables.overtaken[market, at]
        if gone["lots"] > 0:
            gone["lots"] = min(most, gone["lots"]) * by
    tables.markets[market]["qty_top"] *= by
    tables.markets[market]["qty_scale"] *= float(by)


_POWERS = np.array([10**decimals for decimals in range(19)])
_LARGEST = TICKS_MAX // _POWERS  # what may be multiplied by each of them


@kernel
def power(decimals: Any) -> Any:
    """10**decimals, int64, 0 <= decimals <= 18."""
    return _POWERS[decimals]


@kernel
def _finer(top: Any, value: Any, have: Any, asked: Any) -> Any:
    """Decimals a market should now have, so that `value` (with `asked` decimals) fits exactly; -1 = it cannot."""
    wanted = asked
    if wanted <= have:
        return have
    by = power(wanted - have)
    if top > (TICKS_MAX // 100) // by or abs(value) > TICKS_MAX // 100:
        return -1
    if top * by < HEADROOM // 100 and abs(value) < HEADROOM // 100:
        wanted += 2
    return wanted


@kernel
def _price_decimals(scale: Any, event: Any) -> Any:
    """Decimals of its prices once the event's is one of them; -1 = it cannot be. scale: SCALE or MARKET."""
    decimals = _finer(scale["price_top"], event["price_ticks"], scale["price_decimals"], event["price_decimals"])
    if decimals >= 0 and abs(event["price_ticks"]) > _LARGEST[decimals - event["price_decimals"]]:
        return np.int64(-1)
    return np.int64(decimals)


@kernel
def _qty_decimals(scale: Any, event: Any) -> Any:
    """The same of its quantities."""
    decimals = _finer(scale["qty_top"], event["qty_lots"], scale["qty_decimals"], event["qty_decimals"])
    if decimals >= 0 and abs(event["qty_lots"]) > _LARGEST[decimals - event["qty_decimals"]]:
        return np.int64(-1)
    return np.int64(decimals)


@kernel
def _fits(scale: Any, event: Any) -> Any:
    return _price_decimals(scale, event) >= 0 and _qty_decimals(scale, event) >= 0


@kernel
def _sums_fit(tables: Any, market: Any, price_by: Any, qty_by: Any) -> Any:
    """What levels hold and accounts have resting, sums of values that fit, still fit when multiplied by so much."""
    most_price, most_lots = TICKS_MAX // price_by, TICKS_MAX // qty_by
    for run in (2 * market, 2 * market + 1):
        start = tables.runs[run]["start"]
        for at in range(start, start + tables.runs[run]["count"]):
            if tables.levels[at]["qty_lots"] > most_lots:
                return False
    index = tables.first[market]
    while index >= 0:
        who = tables.participants[index]
        if max(who["bid_lots"], who["ask_lots"]) > most_lots:
            return False
        if max(abs(who["bid_price_sum"]), abs(who["ask_price_sum"])) > most_price:
            return False
        index = who["next"]
    return True


@inlined
def to_scale(tables: Any, event: Any, market: Any) -> Any:
    """Express the event's price and quantity in the market's own ticks and lots, making those finer when it needs it.

    False when that would not fit 64 bits: the event is refused and nothing is changed.
    """
    place = tables.markets[market]
    price_decimals = _price_decimals(place, event)
    qty_decimals = _qty_decimals(place, event)
    if price_decimals < 0 or qty_decimals < 0:
        return False
    price_by = power(price_decimals - place["price_decimals"])
    qty_by = power(qty_decimals - place["qty_decimals"])
    if (price_by > 1 or qty_by > 1) and not _sums_fit(tables, market, price_by, qty_by):
        return False
    if place["refused"] > 0 and not _fits(place["waiting"], event):
        place["refused"] -= 1
    price_finer = price_decimals - event["price_decimals"]
    qty_finer = qty_decimals - event["qty_decimals"]
    if price_by > 1:
        _rescale_prices(tables, market, price_by)
        place["price_decimals"] = price_decimals
    if qty_by > 1:
        _rescale_quantities(tables, market, qty_by)
        place["qty_decimals"] = qty_decimals
    event["price_ticks"] *= power(price_finer)
    event["qty_lots"] *= power(qty_finer)
    event["price_decimals"] = price_decimals
    event["qty_decimals"] = qty_decimals
    place["price_top"] = max(place["price_top"], abs(event["price_ticks"]))
    place["qty_top"] = max(place["qty_top"], abs(event["qty_lots"]))
    return True


@kernel
def outgrown(place: Any, event: Any) -> Any:
    """One more that was refused: whether so many fit each other that their scale is the market's. place: MARKET."""
    waiting = place["waiting"]
    if place["refused"] == 0:
        waiting["price_top"] = 0
        waiting["qty_top"] = 0
        waiting["price_decimals"] = 0
        waiting["qty_decimals"] = 0
    if not _fits(waiting, event):
        place["refused"] -= 1 if place["refused"] > 0 else 0
        return False
    decimals = _price_decimals(waiting, event)
    top = waiting["price_top"] * power(decimals - waiting["price_decimals"])
    waiting["price_top"] = max(top, abs(event["price_ticks"]) * power(decimals - event["price_decimals"]))
    waiting["price_decimals"] = decimals
    decimals = _qty_decimals(waiting, event)
    top = waiting["qty_top"] * power(decimals - waiting["qty_decimals"])
    waiting["qty_top"] = max(top, abs(event["qty_lots"]) * power(decimals - event["qty_decimals"]))
    waiting["qty_decimals"] = decimals
    place["refused"] += 1
    return place["refused"] >= RESCALE_MIN


@kernel
def begin_scale(tables: Any, market: Any) -> None:
    """The market, whose book is empty, has the scale of those that were refused; what was told in ticks or lots of the
    old one is forgotten. What makers usually quote is a mean, and is carried over."""
    place = tables.markets[market]
    before, now = place["outgrown"], place["waiting"]
    before["price_top"] = place["price_top"]
    before["qty_top"] = place["qty_top"]
    before["price_decimals"] = place["price_decimals"]
    before["qty_decimals"] = place["qty_decimals"]
    place["price_top"] = now["price_top"]
    place["qty_top"] = now["qty_top"]
    place["price_decimals"] = now["price_decimals"]
    place["qty_decimals"] = now["qty_decimals"]
    for seat in range(tables.makers.shape[1]):
        tables.makers[market, seat]["usual_lots"] *= float(power(now["qty_decimals"])) / place["qty_scale"]
    place["price_scale"] = float(power(now["price_decimals"]))
    place["qty_scale"] = float(power(now["qty_decimals"]))
    for at in range(CREDITS):
        tables.credits[market, at]["lots"] = 0
    for at in range(OVERTAKEN_MAX):
        if tables.overtaken[market, at]["lots"] > 0:
            tables.overtaken[market, at]["at_ns"] = 0
    place["refused"] = 0


@kernel
def worth(event: Any, lots: Any) -> Any:
    """Quote currency: `lots` at the event's price, in the scale it was folded in (the market's may be finer now)."""
    return (
        float(event["price_ticks"])
        / float(power(event["price_decimals"]))
        * (float(lots) / float(power(event["qty_decimals"])))
    )

"""Contributors: which accounts stand behind what is unusual. Asked when an incident is told, not per event."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from detector.features.makers import is_maker
from detector.features.seats import KNOWN_SAMPLES
from detector.features.tables import Tables
from detector.kernels import kernel
from detector.model.incident import Behind, Contributor

CONTRIBUTORS_MAX = 8
CANCELS_NS = 10e9  # decay times of the participants' own counts (features/cancels.py, features/leverage.py)
RAISES_NS = 300e9
OTHERS = "cancels_by_others"  # features/cancels.py


def contributors(tables: Tables, market: int, behind: Behind, at_ns: int, feature: str = "") -> tuple[Contributor, ...]:
    """At most CONTRIBUTORS_MAX accounts of a market by their share of recent cancels, raises or missing quotes, as
    `behind` (Detector.BEHIND) has it; none where nobody is.

    feature: what the detector says most. Where that is what others than makers cancel, makers have no part in it.
    """
    assert behind in get_args(Behind), f"BEHIND = {behind!r}: there is {', '.join(map(repr, get_args(Behind)))}"
    if not behind:
        return ()  # nobody is behind a silence
    if behind == "quotes":
        makers = tables.makers[market]
        seated = makers[makers["participant"] >= 0]
        accounts = tables.participants["account"][seated["participant"]]
        weights = seated["missing"].astype(np.float64)
        makers = np.ones(len(weights), np.bool_)
    else:
        held = int(tables.held[market])
        accounts = np.zeros(held, np.uint64)
        weights = np.zeros(held, np.float64)
        makers = np.zeros(held, np.bool_)
        _weigh(tables, market, behind == "raises", float(at_ns), accounts, weights, makers)
        if feature == OTHERS and (weights[~makers] > 0.0).any():
            weights[makers] = 0.0
    total = float(weights.sum())
    if total <= 0:
        return ()
    order = np.lexsort((accounts, -weights))[:CONTRIBUTORS_MAX]
    return tuple(
        Contributor(int(accounts[i]), float(weights[i] / total), bool(makers[i])) for i in order if weights[i] > 0
    )


@kernel
def _weigh(tables: Any, market: Any, raises: Any, at_ns: Any, accounts: Any, weights: Any, makers: Any) -> Any:
    index = tables.first[market]
    row = 0
    while index >= 0:
        who = tables.participants[index]
        accounts[row] = who["account"]
        if who["seat"] >= 0:  # a burst that moves its quotes has a seat within seconds, and is no maker for that
            maker = tables.makers[market, who["seat"]]
            makers[row] = maker["samples"] >= KNOWN_SAMPLES and is_maker(maker)
        if raises:
            weights[row] = who["raised_recent"] * np.exp(-max(0.0, at_ns - float(who["raised_ns"])) / RAISES_NS)
        else:
            weights[row] = who["cancels_recent"] * np.exp(-max(0.0, at_ns - float(who["cancels_ns"])) / CANCELS_NS)
        row += 1
        index = who["next"]

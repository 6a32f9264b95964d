"""Restarts: what a market keeps of having begun anew, until it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.kernels import kernel
from detector.model.restart import Anew, Restart

TELL_EVERY_NS = 600_000_000_000  # a market that begins anew again and again is told of at most this often

RESTART = np.dtype(
    [
        ("times", "<i4"),  # since it was last told
        ("at_ns", "<i8"),  # event time of the latest
        ("told_ns", "<i8"),  # end of the window with which it was last told
    ],
    align=True,
)

SCALE = np.dtype(  # what a market's prices and quantities are held in: MARKET has the same four (features/scale.py)
    [("price_top", "<i8"), ("qty_top", "<i8"), ("price_decimals", "i1"), ("qty_decimals", "i1")],
    align=True,
)

NEWER = {  # fields of MARKET that checkpoints of older versions may lack
    *("numbered_ns", "era_ns", "run_seq", "run", "before_seq", "renumbered"),
    *("refused", "waiting", "outgrown", "rescaled"),
}


@kernel
def note_restart(restart: Any, event_ns: Any) -> None:
    """One more, to be told as its window closes. restart: RESTART, one row."""
    restart["times"] += 1
    restart["at_ns"] = event_ns


def restarts(markets: Any, names: Sequence[str], close_ns: int) -> list[Restart]:
    """What is to be told as a window closes; it is told then. markets: MARKET (M or more); `names` are in use."""
    found = []
    rows = markets[: len(names)]
    for index in np.flatnonzero(rows["renumbered"]["times"] + rows["rescaled"]["times"]).tolist():
        place = rows[index]
        for what, name, before, after in (
            (Anew.NUMBERS, "renumbered", str(place["before_seq"]), str(place["last_seq"])),
            (Anew.SCALE, "rescaled", _shown(place["outgrown"]), _shown(place)),
        ):
            told = _taken(place[name], close_ns)
            if told:
                found.append(Restart(names[index], what, *told, before, after))
    return found


def _shown(scale: Any) -> str:
    """The largest values that came, and the decimals they are held in. scale: SCALE or MARKET."""
    each = (f"{what} up to {_largest(scale, name)}" for what, name in (("prices", "price"), ("quantities", "qty")))
    return " and ".join(each)


def _largest(scale: Any, name: str) -> str:
    decimals = int(scale[f"{name}_decimals"])
    return f"{int(scale[f'{name}_top']) / 10**decimals:.6g} in {decimals} decimals"


def _taken(restart: Any, close_ns: int) -> tuple[int, int] | None:
    """(at_ns, times) of what is due to be told; None = nothing, or one was told a moment ago."""
    if not restart["times"]:
        return None
    if restart["told_ns"] and close_ns - restart["told_ns"] < TELL_EVERY_NS:
        return None
    told = int(restart["at_ns"]), int(restart["times"])
    restart["told_ns"] = close_ns
    restart["times"] = 0
    return told


def brought_up(markets: Any, blank: Any, width_ns: int) -> Any:
    """MARKET of a checkpoint that may be of an older version: nothing it took is later than its newest window's end.
    blank: as many of which nothing is known."""
    lacking = set(blank.dtype.names or ()) - set(markets.dtype.names or ())
    if not lacking or not lacking <= NEWER:
        return markets
    for name in markets.dtype.names:
        blank[name] = markets[name]
    if "numbered_ns" in lacking:
        blank["numbered_ns"] = (blank["head"] + 1) * width_ns
    return blank

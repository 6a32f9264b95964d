"""Early: what a detector of streams makes of windows that are still open.

Counts only grow while a window is open, so a count that is too high already will be; of those that may shrink, a
detector's `foreseen` leaves out what may yet go (cancel_burst.py). What could excuse it is activity
that is yet to come: it is taken for the larger of what has been seen, stretched to the whole window, and what has been
seen with the rest of the window BUSIER times as busy as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.baseline import DISPERSION_FLOOR, FIRST_WINDOWS, Measure
from detector.model.score import Evidence, Score
from detector.model.windows import Windows

if TYPE_CHECKING:
    from detector.anomaly.streams import StreamDetector

Column = npt.NDArray[np.float64]
BUSIER = 4.0  # the rest of a window may be so much busier than usual (docs/adr: looked up in the simulated exchange)
COUNT_MIN = 10.0  # fewer than this are never told early ...
SPREADS_MIN = 5.0  # ... nor what lies less than this many of its least spreads above normal: critical asks for more


def worth_a_look(table: Any, measure: Measure) -> Column:
    """float64 (M): the count of the open windows that is worth a closer look; infinite while a stream says nothing."""
    rate = (measure.prior_n + table["learned_n"]) / (measure.prior_a + table["learned_a"])
    mu = rate * (table["a_sum"] + 0.5)
    variance = mu + DISPERSION_FLOOR * measure.dispersion * mu * mu
    spread = np.sqrt(np.maximum(0.0, variance))
    wanted = measure.unit * (mu + SPREADS_MIN * spread - table["n_sum"])
    says = (table["windows"] >= FIRST_WINDOWS) & (variance >= 0.0)  # less than nothing is expected of a broken sum
    return np.where(says, np.maximum(COUNT_MIN, wanted), np.inf)


def busier(windows: Windows, passed: float, usual: Column) -> Windows:
    """The window with as much activity as it may come to. usual: acting accounts of a window, lately."""
    seen = windows.column("acting_accounts")
    rest = (1.0 - passed) * BUSIER * usual
    return windows.with_column("acting_accounts", np.maximum(seen / passed, seen + rest))


def scores(
    twin: StreamDetector, windows: Sequence[Windows], passed: Sequence[float], rows: npt.NDArray[np.int64]
) -> tuple[Score, ...]:
    """One Score a market row. twin: knows of these rows only, and is nobody else's: scoring moves it on."""
    learn = np.zeros(len(rows), np.bool_)
    first_ns = np.zeros(len(rows), np.int64)
    for so_far, part in zip(windows, passed, strict=True):
        seen = so_far.rows(rows)
        unnamed = np.isnan(seen.column("acting_accounts"))  # counts of such feeds may shrink: a trade explains them
        score = twin.score(twin.foreseen(seen, part), learn, ())
        score.values[unnamed] = np.nan
        first_ns[(first_ns == 0) & (score.values >= score.levels[0])] = score.close_ns
    return tuple(_one(score, row, int(first_ns[row]) or score.close_ns) for row in range(len(rows)))


def _one(score: Score, row: int, close_ns: int) -> Score:
    """One market's score of several."""
    one = slice(row, row + 1)

    def explain(index: int) -> tuple[Evidence, ...]:
        return score.explain(row)

    return replace(
        score,
        close_ns=close_ns,
        markets=score.markets[one],
        values=score.values[one],
        levels=score.levels[:, one],
        every_s=score.every_s[one],
        warming=score.warming[one],
        surprises=score.surprises[one],
        residuals=score.residuals[one],
        explain=explain,
    )

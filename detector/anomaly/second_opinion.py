"""Second opinion: another school's view of an incident, shown beside ours. It never opens, raises or hides anything.

ECOD (Li et al., TKDE 2022; PyOD's) ranks the residuals of now among those of the market's last hour and forty
minutes. Estimators of this kind cost milliseconds a row and know no time, so one is asked when an incident is told, in
one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.model.arrays import widen
from detector.model.incident import Opinion
from detector.model.score import Score
from detector.model.state import State

ROWS = 600
EVERY_WINDOWS = 10  # neighbouring windows say nearly the same
ROWS_MIN = 60
AGREES_RANK = 6  # among the most unusual hundredth of ROWS
METHOD = "ECOD"


class SecondOpinion:
    """Keeps residual rows float32 (M, ROWS, S) of all detectors' streams; NaN = cannot say."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._rows: Any = np.zeros((0, ROWS, 0), np.float32)
        self._windows = 0

    def note(self, scores: Sequence[Score], learn: npt.NDArray[np.bool_]) -> None:
        """One more window; every tenth is kept, where the market is in its normal state."""
        self._windows += 1
        if self._windows % EVERY_WINDOWS or not scores:
            return
        names = tuple(f"{score.detector}.{stream}" for score in scores for stream in score.streams)
        count = len(learn)
        if names != self._names:
            self._names = names
            self._rows = np.full((0, ROWS, len(names)), np.nan, np.float32)
        if count > len(self._rows):
            self._rows = widen(self._rows, 0, max(16, count, 2 * len(self._rows)), np.nan)
        residuals = np.concatenate([score.residuals for score in scores], axis=1)
        place = (self._windows // EVERY_WINDOWS) % ROWS
        self._rows[:count, place] = np.where(learn[:, None], residuals, np.nan)

    def ask(self, index: int, scores: Sequence[Score]) -> Opinion | None:
        """How unusual market row `index` is now, by ECOD; None while too little of it is known."""
        if index >= len(self._rows):
            return None
        now = np.concatenate([score.residuals[index] for score in scores])
        said = ~np.isnan(now)
        rows = self._rows[index][:, said]
        rows = rows[~np.isnan(rows).any(axis=1)]
        if len(rows) < ROWS_MIN or not said.any():
            return None
        ecod: Any = _ecod()
        ecod.fit(np.concatenate((rows, now[said][None, :])).astype(np.float64))
        ranked: Any = ecod.decision_scores_
        rank = 1 + int((ranked[:-1] > ranked[-1]).sum())
        return Opinion(METHOD, rank, len(ranked), rank <= AGREES_RANK)

    def state(self) -> State:
        """For a checkpoint."""
        return {"names": list(self._names), "rows": self._rows, "windows": self._windows}

    def restore(self, state: State) -> None:
        """From a checkpoint."""
        names = state["names"]
        assert isinstance(names, list)
        self._names = tuple(str(name) for name in names)
        self._rows = np.array(state["rows"])
        self._windows = int(str(state["windows"]))


def load() -> None:
    """Import PyOD now (seconds, a quarter of a gigabyte), not when the first incident is told. In any thread: whoever
    asks meanwhile waits for the import that is under way."""
    _ecod()


def _ecod() -> Any:
    from pyod.models.ecod import ECOD  # type: ignore[import-untyped]

    make: Any = ECOD
    return make()

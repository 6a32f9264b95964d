"""What a detector is: it reads features of closed windows and says how unusual they are, and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detector.model.incident import Behind
from detector.model.score import Score
from detector.model.state import State
from detector.model.windows import Windows


class Detector(ABC):
    """One file, one class named after it, one typed, frozen `Params`; vectorised over markets.

    It scores first and learns after, and learns nothing of a market where `learn` is False (an incident is open, a
    planned phase, a half-seen window). Everything it knows is in arrays with markets along the first axis.
    """

    name: ClassVar[str]  # of its file, here: nobody writes it
    Params: ClassVar[type[Any]]
    # of the budget, against the other detectors' shares, unless the configuration says. It is taken from theirs, so an
    # added detector begins with little
    SHARE: ClassVar[float] = 0.1
    PAGES: ClassVar[bool] = True  # False: it never reaches warning, and takes no part of the budget from those that do
    BEHIND: ClassVar[Behind] = ""  # whom an alert names: "cancels", "raises" or "quotes"; "" = nobody
    GROWS: ClassVar[tuple[str, ...]] = ()  # features whose growth inside an open window is looked at (engine/early.py)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        room, _, file = cls.__module__.rpartition(".")
        if room == __package__:  # a variant of it made elsewhere keeps its name
            cls.name = file

    @abstractmethod
    def score(self, windows: Windows, learn: npt.NDArray[np.bool_], before: Sequence[Score]) -> Score:
        """Score of every market (M) in this window; windows come in order, one call each.

        before: what the detectors ahead of this one said of the same window (only `joint` and `drift` read it).
        """

    def early_from(self, markets: int) -> npt.NDArray[np.float64]:
        """float64 (len(GROWS), M): so much of each in the open windows is worth a closer look."""
        return np.full((len(self.GROWS), markets), np.inf)

    def early(
        self, windows: Sequence[Windows], passed: Sequence[float], rows: npt.NDArray[np.int64]
    ) -> tuple[Score, ...]:
        """A Score for each market row, as if its open windows (`passed`: the part of each that is over) ended now.
        Learns nothing and changes nothing."""
        return ()

    def relearn(self, market: int, stream: str) -> None:  # noqa: B027 - most detectors have nothing to forget
        """What is normal in `stream` of this market row has moved: forget some of what was. Default: nothing to do."""

    @abstractmethod
    def state(self) -> State:
        """For a checkpoint."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """From a checkpoint."""


def score_all(detectors: Sequence[Detector], windows: Windows, learn: npt.NDArray[np.bool_]) -> tuple[Score, ...]:
    """Every detector's say of one window, each told what those ahead of it said; what has moved is then relearned."""
    scores: tuple[Score, ...] = ()
    for detector in detectors:
        scores = (*scores, detector.score(windows, learn, scores))
    for market, moved in [one for score in scores for one in score.moved]:
        name, _, stream = moved.partition(".")
        for detector in detectors:
            if detector.name == name:
                detector.relearn(market, stream)
    return scores

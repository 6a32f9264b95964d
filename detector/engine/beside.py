"""Beside: what an alert says beside its evidence, from the same windows: circumstances, and a second opinion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from detector.anomaly.circumstances import Circumstances
from detector.anomaly.second_opinion import SecondOpinion
from detector.model.incident import Incident, Reason
from detector.model.score import Score
from detector.model.state import State
from detector.model.windows import Windows


class Beside:
    """Neither opens, raises or hides anything; either may be left out."""

    def __init__(self, circumstances: Circumstances | None = None, second_opinion: SecondOpinion | None = None) -> None:
        self.circumstances = circumstances
        self.second_opinion = second_opinion

    def see(self, windows: Windows) -> None:
        """A window is closed; what is told of it comes next."""
        if self.circumstances is not None:
            self.circumstances.see(windows)

    def more(self, incident: Incident, index: int, scores: Sequence[Score]) -> Incident:
        """The incident with what else is unusual in market row `index` (the strongest one), and, where it is news, with
        another method's view of it."""
        if self.circumstances is not None:
            incident = replace(incident, context=self.circumstances.tell(index))
        if self.second_opinion is not None and incident.reason in (Reason.OPENED, Reason.ESCALATED):
            incident = replace(incident, second_opinion=self.second_opinion.ask(index, scores))
        return incident

    def learn(self, scores: Sequence[Score], learn: npt.NDArray[np.bool_]) -> None:
        """What was seen, where a market is in its normal state."""
        if self.circumstances is not None:
            self.circumstances.learn(learn)
        if self.second_opinion is not None:
            self.second_opinion.note(scores, learn)

    def state(self) -> State:
        """For a checkpoint."""
        return {
            "circumstances": dict(self.circumstances.state()) if self.circumstances is not None else None,
            "second_opinion": dict(self.second_opinion.state()) if self.second_opinion is not None else None,
        }

    def restore(self, state: State) -> None:
        """From a checkpoint; what was not saved begins anew."""
        for part, saved in (
            (self.circumstances, state["circumstances"]),
            (self.second_opinion, state["second_opinion"]),
        ):
            if part is not None and isinstance(saved, dict):
                part.restore(saved)

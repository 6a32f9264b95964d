"""Telling: what a step says, in the order in which it is known, and the audit that hears all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from detector.incidents.audit import Audit, Finding, Standing
from detector.model.alert import Alert
from detector.model.incident import Incident
from detector.model.state import State
from detector.model.windows import Windows


class Telling:
    """alert, word: an Incident, an audit's Finding as the object that travels. audit: None = nobody counts."""

    def __init__(
        self,
        alert: Callable[[Incident], Alert],
        audit: Audit | None = None,
        word: Callable[[Finding], Alert] | None = None,
    ) -> None:
        assert audit is None or word is not None, "an audit that nobody can put into words"
        self.audit = audit
        self._alert = alert
        self._word = word
        self._alerts: list[Alert] = []
        self._incidents: list[Incident] = []

    def tell(self, incidents: Sequence[Incident]) -> None:
        """Transitions of incidents."""
        if incidents:
            self._incidents.extend(incidents)
            self._alerts.extend(map(self._alert, incidents))
            if self.audit is not None:
                self.audit.take(incidents)

    def close(self, windows: Windows) -> None:
        """A window's incidents are told."""
        if self.audit is not None and self._word is not None:
            watched = int(np.count_nonzero(windows.normal))
            self._alerts.extend(map(self._word, self.audit.close(windows.close_ns, windows.width_ns, watched)))

    def taken(self) -> tuple[tuple[Alert, ...], tuple[Incident, ...]]:
        """All since the last time it was asked."""
        alerts, incidents = tuple(self._alerts), tuple(self._incidents)
        self._alerts.clear()
        self._incidents.clear()
        return alerts, incidents

    def standings(self) -> tuple[Standing, ...]:
        """Each promise as it stands."""
        return self.audit.standings() if self.audit is not None else ()

    def state(self) -> State | None:
        """For a checkpoint: between two steps nothing waits to be told."""
        return self.audit.state() if self.audit is not None else None

    def restore(self, state: State) -> None:
        """From a checkpoint."""
        if self.audit is not None:
            self.audit.restore(state)

"""Telling: what a step says, in the order in which it is known; the audit that hears all of it; and of clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np

from detector.incidents.audit import Audit, Finding, Standing
from detector.incidents.lateness import Lateness, WrongClock
from detector.model.alert import Alert
from detector.model.incident import Incident
from detector.model.restart import Restart
from detector.model.state import State, Tree
from detector.model.windows import Windows


class Telling:
    """alert, anew, word, clock_word: an Incident, a Restart, an audit's Finding, a WrongClock as the object that
    travels. audit: None = nobody counts."""

    def __init__(
        self,
        alert: Callable[[Incident], Alert],
        anew: Callable[[Restart], tuple[Alert, ...]],
        audit: Audit | None = None,
        word: Callable[[Finding], Alert] | None = None,
        clock_word: Callable[[WrongClock], tuple[Alert, ...]] | None = None,
    ) -> None:
        assert audit is None or word is not None, "an audit that nobody can put into words"
        self.audit = audit
        self._alert = alert
        self._anew = anew
        self._word = word
        self._clock_word = clock_word
        self._lateness = Lateness()
        self._alerts: list[Alert] = []
        self._incidents: list[Incident] = []

    def tell(self, incidents: Sequence[Incident]) -> None:
        """Transitions of incidents."""
        if incidents:
            self._incidents.extend(incidents)
            self._alerts.extend(map(self._alert, incidents))
            if self.audit is not None:
                self.audit.take(incidents)

    def begun_anew(self, restarts: Sequence[Restart]) -> None:
        """Markets whose feed did: the audit counts pages about the exchange, and these are about its feed."""
        self._alerts.extend(chain.from_iterable(map(self._anew, restarts)))

    def close(self, windows: Windows) -> None:
        """A window's incidents are told."""
        if self.audit is not None and self._word is not None:
            watched = int(np.count_nonzero(windows.normal))
            self._alerts.extend(map(self._word, self.audit.close(windows.close_ns, windows.width_ns, watched)))

    def clocks(self, close_ns: int, counts: Mapping[str, int]) -> None:
        """A window closed, and so many events, late and skewed ones were counted since the log began."""
        self._tell_clock(self._lateness.close(close_ns, counts["events"], counts["late"], counts["skewed"]))

    def went_back(self, to_ns: int, back_ns: int) -> None:
        """A lane's log goes on at to_ns, back_ns earlier than it was."""
        self._tell_clock((WrongClock(to_ns, to_ns, firing=False, back_ns=back_ns),))

    def _tell_clock(self, found: Sequence[WrongClock]) -> None:
        if self._clock_word is not None:
            self._alerts.extend(chain.from_iterable(map(self._clock_word, found)))

    def taken(self) -> tuple[tuple[Alert, ...], tuple[Incident, ...]]:
        """All since the last time it was asked."""
        alerts, incidents = tuple(self._alerts), tuple(self._incidents)
        self._alerts.clear()
        self._incidents.clear()
        return alerts, incidents

    def standings(self) -> tuple[Standing, ...]:
        """Each promise as it stands."""
        return self.audit.standings() if self.audit is not None else ()

    def state(self) -> dict[str, Tree]:
        """For a checkpoint: between two steps nothing waits to be told."""
        audit = self.audit.state() if self.audit is not None else None
        return {"audit": audit, "lateness": dict(self._lateness.state())}

    def restore(self, state: State) -> None:
        """From a checkpoint, or one of a version that had no eye on clocks: it begins to look now."""
        audit, lateness = state.get("audit"), state.get("lateness")
        if self.audit is not None and isinstance(audit, dict):
            self.audit.restore(audit)
        if isinstance(lateness, dict):
            self._lateness.restore(lateness)

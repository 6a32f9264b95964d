"""Health: what is well and what is not, as facts with a sentence each. The page and systemd read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. why: the sentence for a tired person when it does not."""

    name: str
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """live: a restart would not help; started: state is restored and the source open; ready: all checks hold.
    progress: how far it has come."""

    live: bool
    started: bool
    checks: tuple[Check, ...] = ()
    progress: Mapping[str, int | float | str | None] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return self.started and all(check.ok for check in self.checks)

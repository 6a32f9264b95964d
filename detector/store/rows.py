"""What goes into the store and comes out of it, and what can go wrong there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detector.model.events import Reject

Partition = tuple[str, int]

SEVERITIES = {"info": 1, "warning": 2, "critical": 3}


class StoreError(Exception):
    """The state file cannot be used now. Nothing of the transaction was kept; trying again later may help."""


class StoreFull(StoreError):
    """No space left where the state file is. The file is intact and works again once there is space."""


class StoreUnusable(StoreError):
    """Trying again will not help: damaged while in use, written by a newer program, or in use by another one."""


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident as it was last told: `body` is the alert's data as JSON."""

    incident_id: str
    seq: int
    status: str
    severity: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """One alert for one destination, not yet in the outbox. `key` and `destination` together are its identity."""

    key: str
    destination: str
    incident_id: str
    seq: int
    severity: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What becomes durable at once, or not at all.

    state       a snapshot (store/snapshot.py); None = this commit brings only small rows
    positions   next offset per partition that `state` has not folded: given exactly when `state` is
    logs        what tells the log that a position is of apart from others of its name, where that is known
    """

    at_s: float
    state: bytes | None = None
    positions: Mapping[Partition, int] = field(default_factory=dict)
    config_rev: str = ""
    incidents: tuple[IncidentRow, ...] = ()
    letters: tuple[Letter, ...] = ()
    rejects: tuple[Reject, ...] = ()
    logs: Mapping[Partition, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.state is not None or not self.positions, (
            "offsets are only true together with the state they belong to"
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A letter in the outbox. status: pending, delivered, dead."""

    key: str
    destination: str
    incident_id: str
    seq: int
    severity: str
    body: bytes
    status: str
    attempts: int
    created_s: float
    due_s: float
    why: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A letter that nobody will get, and why."""

    destination: str
    incident_id: str
    severity: str
    why: str


@dataclass(frozen=True, slots=True)
class OutboxCount:
    """Of one destination. oldest_s: when its oldest pending letter was written, 0 = none pending."""

    pending: int
    delivered: int
    dead: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record nobody could read, where it stood and when it was met."""

    reject: Reject
    at_s: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Made once with the state file. The same for its whole life: digests and pseudonyms stay comparable."""

    digest_key: tuple[int, int]
    pseudonym_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """What was found at start. moved_aside: the damaged file's new name; why: what was wrong with it."""

    moved_aside: str = ""
    why: str = ""
    created: bool = False

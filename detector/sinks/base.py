"""What a sink is: one way to tell somebody. It says whether a retry helps; only daemon/delivery waits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

from detector.model.alert import Alert


class Delivery(StrEnum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`retry_after_s` is what the other side asked for; `why` is for the log and never holds a secret."""

    delivery: Delivery
    why: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """One alert for one destination: `key` is its identity on every attempt, `body` the JSON of the contract."""

    key: str
    incident_id: str
    severity: str
    body: bytes


class Sink(ABC):
    """One destination, named in the configuration."""

    def __init__(self, name: str) -> None:
        self.name = name

    def wants(self, alert: Alert) -> bool:
        """Whether it is told of this one at all. Asked before a letter is written: what is left out waits nowhere, and
        no letter that was never sent makes a destination seem well."""
        return True

    async def start(self) -> None:  # noqa: B027  most sinks open nothing
        """Open what stays open."""

    @abstractmethod
    async def send(self, parcel: Parcel) -> Outcome:
        """One attempt. Raises nothing: a failure is an Outcome."""

    async def reach(self) -> str:
        """Why it cannot be told of anything now, in the words of `send`; '' = nothing is known to stand against it.
        Tells nobody anything. Between start and close; raises nothing."""
        return ""

    async def close(self) -> None:  # noqa: B027
        """Close what was opened."""

"""What every sink stands on that speaks another service's format: an alert in, that service's JSON out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from detector.sinks.base import Delivery, Outcome, Parcel
from detector.sinks.http import HttpSink
from detector.sinks.reading import HEARTBEAT, Letter, Told

REFUSED = frozenset({400, 413, 422})  # this letter, and not the door: another one may well pass


class Hidden:
    """A key or token. Its repr, str and errors never show it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """For the request itself, nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Hidden(***)"


class ForeignSink(HttpSink):
    """A subclass says what becomes of an alert (`message`), which alerts it leaves out (`wants`), what an answer means
    here (`MEANS`) and whether it has a use for heartbeats."""

    MEANS: ClassVar[Mapping[int, str]] = {}
    HEARTBEATS: ClassVar[bool] = False

    @abstractmethod
    def message(self, letter: Letter, told: Told) -> object:
        """What is POSTed, before it is JSON."""

    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {"Content-Type": "application/json"}

    def request(self, parcel: Parcel) -> tuple[Mapping[str, str], bytes]:
        letter = _letter(parcel)
        return self.headers(), msgspec.json.encode(self.message(letter, letter.told()))

    async def send(self, parcel: Parcel) -> Outcome:
        try:
            letter = _letter(parcel)
            letter.told()
        except msgspec.MsgspecError:
            return Outcome(Delivery.REJECTED, "not an alert's JSON")
        if letter.type == HEARTBEAT and not self.HEARTBEATS:
            return Outcome(Delivery.REJECTED, "it has no use for heartbeats")
        return await super().send(parcel)

    def judge(self, status: int, headers: Mapping[str, str]) -> Outcome:
        """What no letter is to blame for is tried again until it is too old: a channel is unarchived, a key is put
        right. So nothing here is GONE, which would switch the destination off until the next start."""
        why = f"answered {status}" + (f": {self.MEANS[status]}" if status in self.MEANS else "")
        if status in REFUSED:
            return Outcome(Delivery.REJECTED, why)
        outcome = super().judge(status, headers)
        if outcome.delivery is Delivery.REJECTED or (outcome.delivery is Delivery.RETRY and status in self.MEANS):
            return Outcome(Delivery.RETRY, why, outcome.retry_after_s)
        return outcome


def _letter(parcel: Parcel) -> Letter:
    return msgspec.json.decode(parcel.body, type=Letter)

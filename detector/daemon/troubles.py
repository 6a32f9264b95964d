"""Troubles: what on-call is told of the daemon itself: that it is unwell, and well again; what was given up or lost."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from detector.daemon import notices
from detector.daemon.delivery import Delivery
from detector.daemon.ledger import Ledger, letters, undurable
from detector.model.alert import Alert
from detector.model.incident import Severity
from detector.sinks.base import Delivery as Result
from detector.sinks.base import Outcome
from detector.sources.positions import Notice, NoticeKind
from detector.store.rows import GivenUp, Letter, StoreError
from detector.store.store import Store

NOTICE_EVERY_S = 600.0  # a trouble that comes and goes is told again at most this often
LOST_EVERY_S = 60.0  # alerts that were given up: told together at most this often ...
LOST_MAX = 10_000  # ... of one destination; more of them are counted and not looked at
NAMED_MAX = 10  # incidents in one sentence
PUT_AGAIN_S = 10.0  # neither the disk nor the destination took a word about ourselves
UNREAD = (NoticeKind.TRUNCATED, NoticeKind.HELD)  # a partition that nobody reads until somebody decides
LOST = "lost_"

log = structlog.get_logger()


class House(Protocol):
    """The service, as it is seen from here."""

    store: Store
    delivery: Delivery
    ledger: Ledger

    def spawn(self, work: Any) -> None: ...


@dataclass(slots=True)
class Trouble:
    """One, as it is and as on-call knows it. began: wall-clock seconds, part of its name; told_s: monotonic seconds."""

    without: str = ""  # a destination that is not told
    why: str = ""
    firing: bool = False
    began: int = 0
    severity: str = ""
    title: str = ""
    told_s: float = -math.inf


class Troubles:
    """`trouble` says how something stands, `lost` and `tell` what has happened; `look` says what on-call must know by
    now. What fires is saved with the words that say so, and goes on under its name after a restart."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._known: dict[str, Trouble] = {}
        self._lost: dict[str, list[GivenUp]] = {}  # by destination, not told yet
        self._told_lost: dict[str, float] = {}  # monotonic seconds
        self._noticed: dict[str, float] = {}  # place in the log -> when it was told, monotonic seconds

    def recall(self, told: bytes) -> None:
        """What was firing when the last process ended, as `Store.told_troubles` has it. What another version wrote in
        another way is forgotten, and said: no reason not to start."""
        try:
            firing = msgspec.json.decode(told or b"{}", type=dict[str, tuple[str, str, int, str, str]])
        except msgspec.MsgspecError as error:
            log.error("what was told of ourselves before cannot be read; close by hand what is open", why=str(error))
            return
        for what, (without, why, began, severity, title) in firing.items():
            self._known[what] = Trouble(without, why, True, began, severity, title)

    def destinations(self) -> Collection[str]:
        """Those that on-call believes to be in trouble."""
        return {known.without for known in self._known.values() if known.firing and known.without}

    def destination(self, name: str, why: str) -> None:
        """Delivery's word that a destination is in trouble (or, with '', well again)."""
        self.trouble(f"destination_{name}", why, without=name)

    def trouble(self, what: str, why: str, *, without: str = "") -> None:
        """Tell on-call that the daemon itself is unwell, or well again: a change, once, past `without`."""
        known = self._known.setdefault(what, Trouble(without))
        known.why = why
        self._catch_up(what, known)

    def lost(self, destination: str, given_up: Sequence[GivenUp]) -> None:
        """Alerts that a destination will never get: said soon, and some together."""
        waiting = self._lost.setdefault(destination, [])
        waiting += given_up[: LOST_MAX - len(waiting)]

    def look(self) -> None:
        """Once a second."""
        now_s = time.monotonic()
        for what, known in list(self._known.items()):
            if what.startswith(LOST) and now_s - known.told_s >= NOTICE_EVERY_S:
                known.why = ""  # it has happened, and was told
            self._catch_up(what, known)
            if what.startswith(LOST) and not known.firing:
                del self._known[what]
        for name, waiting in self._lost.items():
            if waiting and now_s - self._told_lost.get(name, -math.inf) >= LOST_EVERY_S:
                self._told_lost[name] = now_s
                self._tell_lost(name, waiting)
                waiting.clear()

    def tell(self, notice: Notice) -> None:
        """What an operator must know of the log: records lost, a topic made anew. Told once for each place."""
        where = f"{notice.kind}_{notice.topic}_{notice.partition}"
        now_s = time.monotonic()
        if notice.kind is NoticeKind.FALLBACK or now_s - self._noticed.get(where, -math.inf) < NOTICE_EVERY_S:
            return
        now = time.time()
        self._noticed[where] = now_s
        title, name = f"foreshock: {notice.kind} on {notice.topic}/{notice.partition}", f"{where}_{notice.from_offset}"
        written: list[Letter] = []
        severity = (Severity.CRITICAL if notice.kind in UNREAD else Severity.WARNING).label
        # it is over when it is told; but receivers drop an end that nothing began
        for seq, firing in ((1, True), (2, False)):
            alert = notices.degraded(
                name, now, title, notice.detail, firing=firing, seq=seq, severity=severity, momentary=True
            )
            written += letters(alert, self._house.ledger.route(alert))
        self._house.spawn(self._put(written, now))

    def _tell_lost(self, name: str, given_up: Sequence[GivenUp]) -> None:
        """As urgent as the worst of them."""
        incidents = list(dict.fromkeys(letter.incident_id for letter in given_up))
        more = f" and {len(incidents) - NAMED_MAX} more" if len(incidents) > NAMED_MAX else ""
        reasons = list(dict.fromkeys(letter.why for letter in given_up))
        why = (
            f"{len(given_up)} alerts will not reach it ({'; '.join(reasons[:3])}). They are of "
            f"{', '.join(incidents[:NAMED_MAX])}{more}; `foreshock outbox ls` lists them"
        )
        worst = "critical" if any(letter.severity == "critical" for letter in given_up) else "warning"
        known = Trouble("", why, severity=worst, title=f"alerts for {name} were given up")
        what = f"{LOST}{name}_{int(time.time() * 1000)}"
        self._known[what] = known
        self._catch_up(what, known)

    def _catch_up(self, what: str, known: Trouble) -> None:
        """Say what on-call does not know. What came back in its quiet time waits, and is told if it lasts."""
        firing, now_s = bool(known.why), time.monotonic()
        if firing == known.firing or (firing and now_s - known.told_s < NOTICE_EVERY_S):
            return
        now = time.time()
        known.firing, known.told_s = firing, now_s
        known.began = int(now) if firing else known.began
        known.severity = known.severity or self._grade(what, known.without)
        title = known.title or f"{what.replace('_', ' ')} " + ("in trouble" if firing else "well again")
        text = notices.meaning(what, known.why)
        alert = self._alert(what, known, now, title, text, known.severity)
        names = [name for name in self._house.ledger.route(alert) if name != known.without]
        self._house.spawn(self._put(letters(alert, names), now))

    def _alert(self, what: str, known: Trouble, at_s: float, title: str, text: str, severity: str) -> Alert:
        called = what if what.startswith(LOST) else f"{what}_{known.began}"
        return notices.degraded(
            called, at_s, f"foreshock: {title}", text,
            firing=known.firing, seq=1 if known.firing else 2, severity=severity,
        )  # fmt: skip

    def _grade(self, what: str, without: str) -> str:
        """A destination's as urgent as the least that it is there for: who else takes that takes its place."""
        for severity in Severity if without else ():
            asked = self._alert(what, Trouble(firing=True), 0.0, "", "", severity.label)
            if without in self._house.ledger.route(asked):
                return max(severity, Severity.WARNING).label
        return notices.severity(what).label

    def _remembered(self) -> bytes:
        firing = {what: known for what, known in self._known.items() if known.firing}
        return msgspec.json.encode(
            {what: (k.without, k.why, k.began, k.severity, k.title) for what, k in firing.items()}
        )

    async def _put(self, written: Sequence[Letter], at_s: float) -> None:
        """Or past the outbox while the disk takes nothing, until either has it: that very word may be what is told."""
        house = self._house
        while True:
            try:
                await house.store.put(written, at_s, troubles=self._remembered())
                house.delivery.wake()
                return
            except StoreError:
                send = house.delivery.send_now
                answers = await asyncio.gather(*(send(undurable(one), [one.destination]) for one in written))
            written = [one for one, answer in zip(written, answers, strict=True) if _again(answer)]
            if not written:
                return
            await asyncio.sleep(PUT_AGAIN_S)


def _again(answer: Mapping[str, Outcome]) -> bool:
    return any(outcome.delivery is Result.RETRY for outcome in answer.values())

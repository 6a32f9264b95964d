"""Receiver: the other end of a webhook, to copy. Verifies, handles, and only then remembers; says 200 to what it knows.

What to take from here is `take`; docs/webhooks.md says what a receiver may rely on. A receiver that keeps what it
handled writes down `_seen` and the newest word of each incident with it, in one transaction: here both are in memory,
and after a restart what comes again is taken for new.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import msgspec
from aiohttp import web

from detector.sinks.signature import Secret, Verdict, verify

SEEN_MAX = 10_000  # webhook-ids remembered; one that comes again after more than this many others is taken for new
# incidents whose newest word is remembered. At it those that ended go first, then those unheard of longest: the next
# word of such a one opens it again, and one that was overtaken on its way is acted on.
INCIDENTS_MAX = 10_000
BODY_BYTES_MAX = 64 << 10  # an alert has 20 kB


class Act(StrEnum):
    """What a word asks of whoever keeps incidents: decided by its status, never by its type. What is heard of first may
    be an escalation, and what was resolved may fire again under its id."""

    OPEN = "open"
    UPDATE = "update"
    CLOSE = "close"
    NOTHING = "nothing open"  # over, and not open here: a heartbeat, or an end whose beginning never came


class Data(msgspec.Struct, frozen=True):
    """Of the contract's `data`, what it takes to keep incidents; the rest is the receiver's own affair."""

    incident_id: str
    seq: int
    status: Literal["firing", "resolved"]
    severity: str
    title: str


class Alert(msgspec.Struct, frozen=True):
    """The body. Fields that are not named here are ignored."""

    type: str
    timestamp: str
    data: Data


@dataclass(frozen=True, slots=True)
class Word:
    """An alert that is genuine, new, and not older than what was handled of its incident."""

    key: str  # webhook-id
    act: Act
    alert: Alert
    body: bytes


class Receiver:
    """`foreshock webhook listen`. handle(word) is called once for each word, one at a time; what it raises is answered
    500, and the word comes again. say(line) is told of everything else that comes."""

    def __init__(
        self,
        secrets: Sequence[str],
        handle: Callable[[Word], object],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        """secrets: every one that is valid now. ValueError with a sentence when one cannot be."""
        self._secrets = tuple(Secret(text) for text in secrets)
        self._handle = handle
        self._clock = clock
        self._say = say
        self._host, self.port = host, port
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._firing: OrderedDict[str, int] = OrderedDict()  # newest seq handled, by incident
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._runner: web.AppRunner | None = None
        self.handled = 0
        self.again = 0  # alerts that came another time
        self.late = 0  # older than what was handled of their incident
        self.refused = 0

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        return f"http://{self._host}:{self.port}/"

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """The answer's status, and why. headers: their names in lower case, or in a mapping that does not care."""
        verdict = verify(self._secrets, headers, body, self._clock())
        if verdict is not Verdict.GENUINE:
            self.refused += 1
            return 401, f"refused: {verdict}"  # and not 400: with a key that is put right it comes again
        key = headers["webhook-id"]
        try:
            alert = msgspec.json.decode(body, type=Alert)
        except msgspec.MsgspecError:
            self.refused += 1
            return 400, f"refused: {key}: genuine, but no alert: {len(body)} bytes"  # it would be none the next time
        if key in self._seen:
            self.again += 1
            return 200, f"again: {key}"
        incident_id, seq = alert.data.incident_id, alert.data.seq
        if seq < self._firing.get(incident_id, self._ended.get(incident_id, seq)):
            self.late += 1
            return 200, f"late: {key}: something newer of its incident is known"
        # before anything is remembered: what fails here must come again
        self._handle(Word(key, self._act(alert.data), alert, body))
        self._remember(key, alert.data)
        self.handled += 1
        return 200, ""

    async def start(self) -> None:
        """Listen. OSError when the port is taken."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self.port).start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _receive(self, request: web.Request) -> web.Response:
        # nothing waits between looking and remembering: the same letter twice at once is handled once
        status, line = self.take(request.headers, await request.read())
        if line:
            self._say(line)
        return web.Response(status=status, text=f"{line}\n" if line else "taken\n")

    def _act(self, data: Data) -> Act:
        is_open = data.incident_id in self._firing
        if data.status == "firing":
            return Act.UPDATE if is_open else Act.OPEN
        return Act.CLOSE if is_open else Act.NOTHING

    def _remember(self, key: str, data: Data) -> None:
        self._seen[key] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        for known in (self._firing, self._ended):
            known.pop(data.incident_id, None)
        (self._firing if data.status == "firing" else self._ended)[data.incident_id] = data.seq
        if len(self._firing) + len(self._ended) > INCIDENTS_MAX:
            (self._ended or self._firing).popitem(last=False)

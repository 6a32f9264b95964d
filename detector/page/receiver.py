"""Receiver: the other end of a webhook, to copy. Verifies, says 200, and does a thing once for each webhook-id."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from aiohttp import web

from detector.sinks.signature import Secret, Verdict, verify

SEEN_MAX = 10_000  # webhook-ids remembered; one that comes again after more than this many others is taken for new
BODY_BYTES_MAX = 64 << 10


class Receiver:
    """`foreshock webhook listen`. taken(key, body) is called once for each alert that is genuine and new.

    Answers 200 also to an alert it has seen: the sender only wants to know that it arrived.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        taken: Callable[[str, bytes], object],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """secrets: every one that is valid now. ValueError with a sentence when one cannot be."""
        self._secrets = tuple(Secret(text) for text in secrets)
        self._taken = taken
        self._clock = clock
        self._host, self.port = host, port
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._runner: web.AppRunner | None = None
        self.again = 0  # alerts that came another time
        self.refused = 0

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        return f"http://{self._host}:{self.port}/"

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
        body = await request.read()
        verdict = verify(self._secrets, request.headers, body, self._clock())
        if verdict is not Verdict.GENUINE:
            self.refused += 1
            return web.Response(status=400 if verdict is Verdict.INCOMPLETE else 401, text=f"{verdict}\n")
        key = request.headers["webhook-id"]
        if key in self._seen:
            self.again += 1
            return web.Response(text="seen\n")
        self._taken(key, body)  # before it is remembered: what fails here must come again
        self._seen[key] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return web.Response(text="taken\n")

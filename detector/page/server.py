"""Server: health and metrics over HTTP, behind the checks that every route of the page shares."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from detector.daemon.health import Health
from detector.page.connections import BACKLOG, Connections

REQUEST_BYTES_MAX = 64 << 10
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?")
CLOSE_S = 2.0  # open connections are given this long at the end
OPEN_PATHS = frozenset(
    {"/livez", "/readyz", "/startupz", "/-/healthy", "/-/ready"}
)  # no token: they say only yes or no
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "foreshock",
}

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """port 0 = any free one. hosts: further names it may be called by. token: what every request but health must carry,
    '' = none. insecure_bind: the operator has said that others may read this without one."""

    host: str = "127.0.0.1"
    port: int = 9464
    hosts: Sequence[str] = ()
    token: str = field(default="", repr=False)
    insecure_bind: bool = False


class Server:
    """`app` may be given further routes before `start`. ValueError with a sentence when it would be open to all."""

    def __init__(self, health: Callable[[], Health], registry: CollectorRegistry, settings: ServerSettings) -> None:
        if not _is_loopback(settings.host) and not settings.token and not settings.insecure_bind:
            raise ValueError(
                f"{settings.host} can be reached by others: bind to 127.0.0.1, set a token, or say --insecure-bind"
            )
        self.settings = settings
        self.port = settings.port
        self.app = web.Application(middlewares=[self._guarded], client_max_size=REQUEST_BYTES_MAX)
        self._health = health
        self._registry = registry
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._names = _names(settings)
        self.app.add_routes(
            [
                web.get("/livez", self._live),
                web.get("/readyz", self._ready),
                web.get("/startupz", self._started),
                web.get("/-/healthy", self._live),
                web.get("/-/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )

    async def start(self) -> None:
        """Listen. OSError when the port is taken."""
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=CLOSE_S, handle_signals=False)
        await self._runner.setup()
        assert self._runner.server is not None
        # not a TCPSite: that takes connections until no descriptor is left
        self._listening = await asyncio.get_running_loop().create_server(
            Connections(self._runner.server), self.settings.host, self.settings.port, backlog=BACKLOG
        )
        self.port = int(self._listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._refused(request)
        if refusal is not None:
            refusal.headers.update(HEADERS)
            return refusal
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        except Exception:
            log.exception("a request could not be answered", path=request.path)
            response = web.Response(status=500, text="our own mistake; the log says which\n")
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            response.headers["Server"] = HEADERS["Server"]
        return response

    def _refused(self, request: web.Request) -> web.Response | None:
        """A page of somebody else's that a browser was led to our port from (DNS rebinding), or a missing token."""
        host = HOST.fullmatch(request.headers.get("Host", ""))
        if host is None or not (_is_address(host["name"]) or host["name"].lower().strip("[]") in self._names):
            return web.Response(status=421, text="this host name is not served here\n")
        if request.path not in OPEN_PATHS and not self._may_read(request):
            return web.Response(status=401, text="a token is needed\n", headers={"WWW-Authenticate": "Bearer"})
        return None

    def _may_read(self, request: web.Request) -> bool:
        """It carries the token, or there is none to carry."""
        if not self.settings.token:
            return True
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        # what is no UTF-8 on the wire comes as surrogates: a wrong token like any other
        right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), self.settings.token.encode())
        return kind.lower() == "bearer" and right

    async def _live(self, _request: web.Request) -> web.Response:
        return _answer(self._health().live, "the loop stands still")

    async def _started(self, _request: web.Request) -> web.Response:
        return _answer(self._health().started, "still starting")

    async def _ready(self, request: web.Request) -> web.Response:
        health = self._health()
        if not self._may_read(request):  # reasons name brokers and destinations
            return _answer(health.ready, "not ready")
        status = 200 if health.ready else 503
        if "verbose" not in request.query:
            return _answer(health.ready, "; ".join(f"{c.name}: {c.why}" for c in health.checks if not c.ok))
        told = {
            "ready": health.ready,
            "live": health.live,
            "started": health.started,
            "checks": [{"name": c.name, "ok": c.ok, "why": c.why} for c in health.checks],
            "progress": dict(health.progress),
        }
        return web.Response(status=status, body=msgspec.json.encode(told), content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(ok: bool, why: str) -> web.Response:
    return web.Response(status=200 if ok else 503, text="ok\n" if ok else f"{why}\n")


def _is_address(host: str) -> bool:
    """Rebinding needs a name: whoever says an address meant this machine (a kubelet's probe, a scrape of a pod)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _names(settings: ServerSettings) -> frozenset[str]:
    """Lower case, without port and brackets."""
    own = {settings.host, *settings.hosts}
    if _is_loopback(settings.host):
        own |= {"localhost", "127.0.0.1", "::1"}
    return frozenset(name.lower().strip("[]") for name in own)

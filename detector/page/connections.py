"""Connections: whoever asks holds a descriptor, and alerts need some too. So many at most, and none for long."""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

CONNECTIONS_MAX = 64  # open at once; then the one that came first makes room
REQUEST_S = 10.0  # from connecting, or from the last answer, until a request's whole head is here
BACKLOG = 16  # accepted in one turn of the loop, before any of them is counted


class Connections:
    """A factory of protocols for `create_server`. A newcomer is let in and the oldest goes, not the other way round:
    else whoever holds them all would keep a health probe out, and have the daemon restarted."""

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._wires: dict[_Connection, asyncio.Transport] = {}  # in the order they came

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self, self._server)

    def __len__(self) -> int:
        return len(self._wires)

    def came(self, connection: _Connection, wire: asyncio.Transport) -> None:
        self._wires[connection] = wire
        for oldest in list(self._wires)[:-CONNECTIONS_MAX]:
            self._wires.pop(oldest).abort()  # not close: that waits for a reader who may never read

    def went(self, connection: _Connection) -> None:
        self._wires.pop(connection, None)


class _Connection(web.RequestHandler):
    __slots__ = ("_all",)

    def __init__(self, all_: Connections, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, keepalive_timeout=REQUEST_S, access_log=None)  # type: ignore[arg-type]
        self._all = all_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._all.came(self, cast("asyncio.Transport", transport))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._all.went(self)
        super().connection_lost(exc)

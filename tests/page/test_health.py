"""Health, metrics and the checks every route shares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from detector.daemon.health import Check, Health
from detector.daemon.telemetry import Telemetry
from detector.page import connections
from detector.page.server import Server, ServerSettings
from detector.wiring.template import template

WELL = Health(live=True, started=True, checks=(Check("source", ok=True),), progress={"partitions": 3})
ILL = Health(live=True, started=True, checks=(Check("source", False, "silent for 31 s"), Check("store", ok=True)))
DEAD = Health(live=False, started=True)
YOUNG = Health(live=True, started=False)


@asynccontextmanager
async def served(health: Health, **settings: Any) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    server = Server(lambda: health, Telemetry().registry, ServerSettings(port=0, **settings))
    server.app.router.add_get("/more", _fails)
    server.app.router.add_get("/broken", _breaks)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield session, f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


async def _fails(_request: web.Request) -> web.Response:
    raise web.HTTPForbidden


async def _breaks(_request: web.Request) -> web.Response:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("health", "live", "ready", "started"),
    [(WELL, 200, 200, 200), (ILL, 200, 503, 200), (DEAD, 503, 200, 200), (YOUNG, 200, 503, 503)],
)
async def test_health_is_told_by_status(health: Health, live: int, ready: int, started: int) -> None:
    async with served(health) as (session, url):
        for path, expected in (
            ("/livez", live), ("/-/healthy", live), ("/readyz", ready), ("/-/ready", ready), ("/startupz", started)
        ):  # fmt: skip
            async with session.get(url + path) as answer:
                assert (path, answer.status) == (path, expected)


async def test_not_being_ready_has_its_reasons() -> None:
    async with served(ILL) as (session, url):
        async with session.get(url + "/readyz") as answer:
            assert await answer.text() == "source: silent for 31 s\n"
        async with session.get(url + "/readyz?verbose") as answer:
            told = await answer.json()
    assert answer.status == 503 and told["ready"] is False
    assert told["checks"] == [
        {"name": "source", "ok": False, "why": "silent for 31 s"},
        {"name": "store", "ok": True, "why": ""},
    ]


async def test_no_text_promises_a_page_that_is_not_served() -> None:
    async with served(WELL) as (session, url), session.get(url + "/") as answer:
        assert answer.status == 404
    told = template().lower()
    assert "on the page" not in told and "the page" not in told.replace("the pager", "")


@pytest.mark.parametrize("query", ["", "?verbose"])
async def test_without_the_token_health_says_only_yes_or_no(query: str) -> None:
    for health, expected in ((WELL, (200, "ok\n")), (ILL, (503, "not ready\n"))):
        async with served(health, token="canary") as (session, url):
            async with session.get(url + "/readyz" + query) as answer:
                assert (answer.status, await answer.text()) == expected
            async with session.get(url + "/readyz" + query, headers={"Authorization": "Bearer canary"}) as answer:
                assert health is WELL or "silent for 31 s" in await answer.text()


async def test_metrics_are_prometheus_text() -> None:
    async with served(WELL) as (session, url), session.get(url + "/metrics") as answer:
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "foreshock_build_info{" in text and "foreshock_late_events_total 0.0" in text


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/none", "/more", "/broken"])
async def test_every_answer_has_the_safe_headers(path: str) -> None:
    async with served(WELL) as (session, url), session.get(url + path) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "aiohttp" not in answer.headers["Server"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "", "a:b:c", "localhost.", "10.2.3"]
)
async def test_a_name_that_is_not_ours_is_refused(host: str) -> None:
    async with served(WELL) as (session, url), session.get(url + "/metrics", headers={"Host": host}) as answer:
        assert answer.status == 421 and "foreshock_build" not in await answer.text()


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]", "[::1]:9464", "watch.example", "10.2.3.4:9464", "[::2]"],
)
async def test_our_own_names_are_served(host: str) -> None:
    story = served(WELL, hosts=["watch.example"])
    async with story as (session, url), session.get(url + "/metrics", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "watch.example"])
def test_binding_where_others_can_reach_needs_a_token_or_a_word(host: str) -> None:
    with pytest.raises(ValueError, match="insecure-bind"):
        Server(lambda: WELL, Telemetry().registry, ServerSettings(host=host))
    Server(lambda: WELL, Telemetry().registry, ServerSettings(host=host, token="t"))
    Server(lambda: WELL, Telemetry().registry, ServerSettings(host=host, insecure_bind=True))


async def test_a_token_guards_everything_but_health() -> None:
    async with served(WELL, token="canary") as (session, url):
        for headers, expected in (
            ({}, 401), ({"Authorization": "Bearer no"}, 401), ({"Authorization": "Basic canary"}, 401),
            ({"Authorization": "Bearer canary"}, 200),
        ):  # fmt: skip
            async with session.get(url + "/metrics", headers=headers) as answer:
                assert answer.status == expected
        async with session.get(url + "/livez") as answer:
            assert answer.status == 200
    assert "canary" not in repr(ServerSettings(token="canary"))


async def test_a_token_that_is_no_text_is_a_wrong_one() -> None:
    async with served(WELL, token="canary") as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 401") and b"X-Content-Type-Options: nosniff" in head


async def test_half_sent_requests_take_only_so_many_descriptors_and_keep_no_probe_out() -> None:
    most = connections.CONNECTIONS_MAX
    async with served(WELL, token="canary") as (session, url), half_sent(url, 2 * most) as half, asyncio.timeout(5.0):
        async with session.get(url + "/livez") as answer:
            assert answer.status == 200
        assert all([await cut_off(reader) for reader in half[:most]])
        assert not half[-1].at_eof() and half[-1].exception() is None, "the newest may still finish its request"


async def test_a_request_that_does_not_come_to_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.2)
    async with served(WELL) as (_, url), half_sent(url, 1) as (reader,), asyncio.timeout(5.0):
        assert await cut_off(reader)


@asynccontextmanager
async def half_sent(url: str, times: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    port = int(url.rpartition(":")[2])
    wires = [await asyncio.open_connection("127.0.0.1", port) for _ in range(times)]
    for _, writer in wires:
        writer.write(b"GET /livez HTTP/1.1\r\n")
    yield [reader for reader, _ in wires]
    for _, writer in wires:
        writer.transport.abort()
    await asyncio.sleep(0)


async def cut_off(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True

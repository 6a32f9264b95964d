"""foreshock run: the daemon. Kafka in, pages out, until it is told to stop."""

from __future__ import annotations

import asyncio

import structlog
import typer

from detector.anomaly import second_opinion
from detector.cli.base import Exit, Refusal, command_line
from detector.cli.options import ConfigOption
from detector.daemon import logs
from detector.page.server import Server, ServerSettings
from detector.store.rows import StoreError
from detector.wiring.assembly import build_service
from detector.wiring.config import Configuration, load, secret
from detector.wiring.ready import ready

app = command_line()
log = structlog.get_logger()


@app.command()
def run(
    path: ConfigOption = None,
) -> None:
    """The daemon: Kafka in, pages out.

    SIGTERM and SIGINT stop it after the step under way: all is saved, the outbox gets ten seconds to empty. A second
    signal ends it at once; nothing durable is lost.
    """
    config = load(path)
    form = config.settings.log.format
    logs.configure(config.settings.log.level, json=None if form == "auto" else form == "json")
    log.info("getting ready: half a minute the first time, while the loops are compiled", config_rev=config.config_rev)
    took_s = ready(config, lambda line: log.info("compiling", told=line))
    log.info("ready to read", after_s=round(took_s, 1))
    try:
        code = asyncio.run(serve(config))
    except StoreError as error:
        raise Refusal(Exit.STATE, f"state.directory {config.settings.state.directory}: {error}") from error
    raise typer.Exit(code)


async def serve(config: Configuration) -> int:
    """The daemon and its page, until they are told to stop; the exit code."""
    # after `ready`, so that no two threads import at once and meet half of a module
    later = second_opinion.load if config.settings.incidents.second_opinion else None
    service = await build_service(config, later=later)
    http = config.settings.http
    host, _, port = http.bind.rpartition(":")
    token = secret(http.token, http.token_file)
    settings = ServerSettings(host=host.strip("[]"), port=int(port), hosts=http.hosts, token=token)
    page = Server(service.health, service.telemetry.registry, settings)
    try:
        await page.start()
    except OSError as error:
        raise Refusal(Exit.UNREACHABLE, f"http.bind {http.bind}: {error.strerror or error}") from error
    try:
        return await service.run()
    finally:
        await page.close()

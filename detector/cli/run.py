"""foreshock run: the daemon. Kafka in, pages out, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog
import typer

from detector.anomaly import second_opinion
from detector.cli.base import Exit, Refusal, command_line
from detector.cli.options import ConfigOption
from detector.daemon import logs
from detector.page.server import Server, ServerSettings
from detector.store.rows import StoreError
from detector.wiring.assembly import build_service
from detector.wiring.config import Configuration, ConfigurationError, load, secret
from detector.wiring.edges import build_sinks, kafka_settings
from detector.wiring.ready import ready
from detector.wiring.section import parted

app = command_line()
log = structlog.get_logger()


@app.command()
def run(
    path: ConfigOption = None,
) -> None:
    """The daemon: Kafka in, pages out.

    SIGTERM and SIGINT stop it after the step under way: all is saved, the outbox gets ten seconds to empty. A second
    signal ends it at once; nothing durable is lost.

    SIGHUP stops it in the same way, with exit code 129: whatever watches over it starts it again, with the
    configuration as it is then. A configuration that cannot be used is said in the log, and nothing stops.
    """
    config = load(path)
    form = config.settings.log.format
    logs.configure(config.settings.log.level, json=None if form == "auto" else form == "json")
    log.info("getting ready: half a minute the first time, while the loops are compiled", config_rev=config.config_rev)
    took_s = ready(config, lambda line: log.info("compiling", told=line))
    log.info("ready to read", after_s=round(took_s, 1))
    try:
        code = asyncio.run(serve(config, lambda: unusable(path)))
    except StoreError as error:
        raise Refusal(Exit.STATE, f"state.directory {config.settings.state.directory}: {error}") from error
    except Exception as error:
        if not hasattr(error, "exit_code") and not isinstance(error, ConnectionError):
            log.exception("the daemon ends by a mistake of its own")  # it may not happen again for whoever asks
        raise
    raise typer.Exit(code)


async def serve(config: Configuration, unusable: Callable[[], str]) -> int:
    """The daemon and its page, until they are told to stop; the exit code. unusable: see Service."""
    # after `ready`, so that no two threads import at once and meet half of a module
    later = second_opinion.load if config.settings.incidents.second_opinion else None
    service = await build_service(config, later=later, unusable=unusable)
    http = config.settings.http
    host, port = parted(http.bind)
    token = secret(http.token, http.token_file)
    settings = ServerSettings(host=host, port=port, hosts=http.hosts, token=token)
    page = Server(service.health, service.telemetry.registry, settings)
    try:
        await page.start()
    except OSError as error:
        raise Refusal(Exit.UNREACHABLE, f"http.bind {http.bind}: {error.strerror or error}") from error
    try:
        return await service.run()
    finally:
        await page.close()


def unusable(path: Path | None) -> str:
    """Why the daemon could not be started with the configuration as it is now; '' = it could."""
    try:
        config = load(path)
        build_sinks(config)
        kafka_settings(config)
    except ConfigurationError as error:
        return str(error)
    return ""

"""Build: from the configuration to the engine. The one place that knows which plug-in gets which setting."""

from __future__ import annotations

from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from detector import __version__
from detector.anomaly.base import Detector
from detector.anomaly.circumstances import Circumstances
from detector.anomaly.second_opinion import SecondOpinion
from detector.engine.beside import Beside
from detector.engine.pipeline import EngineSettings, Pipeline
from detector.engine.shard import Shard
from detector.engine.shards import Shards, Together
from detector.engine.telling import Telling
from detector.features.base import Group
from detector.features.tables import Limits
from detector.formats.base import Format
from detector.formats.native_words import Limits as MessageLimits
from detector.incidents.alerting import Alerting
from detector.incidents.audit import Audit
from detector.incidents.correlator import Correlator
from detector.incidents.notice import audited, begun_anew, wrong_clock
from detector.incidents.settings import IncidentSettings
from detector.wiring import plugins
from detector.wiring.calendar_section import build_calendar
from detector.wiring.config import Configuration
from detector.wiring.settings import open_windows

DEALT = 1.25  # times the promise, to all detectors: a union spends less than its parts (docs/adr/0058)
LAST = ("joint", "drift")  # they read what the other detectors said of the same window


def build_format(config: Configuration, name: str, key: tuple[int, int]) -> Format:
    """The decoder called `name` (a file in detector/formats)."""
    made = plugins.load("formats", name)(key, config.settings.limits.markets_max, **_extras(config, name))
    assert isinstance(made, Format)
    return made


def _extras(config: Configuration, name: str) -> dict[str, Any]:
    """What single formats take besides."""
    told = config.settings.input
    if name == "native":
        size = int(told.message_bytes_max)
        return {
            "limits": MessageLimits(message_bytes_max=size, book_bytes_max=max(size, MessageLimits().book_bytes_max))
        }
    if name == "mapped":
        return {"mapping": told.mapping}
    return {}


def digest_key(pseudonym_key: bytes) -> tuple[int, int]:
    """The two 64-bit halves that key the digests, from the pseudonyms' key."""
    made = blake2b(pseudonym_key, digest_size=16, person=b"digests").digest()
    return int.from_bytes(made[:8], "little"), int.from_bytes(made[8:], "little")


def build_groups(ring: int) -> dict[str, Group]:
    """Every feature group, in the order of their names."""
    found = {name: plugins.load("features", name) for name in plugins.names("features")}
    return {name: group(ring) for name, group in found.items() if issubclass(group, Group)}


def turn(name: str) -> tuple[bool, str]:
    """Detectors score a window in this order."""
    return (name in LAST, name)


def build_detectors(config: Configuration) -> list[Detector]:
    """The enabled detectors, each with its share of what is dealt out (DEALT), at most the whole budget; those that
    read the others' scores stand last."""
    budget = config.settings.budget
    pages = np.array([budget.info, budget.warning, budget.critical])
    enabled = [settings for settings in config.detectors if settings.enabled]
    found = {settings.name: plugins.load("anomaly", settings.name) for settings in enabled}
    shares = sum(settings.budget_share for settings in enabled if found[settings.name].PAGES) or 1.0
    made = [
        found[settings.name](settings.params, pages * min(1.0, DEALT * settings.budget_share / shares))
        for settings in sorted(enabled, key=lambda settings: turn(settings.name))
    ]
    return [detector for detector in made if isinstance(detector, Detector)]


def incident_settings(config: Configuration) -> IncidentSettings:
    """What the correlator and the alerts are told."""
    told = config.settings.incidents
    return IncidentSettings(
        venue=told.venue,
        rule_rev=config.config_rev,
        join_ns=told.join.ns,
        together_ns=told.together.ns,
        hold_ns=told.hold.ns,
        update_ns=told.update.ns,
        open_max=told.open_max,
        timeline_max=told.timeline_max,
        evidence_max=told.evidence_max,
        contributors_max=told.contributors_max,
    )


def build_pipeline(
    config: Configuration,
    *,
    pseudonym_key: bytes,
    format_name: str | None = None,
    keep_scored: bool = False,
    workers: int = 1,
    together: Together | None = None,
) -> Pipeline:
    """A whole engine at the beginning of its log.

    pseudonym_key    keys the digests of order ids and accounts, and the names that accounts have in alerts: with the
                     same key, live and replay name the same account alike
    format_name      a file in detector/formats, instead of input.format
    keep_scored      whether each step hands over every scored window
    workers          parts that the markets are split into, which `together` folds at once; what is told is the same
    """
    told = config.settings
    engine = EngineSettings(
        width_ns=told.windows.width.ns,
        lateness_ns=told.input.lateness.ns,
        early_ns=told.input.early.ns,
        leap_ns=told.input.time_jump_max.ns,
        staged_rows_max=told.limits.staged_events_max,
        silence_windows_max=told.windows.silence_max,
    )
    limits = Limits(
        markets_max=told.limits.markets_max,
        orders_max=told.limits.orders_max,
        levels_max=told.limits.levels_max,
        participants_per_market_max=told.limits.participants_per_market_max,
        makers_max=told.limits.makers_max,
    )
    ring = open_windows(engine.width_ns, engine.lateness_ns)
    incidents = incident_settings(config)
    alerting = Alerting(
        incidents,
        pseudonym_key,
        config_rev=config.config_rev,
        version=__version__,
        links={"incident": told.incidents.page_link, "runbook": told.incidents.runbook_link},
    )
    return Pipeline(
        build_format(config, format_name or told.input.format, digest_key(pseudonym_key)),
        build_shard(config, limits, ring, workers, together),
        build_detectors(config),
        Correlator(incidents),
        Telling(
            alerting.alert,
            partial(begun_anew, version=__version__),
            Audit((told.budget.info, told.budget.warning, told.budget.critical), told.budget.audit_evidence),
            partial(audited, version=__version__),
            partial(wrong_clock, version=__version__),
        ),
        engine,
        keep_scored=keep_scored,
        beside=Beside(
            Circumstances(told.incidents.context_max) if told.incidents.context_max else None,
            SecondOpinion() if told.incidents.second_opinion else None,
        ),
    )


def build_shard(
    config: Configuration, limits: Limits, ring: int, workers: int, together: Together | None
) -> Shard | Shards:
    """Where the markets are kept, in so many parts."""
    width_ns, calendar = config.settings.windows.width.ns, build_calendar(config.settings.calendar)
    if workers == 1:
        return Shard(build_groups(ring), limits, ring, width_ns, calendar)
    assert together is not None, "somebody has to fold the parts"
    return Shards([Shard(build_groups(ring), limits, ring, width_ns) for _ in range(workers)], together, calendar)

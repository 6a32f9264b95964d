"""Trial: all that `run` builds of a configuration is built and thrown away, for what is only found wrong in building.

Nothing is connected to, opened to be written, or started; files that the configuration names are read.
"""

from __future__ import annotations

from collections.abc import Callable

from detector.wiring.assembly import given_key
from detector.wiring.build import build_pipeline
from detector.wiring.config import Configuration, ConfigurationError, Problem, secret
from detector.wiring.edges import build_sinks, delivery_settings, kafka_settings, store_settings

KEY = b"of a trial, whose names nobody sees"


def trial(config: Configuration) -> None:
    """Raises ConfigurationError with all that is wrong."""
    told = config.settings
    parts: tuple[Callable[[], object], ...] = (
        lambda: build_sinks(config),
        lambda: kafka_settings(config),
        lambda: store_settings(told),
        lambda: delivery_settings(told),
        lambda: secret(told.http.token, told.http.token_file),
        lambda: build_pipeline(config, pseudonym_key=given_key(config) or KEY),
    )
    problems: list[Problem] = []
    for build in parts:
        try:
            build()
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)

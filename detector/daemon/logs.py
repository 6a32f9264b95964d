"""What the daemon says of itself in words: JSON where a machine reads, colours where a person does."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

SECRET_NAME = re.compile(r"secret|passw|token|authorization|api_?key|private|signature|pseudonym_key", re.IGNORECASE)
SECRET_TEXT = re.compile(r"whsec_[A-Za-z0-9+/=_-]+|(?<=://)[^/\s@]+@|\bBearer\s+\S+", re.IGNORECASE)
TEXT_MAX = 2_000  # characters of one value
FRAMES_MAX = 20  # of a traceback
KINDS_MAX = 1_000  # different messages whose repeats are counted
REPEAT_S = 10.0  # the same message at most BURST times in this long
BURST = 5


_traceback = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=FRAMES_MAX)
)


def configure(level: str = "info", *, json: bool | None = None, stream: TextIO | None = None) -> None:
    """Once per process. json=None: as the stream is a terminal or not. Libraries' warnings come out alike."""
    stream = stream or sys.stderr
    as_json = not stream.isatty() if json is None else json
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Callable[[WrappedLogger, str, EventDict], Any]] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    last: list[Any] = (
        [_traceback, redacted, safe, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.processors.format_exc_info,
            redacted,
            safe,
            structlog.dev.ConsoleRenderer(exception_formatter=_plain),
        ]
    )
    structlog.configure(
        processors=[*shared, Repeats(), *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(number, logging.WARNING))


def redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Defence in depth: no caller logs a secret, and if one does it is not shown."""
    return {key: "***" if SECRET_NAME.search(key) else _redacted(value) for key, value in event.items()}


def safe(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What came from outside cannot move a terminal's cursor or begin a line of its own."""
    return {key: _safe(value) if key != "exception" else value for key, value in event.items()}


class Repeats:
    """The same message (event and level) at most BURST times in REPEAT_S; the next one says how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        key = (method, str(event.get("event")))
        now = self._clock()
        since, count = self._seen.get(key, (now, 0))
        if now - since >= REPEAT_S:
            if count > BURST:
                event["left_out"] = count - BURST
            since, count = now, 0
        self._seen[key] = (since, count + 1)
        self._seen.move_to_end(key)
        if len(self._seen) > KINDS_MAX:
            self._seen.popitem(last=False)
        if count >= BURST:
            raise structlog.DropEvent
        return event


class _Bridge(logging.Handler):
    """The standard library's log records, told through structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        told = structlog.get_logger(record.name)
        told.log(record.levelno, message, library=record.name, exc_info=record.exc_info or None)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_TEXT.sub("***", value)
    if isinstance(value, dict):
        return {key: "***" if SECRET_NAME.search(str(key)) else _redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    return value if isinstance(value, int | float | bool | None) else _redacted(str(value))


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value[:TEXT_MAX])
    if isinstance(value, dict):
        return {_safe(str(key)): _safe(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_safe(inner) for inner in value]
    return value


def _plain(stream: TextIO, info: Any) -> None:
    structlog.dev.plain_traceback(stream, info)

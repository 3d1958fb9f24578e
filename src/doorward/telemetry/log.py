"""Structured logs on standard output, JSON lines, redacted by the last step before rendering."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from doorward.core import redact

EventDict = MutableMapping[str, Any]


def configure(part: str, level: str = "info") -> None:
    """Set up logging of this process; `part` is bound to every line. Idempotent."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redacting,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(part=part)
    # Libraries tell each request at info; only at debug does anybody want to read that.
    theirs = level if level == "debug" else "warning"
    logging.basicConfig(level=theirs.upper(), handlers=[_Bridge()], force=True)


def get(name: str) -> Any:
    """A logger; `name` says which room the line came from."""
    return structlog.get_logger(room=name)


def redacting(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Mask credentials in every value, however deep; runs last, so nothing is added after it."""
    return {key: _masked(value) for key, value in event.items()}


def _masked(value: object) -> object:
    match value:
        case str():
            return redact.text(value)
        case bytes():
            return f"<{len(value)} bytes>"
        case dict():
            return {str(key): _masked(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redact.text(str(value))


class _Bridge(logging.Handler):
    """Sends what libraries log through the same redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        """Render one record of the standard library as one of our lines."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        structlog.get_logger(room=record.name).log(record.levelno, text)

"""Starting a part: logs, settings, then its work until SIGTERM. The same for every service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from doorward import serving
from doorward.core import settings as env
from doorward.errors import ConfigError
from doorward.telemetry import log

S = TypeVar("S")


def run(part: str, cls: type[S], serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> int:
    """Run until SIGTERM. Exit code 2 when a setting is wrong, with its name and remedy in the log."""
    log.configure(part, os.environ.get("DOORWARD_LOG_LEVEL", "info"))
    try:
        settings = env.read(cls, os.environ)
        serving.run(lambda stop: serve(settings, stop))
    except ConfigError as error:
        log.get(__name__).error("cannot start", remedy=str(error))
        return 2
    return 0

"""`python -m doorward.broker`: the broker process."""

from __future__ import annotations

import asyncio
import os
import sys

from doorward import serving
from doorward.broker.process import serve
from doorward.broker.settings import Settings
from doorward.core import settings as env
from doorward.errors import ConfigError
from doorward.telemetry import log


def main() -> int:
    """Run until SIGTERM. Exit code 2 when a setting is wrong, with its name and remedy in the log."""
    log.configure("broker", os.environ.get("DOORWARD_LOG_LEVEL", "info"))
    try:
        settings = env.read(Settings, os.environ)

        async def until(stop: asyncio.Event) -> None:
            await serve(settings, stop)

        serving.run(until)
    except ConfigError as error:
        log.get(__name__).error("cannot start", remedy=str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

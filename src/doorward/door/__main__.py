"""`python -m doorward.door`: the sidecar of a task pod."""

from __future__ import annotations

import asyncio
import os
import sys

from doorward.core import settings as env
from doorward.door.client import spare_memory
from doorward.door.process import Life
from doorward.door.settings import Settings
from doorward.errors import ConfigError
from doorward.serving import run
from doorward.telemetry import log


def main() -> int:
    """Run to SIGTERM. Exit code 0 ended, 1 broken, 2 misconfigured, 3 refused by the broker, 4 breached."""
    log.configure("door", os.environ.get("DOORWARD_LOG_LEVEL", "info"))
    spare_memory()
    codes: list[int] = []

    async def live(stop: asyncio.Event) -> None:
        codes.append(await Life(env.read(Settings, os.environ), stop).run())

    try:
        run(live)
    except ConfigError as error:
        log.get(__name__).error("cannot start", remedy=str(error))
        return 2
    return codes[0]


if __name__ == "__main__":
    sys.exit(main())

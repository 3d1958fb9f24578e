"""`python -m doorward_operator`."""

from __future__ import annotations

import asyncio
import os
import sys

from doorward.core import settings as reading
from doorward.errors import ConfigError
from doorward.telemetry import log
from doorward_operator.process import main
from doorward_operator.settings import Settings


def start() -> int:
    """Run the operator; gives the exit code."""
    try:
        settings = reading.read(Settings, os.environ)
        log.configure("operator", settings.log_level)
        asyncio.run(main(settings))
    except ConfigError as error:
        sys.stderr.write(f"doorward_operator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(start())

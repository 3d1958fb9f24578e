"""`python -m doorward.connectors`: one connector process."""

from __future__ import annotations

import sys

from doorward import launch
from doorward.connectors.process import serve
from doorward.connectors.settings import Settings

if __name__ == "__main__":
    sys.exit(launch.run("connector", Settings, serve))

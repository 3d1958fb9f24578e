"""`python -m doorward.broker`: the broker process."""

from __future__ import annotations

import sys

from doorward import launch
from doorward.broker.process import serve
from doorward.broker.settings import Settings

if __name__ == "__main__":
    sys.exit(launch.run("broker", Settings, serve))

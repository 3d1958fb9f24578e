"""Time as an argument: whoever needs it is given a clock, so that tests own it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds since the epoch."""

system: Clock = time.time

steady: Clock = time.monotonic
"""Seconds that pass, from a beginning that means nothing; nobody can set it."""

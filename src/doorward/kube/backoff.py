"""How long to wait before the next attempt: exponential, bounded, with full jitter, for ever."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Random = Callable[[], float]
"""Returns a number from 0 to below 1."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: anything between 0 and the bound, so that thousands do not come back as one."""

    base: float = 0.5
    """Bound of the first wait, in seconds."""
    limit: float = 30.0
    """Bound of all waits, in seconds."""
    random: Random = random.random

    def delay(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row, the first being 1."""
        exponent = min(max(failures, 1) - 1, 32)  # beyond that the limit holds anyway
        return self.random() * min(self.limit, self.base * 2.0**exponent)

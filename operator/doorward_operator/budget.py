"""How fast the operator writes: a token bucket, so that a burst of tasks does not drown the API server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Tokens that flow in at `rate` per second up to `burst`; a reservation may be for later."""

    rate: float
    burst: float
    _level: float | None = None
    _at: float = 0.0

    def reserve(self, now: float) -> float:
        """Take one token; gives the seconds to wait before using it."""
        level = (
            self.burst if self._level is None else min(self.burst, self._level + (now - self._at) * self.rate)
        )
        self._level, self._at = level - 1.0, now
        return max(0.0, -self._level / self.rate)

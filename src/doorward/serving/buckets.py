"""Token buckets: what one caller may ask, decided before anything that costs."""

from __future__ import annotations

from collections import OrderedDict

from doorward.errors import Code, Refusal


class Buckets:
    """A bucket per key. The number of keys is bounded: the least recently used goes first.

    A forgotten key starts full again, so `keys` must be larger than the number of callers that can
    exist within `burst / per_second` seconds.
    """

    def __init__(self, per_second: float, burst: int, keys: int = 20_000) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._keys = keys
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float, cost: float = 1.0) -> None:
        """Take `cost`. Raises `Refusal(rate_limited)`, which costs nothing, when there is not enough."""
        level, at = self._levels.pop(key, (self._burst, now))
        level = min(self._burst, level + max(0.0, now - at) * self._rate)
        enough = level >= cost
        self._levels[key] = (level - cost if enough else level, now)
        while len(self._levels) > self._keys:
            self._levels.popitem(last=False)
        if not enough:
            raise Refusal(
                Code.RATE_LIMITED,
                "too many requests",
                allowed=f"{self._rate:g} a second, {self._burst:g} at once",
                ask="wait a second",
            )

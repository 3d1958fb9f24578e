"""What is written one by one, and what beyond that is only counted: a flood does not fill the disk.

The first few of each key in a minute are written like everything else. The rest are summed by code and
written as one event when the minute is over, so that nothing that happened goes untold.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sum:
    """What was counted of one key, and not written one by one."""

    key: str
    since: float
    until: float
    """When the first and the last of it came, in seconds since the epoch."""
    codes: Mapping[str, int]

    @property
    def count(self) -> int:
        """All codes together."""
        return sum(self.codes.values())


@dataclass(slots=True)
class _Minute:
    since: float
    written: int = 0


@dataclass(slots=True)
class _Rest:
    since: float
    until: float
    codes: Counter[str] = field(default_factory=Counter)


class Excess:
    """Counts per key. Keys are bounded: the least recently used forgets how many it had written."""

    def __init__(self, per_minute: int, keys: int = 20_000) -> None:
        self._most = per_minute
        self._keys = keys
        self._minutes: OrderedDict[str, _Minute] = OrderedDict()
        self._rest: dict[str, _Rest] = {}

    def full(self, key: str, now: float) -> bool:
        """Whether what comes now is only counted."""
        minute = self._minutes.get(key)
        return minute is not None and now - minute.since < MINUTE and minute.written >= self._most

    def wrote(self, key: str, now: float) -> None:
        """One was written by itself."""
        minute = self._minutes.pop(key, None)
        if minute is None or now - minute.since >= MINUTE:
            minute = _Minute(now)
        minute.written += 1
        self._minutes[key] = minute
        while len(self._minutes) > self._keys:
            self._minutes.popitem(last=False)

    def count(self, key: str, code: str, now: float) -> None:
        """One is only counted."""
        rest = self._rest.setdefault(key, _Rest(now, now))
        rest.until = now
        rest.codes[code] += 1

    def due(self, now: float, *, everything: bool = False) -> list[Sum]:
        """The sums whose minute is over, or all of them; each is given once."""
        found = [key for key, rest in self._rest.items() if everything or now - rest.since >= MINUTE]
        return [self._taken(key) for key in found]

    def _taken(self, key: str) -> Sum:
        rest = self._rest.pop(key)
        return Sum(key, rest.since, rest.until, dict(rest.codes))

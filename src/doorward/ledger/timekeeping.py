"""The ledger's own time, by which windows are measured: it never runs backwards and never jumps.

A wall clock can be set. Set forward, it would empty every window at once; set back, it would hold them
full. So a process counts the seconds that pass since its last reading, on a clock that nobody can set,
and takes the wall clock once, at its start, if that is ahead of what the ledger has seen. Several
processes agree on one time: it is a row, read and written under the lock of the writing transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from doorward.core.clock import Clock


@dataclass
class Pace:
    """What one process remembers of the ledger's time."""

    wall: Clock
    ticks: Clock
    """Seconds that pass, from any beginning."""
    _last: tuple[float, float] | None = None
    """The time at the last reading, and the ticks then."""

    def after(self, stored: float) -> float:
        """The time now, given the last one that was written down; never less than any before."""
        ticks = self.ticks()
        if self._last is None:
            now = max(stored, self.wall())
        else:
            known, then = self._last
            now = max(stored, known + max(0.0, ticks - then))
        self._last = (now, ticks)
        return now

"""How a task is treated after what it did: four grades, and the closed list of what leads to them."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Grade(IntEnum):
    """Each grade includes those below. Time alone takes the middle two back, a Thaw each of them."""

    CALM = 0
    """Like everybody."""
    SLOW = 1
    """Its calls cost more of its bucket."""
    CAUTIOUS = 2
    """Besides, each action from `draft` upwards needs a person."""
    FROZEN = 3
    """It gets nothing."""

    @property
    def word(self) -> str:
        """As statuses, events and metrics say it."""
        return self.name.capitalize()


class Cause(StrEnum):
    """What led to a grade."""

    SESSION_THEFT = "session_theft"
    FENCE_BREACH = "fence_breach"
    REPLAYS = "replays"
    DENIALS = "denials"
    BURSTS = "bursts"
    EPOCH = "epoch"

    @property
    def reason(self) -> str:
        """The same word as a reason of an Event, e.g. `SessionTheft`."""
        return "".join(part.capitalize() for part in self.value.split("_"))

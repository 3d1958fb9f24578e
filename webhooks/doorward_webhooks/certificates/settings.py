"""Settings of the certificates process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from doorward.core.settings import address, boolean, setting
from doorward_webhooks.certificates.plan import Lifetimes

SHORTEST: Final = 0.01
"""Hours; anything less would be a rotation without end."""


def hours(text: str) -> float:
    """A number of hours, at least `SHORTEST`."""
    number = float(text)
    if not SHORTEST <= number < math.inf:
        msg = f"must be at least {SHORTEST}"
        raise ValueError(msg)
    return number


@dataclass(frozen=True)
class Settings:
    """Everything that the certificates process needs to know."""

    namespace: str = setting("DOORWARD_NAMESPACE", str, "namespace of the release", "doorward-system")
    issue: bool = setting(
        "DOORWARD_ISSUE",
        boolean,
        "keep the certificates; without, only the history of render settings is kept",
        default=True,
    )
    authority_hours: float = setting(
        "DOORWARD_AUTHORITY_HOURS", hours, "life of an authority; the next one is made after two thirds", 8760
    )
    leaf_hours: float = setting(
        "DOORWARD_LEAF_HOURS", hours, "life of a serving certificate; renewed after two thirds", 168
    )
    settle_hours: float = setting(
        "DOORWARD_SETTLE_HOURS",
        hours,
        "hours between telling everybody of a new authority and using it; more than any task's deadline",
        25,
    )
    linger_hours: float = setting(
        "DOORWARD_LINGER_HOURS",
        hours,
        "hours between the last leaf of a new authority and trusting the one before no longer",
        1,
    )
    interval: float = setting(
        "DOORWARD_INTERVAL", float, "seconds between two rounds with nothing to do", 60.0
    )
    ops_listen: tuple[str, int] = setting(
        "DOORWARD_OPS_LISTEN",
        address,
        "metrics and probes, plain http",
        ("0.0.0.0", 9090),  # noqa: S104 - probes
    )
    log_level: str = setting("DOORWARD_LOG_LEVEL", str, "debug, info, warning or error", "info")

    @property
    def lifetimes(self) -> Lifetimes:
        """The lives of things as the rotation takes them."""
        return Lifetimes(
            authority=timedelta(hours=self.authority_hours),
            leaf=timedelta(hours=self.leaf_hours),
            settle=timedelta(hours=self.settle_hours),
            linger=timedelta(hours=self.linger_hours),
        )

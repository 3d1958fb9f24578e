"""Settings of the certificates process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from doorward.core import duration
from doorward.core.settings import address, setting
from doorward_webhooks.certificates.plan import Lifetimes


def span(text: str) -> timedelta:
    """A duration such as `168h`."""
    return timedelta(seconds=duration.seconds(text))


@dataclass(frozen=True)
class Settings:
    """Everything that the certificates process needs to know."""

    namespace: str = setting("DOORWARD_NAMESPACE", str, "namespace of the release", "doorward-system")
    authority_life: timedelta = setting(
        "DOORWARD_AUTHORITY_LIFE", span, "life of an authority, e.g. 8760h", Lifetimes().authority
    )
    leaf_life: timedelta = setting(
        "DOORWARD_LEAF_LIFE",
        span,
        "life of a serving certificate; renewed after two thirds",
        Lifetimes().leaf,
    )
    settle: timedelta = setting(
        "DOORWARD_SETTLE",
        span,
        "time between telling everybody of a new authority and using it; longer than any task's deadline",
        Lifetimes().settle,
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
        return Lifetimes(self.authority_life, self.leaf_life, self.settle)

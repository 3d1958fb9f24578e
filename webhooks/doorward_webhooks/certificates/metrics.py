"""What the certificates process says about itself."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from doorward_webhooks.certificates.plan import Observed, Target


class Metrics:
    """Counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.writes = Counter(
            "doorward_certificates_writes", "Objects written, by kind of write.", ["write"], registry=registry
        )
        self.ends = Gauge(
            "doorward_certificates_not_after_timestamp_seconds",
            "When the first certificate of this kind ends.",
            ["kind"],
            registry=registry,
        )
        self.skipped = Gauge(
            "doorward_certificates_skipped",
            "Services whose Secret is not there or closed.",
            registry=registry,
        )

    def saw(self, observed: Observed, skipped: Sequence[Target]) -> None:
        """Put the state of a round into the gauges."""
        leaves = [leaf.certificate.ends.timestamp() for leaf, _ in observed.leaves.values() if leaf]
        if leaves:
            self.ends.labels("leaf").set(min(leaves))
        if observed.keyring.active is not None:
            self.ends.labels("authority").set(observed.keyring.active.ends.timestamp())
        self.skipped.set(len(skipped))

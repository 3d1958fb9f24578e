"""What a connector counts. Labels: its own name, actions of its catalogue, closed outcomes and codes."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)


class Metrics:
    """The metrics of one connector process."""

    def __init__(self, registry: CollectorRegistry, connector: str) -> None:
        self._connector = connector
        self._actions = Counter(
            "doorward_connector_actions",
            "Actions carried out, by what became of them.",
            ["connector", "action", "outcome"],
            registry=registry,
        )
        self._refusals = Counter(
            "doorward_connector_refusals",
            "Requests that were refused before anything was sent, by code.",
            ["connector", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "doorward_connector_action_duration_seconds",
            "From a request's arrival to its answer, redemption and outcome included.",
            ["connector", "action"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._waiting = Gauge(
            "doorward_connector_outcomes_waiting",
            "Outcomes that the broker has not acknowledged yet.",
            ["connector"],
            registry=registry,
        )

    def watch_waiting(self, waiting: Callable[[], int]) -> None:
        """Read the number of waiting outcomes at scrape time."""
        self._waiting.labels(self._connector).set_function(waiting)

    def done(self, action: str, outcome: str, seconds: float) -> None:
        """Count an action that was carried out, or may have been."""
        self._actions.labels(self._connector, action, outcome).inc()
        self._seconds.labels(self._connector, action).observe(seconds)

    def refused(self, code: str) -> None:
        """Count a request that was refused."""
        self._refusals.labels(self._connector, code).inc()

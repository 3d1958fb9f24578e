"""The operator's metrics. Labels are closed sets; the sentences are the documentation."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from doorward.api.v1alpha1 import Phase
from doorward.telemetry.metrics import registry

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WAITING: Final = "Waiting"
"""Stands for the phase of a task that the operator has not looked at."""


class Metrics:
    """All metrics of the process on one registry."""

    def __init__(self) -> None:
        self.registry: CollectorRegistry = registry("operator")
        self.reconciles = Counter(
            "doorward_operator_reconciles",
            "Keys looked at, by kind (task, role, namespace) and result (unchanged, written, failed).",
            ["kind", "result"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "doorward_operator_reconcile_seconds",
            "Time to look at one key and write what it needs, by kind.",
            ["kind"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.writes = Counter(
            "doorward_operator_api_writes",
            "Writes to the API server, by method and by class of the answer (2xx, 4xx, 5xx).",
            ["method", "answer"],
            registry=self.registry,
        )
        self.leading = Gauge(
            "doorward_operator_leading",
            "1 while this replica holds the lease.",
            registry=self.registry,
        )
        self.resyncs = Counter(
            "doorward_operator_resync_corrections",
            "Objects that the comparison with the API server found to be unknown, changed or gone.",
            registry=self.registry,
        )

    def observe(self, method: str, status: int) -> None:
        """Count one answer of the API server."""
        if method != "GET":
            self.writes.labels(method, f"{status // 100}xx").inc()

    def watch(self, phases: Callable[[], Iterator[str]], depths: Callable[[], dict[str, int]]) -> None:
        """Read tasks and queue when scraped: nothing to keep in step."""
        self.registry.register(_Scraped(phases, depths))


class _Scraped(Collector):
    def __init__(self, phases: Callable[[], Iterator[str]], depths: Callable[[], dict[str, int]]) -> None:
        self._phases = phases
        self._depths = depths

    def collect(self) -> Iterator[Metric]:
        """Count over the caches."""
        tasks = GaugeMetricFamily("doorward_operator_tasks", "Tasks by phase.", labels=["phase"])
        tally = Tally(self._phases())
        for phase in (*(item.value for item in Phase), WAITING):
            tasks.add_metric([phase], tally.get(phase, 0))
        yield tasks
        queue = GaugeMetricFamily(
            "doorward_operator_queue_keys",
            "Keys in the work queue, by state: ready, active (being worked on), delayed.",
            labels=["state"],
        )
        for state, depth in self._depths().items():
            queue.add_metric([state], depth)
        yield queue

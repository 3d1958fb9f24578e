"""What admission counts. Labels: the question's path, the answer's code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 3)


class Metrics:
    """The metrics of one admission process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reviews = Counter(
            "doorward_admission_reviews",
            "Reviews answered, by path and by the code of the refusal (`allowed` if there was none).",
            ["path", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "doorward_admission_duration_seconds",
            "From a review's arrival to its answer.",
            ["path"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._objects = Gauge(
            "doorward_admission_known_objects",
            "Objects in the caches that decisions are made from.",
            ["resource"],
            registry=registry,
        )

        self._holding = Gauge(
            "doorward_pods_with_secrets",
            "Live pods of enrolled namespaces that hold or reach a secret; NaN before the first census.",
            registry=registry,
        )
        self._unseen = Gauge(
            "doorward_namespaces_unseen",
            "Enrolled namespaces that the last census could not look into.",
            registry=registry,
        )
        self._holding.set(math.nan)

    def counted(self, holding: int, unseen: int) -> None:
        """Show what a census found."""
        self._holding.set(holding)
        self._unseen.set(unseen)

    def answered(self, path: str, code: str, seconds: float) -> None:
        """Count one answer."""
        self._reviews.labels(path, code).inc()
        self._seconds.labels(path).observe(seconds)

    def watch_caches(self, sizes: Callable[[], Mapping[str, int]]) -> None:
        """Read the sizes of the caches at scrape time."""
        for resource in sizes():
            self._objects.labels(resource).set_function(_size_of(sizes, resource))


def _size_of(sizes: Callable[[], Mapping[str, int]], resource: str) -> Callable[[], float]:
    return lambda: sizes()[resource]

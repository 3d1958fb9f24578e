"""One registry per process; labels are closed sets, never a task, a pod or a user.

A part declares its metrics in its own `metrics.py` on a registry it is given; `declared` lists them,
so that a test can hold the documentation and the dashboards against the code.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from doorward import __version__


def registry(part: str) -> CollectorRegistry:
    """A new registry that says which build of which part it belongs to."""
    created = CollectorRegistry()
    info = Info("doorward_build", "Version of the running part.", registry=created)
    info.info({"version": __version__, "part": part})
    return created


def exposition(source: CollectorRegistry) -> tuple[bytes, str]:
    """The text format and its content type."""
    return generate_latest(source), CONTENT_TYPE_LATEST


def declared(source: CollectorRegistry) -> Iterator[tuple[str, str]]:
    """Name and help sentence of every metric."""
    for family in source.collect():
        yield family.name, family.documentation

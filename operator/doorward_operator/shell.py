"""kopf as the shell: login, watch streams, and the life of the process. Handlers only pass news on.

No handler keeps state on objects: no annotations, no finalizers, no timers, no indices. What kopf
does not tell (deletions during a gap, when the first list is complete) comes from `resync`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import kopf

from doorward.kube import Backoff
from doorward.kube.resources import AGENT_ROLES, AGENT_TASKS, CONNECTORS, NAMESPACES, Resource
from doorward_operator.news import News

_PREFIX: Final = "doorward.dev"


class Endless:
    """Waits between attempts, without end and with jitter: an outage of any length is survived."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff

    def __iter__(self) -> Iterator[float]:
        failures = 0
        while True:
            failures += 1
            yield self._backoff.delay(failures)


def settings() -> kopf.OperatorSettings:
    """Settings of kopf, pinned: each default that matters is stated here."""
    pinned = kopf.OperatorSettings()
    pinned.posting.enabled = False
    pinned.peering.standalone = True
    pinned.scanning.disabled = True
    pinned.watching.server_timeout = 270
    pinned.watching.client_timeout = 300
    pinned.watching.connect_timeout = 10
    pinned.watching.inactivity_timeout = 75
    pinned.watching.chunk_size = 500
    pinned.networking.request_timeout = 30
    pinned.networking.connect_timeout = 10
    pinned.networking.error_backoffs = Endless(Backoff(base=1.0, limit=30.0))
    pinned.networking.enforce_retry_after = True
    pinned.queueing.worker_limit = None
    pinned.persistence.finalizer = f"{_PREFIX}/never-used"
    pinned.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=_PREFIX)
    pinned.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=_PREFIX)
    pinned.process.ultimate_exiting_timeout = 20
    return pinned


def registry(news: News) -> kopf.OperatorRegistry:
    """The handlers: one per kind, each a line."""
    created = kopf.OperatorRegistry()
    kopf.on.login(registry=created)(_login)
    kinds: list[tuple[Resource, Callable[..., None]]] = [
        (AGENT_TASKS, news.task),
        (AGENT_ROLES, news.role),
        (CONNECTORS, news.connector),
        (NAMESPACES, news.namespace),
    ]
    for resource, tell in kinds:
        kopf.on.event(resource.group, resource.version, resource.plural, registry=created, id="news")(
            _handler(tell)
        )
    return created


async def run(news: News, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Watch until `stop` is set; sets `ready` once the watches are being opened."""
    await kopf.operator(
        registry=registry(news),
        settings=settings(),
        standalone=True,
        clusterwide=True,
        stop_flag=stop,
        ready_flag=ready,
    )


def _handler(tell: Callable[..., None]) -> Callable[..., Any]:
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        tell(dict(event["object"]), gone=event["type"] == "DELETED")

    return on_event


async def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The pod's own account, or the kubeconfig that the variable KUBECONFIG names."""
    if "KUBECONFIG" in os.environ:
        return kopf.login_with_kubeconfig(**kwargs)
    return kopf.login_with_service_account(**kwargs)

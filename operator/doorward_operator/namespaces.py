"""Following enrolled namespaces one by one: the operator may read pods in no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from doorward.core.clock import Clock, system
from doorward.kube import Change, ChangeType, Client, Informer
from doorward.kube.resources import NETWORK_POLICIES, PODS, SERVICE_ACCOUNTS, Resource
from doorward.render import names
from doorward_operator.news import News
from doorward_operator.world import World

OURS: Final = f"{names.MANAGED_BY}={names.PRODUCT}"
"""Label selector of what the operator makes."""


class Namespaces:
    """Three informers per enrolled namespace, for as long as it is enrolled."""

    def __init__(self, client: Client, world: World, now: Clock = system) -> None:
        self._client = client
        self._world = world
        self._now = now
        self._following: dict[str, list[asyncio.Task[None]]] = {}
        self.news: News | None = None
        """Set once, before the first enrolment: the two know each other."""

    def on_enrolment(self, namespace: str, enrolled: bool) -> None:
        """Begin or cease to follow a namespace."""
        if enrolled and namespace not in self._following:
            self._begin(namespace)
        if not enrolled and namespace in self._following:
            self._cease(namespace)

    def waiting(self) -> list[str]:
        """What of the enrolled namespaces is not known yet, for the readiness probe."""
        return [f"pods and policies of namespace {name}" for name in sorted(self._world.unreadable)]

    async def close(self) -> None:
        """Cease to follow all."""
        running = [task for tasks in self._following.values() for task in tasks]
        for namespace in list(self._following):
            self._cease(namespace)
        await asyncio.gather(*running, return_exceptions=True)

    def _begin(self, namespace: str) -> None:
        self._world.unreadable[namespace] = self._now()
        pending = {resource.plural for resource, _ in self._sources()}
        self._following[namespace] = [
            asyncio.create_task(
                self._informer(namespace, resource, tell, pending).run(), name=resource.plural
            )
            for resource, tell in self._sources()
        ]

    def _sources(self) -> Iterator[tuple[Resource, Callable[[Change], None]]]:
        if self.news is None:
            raise AssertionError("a namespace was enrolled before anybody wanted its news")
        yield PODS, self.news.pod
        yield NETWORK_POLICIES, self.news.policy
        yield SERVICE_ACCOUNTS, self.news.account

    def _informer(
        self, namespace: str, resource: Resource, tell: Callable[[Change], None], pending: set[str]
    ) -> Informer:
        def on_event(change: Change) -> None:
            tell(change)
            if change.type is ChangeType.SYNCED and resource.plural in pending:
                pending.discard(resource.plural)
                if not pending:
                    self._known(namespace)

        labels = OURS if resource is SERVICE_ACCOUNTS else None  # whoever made a pod or a policy, it counts
        return Informer(self._client, resource, namespace, on_event, labels=labels)

    def _known(self, namespace: str) -> None:
        self._world.unreadable.pop(namespace, None)
        if self.news is not None:
            self.news.everything_in(namespace)

    def _cease(self, namespace: str) -> None:
        for task in self._following.pop(namespace):
            task.cancel()
        self._world.unreadable.pop(namespace, None)
        for store in (self._world.pods, self._world.policies, self._world.accounts):
            store.clear(namespace)

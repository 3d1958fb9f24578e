"""Comparing what is known with what the API server has: at the start, and every few minutes.

kopf tells of no deletion that happened while its watch was interrupted, so absence is never taken
from it. What a list shows to be gone is told like a deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from doorward.kube import ApiError, Client
from doorward.kube.resources import (
    AGENT_ROLES,
    AGENT_TASKS,
    CONNECTORS,
    NAMESPACES,
    Resource,
    name_of,
    namespace_of,
)
from doorward_operator.news import News
from doorward_operator.store import Name, Store
from doorward_operator.world import World

_ATTEMPTS: Final = 3
"""How often a list that was compacted away halfway is begun again."""


class Tell(Protocol):
    """How an object is told."""

    def __call__(self, found: Mapping[str, Any], *, gone: bool) -> None:
        """Take in one object."""


async def resync(client: Client, world: World, news: News, corrected: Callable[[], None]) -> None:
    """Tell of everything that is not known, and of what is known and gone. Raises `ApiError`.

    Tasks come last: whatever they name is known by then.
    """
    await _one(client, NAMESPACES, world.namespaces, news.namespace, corrected)
    await _one(client, CONNECTORS, world.connectors, news.connector, corrected)
    await _one(client, AGENT_ROLES, world.roles, news.role, corrected)
    await _one(client, AGENT_TASKS, world.tasks, news.task, corrected)


async def _one(
    client: Client, resource: Resource, store: Store, tell: Tell, corrected: Callable[[], None]
) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            seen, version = await _present(client, resource, store, tell, corrected)
        except ApiError as error:
            if not error.gone or attempt == _ATTEMPTS:
                raise
        else:
            break
    for found in store.absent_from(seen, version):
        corrected()
        tell(found, gone=True)


async def _present(
    client: Client, resource: Resource, store: Store, tell: Tell, corrected: Callable[[], None]
) -> tuple[set[Name], str]:
    seen: set[Name] = set()
    version = ""
    async for page in client.pages(resource):
        version = page.version
        for found in page.items:
            found.update(apiVersion=resource.api_version, kind=resource.kind)
            key = (namespace_of(found), name_of(found))
            seen.add(key)
            known = store.get(*key)
            if known is None or known["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                corrected()
            tell(found, gone=False)
    return seen, version

"""Tasks, roles, grants and connectors as the watches tell of them, parsed when they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector, Grant, Resource
from doorward.errors import Refusal
from doorward.kube import Change, ChangeType, Client, Informer, resources
from doorward.kube.resources import name_of, namespace_of
from doorward.render import is_enrolled
from doorward.telemetry import log

_LOG: Final = log.get(__name__)
T = TypeVar("T", bound=Resource)

_KINDS: Final[Mapping[resources.Resource, type[Resource]]] = {
    resources.AGENT_TASKS: AgentTask,
    resources.AGENT_ROLES: AgentRole,
    resources.GRANTS: Grant,
    resources.CONNECTORS: Connector,
}


class Caches:
    """`Known` over five watches. What cannot be parsed is absent: nothing is admitted on its account."""

    def __init__(self, client: Client) -> None:
        self._found: dict[type[Resource], dict[tuple[str, str], Resource]] = {
            kind: {} for kind in _KINDS.values()
        }
        self.informers = [
            Informer(client, resource, None, _Follower(kind, self._found[kind]))
            for resource, kind in _KINDS.items()
        ]
        self._enrolled: set[str] = set()
        self.enrolment = asyncio.Event()
        """Set when a namespace is enrolled that was not; whoever waits for it clears it."""
        self.informers.append(Informer(client, resources.NAMESPACES, None, self._follow_namespace))

    def waits_for(self) -> Sequence[str]:
        """The kinds whose first list has not been read."""
        return [
            f"the list of {resource.plural}"
            for resource, informer in zip((*_KINDS, resources.NAMESPACES), self.informers, strict=True)
            if not informer.synced.is_set()
        ]

    def sizes(self) -> Mapping[str, int]:
        """How many objects of each resource are known; of namespaces, those that are enrolled."""
        counted = {resource.plural: len(self._found[kind]) for resource, kind in _KINDS.items()}
        return {**counted, resources.NAMESPACES.plural: len(self._enrolled)}

    def task(self, namespace: str, name: str) -> AgentTask | None:
        """A task by name."""
        return self._get(AgentTask, namespace, name)

    def role(self, namespace: str, name: str) -> AgentRole | None:
        """A role by name."""
        return self._get(AgentRole, namespace, name)

    def grant(self, namespace: str, name: str) -> Grant | None:
        """A grant by name."""
        return self._get(Grant, namespace, name)

    def enrolled(self, namespace: str) -> bool:
        """Whether agents run in a namespace."""
        return namespace in self._enrolled

    def connectors(self) -> Mapping[str, Connector]:
        """All connectors, by name."""
        found = self._found[Connector].values()
        return {item.metadata.name: item for item in found if isinstance(item, Connector)}

    def _follow_namespace(self, change: Change) -> None:
        if change.type is ChangeType.SYNCED:
            return
        name = name_of(change.object)
        if change.type is ChangeType.GONE or not is_enrolled(change.object["metadata"].get("labels", {})):
            self._enrolled.discard(name)
        elif name not in self._enrolled:
            self._enrolled.add(name)
            self.enrolment.set()

    def _get(self, kind: type[T], namespace: str, name: str) -> T | None:
        found = self._found[kind].get((namespace, name))
        return found if isinstance(found, kind) else None


class _Follower:
    """Keeps the objects of one kind."""

    def __init__(self, kind: type[Resource], found: dict[tuple[str, str], Resource]) -> None:
        self._kind, self._found = kind, found

    def __call__(self, change: Change) -> None:
        if change.type is ChangeType.SYNCED:
            return
        key = (namespace_of(change.object), name_of(change.object))
        self._found.pop(key, None)
        if change.type is ChangeType.PRESENT:
            try:
                self._found[key] = self._kind.parse(change.object)
            except Refusal as refusal:
                _LOG.warning("not readable", kind=self._kind.__name__, object=key, why=refusal.detail)

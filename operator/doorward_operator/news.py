"""What each piece of news makes worth looking at: put it down, enqueue keys, and go.

Every handler is a few dictionary operations. No handler decides anything: the keys that it enqueues
are looked at later, with everything that is known by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from doorward.kube import Change, ChangeType, Object
from doorward.kube.resources import name_of, namespace_of
from doorward.render import made_for, names
from doorward_operator.store import Store
from doorward_operator.workqueue import WorkQueue
from doorward_operator.world import NAMESPACE, ROLE, TASK, Key, World

OnEnrolment = Callable[[str, bool], None]
"""Called with a namespace and whether it is enrolled; often with what is known already."""


_OF_ROLES: Final = names.role_object("")
"""How the names of roles' objects begin."""


class News:
    """Takes in changes of every kind that the operator follows."""

    def __init__(self, world: World, queue: WorkQueue[Key], on_enrolment: OnEnrolment) -> None:
        self._world = world
        self._queue = queue
        self._on_enrolment = on_enrolment
        world.on_turn = queue.add

    def task(self, found: Mapping[str, Any], *, gone: bool) -> None:
        """A task was made, changed or deleted."""
        if _noted(self._world.tasks, found, gone=gone):
            self._queue.add(Key(TASK, namespace_of(dict(found)), name_of(dict(found))))
            self._add(self._world.children_of(dict(found)))

    def role(self, found: Mapping[str, Any], *, gone: bool) -> None:
        """A role was made, changed or deleted: its objects and its waiting tasks."""
        if _noted(self._world.roles, found, gone=gone):
            self._role(namespace_of(dict(found)), name_of(dict(found)))

    def connector(self, found: Mapping[str, Any], *, gone: bool) -> None:
        """A connector was made, changed or deleted: whatever role may name it."""
        if _noted(self._world.connectors, found, gone=gone):
            for namespace, name in self._world.roles.names():
                self._role(namespace, name)

    def namespace(self, found: Mapping[str, Any], *, gone: bool) -> None:
        """A namespace was made, changed or deleted: perhaps it is enrolled now, or not any more."""
        if not _noted(self._world.namespaces, found, gone=gone):
            return
        name = name_of(dict(found))
        self._on_enrolment(name, not gone and self._world.enrolled(name))
        self.everything_in(name)

    def pod(self, change: Change) -> None:
        """A pod was made, changed or deleted: a task's, or one that keeps tasks from starting."""
        if change.type is ChangeType.SYNCED:
            return
        namespace, name = namespace_of(change.object), name_of(change.object)
        # What vanished in a gap comes without annotations: what is known still has them.
        known = self._world.pods.get(namespace, name) or change.object
        before = self._world.foreign_pods(namespace)
        if not self._changed(self._world.pods, change):
            return
        task = made_for(known)
        if task is not None:
            self._queue.add(Key(TASK, namespace, task))
        if self._world.foreign_pods(namespace) != before:
            self._add(self._world.tasks_of(namespace, without_pod=True))

    def policy(self, change: Change) -> None:
        """A NetworkPolicy was made, changed or deleted: ours, or one that may widen what ours close."""
        if change.type is ChangeType.SYNCED:
            return
        namespace, name = namespace_of(change.object), name_of(change.object)
        before = self._world.policies.get(namespace, name)
        if not self._changed(self._world.policies, change):
            return
        self._surrounding(change.object)
        after = self._world.policies.get(namespace, name)
        if not _is_ours(name) or (before and after and _selector(before) != _selector(after)):
            self._add(self._world.tasks_of(namespace))

    def account(self, change: Change) -> None:
        """A service account of ours was made, changed or deleted."""
        if change.type is not ChangeType.SYNCED and self._changed(self._world.accounts, change):
            self._surrounding(change.object)

    def everything_in(self, namespace: str) -> None:
        """Look at a whole namespace."""
        self._queue.add(Key(NAMESPACE, namespace))
        for _, role in self._world.roles.names(namespace):
            self._queue.add(Key(ROLE, namespace, role))
        self._add(self._world.tasks_of(namespace))

    def everything(self) -> None:
        """Look at all there is: after a start, or when the render settings have changed."""
        for _, name in self._world.namespaces.names():
            self.everything_in(name)

    def _role(self, namespace: str, name: str) -> None:
        self._queue.add(Key(ROLE, namespace, name))
        self._add(self._world.tasks_of(namespace, name, without_pod=True))

    def _surrounding(self, found: Object) -> None:
        namespace, name = namespace_of(found), name_of(found)
        if name == names.DEFAULT_DENY:
            self._queue.add(Key(NAMESPACE, namespace))
        if name.startswith(_OF_ROLES):
            self._queue.add(Key(ROLE, namespace, name.removeprefix(_OF_ROLES)))

    def _add(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key)

    def _changed(self, store: Store, change: Change) -> bool:
        return _noted(store, change.object, gone=change.type is ChangeType.GONE)


def _is_ours(name: str) -> bool:
    """Whether the operator puts a policy of that name right by itself."""
    return name == names.DEFAULT_DENY or name.startswith(_OF_ROLES)


def _selector(policy: Object) -> Any:
    return policy.get("spec", {}).get("podSelector")


def _noted(store: Store, found: Mapping[str, Any], *, gone: bool) -> bool:
    return store.remove(found) if gone else store.put(found)

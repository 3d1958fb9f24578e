"""All that the operator knows, and the questions that reconciling asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from doorward.api.v1alpha1 import AgentRole, Connector, Phase, Resource
from doorward.errors import Refusal
from doorward.kube import Object
from doorward.kube.resources import name_of, uid_of, version_of
from doorward.render import made_for, names, orphaned, pod_name, role_object
from doorward_operator import linting, trim
from doorward_operator.pods import Finding, has_ended
from doorward_operator.reconcile import Observed
from doorward_operator.seats import Seats, bounded
from doorward_operator.store import Store

M = TypeVar("M", bound=Resource)

TASK: Final = "task"
ROLE: Final = "role"
NAMESPACE: Final = "namespace"

_FOREIGN: Final = ""
"""Group of the pods that were made for no task."""


@dataclass(frozen=True, slots=True)
class Key:
    """Something to look at."""

    kind: str
    """`task`, `role` or `namespace`."""
    namespace: str
    name: str = ""


class World:
    """The caches, and views over them."""

    def __init__(self) -> None:
        self.tasks = Store(trim.task, group=_parent_of, told=self._task_changed)
        self.roles = Store(trim.whole)
        self.connectors = Store(trim.whole)
        self.namespaces = Store(trim.namespace)
        self.pods = Store(trim.pod, group=_group_of)
        self.policies = Store(trim.whole, group=_everything)
        self.accounts = Store(trim.account)
        self.unreadable: dict[str, float] = {}
        """Enrolled namespaces whose pods and policies are not known yet, and since when."""
        self.seats = Seats()
        self.on_turn: Callable[[Key], None] = _nobody
        """Told of each task whose turn it is, because another has ended."""
        self._obstacles: dict[str, tuple[tuple[int, ...], Finding | None]] = {}
        self._parsed: dict[str, tuple[str, Resource | Refusal]] = {}

    def around(self, task: Object) -> Observed:
        """What there is around a task."""
        namespace = task["metadata"]["namespace"]
        role = str(task.get("spec", {}).get("role", ""))
        name = pod_name(name_of(task), task["metadata"]["uid"])
        return Observed(
            namespace=self.namespaces.get("", namespace),
            role=self.usable_role(namespace, role),
            obstacle=self.obstacle(namespace, role),
            connectors=self.usable_connectors(),
            unreadable_since=self.unreadable.get(namespace),
            deny=self.policies.get(namespace, names.DEFAULT_DENY),
            policy=self.policies.get(namespace, role_object(role)),
            others=self.policies_besides(namespace, names.DEFAULT_DENY, role_object(role)),
            account=self.accounts.get(namespace, role_object(role)),
            pod=owned(self.pods.get(namespace, name), task["metadata"]["uid"]),
            foreign_pods=self.foreign_pods(namespace),
            orphaned=self._orphaned(task),
        )

    def waits(self, task: Object) -> bool:
        """Whether the task has to wait for others of its role to end."""
        role = self.usable_role(task["metadata"]["namespace"], str(task.get("spec", {}).get("role", "")))
        return role is not None and not self.seats.admits(task, role.spec.ceilings)

    def _task_changed(self, before: Object | None, after: Object | None) -> None:
        """Whoever may begin now is looked at; nobody else of a long line is."""
        found = after or before
        if not self.seats.note(before, after) or found is None:
            return
        namespace, name = found["metadata"]["namespace"], str(found.get("spec", {}).get("role", ""))
        role = self.usable_role(namespace, name)
        if role is not None and bounded(role.spec.ceilings):
            for task in self.seats.next((namespace, name), role.spec.ceilings):
                self.on_turn(Key(TASK, namespace, task))

    def children_of(self, task: Object) -> Iterator[Key]:
        """Keys of the tasks that this task has started."""
        namespace = task["metadata"]["namespace"]
        for found in self.tasks.grouped(namespace, uid_of(task)):
            yield Key(TASK, namespace, name_of(found))

    def _orphaned(self, task: Object) -> bool:
        """Whether the parent has ended. One that is not known may only not be known yet.

        A child of a task that is gone is deleted by the garbage collector, which owner references tell.
        """
        parent = task.get("spec", {}).get("parent") or {}
        above = self.tasks.get(task["metadata"]["namespace"], str(parent.get("name")))
        return above is not None and uid_of(above) == parent.get("uid") and _is_final(above)

    def policies_besides(self, namespace: str, *besides: str) -> tuple[Object, ...]:
        """All NetworkPolicies of a namespace but those of these names."""
        found = self.policies.grouped(namespace, _everything({}))
        return tuple(sorted((policy for policy in found if name_of(policy) not in besides), key=name_of))

    def foreign_pods(self, namespace: str) -> tuple[str, ...]:
        """Names of the pods that run there and that Doorward did not make."""
        found = self.pods.grouped(namespace, _FOREIGN)
        return tuple(sorted(name_of(pod) for pod in found if not has_ended(pod)))

    def store_of(self, kind: str) -> Store:
        """The cache of a kind that the operator applies."""
        return {"NetworkPolicy": self.policies, "ServiceAccount": self.accounts}[kind]

    def enrolled(self, namespace: str) -> bool:
        """Whether tasks run in the namespace."""
        return Observed(namespace=self.namespaces.get("", namespace)).enrolled

    def role(self, namespace: str, name: str) -> AgentRole | Refusal | None:
        """A role as a model; a refusal where it could not be parsed."""
        found = self.roles.get(namespace, name)
        return None if found is None else self._parse(found, AgentRole.parse)

    def usable_role(self, namespace: str, name: str) -> AgentRole | None:
        """A role as a model; None where it is not there or could not be parsed."""
        found = self.role(namespace, name)
        return found if isinstance(found, AgentRole) else None

    def all_connectors(self) -> dict[str, Connector | Refusal]:
        """All connectors by name; refusals where they could not be parsed."""
        return {key[1]: self._parse(found, Connector.parse) for key, found in self.connectors.entries()}

    def usable_connectors(self) -> dict[str, Connector]:
        """The connectors that could be parsed, by name."""
        found = self.all_connectors().items()
        return {name: item for name, item in found if isinstance(item, Connector)}

    def obstacle(self, namespace: str, name: str) -> Finding | None:
        """What keeps tasks of the role from running; found once per version of role and connectors."""
        raw, role = self.roles.get(namespace, name), self.role(namespace, name)
        if raw is None or role is None:
            return None
        stand = (version_of(raw), *(version_of(found) for _, found in self.connectors.entries()))
        known = self._obstacles.get(uid_of(raw))
        if known is None or known[0] != stand:
            known = (stand, linting.of_role(role, self.all_connectors()))
            self._obstacles[uid_of(raw)] = known
        return known[1]

    def tasks_of(
        self, namespace: str, role: str | None = None, *, without_pod: bool = False
    ) -> Iterator[Key]:
        """Keys of the tasks of a namespace or of one of its roles; of those that wait for a pod only."""
        for (_, name), found in self.tasks.entries(namespace):
            chosen = role is None or found.get("spec", {}).get("role") == role
            if chosen and not (without_pod and "podName" in found.get("status", {})):
                yield Key(TASK, namespace, name)

    def orphans(self, namespace: str, name: str) -> Iterator[Object]:
        """Pods made for a task of that name that is not there any more."""
        task = self.tasks.get(namespace, name)
        for pod in self.pods.grouped(namespace, name):
            if orphaned(pod, task):
                yield pod

    def _parse(self, found: Object, parse: Callable[[Object], M]) -> M | Refusal:
        """Parsed once per version: a role has as many readers as tasks."""
        uid, version = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
        known = self._parsed.get(uid)
        if known is None or known[0] != version:
            try:
                self._parsed[uid] = (version, parse(found))
            except Refusal as refusal:
                self._parsed[uid] = (version, refusal)
        return self._parsed[uid][1]  # type: ignore[return-value]


def owned(pod: Object | None, uid: str) -> Object | None:
    """The pod, if the task of that UID owns it."""
    owners = [] if pod is None else pod["metadata"].get("ownerReferences", [])
    return pod if any(owner.get("uid") == uid for owner in owners) else None


def _group_of(pod: Object) -> str:
    return made_for(pod) or _FOREIGN


def _nobody(_: Key) -> None:
    """Nobody listens yet."""


def _parent_of(task: Object) -> str:
    return str((task.get("spec", {}).get("parent") or {}).get("uid", ""))


def _is_final(task: Object) -> bool:
    phase = task.get("status", {}).get("phase")
    return "deletionTimestamp" in task["metadata"] or (phase in set(Phase) and Phase(phase).final)


def _everything(_: Object) -> str:
    return ""

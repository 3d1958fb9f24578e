"""What the broker knows of the cluster: one value, fed by events, read by decisions.

Everything is held as a parsed model. What cannot be parsed is treated as absent, which permits nothing;
a Revocation that cannot be parsed takes its whole namespace back.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from doorward.api.v1alpha1 import AgentRole, AgentTask, Approval, Connector, Grant, Revocation, Thaw
from doorward.errors import Code, Refusal
from doorward.kube import Change, ChangeType, Object, Resource, resources
from doorward.ledger import TaskRow, ThawRequest, revocations
from doorward.render import is_enrolled
from doorward.telemetry import log

_LOG: Final = log.get(__name__)
_REMEMBERED: Final = 16_384
"""How many ends are remembered: more than can come while one session is being opened."""


@dataclass(frozen=True, slots=True)
class EndTask:
    """A task is over: its sessions close."""

    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Latch:
    """A revocation is to be taken in."""

    uid: str
    subjects: tuple[str, ...]
    namespace: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lift:
    """A Thaw is to be taken in."""

    asked: ThawRequest


Consequence = EndTask | Latch | Lift


@dataclass(frozen=True, slots=True)
class Running:
    """A pod that runs."""

    uid: str
    task_uid: str
    """Of the AgentTask that controls it; empty for anybody else's."""


@dataclass
class Facts:
    """The followed part of the cluster. Reading never waits; `apply` is called by the informers alone."""

    release_namespace: str
    tasks: dict[str, AgentTask] = field(default_factory=dict)
    """By UID; only those that are not being deleted."""
    roles: dict[tuple[str, str], AgentRole] = field(default_factory=dict)
    connectors: dict[str, Connector] = field(default_factory=dict)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Name -> labels."""
    grants: dict[tuple[str, str], Grant] = field(default_factory=dict)
    """By namespace and name."""
    approvals: dict[tuple[str, str], Approval] = field(default_factory=dict)
    """By namespace and name."""
    answers: dict[tuple[str, str], set[tuple[str, str]]] = field(default_factory=dict)
    """Namespace and name of each Grant -> the Approvals that name it."""
    pods: dict[tuple[str, str], Running] = field(default_factory=dict)
    """Running task pods of enrolled namespaces."""
    revoked: dict[str, frozenset[str]] = field(default_factory=dict)
    """UID of each Revocation -> its subjects."""
    _ended: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """UID of each task and pod that is over, the latest last -> why."""

    def enrolled(self, namespace: str) -> bool:
        """Whether tasks may run there."""
        return is_enrolled(dict(self.namespaces.get(namespace, {})))

    def is_revoked(self, namespace: str, task: str, role: str, jti: str = "") -> bool:
        """Whether a Revocation covers the task, or this capability of it."""
        wanted = subjects_covering(namespace, task, role) | {revocations.capability(namespace, jti)}
        return any(subjects & wanted for subjects in self.revoked.values())

    def is_grant_revoked(self, namespace: str, uid: str) -> bool | None:
        """Whether a Revocation names the Grant of this UID.

        None where some name Grants there and this one has not been heard of, so that its name is not known.
        """
        names = [key[1] for key, found in self.grants.items() if found.metadata.uid == uid]
        wanted = {revocations.grant(namespace, name) for name in names}
        if wanted:
            return any(subjects & wanted for subjects in self.revoked.values())
        here = revocations.grant(namespace, "")
        named = any(item.startswith(here) for subjects in self.revoked.values() for item in subjects)
        return None if named else False

    def ended(self, *uids: str) -> str | None:
        """Why one of these tasks and pods is over; None as far as news go.

        By the UID of the pod and not of its task: a task whose pod vanished before its status named
        it gets a second one.
        """
        return next((self._ended[uid] for uid in uids if uid in self._ended), None)

    def absence(self, task_uid: str) -> Refusal:
        """The no to a task that is not followed: over where news said so, else only not heard of yet."""
        if task_uid in self._ended:
            return Refusal(Code.TASK_ENDED, self._ended[task_uid], ask="apply a new task")
        return Refusal(
            Code.UNAVAILABLE, "the broker has not heard of the task yet", ask="try again in a second"
        )

    def serving(self, namespace: str, service: str) -> list[Connector]:
        """The Connectors whose Service, and so whose service account, this is."""
        return [
            connector
            for connector in self.connectors.values()
            if (connector.spec.service.namespace, connector.spec.service.name) == (namespace, service)
        ]

    def apply(self, resource: Resource, change: Change) -> list[Consequence]:
        """Take one piece of news in; what follows for the ledger is returned."""
        present = change.type is ChangeType.PRESENT
        match resource:
            case resources.AGENT_TASKS:
                return self._task(change.object, present=present)
            case resources.AGENT_ROLES:
                _keep(self.roles, _key(change.object), _parsed(AgentRole, change.object) if present else None)
            case resources.CONNECTORS:
                name = change.object["metadata"]["name"]
                _keep(self.connectors, name, _parsed(Connector, change.object) if present else None)
            case resources.NAMESPACES:
                labels = change.object["metadata"].get("labels", {}) if present else None
                _keep(self.namespaces, change.object["metadata"]["name"], labels)
            case resources.PODS:
                return self._pod(change.object, present=present)
            case resources.GRANTS:
                _keep(self.grants, _key(change.object), _parsed(Grant, change.object) if present else None)
            case resources.APPROVALS:
                self._approval(change.object, present=present)
            case resources.THAWS:
                return self._thaw(change.object) if present else []
            case resources.REVOCATIONS:
                return self._revocation(change.object) if present else []
        return []

    def missed(self, live: Iterable[TaskRow], namespace: str | None = None) -> list[Consequence]:
        """Tasks that the ledger thinks alive and that ended while nobody looked.

        Without `namespace` judged by the tasks there are, with it by the pods of that namespace.
        """
        if namespace is None:
            return [self._ends(row.uid, "the task was deleted") for row in live if row.uid not in self.tasks]
        return [
            EndTask(row.uid, "the pod is gone")
            for row in live
            if row.namespace == namespace and not self._runs(row)
        ]

    def _runs(self, row: TaskRow) -> bool:
        known = self.pods.get((row.namespace, row.pod_name))
        return known is not None and known.uid == row.pod_uid

    def _task(self, found: Object, *, present: bool) -> list[Consequence]:
        uid = str(found["metadata"]["uid"])
        if not present or "deletionTimestamp" in found["metadata"]:
            self.tasks.pop(uid, None)
            return [self._ends(uid, "the task was deleted")]
        task = _parsed(AgentTask, found)
        _keep(self.tasks, uid, task)
        return [self._ends(uid, "the task cannot be read")] if task is None else []

    def _ends(self, uid: str, reason: str) -> EndTask:
        self._remember(uid, reason)
        return EndTask(uid, reason)

    def _pod(self, found: Object, *, present: bool) -> list[Consequence]:
        """A pod that is told as gone after a gap has no owner references: they are remembered."""
        key, uid = _key(found), str(found["metadata"]["uid"])
        owner = task_of(found)
        reason = pod_over(found) if present else "the pod is gone"
        if reason is None:
            self.pods[key] = Running(uid, owner[0] if owner else "")
            return []
        self._remember(uid, reason)
        known = self.pods.get(key)
        if known is not None and known.uid == uid:
            del self.pods[key]
        task_uid = owner[0] if owner else known.task_uid if known and known.uid == uid else ""
        return [EndTask(task_uid, reason)] if task_uid else []

    def _approval(self, found: Object, *, present: bool) -> None:
        key = _key(found)
        before = self.approvals.get(key)
        if before is not None:
            self.answers.get((key[0], before.spec.grant), set()).discard(key)
        parsed = _parsed(Approval, found) if present else None
        _keep(self.approvals, key, parsed)
        if parsed is not None:
            self.answers.setdefault((key[0], parsed.spec.grant), set()).add(key)

    def answering(self, grant: tuple[str, str]) -> list[Approval]:
        """The Approvals that name a Grant, the oldest first."""
        found = [self.approvals[key] for key in self.answers.get(grant, ())]
        return sorted(found, key=lambda item: (item.metadata.creation_timestamp, item.metadata.name))

    def _remember(self, uid: str, reason: str) -> None:
        self._ended[uid] = reason
        self._ended.move_to_end(uid)
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def _thaw(self, found: Object) -> list[Consequence]:
        thaw = _parsed(Thaw, found)
        if thaw is None or thaw.spec.user is None or thaw.status.conditions:
            return []
        metadata, created = thaw.metadata, found["metadata"]["creationTimestamp"]
        task = next(
            (
                item
                for item in self.tasks.values()
                if (item.metadata.namespace, item.metadata.name) == (metadata.namespace, thaw.spec.task)
            ),
            None,
        )
        asked = ThawRequest(
            uid=metadata.uid,
            namespace=metadata.namespace,
            name=metadata.name,
            task=thaw.spec.task,
            user=thaw.spec.user,
            reason=thaw.spec.reason,
            created_at=dt.datetime.fromisoformat(created).timestamp(),
            involved=involved_in(task.spec.model_dump(by_alias=True)) if task else (),
        )
        return [Lift(asked)]

    def _revocation(self, found: Object) -> list[Consequence]:
        if str(found["metadata"]["uid"]) in self.revoked:
            return []  # a spec never changes; of the heartbeat's own there is news each second
        latch = latch_of(found, self.release_namespace)
        self.revoked[latch.uid] = frozenset(latch.subjects)
        return [latch]


def involved_in(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Who asked for a task, and who made it; empty where its spec is not known."""
    return tuple(str(spec[name]) for name in ("requestedBy", "createdBy") if spec.get(name))


def subjects_covering(namespace: str, task: str, role: str) -> frozenset[str]:
    """Every subject whose revocation covers a task."""
    return frozenset(
        {
            revocations.EVERYTHING,
            revocations.namespace(namespace),
            revocations.role(namespace, role),
            revocations.task(namespace, task),
        }
    )


def latch_of(found: Object, release_namespace: str) -> Latch:
    """What a Revocation object takes back."""
    metadata = found["metadata"]
    uid, name, home = str(metadata["uid"]), str(metadata["name"]), str(metadata["namespace"])
    parsed = _parsed(Revocation, found)
    if parsed is None:
        return Latch(
            uid, (revocations.namespace(home),), home, name, "unreadable: its whole namespace is revoked"
        )
    return Latch(uid, subjects_of(parsed, release_namespace), home, name, parsed.spec.reason)


def subjects_of(revocation: Revocation, release_namespace: str) -> tuple[str, ...]:
    """The subjects that a Revocation names, within its reach.

    That is its own namespace, or from the release namespace the whole cluster.
    """
    home, spec = revocation.metadata.namespace, revocation.spec
    central = home == release_namespace
    found = {
        *(revocations.task(home, name) for name in spec.tasks),
        *(revocations.role(home, name) for name in spec.roles),
        *(revocations.capability(home, jti) for jti in spec.capabilities),
        *(revocations.grant(home, name) for name in spec.grants),
        *(revocations.namespace(name) for name in spec.namespaces if central or name == home),
    }
    if spec.everything:
        found.add(revocations.EVERYTHING if central else revocations.namespace(home))
    return tuple(sorted(found))


def task_of(pod: Object) -> tuple[str, str] | None:
    """UID and name of the AgentTask that controls a pod."""
    for owner in pod["metadata"].get("ownerReferences", ()):
        kind = (owner.get("apiVersion"), owner.get("kind"))
        wanted = (resources.AGENT_TASKS.api_version, resources.AGENT_TASKS.kind)
        if owner.get("controller") is True and kind == wanted:
            return str(owner["uid"]), str(owner["name"])
    return None


def pod_over(pod: Object) -> str | None:
    """Why a pod is not running any more; None while it is."""
    if "deletionTimestamp" in pod["metadata"]:
        return "the pod is being deleted"
    phase = pod.get("status", {}).get("phase")
    return f"the pod has {str(phase).lower()}" if phase in {"Succeeded", "Failed"} else None


def _key(found: Object) -> tuple[str, str]:
    return str(found["metadata"]["namespace"]), str(found["metadata"]["name"])


def _keep(where: dict[Any, Any], key: Any, found: Any) -> None:
    if found is None:
        where.pop(key, None)
    else:
        where[key] = found


def _parsed(model: Any, found: Object) -> Any:
    try:
        return model.parse(found)
    except Refusal as refusal:
        name = found["metadata"].get("name")
        _LOG.error(
            "an object cannot be read and counts as absent", kind=model.__name__, name=name, why=str(refusal)
        )
        return None

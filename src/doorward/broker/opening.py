"""Opening a session: from a token to "this is the door of that task, in the pod that was made for it".

The questions are asked by `Opener`; what the answers mean is decided by the pure functions here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from doorward.api.v1alpha1 import AgentRole, AgentTask
from doorward.broker.cluster import AUDIENCE, Cluster
from doorward.broker.facts import Facts, pod_over, task_of
from doorward.core.clock import Clock
from doorward.errors import Code, Refusal
from doorward.kube import Identity, Object
from doorward.ledger import Door, Evidence, Ledger, NotNewer, Opened, Pin, Seats
from doorward.render import RenderSettings, Source, mismatch
from doorward.render.names import DOOR_CONTAINER
from doorward.serving.app import canonical_address

_POLL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Claimed:
    """A door that was recognised; the session is not open yet."""

    pod: Object
    task: AgentTask
    role: AgentRole


@dataclass
class Opener:
    """Asks what is needed and opens sessions in the ledger."""

    cluster: Cluster
    facts: Facts
    ledger: Ledger
    renderings: Callable[[dt.datetime], Sequence[RenderSettings]]
    """What a pod made at that time may be rendered with, the settings in force now first."""
    pinned: Callable[[str], Awaitable[AgentRole | None]]
    """The role as it was pinned for a task UID; None before its first session."""
    clock: Clock
    wait_seconds: float
    """How long a pod's status may lag behind its containers."""

    async def identify(self, token: str, peer: str) -> Claimed:
        """Whose door holds the token. Raises `Refusal`: `session_invalid`, `task_ended`, `unavailable`."""
        identity = await self.cluster.review(token, AUDIENCE)
        namespace = bound_namespace(identity)
        if not self.facts.enrolled(namespace):
            raise _invalid("the namespace is not enrolled")
        pod = await self.cluster.pod(namespace, identity.pod_name)
        check_pod(pod, identity, peer)
        found = await self.cluster.task(namespace, _owner(pod)[1])
        task = check_task(found, _owner(pod)[0])
        claimed = Claimed(_there(pod), task, await self.pinned(task.metadata.uid) or self._role(task))
        self._check_render(claimed)
        return claimed

    async def open(self, claimed: Claimed, thumbprint: str, peer: str) -> Opened:
        """Open, or give the session that this key has. Raises `Refusal(task_frozen)` for a thief.

        A pod's status may lag behind: both the first evidence and a newer one are waited for.
        Meanwhile the task may end: news of that found no session to close, so they are looked for
        last. Nothing is awaited between that look and the return of a session.
        """
        deadline = self.clock() + self.wait_seconds
        pod = claimed.pod
        while True:
            evidence = evidence_of(pod)
            late = self.clock() >= deadline
            if evidence.container_id:
                door = Door(thumbprint, evidence, peer)
                answer = await self.ledger.open_session(pin_of(claimed), door, last_try=late)
                if not isinstance(answer, NotNewer):
                    await self._check_ended(claimed)
                    return answer
            elif late:
                raise Refusal(
                    Code.UNAVAILABLE, "the pod's status does not show its door yet", ask="try again"
                )
            await asyncio.sleep(_POLL_SECONDS)
            pod = await self._again(pod)

    async def _check_ended(self, claimed: Claimed) -> None:
        uid = claimed.task.metadata.uid
        reason = self.facts.ended(uid, claimed.pod["metadata"]["uid"])
        if reason is not None:
            await self.ledger.end(uid, reason)
            raise Refusal(Code.TASK_ENDED, f"the task has ended: {reason}", ask="apply a new task")

    def _check_render(self, claimed: Claimed) -> None:
        """The live pod must be what is, or was when it was made, rendered from its task.

        During an upgrade the broker may be the last to see new settings: hence temporary.
        """
        source = Source(claimed.task, claimed.role, self.facts.connectors)
        made = dt.datetime.fromisoformat(claimed.pod["metadata"]["creationTimestamp"])
        found = mismatch(claimed.pod, source, self.renderings(made), stored=True)
        if found:
            raise Refusal(
                Code.UNAVAILABLE,
                f"the pod is not what its task renders to, at {found[0].pointer}",
                ask="wait for the operator; if it stays, look for who changed the pod",
            )

    def _role(self, task: AgentTask) -> AgentRole:
        found = self.facts.roles.get((task.metadata.namespace, task.spec.role))
        if found is None:
            raise Refusal(Code.UNAVAILABLE, f"the role {task.spec.role} does not exist", ask="apply the role")
        return found

    async def _again(self, pod: Object) -> Object:
        metadata = pod["metadata"]
        found = await self.cluster.pod(metadata["namespace"], metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"] or pod_over(found):
            raise Refusal(Code.TASK_ENDED, "the pod is gone")
        return found


def bound_namespace(identity: Identity) -> str:
    """Namespace of a pod-bound service account token. Raises `Refusal(session_invalid)`."""
    namespace, _ = identity.service_account
    if not namespace or not identity.pod_name or not identity.pod_uid:
        raise _invalid("the token is not bound to a pod")
    return namespace


def check_pod(pod: Object | None, identity: Identity, peer: str) -> None:
    """The live pod is the token's, belongs to a task, and is where the request comes from."""
    if pod is None or pod["metadata"]["uid"] != identity.pod_uid:
        raise _invalid("the token's pod does not exist")
    if reason := pod_over(pod):
        raise Refusal(Code.TASK_ENDED, reason, ask="apply a new task")
    if pod["spec"].get("serviceAccountName") != identity.service_account[1]:
        raise _invalid("the token is of another service account than the pod's")
    if task_of(pod) is None:
        raise _invalid("the pod is not controlled by an AgentTask")
    addresses = {
        canonical_address(item["ip"]) for item in pod.get("status", {}).get("podIPs", ()) if item.get("ip")
    }
    if not addresses:
        raise Refusal(Code.UNAVAILABLE, "the pod's status does not show its address yet", ask="try again")
    if peer not in addresses:
        raise _invalid("the request does not come from the token's pod")


def check_task(found: Object | None, uid: str) -> AgentTask:
    """The task that the pod's owner reference names, if it lives."""
    if found is None or found["metadata"]["uid"] != uid or "deletionTimestamp" in found["metadata"]:
        raise Refusal(Code.TASK_ENDED, "the task was deleted", ask="apply a new task")
    return AgentTask.parse(found)


def evidence_of(pod: Object) -> Evidence:
    """What the status says about the door's container; without an id while it is not shown running."""
    for status in pod.get("status", {}).get("initContainerStatuses", ()):
        if status.get("name") == DOOR_CONTAINER and "running" in status.get("state", {}):
            return Evidence(str(status.get("containerID", "")), int(status.get("restartCount", 0)))
    return Evidence("", 0)


def pin_of(claimed: Claimed) -> Pin:
    """What the ledger remembers of the task for ever."""
    task, metadata = claimed.task, claimed.pod["metadata"]
    return Pin(
        uid=task.metadata.uid,
        namespace=task.metadata.namespace,
        name=task.metadata.name,
        role=task.spec.role,
        role_snapshot=json.dumps(claimed.role.model_dump(mode="json", by_alias=True)),
        pod_uid=metadata["uid"],
        pod_name=metadata["name"],
        pod_created_at=seconds_of(metadata["creationTimestamp"]),
        requested_by=task.spec.requested_by or "",
        image=_image_of(claimed.pod),
        seats=seats_of(claimed.role),
        parent_uid=task.spec.parent.uid if task.spec.parent else None,
    )


def seats_of(role: AgentRole) -> Seats:
    """How many tasks of the role may be there at the same time."""
    ceilings = role.spec.ceilings
    return Seats(ceilings.tasks, ceilings.per_requester.tasks)


def seconds_of(timestamp: str) -> float:
    """Seconds since the epoch of a timestamp of the Kubernetes API."""
    return dt.datetime.fromisoformat(timestamp).timestamp()


def _image_of(pod: Object) -> str:
    """The agent's image by digest where the status shows it, else as the pod names it."""
    for status in pod.get("status", {}).get("containerStatuses", ()):
        if status.get("imageID"):
            return str(status["imageID"])
    return str(pod["spec"]["containers"][0]["image"])


def _owner(pod: Object | None) -> tuple[str, str]:
    return task_of(_there(pod)) or ("", "")


def _there(pod: Object | None) -> Object:
    if pod is None:
        raise _invalid("the token's pod does not exist")
    return pod


def _invalid(detail: str) -> Refusal:
    return Refusal(
        Code.SESSION_INVALID, detail, allowed="the door of a running task, with its pod's own token"
    )

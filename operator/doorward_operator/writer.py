"""The operator's hands: few writes, each of them safe to repeat.

Pods are made by POST under their one name; a pod of that name that belongs to the task is the
wanted one. Every status write carries the resource version it was computed from. Nothing is written
by a replica that does not lead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from doorward.api.v1alpha1 import AgentRoleStatus, AgentTaskStatus
from doorward.errors import DoorwardError
from doorward.kube import ApiError, Client, Object
from doorward.kube.resources import (
    AGENT_TASKS,
    NETWORK_POLICIES,
    PODS,
    SERVICE_ACCOUNTS,
    Resource,
    name_of,
    namespace_of,
    uid_of,
)
from doorward_operator.budget import Bucket
from doorward_operator.surroundings import Missing
from doorward_operator.world import owned

MANAGER: Final = "doorward-operator"
"""Field manager of everything applied."""
ORPHAN_GRACE_SECONDS: Final = 5
"""Grace of a pod whose task was deleted."""

_KINDS: Final[dict[str, Resource]] = {item.kind: item for item in (NETWORK_POLICIES, SERVICE_ACCOUNTS)}


class NotLeading(DoorwardError):  # noqa: N818 - a state, not a fault
    """Another replica may be the leader by now; whatever was planned is its business."""


class NameTaken(DoorwardError):  # noqa: N818 - a finding
    """A pod that is not the task's has the task's pod name."""


class Writer:
    """Writes, within a budget."""

    def __init__(
        self,
        client: Client,
        leading: Callable[[], bool],
        bucket: Bucket,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._leading = leading
        self._bucket = bucket
        self._monotonic = monotonic
        self._sleep = sleep

    async def create_pod(self, pod: Object) -> Object:
        """Make the pod, or find that it has been made. Raises `NameTaken`, `ApiError`."""
        await self._turn()
        namespace, owner = namespace_of(pod), pod["metadata"]["ownerReferences"][0]["uid"]
        try:
            return await self._client.create(PODS, pod, namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        live = await self._client.get(PODS, name_of(pod), namespace)
        if owned(live, owner) is None:
            raise NameTaken(f"the pod {name_of(pod)} belongs to somebody else: delete it")
        return live

    async def write_status(
        self, resource: Resource, found: Object, status: AgentTaskStatus | AgentRoleStatus
    ) -> Object:
        """Write the status computed from this version of the object; 409 if there is a newer one."""
        await self._turn()
        wanted = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        gone = {key: None for key in found.get("status", {}) if key not in wanted}
        body = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "status": {**gone, **wanted},
        }
        name, namespace = name_of(found), namespace_of(found)
        return await self._client.merge(resource, name, body, namespace, subresource="status")

    async def repair(self, wanted: Missing) -> Object:
        """Put one object of the surroundings in place."""
        await self._turn()
        desired = wanted.desired
        resource = _KINDS[desired["kind"]]
        if wanted.repair is None:
            return await self._client.apply(resource, desired, manager=MANAGER)
        return await self._client.merge(resource, name_of(desired), wanted.repair, namespace_of(desired))

    async def delete_pod(self, pod: Object, grace_seconds: int | None = None) -> None:
        """End this very pod."""
        await self._turn()
        await self._delete(PODS, pod, grace_seconds)

    async def delete_task(self, task: Object) -> None:
        """Delete this very task; its pod goes with it."""
        await self._turn()
        await self._delete(AGENT_TASKS, task, None)

    async def _delete(self, resource: Resource, found: Object, grace_seconds: int | None) -> None:
        try:
            await self._client.delete(
                resource,
                name_of(found),
                namespace_of(found),
                uid=uid_of(found),
                grace_seconds=grace_seconds,
            )
        except ApiError as error:
            if not error.conflict:  # another object has the name: this one has gone
                raise

    async def _turn(self) -> None:
        """Wait for the budget, then make sure that this is still ours to do."""
        delay = self._bucket.reserve(self._monotonic())
        if delay > 0:
            await self._sleep(delay)
        if not self._leading():
            raise NotLeading("the lease is not held")

"""From a key to what it needs: observe, plan, write, and look again until the plan is empty."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from doorward.api.v1alpha1 import AgentRoleStatus, AgentTask, AgentTaskStatus
from doorward.core.clock import Clock, system
from doorward.errors import Refusal
from doorward.kube import ApiError, Client, EventsRecorder, Object
from doorward.kube.resources import AGENT_ROLES, AGENT_TASKS, PODS, name_of, namespace_of, uid_of
from doorward.render import (
    RenderSettings,
    names,
    orphaned,
    render_default_deny,
    render_role_policy,
    render_service_account,
)
from doorward.telemetry import log
from doorward_operator import linting, pods
from doorward_operator.metrics import Metrics
from doorward_operator.reconcile import Observed, Plan, is_alive, reconcile, unparsable
from doorward_operator.surroundings import missing
from doorward_operator.workqueue import WorkQueue
from doorward_operator.world import ROLE, TASK, Key, World
from doorward_operator.writer import ORPHAN_GRACE_SECONDS, NameTaken, NotLeading, Writer

PASSES: Final = 6
"""Most plans that one key gets in a row; a task takes three from nothing to its pod."""
REPAIRS: Final = 2
"""Most writes to one object of the surroundings in a row: applying it, and taking away what it held."""
FRESH_SECONDS: Final = 60.0
"""How long a new leader reads a task live before making its pod: its caches may lag behind."""
KEY_SECONDS: Final = 120.0
"""How long one key may take."""

_LOG: Final = log.get("doorward.operator")


class Term(Protocol):
    """What the controller wants to know of the election."""

    @property
    def term_started(self) -> float | None:
        """When this replica became leader, on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a controller works with."""

    client: Client
    world: World
    queue: WorkQueue[Key]
    writer: Writer
    events: EventsRecorder
    metrics: Metrics
    render: Callable[[], RenderSettings]
    term: Term
    now: Clock = system


class Controller:
    """Works off the queue. All caches are read and written on the one loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._world = parts.world

    async def work(self) -> None:
        """One worker: until the queue is closed."""
        queue, metrics = self._parts.queue, self._parts.metrics
        while (key := await queue.get()) is not None:
            started = time.perf_counter()
            result = await self._attempt(key)
            metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
            metrics.reconciles.labels(key.kind, result).inc()
            queue.done(key)

    async def handle(self, key: Key) -> bool:
        """Bring one key to where it should be; True when that took a write."""
        if key.kind == TASK:
            return await self._task(key)
        if key.kind == ROLE:
            return await self._role(key)
        return await self._put_in_place([render_default_deny(key.namespace)])

    async def _attempt(self, key: Key) -> str:
        try:
            async with asyncio.timeout(KEY_SECONDS):
                wrote = await self.handle(key)
        except NotLeading:
            self._parts.queue.add(key)  # for when the lease comes back
            return "failed"
        except (ApiError, NameTaken, TimeoutError) as error:
            after = error.retry_after if isinstance(error, ApiError) else 0.0
            delay = self._parts.queue.retry(key, after)
            _LOG.info("a key is tried again", key=str(key), error=str(error), seconds=round(delay, 3))
            return "failed"
        except Exception:  # noqa: BLE001 - the edge: one object that nobody thought of must not stop all others
            _LOG.exception("a key failed", key=str(key))
            self._parts.queue.retry(key)
            return "failed"
        self._parts.queue.forget(key)
        return "written" if wrote else "unchanged"

    # What is around tasks: one policy per namespace, one policy and one account per role

    async def _role(self, key: Key) -> bool:
        role = self._world.usable_role(key.namespace, key.name)
        wrote = False
        if role is not None:
            policy = render_role_policy(role, self._world.usable_connectors(), self._parts.render())
            wrote = await self._put_in_place([policy, render_service_account(role)])
        return await self._judge_role(key) or wrote

    async def _judge_role(self, key: Key) -> bool:
        """Say in the role's status whether tasks can run in it."""
        found = self._world.roles.get(key.namespace, key.name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return False
        before = AgentRoleStatus.model_validate(found.get("status", {}))
        obstacle = self._world.obstacle(key.namespace, key.name)
        generation = found["metadata"].get("generation", 0)
        status = linting.role_status(before, generation, obstacle, self._parts.now())
        if status is None:
            return False
        self._world.roles.put(await self._parts.writer.write_status(AGENT_ROLES, found, status))
        return True

    async def _put_in_place(self, wanted: list[Object]) -> bool:
        wrote = False
        for desired in wanted:
            namespace = namespace_of(desired)
            if not self._world.enrolled(namespace) or namespace in self._world.unreadable:
                continue
            live = self._world.store_of(desired["kind"]).get(namespace, name_of(desired))
            repaired = await self._repair(desired)
            wrote = wrote or repaired
            if repaired and live is not None:  # it may have selected pods of other roles
                self._add(self._world.tasks_of(namespace))
            self._wake_waiting(desired)
        return wrote

    async def _repair(self, desired: Object) -> bool:
        """Put one object right; True when that took a write.

        Applying takes nothing away: what an object without our labels held already is seen after it.
        """
        store, wrote = self._world.store_of(desired["kind"]), False
        for _ in range(REPAIRS):
            gap = missing(store.get(namespace_of(desired), name_of(desired)), desired)
            if gap is None:
                break
            store.put(await self._parts.writer.repair(gap))
            wrote = True
        return wrote

    def _wake_waiting(self, desired: Object) -> None:
        role = desired["metadata"]["labels"].get(names.ROLE)
        self._add(self._world.tasks_of(namespace_of(desired), role, without_pod=True))

    def _add(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._parts.queue.add(key)

    # Tasks

    async def _task(self, key: Key) -> bool:
        wrote = await self._end_orphans(key)
        rejected: ApiError | None = None
        for _ in range(PASSES):
            task = self._world.tasks.get(key.namespace, key.name)
            if task is None:
                break
            observed = await self._confirmed(task)
            plan = self._plan(task, observed, rejected)
            if plan.requeue_at is not None:
                self._requeue(key, plan.requeue_at)
            if not plan.writes:
                break
            wrote = True
            if plan.create is not None:
                self._world.seats.promise(task)  # before anybody else is looked at
                rejected = await self._create(task, plan.create)
                continue
            if not await self._carry_out(task, observed, plan):
                break
        if rejected is not None:
            raise rejected
        return wrote

    def _requeue(self, key: Key, when: float) -> None:
        self._parts.queue.add_at(key, self._parts.queue.clock() + when - self._parts.now())

    def _plan(self, task: Object, observed: Observed, rejected: ApiError | None) -> Plan:
        now, rejection = self._parts.now(), "" if rejected is None else rejected.message
        observed = dataclasses.replace(observed, rejection=rejection, waits=self._world.waits(task))
        try:
            model = AgentTask.parse(task)
        except Refusal as refusal:
            status = AgentTaskStatus.model_validate(task.get("status", {}))
            return unparsable(status, task["metadata"].get("generation", 0), refusal, now)
        return reconcile(model, observed, now, self._parts.render())

    async def _confirmed(self, task: Object) -> Observed:
        """What is known; a pod that seems to have vanished is looked for live first."""
        observed = self._world.around(task)
        name = task.get("status", {}).get("podName")
        ended = "finishedAt" in task.get("status", {})
        if name is None or ended or observed.pod is not None or observed.unreadable_since is not None:
            return observed
        live = await self._parts.client.find(PODS, name, namespace_of(task))
        if live is None:
            return observed
        self._world.pods.put(live)
        return self._world.around(task)

    async def _create(self, task: Object, pod: Object) -> ApiError | None:
        """Make the pod; a definite no of the API server is returned, for the status."""
        if not await self._is_current(task):
            self._world.seats.withdraw(task)
            return None
        try:
            self._world.pods.put(await self._parts.writer.create_pod(pod))
        except ApiError as error:
            if error.transient:
                raise
            self._world.seats.withdraw(task)
            return error
        return None

    async def _is_current(self, task: Object) -> bool:
        """Whether a live read shows the same task; asked in the first minute of a term only."""
        began = self._parts.term.term_started
        if began is None or time.monotonic() - began > FRESH_SECONDS:
            return True
        version: str = task["metadata"]["resourceVersion"]
        return await self._refreshed(task) == version

    async def _refreshed(self, task: Object) -> str | None:
        """Read the task live into the cache; its resource version, None where it is gone."""
        live = await self._parts.client.find(AGENT_TASKS, name_of(task), namespace_of(task))
        if live is None or uid_of(live) != uid_of(task):
            self._world.tasks.remove(task)
        if live is None:
            return None
        self._world.tasks.put(live)
        return str(live["metadata"]["resourceVersion"])

    async def _carry_out(self, task: Object, observed: Observed, plan: Plan) -> bool:
        """Write status and deletions; True when it is worth to plan again."""
        if plan.status is not None:
            if not await self._write_status(task, plan):
                return True
            for note in plan.notes:
                await self._parts.events.record(
                    task,
                    reason=note.reason,
                    action="Reconcile",
                    note=note.text,
                    type_="Warning" if note.warning else "Normal",
                )
        if plan.delete_pod and observed.pod is not None:
            grace = ORPHAN_GRACE_SECONDS if "deletionTimestamp" in task["metadata"] else None
            await self._delete_pod(observed.pod, grace)
        if plan.delete_task:
            await self._parts.writer.delete_task(task)
            self._mark_deleted(task)
        return plan.status is not None

    async def _write_status(self, task: Object, plan: Plan) -> bool:
        """False when the task has changed or gone since: the cache knows by then."""
        if plan.status is None:
            return False
        try:
            self._world.tasks.put(await self._parts.writer.write_status(AGENT_TASKS, task, plan.status))
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise
            await self._refreshed(task)
            return False
        return True

    # Ends

    async def _end_orphans(self, key: Key) -> bool:
        """End pods whose task is gone, or is another one of the same name."""
        ended = False
        for pod in list(self._world.orphans(key.namespace, key.name)):
            if is_alive(pod) and await self._is_orphan(pod, key):
                await self._delete_pod(pod, ORPHAN_GRACE_SECONDS)
                ended = True
        return ended

    async def _is_orphan(self, pod: Object, key: Key) -> bool:
        live = await self._parts.client.find(AGENT_TASKS, key.name, key.namespace)
        if live is None:
            return True
        self._world.tasks.put(live)
        return orphaned(pod, live)

    async def _delete_pod(self, pod: Object, grace_seconds: int | None) -> None:
        await self._parts.writer.delete_pod(pod, grace_seconds)
        self._mark_deleted(pod)

    def _mark_deleted(self, found: Object) -> None:
        """Ours is a copy; the watch brings the real time. Until then it is not deleted again."""
        found["metadata"].setdefault("deletionTimestamp", pods.timestamp(self._parts.now()))

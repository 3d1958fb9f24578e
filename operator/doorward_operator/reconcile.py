"""The brain of the operator: what is, and what time it is, to what should be. Nothing here does I/O.

    plan = reconcile(task, observed, now, settings)

The same input gives the same plan, and a plan that has been carried out gives an empty one: so it
does not matter which events arrived, in which order, how often, or when the process was killed.

One task, one run. A task whose status names a pod had one, and if that has vanished the task has
failed. Between the POST and that status a crash leaves a pod that is found again by its name; a pod
that vanishes even before that never opened its door, so its agent had not started, and the broker
accepts one pod per task for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from doorward.api.v1alpha1 import AgentRole, AgentTask, AgentTaskStatus, ConditionType, Connector, Phase
from doorward.core import duration
from doorward.errors import Refusal
from doorward.kube import Object
from doorward.render import (
    RenderSettings,
    is_enrolled,
    pod_name,
    render_default_deny,
    render_pod,
    render_role_policy,
    render_service_account,
)
from doorward.render.names import task_labels
from doorward_operator import linting, pods
from doorward_operator.pods import End, Finding, finding
from doorward_operator.reasons import Reason
from doorward_operator.statuses import Report, Verdict, Verdicts, updated
from doorward_operator.surroundings import missing
from doorward_operator.transitions import Note, notes
from doorward_operator.union import enumerated, widened, widening

DEADLINE_SLACK: Final = 30.0
"""Seconds after the deadline in which the kubelet ends the pod before the operator does."""
DOOR_LEAVES_WITHIN: Final = 60.0
"""Seconds after the agent's end that kubelet has for the sidecar, before the pod is deleted with its log."""
READABLE_WITHIN: Final = 30.0
"""Seconds after which a namespace that cannot be read is reported."""
WAIT_SECONDS: Final = 300.0
"""When a task that waits for others is looked at again, should nobody have called it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster looks like around one task."""

    namespace: Object | None = None
    role: AgentRole | None = None
    """The role that the task names; None where there is none that can be read."""
    obstacle: Finding | None = None
    """What keeps every task of the role from running."""
    connectors: Mapping[str, Connector] = field(default_factory=dict)
    unreadable_since: float | None = None
    """Since when pods and policies of the namespace are not known, in seconds since the epoch."""
    deny: Object | None = None
    policy: Object | None = None
    others: tuple[Object, ...] = ()
    """The other NetworkPolicies of the namespace, whoever made them."""
    account: Object | None = None
    pod: Object | None = None
    foreign_pods: tuple[str, ...] = ()
    """Names of the pods in the namespace that run and that Doorward did not make."""
    waits: bool = False
    """Whether the role has as many tasks as it may have at the same time."""
    orphaned: bool = False
    """Whether another task started this one and has ended since."""
    rejection: str = ""
    """What the API server said to the last attempt to make the pod."""

    @property
    def enrolled(self) -> bool:
        """Whether the namespace is one where tasks run."""
        return self.namespace is not None and is_enrolled(self.namespace["metadata"].get("labels", {}))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order: make the pod, write the status, delete."""

    create: Object | None = None
    status: AgentTaskStatus | None = None
    """The new status; None when the present one is right."""
    delete_pod: bool = False
    delete_task: bool = False
    notes: tuple[Note, ...] = ()
    """Events to write once the status is written."""
    requeue_at: float | None = None
    """When to look again if nothing happens before, in seconds since the epoch."""

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.create or self.status or self.delete_pod or self.delete_task)


def reconcile(task: AgentTask, observed: Observed, now: float, settings: RenderSettings) -> Plan:
    """What to do about one task."""
    if task.metadata.deletion_timestamp:
        return Plan(delete_pod=is_alive(observed.pod))
    if task.status.phase is not None and task.status.phase.final:
        return _after_the_end(task, observed, now)
    if observed.enrolled and observed.unreadable_since is not None:
        return _unreadable(task, observed.unreadable_since, now)
    if observed.orphaned or (observed.pod is None and task.status.pod_name is not None):
        reason = Reason.PARENT_ENDED if observed.orphaned else Reason.POD_LOST
        return _end(task, End(Phase.FAILED, finding(reason)), now, {}, observed.pod)
    if observed.pod is not None:
        return _with_pod(task, observed, observed.pod, now)
    return _before_the_pod(task, observed, now, settings)


def unparsable(status: AgentTaskStatus, generation: int, refusal: Refusal, now: float) -> Plan:
    """The plan for a task that has a form that this version does not know."""
    return _plan(status, generation, _not_accepted(_from_refusal(refusal)), now)


def is_alive(pod: Object | None) -> bool:
    """Whether there is a pod that still has to be ended."""
    if pod is None or "deletionTimestamp" in pod["metadata"]:
        return False
    return not pods.has_ended(pod)


def _after_the_end(task: AgentTask, observed: Observed, now: float) -> Plan:
    finished = task.status.finished_at or task.metadata.creation_timestamp
    until = pods.seconds(finished) + duration.seconds(task.spec.ttl_after_finished)
    if now >= until:
        return Plan(delete_task=True)
    if observed.pod is None or not is_alive(observed.pod):
        return Plan(requeue_at=until)
    # An agent that ended by itself leaves a pod whose log people want to read: kubelet ends the door.
    patience = pods.seconds(finished) + DOOR_LEAVES_WITHIN
    if pods.ended(observed.pod) is not None and now < patience:
        return Plan(requeue_at=min(until, patience))
    return Plan(delete_pod=True, requeue_at=until)


def _unreadable(task: AgentTask, since: float, now: float) -> Plan:
    """Say nothing about what cannot be seen; after a while say that it cannot be seen."""
    if now < since + READABLE_WITHIN:
        return Plan(requeue_at=since + READABLE_WITHIN)
    if task.status.pod_name is not None:
        return Plan()
    remedy = "Bind the ClusterRole doorward-operator-enrolled to the operator in this namespace."
    verdicts = {
        ConditionType.POLICY_READY: Verdict(holds=False, finding=finding(Reason.NOT_OBSERVED, remedy))
    }
    return _report(task, Report(Phase.PENDING, verdicts), now)


def _before_the_pod(task: AgentTask, observed: Observed, now: float, settings: RenderSettings) -> Plan:
    role, obstacle = observed.role, _obstacle(task, observed)
    if role is None or obstacle is not None:
        return _report(task, _not_accepted(obstacle or _no_role(task)), now)
    try:
        pod = render_pod(task, role, observed.connectors, settings)
    except Refusal as refusal:
        return _report(task, _not_accepted(_from_refusal(refusal)), now)
    around = _surroundings(role, observed, settings)
    ready = all(verdict.holds for verdict in around.values())
    if ready and not observed.rejection and not observed.waits:
        return Plan(create=pod)
    verdicts = {ConditionType.ACCEPTED: _holds(Reason.ACCEPTED), **around}
    if observed.waits:
        remedy = "It begins when another has ended; the role's ceilings.tasks say how many may run."
        verdicts[ConditionType.RUNNING] = Verdict(
            holds=False, finding=finding(Reason.WAITING_FOR_OTHERS, remedy)
        )
        return _report(task, Report(Phase.PENDING, verdicts), now, requeue_at=now + WAIT_SECONDS)
    if observed.rejection:
        rejected = finding(Reason.POD_REFUSED, observed.rejection)
        verdicts[ConditionType.RUNNING] = Verdict(holds=False, finding=rejected)
    return _report(task, Report(Phase.PENDING, verdicts), now)


def _obstacle(task: AgentTask, observed: Observed) -> Finding | None:
    """What keeps the task from being accepted, with its remedy."""
    if not observed.enrolled:
        remedy = f"Enrol it with `kubectl doorward enroll {task.metadata.namespace}`."
        return finding(Reason.NAMESPACE_NOT_ENROLLED, remedy)
    if observed.foreign_pods:
        return _foreign_pods(observed.foreign_pods)
    if observed.obstacle is not None or observed.role is None:
        return observed.obstacle
    return linting.of_task(task, observed.role, observed.connectors)


def _foreign_pods(found: tuple[str, ...]) -> Finding:
    remedy = "Delete what makes them, or run the task in a namespace that holds nothing else."
    return finding(Reason.FOREIGN_PODS, f"There is {enumerated(found)}. {remedy}")


def _no_role(task: AgentTask) -> Finding:
    remedy = f"Apply the AgentRole {task.spec.role}, or name another one in a new task."
    return finding(Reason.ROLE_NOT_FOUND, remedy)


def _surroundings(
    role: AgentRole, observed: Observed, settings: RenderSettings
) -> dict[ConditionType, Verdict]:
    """Compared in full each time: a pod is made only where policies and account stand as rendered."""
    closed = missing(observed.deny, render_default_deny(role.metadata.namespace)) is None
    fenced = missing(observed.policy, render_role_policy(role, observed.connectors, settings)) is None
    known = missing(observed.account, render_service_account(role)) is None
    apart = _verdict(closed and fenced, Reason.POLICY_IN_PLACE, Reason.POLICY_MISSING)
    return {
        ConditionType.POLICY_READY: _unwidened(observed, task_labels(role.metadata.name))
        if apart.holds
        else apart,
        ConditionType.IDENTITY_READY: _verdict(known, Reason.IDENTITY_IN_PLACE, Reason.IDENTITY_MISSING),
    }


def _unwidened(observed: Observed, labels: Mapping[str, str]) -> Verdict:
    """Whether no policy but ours selects a pod with these labels."""
    found = widening(observed.others, labels)
    return Verdict(holds=False, finding=widened(found)) if found else _holds(Reason.POLICY_IN_PLACE)


def _with_pod(task: AgentTask, observed: Observed, pod: Object, now: float) -> Plan:
    around = _in_place(task, observed, pod)
    end = pods.ended(pod)
    if end is not None:
        return _end(task, end, now, around, pod)
    started = pods.start_time(pod)
    deadline = None if started is None else started + duration.seconds(task.spec.deadline) + DEADLINE_SLACK
    if deadline is not None and now >= deadline:
        return _end(task, pods.expired(), now, around, pod)
    running, fence = pods.running(pod), pods.fence(pod)
    is_running = running.reason == Reason.AGENT_RUNNING
    verdicts = {
        **around,
        ConditionType.FENCE_PROVEN: Verdict(fence.reason == Reason.FENCE_PROVEN, fence),
        ConditionType.RUNNING: Verdict(is_running, running),
        ConditionType.COMPLETE: Verdict(holds=False, finding=finding(Reason.NOT_FINISHED)),
    }
    phase = Phase.RUNNING if is_running else Phase.STARTING
    if task.status.phase is Phase.FROZEN:  # the broker's word; the operator does not thaw
        phase = Phase.FROZEN
    report = Report(phase, verdicts, pod["metadata"]["name"], pods.started_at(pod))
    return _report(task, report, now, requeue_at=deadline)


def _end(task: AgentTask, end: End, now: float, around: Verdicts, pod: Object | None = None) -> Plan:
    verdicts = {
        **around,
        ConditionType.RUNNING: Verdict(holds=False, finding=finding(Reason.AGENT_ENDED)),
        ConditionType.COMPLETE: Verdict(holds=True, finding=end.finding),
    }
    name = task.status.pod_name or pod_name(task.metadata.name, task.metadata.uid)
    started = None if pod is None else pods.started_at(pod)
    return _report(task, Report(end.phase, verdicts, name, started, end.at or pods.timestamp(now)), now)


def _in_place(task: AgentTask, observed: Observed, pod: Object) -> dict[ConditionType, Verdict]:
    """What held when the pod was made, and whether somebody has widened it since."""
    labels = pod["metadata"].get("labels") or task_labels(task.spec.role)
    return {
        ConditionType.ACCEPTED: _holds(Reason.ACCEPTED),
        ConditionType.POLICY_READY: _unwidened(observed, labels),
        ConditionType.IDENTITY_READY: _holds(Reason.IDENTITY_IN_PLACE),
    }


def _holds(reason: Reason) -> Verdict:
    return Verdict(holds=True, finding=finding(reason))


def _verdict(holds: bool, yes: Reason, no: Reason) -> Verdict:
    return Verdict(holds, finding(yes if holds else no))


def _not_accepted(obstacle: Finding) -> Report:
    return Report(Phase.PENDING, {ConditionType.ACCEPTED: Verdict(holds=False, finding=obstacle)})


def _from_refusal(refusal: Refusal) -> Finding:
    parts = (refusal.detail, refusal.allowed and f"allowed: {refusal.allowed}", refusal.ask)
    return Finding(refusal.code.reason, "; ".join(part for part in parts if part))


def _report(task: AgentTask, report: Report, now: float, requeue_at: float | None = None) -> Plan:
    return _plan(task.status, task.metadata.generation, report, now, requeue_at)


def _plan(
    before: AgentTaskStatus, generation: int, report: Report, now: float, requeue_at: float | None = None
) -> Plan:
    after = updated(before, generation, report, now)
    changed = None if after == before else after
    return Plan(status=changed, notes=notes(before, after), requeue_at=requeue_at)

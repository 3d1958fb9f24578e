"""What the operator concludes from what it sees, case by case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from doorward.api.v1alpha1 import AgentTask, Phase
from doorward.errors import Code, Refusal
from doorward.render import RenderSettings, pod_name
from doorward_operator.pods import finding, timestamp
from doorward_operator.reasons import SENTENCES, EventReason, Reason
from doorward_operator.reconcile import Observed, Plan, reconcile, unparsable

NOW = 1_800_000_000.0
MakeObserved = Callable[..., Observed]
POD = pod_name("fix", "uid-fix")


def task(**status: Any) -> AgentTask:
    """The task with a status."""
    spec = {
        "role": "fixer",
        "agent": {"image": "registry.example/agents/a:1"},
        "deadline": "10m",
        "ttlAfterFinished": "1h",
    }
    metadata = {
        "name": "fix",
        "namespace": "agents",
        "uid": "uid-fix",
        "generation": 1,
        "creationTimestamp": timestamp(NOW),
    }
    return AgentTask.parse(
        {
            "apiVersion": "doorward.dev/v1alpha1",
            "kind": "AgentTask",
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }
    )


def pod(**status: Any) -> dict[str, Any]:
    """The task's pod."""
    return {
        "metadata": {"name": POD, "uid": "uid-pod", "ownerReferences": [{"uid": "uid-fix"}]},
        "status": status,
    }


def container(name: str, **rest: Any) -> dict[str, Any]:
    """A container status."""
    return {"name": name, "restartCount": 0, **rest}


DOOR_UP = [container("door", started=True, state={"running": {"startedAt": timestamp(NOW)}})]
AGENT_UP = [container("agent", state={"running": {"startedAt": timestamp(NOW)}})]


def ended(**terminated: Any) -> list[dict[str, Any]]:
    """The agent's status after its end."""
    return [container("agent", state={"terminated": {"finishedAt": timestamp(NOW), **terminated}})]


def reason(plan: Plan, kind: str) -> str | None:
    """Reason of one condition in the planned status."""
    conditions = () if plan.status is None else plan.status.conditions
    return next((item.reason for item in conditions if item.type == kind), None)


def test_everything_in_place_makes_the_pod(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """And writes nothing else yet: the status comes with the pod's own."""
    plan = reconcile(task(), make_observed(), NOW, settings)

    assert plan.create is not None
    assert plan.create["metadata"]["name"] == POD
    assert plan == Plan(create=plan.create)


@pytest.mark.parametrize("part", ["deny", "policy", "account"])
def test_no_pod_without_policy_and_identity(
    make_observed: MakeObserved, settings: RenderSettings, part: str
) -> None:
    """Each of the three must be there first."""
    plan = reconcile(task(), make_observed(**{part: None}), NOW, settings)

    assert plan.create is None
    kind = "IdentityReady" if part == "account" else "PolicyReady"
    assert reason(plan, kind) in {"PolicyMissing", "IdentityMissing"}


@pytest.mark.parametrize("part", ["deny", "policy", "account"])
def test_no_pod_behind_a_changed_policy(
    make_observed: MakeObserved, settings: RenderSettings, part: str
) -> None:
    """A policy with a hole is no policy, an account with a secret is no identity."""
    live = dict(getattr(make_observed(), part))
    hole = (
        {"imagePullSecrets": [{"name": "s"}]}
        if part == "account"
        else {"spec": {**live["spec"], "ingress": [{}]}}
    )
    changed = {**live, **hole, "metadata": {**live["metadata"], "resourceVersion": "2"}}

    assert reconcile(task(), make_observed(**{part: changed}), NOW, settings).create is None


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"namespace": None}, "NamespaceNotEnrolled"),
    ({"namespace": {"metadata": {"name": "agents", "labels": {}}}}, "NamespaceNotEnrolled"),
    ({"role": None}, "RoleNotFound"),
    ({"obstacle": finding(Reason.ROLE_INVALID, "because")}, "RoleInvalid"),
    ({"obstacle": finding(Reason.CONNECTOR_NOT_FOUND, "code")}, "ConnectorNotFound"),
    ({"connectors": {}}, Code.UNAVAILABLE.reason),
]


@pytest.mark.parametrize(("changes", "expected"), REFUSALS)
def test_what_keeps_a_task_is_named(
    make_observed: MakeObserved, settings: RenderSettings, changes: dict[str, Any], expected: str
) -> None:
    """Not accepted, with the reason, a remedy and one Event; looked at again when something changes."""
    plan = reconcile(task(), make_observed(**changes), NOW, settings)

    assert plan.create is None
    assert reason(plan, "Accepted") == expected
    assert [note.reason for note in plan.notes] == [EventReason.NOT_ACCEPTED]
    assert plan.requeue_at is None


def test_a_shape_that_the_role_does_not_allow_is_refused(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """The message says what would be allowed."""
    role = make_observed().role
    assert role is not None
    shape = role.spec.agent.model_copy(update={"images": ("registry.example/other/*",)})
    other = role.model_copy(update={"spec": role.spec.model_copy(update={"agent": shape})})
    plan = reconcile(task(), make_observed(role=other), NOW, settings)

    assert reason(plan, "Accepted") == Code.OUT_OF_SCOPE.reason
    assert plan.status is not None
    assert "registry.example/other/*" in plan.status.conditions[0].message


STATES: list[tuple[dict[str, Any], Phase, dict[str, str]]] = [
    ({}, Phase.STARTING, {"FenceProven": "FencePending", "Running": "PodPending"}),
    (
        {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]},
        Phase.STARTING,
        {"Running": "Unschedulable"},
    ),
    (
        {"initContainerStatuses": [container("door", state={"waiting": {"reason": "ImagePullBackOff"}})]},
        Phase.STARTING,
        {"Running": "ImagePullFailed"},
    ),
    (
        {
            "containerStatuses": [
                container("agent", state={"waiting": {"reason": "CreateContainerConfigError"}})
            ]
        },
        Phase.STARTING,
        {"Running": "ContainerNotStarted"},
    ),
    (
        {"initContainerStatuses": [container("door", restartCount=2) | {"restartCount": 2}]},
        Phase.STARTING,
        {"FenceProven": "DoorFailing"},
    ),
    (
        {
            "initContainerStatuses": DOOR_UP,
            "containerStatuses": [container("agent", state={"waiting": {"reason": "PodInitializing"}})],
        },
        Phase.STARTING,
        {"FenceProven": "FenceProven", "Running": "PodPending"},
    ),
    (
        {"initContainerStatuses": DOOR_UP, "containerStatuses": AGENT_UP},
        Phase.RUNNING,
        {"FenceProven": "FenceProven", "Running": "AgentRunning", "Complete": "NotFinished"},
    ),
]


@pytest.mark.parametrize(("status", "phase", "reasons"), STATES)
def test_a_pod_on_its_way(
    make_observed: MakeObserved,
    settings: RenderSettings,
    *,
    status: dict[str, Any],
    phase: Phase,
    reasons: dict[str, str],
) -> None:
    """Each state of the pod has its phase and its reasons."""
    plan = reconcile(task(), make_observed(pod=pod(**status)), NOW, settings)

    assert plan.status is not None
    assert plan.status.phase is phase
    assert {kind: reason(plan, kind) for kind in reasons} == reasons
    assert plan.status.pod_name == POD


ENDS: list[tuple[dict[str, Any], Phase, str]] = [
    ({"phase": "Succeeded", "containerStatuses": ended(exitCode=0)}, Phase.SUCCEEDED, "AgentSucceeded"),
    ({"phase": "Running", "containerStatuses": ended(exitCode=0)}, Phase.SUCCEEDED, "AgentSucceeded"),
    ({"phase": "Running", "containerStatuses": ended(exitCode=1)}, Phase.FAILED, "AgentFailed"),
    ({"containerStatuses": ended(exitCode=137, reason="OOMKilled")}, Phase.FAILED, "OutOfMemory"),
    ({"phase": "Failed", "reason": "DeadlineExceeded"}, Phase.EXPIRED, "DeadlineExceeded"),
    ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, Phase.FAILED, "Evicted"),
    ({"conditions": [{"type": "DisruptionTarget", "status": "True"}]}, Phase.FAILED, "Evicted"),
    ({"phase": "Failed", "reason": "UnexpectedAdmissionError"}, Phase.FAILED, "PodFailed"),
]


@pytest.mark.parametrize(("status", "phase", "complete"), ENDS)
def test_a_pod_at_its_end(
    make_observed: MakeObserved,
    settings: RenderSettings,
    *,
    status: dict[str, Any],
    phase: Phase,
    complete: str,
) -> None:
    """Each end has its phase and its reason, and the agent is not kept running."""
    plan = reconcile(task(podName=POD), make_observed(pod=pod(**status)), NOW, settings)

    assert plan.status is not None
    assert plan.status.phase is phase
    assert plan.status.phase.final
    assert reason(plan, "Complete") == complete
    assert plan.status.finished_at is not None


def test_a_deleted_pod_is_an_end_whatever_its_exit_code(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """An agent that ends well because it was told to stop has not done its task."""
    found = pod(containerStatuses=ended(exitCode=0))
    found["metadata"]["deletionTimestamp"] = timestamp(NOW)
    plan = reconcile(task(podName=POD), make_observed(pod=found), NOW, settings)

    assert reason(plan, "Complete") == "PodDeleted"


def test_a_vanished_pod_is_never_made_again(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """One task, one run."""
    plan = reconcile(task(podName=POD, phase="Running"), make_observed(), NOW, settings)

    assert plan.create is None
    assert reason(plan, "Complete") == "PodLost"


def test_the_operator_ends_what_the_kubelet_forgot(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """Half a minute after the deadline a pod that still runs is ended by us."""
    running = pod(startTime=timestamp(NOW), initContainerStatuses=DOOR_UP, containerStatuses=AGENT_UP)
    before = reconcile(task(podName=POD), make_observed(pod=running), NOW + 629, settings)
    assert before.requeue_at == NOW + 630

    plan = reconcile(task(podName=POD), make_observed(pod=running), NOW + 630, settings)
    assert plan.status is not None
    assert plan.status.phase is Phase.EXPIRED
    ended_task = task(**plan.status.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert reconcile(ended_task, make_observed(pod=running), NOW + 631, settings).delete_pod


def test_a_revoked_task_loses_its_pod(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """Whoever says that a task is over for good, its pod is ended."""
    running = pod(phase="Running", initContainerStatuses=DOOR_UP, containerStatuses=AGENT_UP)
    revoked = task(podName=POD, phase="Revoked", finishedAt=timestamp(NOW))
    plan = reconcile(revoked, make_observed(pod=running), NOW, settings)

    assert plan.delete_pod
    assert plan.status is None


def test_an_agent_that_ended_leaves_its_log(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """A finished agent's pod stays for its log; a door that will not leave is ended a minute on."""
    leaving = pod(phase="Running", initContainerStatuses=DOOR_UP, containerStatuses=ended(exitCode=0))
    finished = task(podName=POD, phase="Succeeded", finishedAt=timestamp(NOW))
    plans = [reconcile(finished, make_observed(pod=leaving), NOW + wait, settings) for wait in (1, 59, 60)]

    assert [plan.delete_pod for plan in plans] == [False, False, True]
    assert plans[0].requeue_at == NOW + 60


def test_a_frozen_task_stays_frozen(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """The operator does not thaw what the broker froze."""
    running = pod(phase="Running", initContainerStatuses=DOOR_UP, containerStatuses=AGENT_UP)
    plan = reconcile(task(podName=POD, phase="Frozen"), make_observed(pod=running), NOW, settings)

    assert plan.status is not None
    assert plan.status.phase is Phase.FROZEN


def test_a_finished_task_goes_when_its_time_has_come(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """Not a second earlier."""
    finished = task(phase="Succeeded", podName=POD, finishedAt=timestamp(NOW))

    assert reconcile(finished, make_observed(), NOW + 3599, settings) == Plan(requeue_at=NOW + 3600)
    assert reconcile(finished, make_observed(), NOW + 3600, settings) == Plan(delete_task=True)


def test_nothing_is_said_about_what_cannot_be_seen(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """While pods are not known, a task with a pod is left alone, and one without gets no pod."""
    blind = make_observed(deny=None, policy=None, account=None, unreadable_since=NOW)
    assert reconcile(task(), blind, NOW, settings) == Plan(requeue_at=NOW + 30)
    assert reconcile(task(podName=POD, phase="Running"), blind, NOW + 60, settings) == Plan()

    plan = reconcile(task(), blind, NOW + 60, settings)
    assert reason(plan, "PolicyReady") == "NotObserved"
    assert plan.create is None


def test_a_refused_pod_is_explained(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """In the words of the API server."""
    plan = reconcile(task(), make_observed(rejection="exceeded quota: pods"), NOW, settings)

    assert plan.create is None
    assert reason(plan, "Running") == "PodRefused"
    assert [note.reason for note in plan.notes] == [EventReason.POD_REFUSED]


def test_a_refused_pod_is_explained_as_it_was_refused_last(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """Admission that had not heard of the task yet is no explanation for a pod that somebody changes."""
    first = reconcile(task(), make_observed(rejection="not known here (yet)"), NOW, settings)
    assert first.status is not None
    written = task(**first.status.model_dump(mode="json", by_alias=True, exclude_none=True))
    then = reconcile(written, make_observed(rejection="/spec/volumes is not its own"), NOW + 9, settings)

    assert then.status is not None
    assert "/spec/volumes" in str(then.status.conditions)
    assert then.notes == ()


def test_a_task_that_cannot_be_read_says_so() -> None:
    """A spec from a later version is not half understood."""
    plan = unparsable(task().status, 1, Refusal(Code.MALFORMED, "spec.later: not known"), NOW)

    assert reason(plan, "Accepted") == Code.MALFORMED.reason


def test_other_words_for_the_same_are_no_news(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """Scheduler and kubelet reword their messages all the time; the status does not follow each."""

    def unscheduled(message: str) -> Observed:
        condition = {"type": "PodScheduled", "status": "False", "message": message}
        return make_observed(pod=pod(conditions=[condition]))

    first = reconcile(task(), unscheduled("0/3 nodes"), NOW, settings)
    assert first.status is not None
    written = task(**first.status.model_dump(mode="json", by_alias=True, exclude_none=True))

    assert reconcile(written, unscheduled("0/4 nodes"), NOW + 9, settings).status is None


def test_a_task_that_is_being_deleted_loses_its_pod(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """And gets no status any more."""
    found = task()
    dying = found.model_copy(
        update={"metadata": found.metadata.model_copy(update={"deletion_timestamp": "x"})}
    )

    assert reconcile(dying, make_observed(pod=pod(phase="Running")), NOW, settings) == Plan(delete_pod=True)
    assert reconcile(dying, make_observed(), NOW, settings) == Plan()


def test_each_reason_has_its_sentence() -> None:
    """A reason without a sentence could not be looked up."""
    assert set(SENTENCES) == set(Reason)


def test_a_task_above_the_ceiling_is_accepted_and_waits(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """It says why it does not run, is written once, and makes no pod until it is called."""
    plan = reconcile(task(), make_observed(waits=True), NOW, settings)
    assert plan.status is not None
    found = {item.type: (item.status, item.reason) for item in plan.status.conditions}
    waiting = task(**plan.status.model_dump(mode="json", by_alias=True, exclude_none=True))
    again = reconcile(waiting, make_observed(waits=True), NOW + 100, settings)
    called = reconcile(waiting, make_observed(), NOW + 100, settings)

    assert (found["Accepted"], found["Running"]) == (("True", "Accepted"), ("False", "WaitingForOthers"))
    assert [plan.create, again.writes, called.create is None] == [None, False, False]


@pytest.mark.parametrize("found", [None, pod(phase="Running", containerStatuses=AGENT_UP)])
def test_a_child_ends_with_its_parent(
    make_observed: MakeObserved, settings: RenderSettings, found: dict[str, Any] | None
) -> None:
    """With or without a pod; the pod is ended once the status says so."""
    observed = make_observed(orphaned=True, pod=found)
    plan = reconcile(task(), observed, NOW, settings)

    assert plan.create is None
    assert plan.status is not None
    assert (plan.status.phase, reason(plan, "Complete")) == (Phase.FAILED, "ParentEnded")
    assert reconcile(task(**plan.status.model_dump(by_alias=True)), observed, NOW, settings).delete_pod is (
        found is not None
    )

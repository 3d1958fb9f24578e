"""What news make of the facts, and what follows from them."""

from __future__ import annotations

from typing import Any

import pytest
from town import NAMESPACE, RELEASE, connector, namespace, revocation, role, task

from doorward.broker.facts import EndTask, Facts, Latch, latch_of
from doorward.kube import Change, ChangeType, Object, Resource, resources
from doorward.ledger import TaskRow


def tell(facts: Facts, resource: Resource, found: Object, *, gone: bool = False) -> list[Any]:
    kind = ChangeType.GONE if gone else ChangeType.PRESENT
    return list(facts.apply(resource, Change(kind, found)))


def pod(uid: str = "pod-uid", phase: str = "Running", **metadata: Any) -> Object:
    owner = {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentTask",
        "name": "fix-1",
        "uid": "fix-1-uid",
        "controller": True,
    }
    body = {"name": "fix-1-pod", "namespace": NAMESPACE, "uid": uid, "ownerReferences": [owner], **metadata}
    return {"metadata": body, "status": {"phase": phase}}


def row(uid: str = "fix-1-uid", pod_uid: str = "pod-uid") -> TaskRow:
    return TaskRow(uid, NAMESPACE, "fix-1", "helper", "{}", pod_uid, "fix-1-pod", "live", None)


@pytest.fixture
def facts() -> Facts:
    return Facts(RELEASE)


def test_what_is_there_can_be_read(facts: Facts) -> None:
    """Each kind under the key that decisions look under."""
    for resource, found in (
        (resources.NAMESPACES, namespace()),
        (resources.AGENT_ROLES, role()),
        (resources.AGENT_TASKS, task()),
        (resources.CONNECTORS, connector()),
    ):
        assert tell(facts, resource, found) == []

    assert facts.enrolled(NAMESPACE)
    assert (list(facts.tasks), list(facts.roles), list(facts.connectors)) == (
        ["fix-1-uid"],
        [(NAMESPACE, "helper")],
        ["code"],
    )
    assert [one.metadata.name for one in facts.serving("doorward-code", "doorward-connector-code")] == [
        "code"
    ]
    assert facts.serving("doorward-code", "default") == []


def test_what_is_gone_is_not_used(facts: Facts) -> None:
    """Nor what cannot be read any more: an unknown member of a spec could be a constraint."""
    tell(facts, resources.AGENT_ROLES, role())
    tell(facts, resources.CONNECTORS, connector())
    unreadable = role()
    unreadable["spec"]["newConstraint"] = True
    tell(facts, resources.AGENT_ROLES, unreadable)
    tell(facts, resources.CONNECTORS, connector(), gone=True)

    assert (facts.roles, facts.connectors) == ({}, {})


@pytest.mark.parametrize("how", ["gone", "terminating", "unreadable"])
def test_a_task_that_goes_ends(facts: Facts, how: str) -> None:
    """Also one that is only being deleted, and one that cannot be read."""
    tell(facts, resources.AGENT_TASKS, task())
    found = task()
    if how == "terminating":
        found["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z"
    if how == "unreadable":
        found["spec"]["unknown"] = 1
    (followed,) = tell(facts, resources.AGENT_TASKS, found, gone=how == "gone")

    assert (type(followed), followed.uid, facts.tasks) == (EndTask, "fix-1-uid", {})


@pytest.mark.parametrize(
    ("found", "gone"),
    [
        (pod(), True),
        (pod(phase="Succeeded"), False),
        (pod(phase="Failed"), False),
        (pod(deletionTimestamp="x"), False),
    ],
)
def test_a_pod_that_goes_ends_its_task(facts: Facts, found: Object, *, gone: bool) -> None:
    """Finished, failed, being deleted or gone."""
    tell(facts, resources.PODS, pod())
    (followed,) = tell(facts, resources.PODS, found, gone=gone)

    assert (followed.uid, facts.pods) == ("fix-1-uid", {})


def test_a_pod_that_went_during_a_gap_ends_its_task(facts: Facts) -> None:
    """Then only name and UID are told; of another pod of the same name it says nothing."""
    stub = {"metadata": {"name": "fix-1-pod", "namespace": NAMESPACE, "uid": "pod-uid"}}
    tell(facts, resources.PODS, pod())

    other = {"metadata": {**stub["metadata"], "uid": "other"}}
    assert tell(facts, resources.PODS, other, gone=True) == []
    assert [one.uid for one in tell(facts, resources.PODS, stub, gone=True)] == ["fix-1-uid"]
    assert facts.pods == {}


def test_the_end_of_a_pod_is_not_that_of_the_next(facts: Facts) -> None:
    """A pod that vanished before anybody took note of it is made again for the same task."""
    tell(facts, resources.PODS, pod())
    tell(facts, resources.PODS, pod(), gone=True)
    tell(facts, resources.PODS, pod(uid="second"))

    assert facts.ended("fix-1-uid", "pod-uid") == "the pod is gone"
    assert facts.ended("fix-1-uid", "second") is None


def test_only_the_latest_ends_are_remembered(facts: Facts) -> None:
    """They are for sessions that are being opened; memory does not grow with the tasks there were."""
    for number in range(16_385):
        tell(facts, resources.PODS, pod(uid=str(number)), gone=True)

    assert [facts.ended(uid) for uid in ("0", "1")] == [None, "the pod is gone"]


def test_a_pod_that_is_nobodys_ends_nothing(facts: Facts) -> None:
    """Pods without an AgentTask are not ours."""
    assert tell(facts, resources.PODS, pod(ownerReferences=[]), gone=True) == []


def test_what_ended_while_nobody_looked_is_noticed(facts: Facts) -> None:
    """By the tasks there are, and by the pods of a namespace, each with its own UID."""
    assert [one.uid for one in facts.missed([row()])] == ["fix-1-uid"]

    tell(facts, resources.AGENT_TASKS, task())
    tell(facts, resources.PODS, pod())

    assert facts.missed([row()]) == facts.missed([row()], NAMESPACE) == []
    assert [one.uid for one in facts.missed([row(pod_uid="other")], NAMESPACE)] == ["fix-1-uid"]
    assert facts.missed([row()], "other") == []


@pytest.mark.parametrize(
    ("spec", "home", "subjects"),
    [
        ({"tasks": ["fix-1"]}, "agents", {"task:agents/fix-1"}),
        ({"roles": ["helper"], "grants": ["g"]}, "agents", {"role:agents/helper", "grant:agents/g"}),
        ({"capabilities": ["j"]}, "agents", {"capability:agents/j"}),
        ({"everything": True}, "agents", {"namespace:agents"}),
        ({"everything": True}, RELEASE, {"everything"}),
        ({"namespaces": ["agents", "other"]}, "agents", {"namespace:agents"}),
        ({"namespaces": ["agents", "other"]}, RELEASE, {"namespace:agents", "namespace:other"}),
        ({"unknown": True}, "agents", {"namespace:agents"}),
    ],
)
def test_a_revocation_reaches_as_far_as_its_namespace(
    facts: Facts, spec: dict[str, Any], home: str, subjects: set[str]
) -> None:
    """From the release namespace the whole cluster; one that cannot be read takes its namespace back."""
    (latch,) = tell(facts, resources.REVOCATIONS, revocation(home=home, **spec))

    assert (type(latch), set(latch.subjects)) == (Latch, subjects)


def test_deleting_a_revocation_gives_nothing_back(facts: Facts) -> None:
    """What is revoked stays revoked."""
    tell(facts, resources.REVOCATIONS, revocation(tasks=["fix-1"]))
    tell(facts, resources.REVOCATIONS, revocation(tasks=["fix-1"]), gone=True)

    assert facts.is_revoked(NAMESPACE, "fix-1", "helper")
    assert not facts.is_revoked("other", "fix-1", "helper")
    assert latch_of(revocation(tasks=["fix-1"]), RELEASE).reason == "because"

"""Killed anywhere, or with a rival: the same end, and one pod."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from devcluster.kubectl import Kubectl
from devcluster.wait import until


def end_state(place: Any) -> dict[str, Any]:
    """What is there in the end, without what differs from run to run."""
    status = place.get("agenttask", "fix")["status"]
    return {
        "phase": status["phase"],
        "conditions": {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]},
        "pods": [pod["spec"] for pod in place.all("pods")],
        "policies": sorted(item["metadata"]["name"] for item in place.all("networkpolicies")),
        "accounts": sorted(item["metadata"]["name"] for item in place.all("serviceaccounts")),
    }


@pytest.mark.parametrize("writes", range(1, 7))
def test_killed_after_any_write(place: Any, replicas: Any, writes: int) -> None:
    """The next process takes up where the last one fell, and nothing is done twice."""
    place.task()
    replicas.start()
    until(lambda: len(place.writes()) >= writes, f"{writes} writes", every=0.002)
    replicas.kill()
    replicas.start()
    until(lambda: place.phase() == "Starting", "the pod to be named", 240)
    found = end_state(place)

    assert found["conditions"] == {
        "Accepted": ("True", "Accepted"),
        "PolicyReady": ("True", "PolicyInPlace"),
        "IdentityReady": ("True", "IdentityInPlace"),
        "FenceProven": ("False", "FencePending"),
        "Running": ("False", "PodPending"),
        "Complete": ("False", "NotFinished"),
    }
    assert len(found["pods"]) == 1
    assert found["policies"] == ["doorward-default-deny", "doorward-role-fixer"]
    assert found["accounts"] == ["doorward-role-fixer"]


def test_the_second_replica_takes_over(place: Any, replicas: Any) -> None:
    """One leads, the other waits; after SIGTERM the lease is free at once and the other goes on."""
    replicas.start("one")
    place.task()
    place.pod()
    replicas.start("two")
    assert replicas.stop("one") == 0
    place.task("second")
    until(lambda: place.phase("second") == "Starting", "the other replica to make the pod", 240)

    assert place.writes().count(("create", "pods")) == 2


def test_a_deletion_in_a_gap_is_noticed(place: Any, replicas: Any, kubectl: Kubectl) -> None:
    """A task that was deleted while no operator ran leaves no pod behind."""
    replicas.start()
    place.task()
    place.pod()
    replicas.kill()
    kubectl("delete", "agenttask", "fix", "-n", place.namespace)
    replicas.start()

    until(lambda: not place.all("pods"), "the pod to be gone", 240)


def test_a_pod_that_its_task_let_go_is_ended(place: Any, replicas: Any, kubectl: Kubectl) -> None:
    """After `--cascade=orphan` the garbage collector, which does not run here, takes the reference away."""
    replicas.start()
    place.task()
    pod = ("pod", place.pod()["metadata"]["name"], "-n", place.namespace)
    replicas.kill()
    kubectl("patch", *pod, "--type=merge", "-p", json.dumps({"metadata": {"ownerReferences": None}}))
    kubectl("delete", "agenttask", "fix", "-n", place.namespace)
    replicas.start()

    until(lambda: not place.all("pods"), "the pod to be gone", 240)


def test_one_bad_object_does_not_stop_the_others(
    place: Any, replicas: Any, make_place: Callable[..., Any], kubectl: Kubectl
) -> None:
    """A role that cannot be held is reported; tasks of other roles run."""
    other = make_place(objects=False)
    bad = {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentRole",
        "metadata": {"name": "fixer", "namespace": other.namespace},
        "spec": {
            "agent": {"images": ["registry.example/agents/*"]},
            "rules": [{"name": "r", "connector": "code", "actions": ["no.such"]}],
        },
    }
    kubectl.apply(bad)
    replicas.start()
    other.task()
    place.task()
    place.pod()
    until(lambda: other.condition("Accepted").get("reason") == "RoleInvalid", "the reason")
    role = other.get("agentrole", "fixer")

    assert "no action no.such" in json.dumps(role["status"]["conditions"])
    assert other.all("pods") == []

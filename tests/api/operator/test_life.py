"""A task's life against a real API server: what is written, how often, and what it says."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from devcluster.kubectl import Kubectl
from devcluster.wait import until
from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.render import RenderSettings, differences, render_pod
from doorward.render.equality import ADDED_AT_CREATION, ADDED_LATER

BROKER_IP = "10.96.0.10"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NOW = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def running(pod: dict[str, Any]) -> dict[str, Any]:
    """The status of a pod whose door stands and whose agent runs."""
    door = {"name": "door", "started": True, "ready": True, "restartCount": 0, "image": "", "imageID": ""}
    agent = {**door, "name": "agent", "state": {"running": {"startedAt": NOW}}}
    return {
        "phase": "Running",
        "startTime": pod["metadata"]["creationTimestamp"],
        "initContainerStatuses": [{**door, "state": {"running": {"startedAt": NOW}}}],
        "containerStatuses": [agent],
    }


def finished(code: int) -> dict[str, Any]:
    """The status of a pod whose agent has ended."""
    ended = {
        "exitCode": code,
        "startedAt": NOW,
        "finishedAt": NOW,
        "reason": "Completed" if not code else "Error",
    }
    agent = {
        "name": "agent",
        "restartCount": 0,
        "ready": False,
        "image": "",
        "imageID": "",
        "state": {"terminated": ended},
    }
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [agent]}


@pytest.fixture
def started(place: Any, replicas: Any) -> tuple[Any, dict[str, Any]]:
    """A namespace with one task, and its pod."""
    replicas.start()
    place.task()
    pod = place.pod()
    until(lambda: place.phase() == "Starting", "the status to name the pod")
    until(lambda: ("patch", "agentroles/status") in place.writes(), "the role to be judged")
    return place, pod


def test_the_pod_is_the_rendered_one(started: tuple[Any, dict[str, Any]], kubectl: Kubectl) -> None:
    """The server adds the listed lines to what is rendered and changes nothing."""
    place, pod = started
    task = AgentTask.parse(place.get("agenttask", "fix"))
    role = AgentRole.parse(place.get("agentrole", "fixer"))
    connectors = {"code": Connector.parse(kubectl.get("connector", "code"))}
    document = json.dumps({"doorImage": "registry.example/doorward/door:test"}).encode()
    settings = RenderSettings.load(document, ca_pem=CA, broker_ip=BROKER_IP)
    rendered = render_pod(task, role, connectors, settings)

    assert differences(pod, rendered, stored=True) == ()
    added = {item.pointer for item in differences(pod, rendered)}
    assert added <= {"/metadata/resourceVersion"}
    assert "/spec/nodeName" in ADDED_LATER
    assert "/metadata/resourceVersion" not in ADDED_AT_CREATION


def test_a_task_costs_at_most_three_writes(started: tuple[Any, dict[str, Any]]) -> None:
    """From nothing to the pod: its POST and the status, besides what its role and namespace cost once."""
    place, _ = started
    place.task("second")
    until(lambda: place.phase("second") == "Starting", "the second task to start")
    writes = place.writes()
    surroundings = [
        ("patch", "networkpolicies"),
        ("patch", "networkpolicies"),
        ("patch", "serviceaccounts"),
        ("patch", "agentroles/status"),
    ]
    of_tasks = [write for write in writes if write not in surroundings]

    assert sorted(surroundings) == sorted(write for write in writes if write in surroundings)
    assert of_tasks.count(("create", "pods")) == 2
    assert len(of_tasks) <= 2 * 3


def test_conditions_say_what_is_in_place(started: tuple[Any, dict[str, Any]]) -> None:
    """Policy and identity stood before the pod was made; the fence waits for the door."""
    place, _ = started
    found = {
        kind: place.condition(kind) for kind in ("Accepted", "PolicyReady", "IdentityReady", "FenceProven")
    }

    assert {kind: item["status"] for kind, item in found.items()} == {
        "Accepted": "True",
        "PolicyReady": "True",
        "IdentityReady": "True",
        "FenceProven": "False",
    }
    assert found["FenceProven"]["reason"] == "FencePending"


def test_a_run_is_followed_to_its_end(started: tuple[Any, dict[str, Any]]) -> None:
    """Door up, agent running, agent done: one Event and one status each."""
    place, pod = started
    name = pod["metadata"]["name"]
    place.set_pod_status(name, **running(pod))
    until(lambda: place.phase() == "Running", "the task to run")
    assert place.condition("FenceProven")["status"] == "True"

    place.set_pod_status(name, **finished(0))
    until(lambda: place.phase() == "Succeeded", "the task to succeed")
    assert place.condition("Complete")["reason"] == "AgentSucceeded"
    until(lambda: len(place.all("events")) == 2, "the Events")
    assert {item["reason"] for item in place.all("events")} == {"Started", "Finished"}


def test_a_failing_agent_fails_its_task(started: tuple[Any, dict[str, Any]]) -> None:
    """The exit code is shown."""
    place, pod = started
    place.set_pod_status(pod["metadata"]["name"], **finished(3))
    until(lambda: place.phase() == "Failed", "the task to fail")

    assert place.condition("Complete")["reason"] == "AgentFailed"
    assert "It was 3." in place.condition("Complete")["message"]


def test_looking_again_writes_nothing(started: tuple[Any, dict[str, Any]], replicas: Any) -> None:
    """A restarted operator finds everything as it should be: every resource version stays."""
    place, _ = started
    kinds = ("agenttasks", "agentroles", "pods", "networkpolicies", "serviceaccounts")

    def versions() -> dict[str, str]:
        return {
            f"{kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for kind in kinds
            for item in place.all(kind)
        }

    before, writes = versions(), len(place.writes())
    replicas.stop()
    replicas.start()
    place.task("later")  # whatever is looked at after a start is looked at before this has its pod
    until(lambda: place.phase("later") == "Starting", "the later task to start")
    after, last = versions(), ("patch", "agenttasks/status")
    until(lambda: last in place.writes()[writes:], "the audit log to tell of the last write")

    assert before == {key: after[key] for key in before}
    assert {("create", "pods"), last} == set(place.writes()[writes:])


def test_a_deleted_pod_is_not_made_again(started: tuple[Any, dict[str, Any]], kubectl: Kubectl) -> None:
    """One task, one run."""
    place, pod = started
    place.set_pod_status(pod["metadata"]["name"], **running(pod))
    until(lambda: place.phase() == "Running", "the task to run")
    kubectl("delete", "pod", pod["metadata"]["name"], "-n", place.namespace, "--force", "--grace-period=0")
    until(lambda: place.phase() == "Failed", "the task to fail")

    assert place.condition("Complete")["reason"] in {"PodLost", "PodDeleted"}
    assert place.writes().count(("create", "pods")) == 1


def test_the_pod_of_a_deleted_task_is_ended(started: tuple[Any, dict[str, Any]], kubectl: Kubectl) -> None:
    """At once, without waiting for the garbage collector (which does not run here)."""
    place, _ = started
    kubectl("delete", "agenttask", "fix", "-n", place.namespace)
    until(lambda: not place.all("pods"), "the pod to be gone")
    until(lambda: ("delete", "pods") in place.writes(), "the audit log to say who ended it")


def test_a_finished_task_goes_after_its_time(place: Any, replicas: Any) -> None:
    """What `ttlAfterFinished` says is kept."""
    replicas.start()
    place.task(ttlAfterFinished="1s")
    place.set_pod_status(place.pod()["metadata"]["name"], **finished(0))
    until(lambda: not place.all("agenttasks"), "the task to be gone")
    until(lambda: ("delete", "agenttasks") in place.writes(), "the audit log to say who deleted it")


def test_objects_may_come_in_any_order(
    replicas: Any, make_place: Callable[..., Any], kubectl: Kubectl
) -> None:
    """A task without its role waits and says so, and runs when the role appears."""
    place = make_place(objects=False)
    replicas.start()
    place.task()
    until(lambda: place.condition("Accepted").get("reason") == "RoleNotFound", "the reason")
    role = {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentRole",
        "metadata": {"name": "fixer", "namespace": place.namespace},
        "spec": {"agent": {"images": ["registry.example/agents/*"]}},
    }
    kubectl.apply(role)
    place.pod()
    until(lambda: place.condition("Accepted")["status"] == "True", "the task to be accepted")


def test_nothing_is_made_where_nothing_is_enrolled(replicas: Any, make_place: Callable[..., Any]) -> None:
    """The task says which command enrols its namespace; no object is made."""
    place = make_place(enrolled=False)
    replicas.start()
    place.task()
    until(lambda: place.condition("Accepted").get("reason") == "NamespaceNotEnrolled", "the reason")

    assert "kubectl doorward enroll" in place.condition("Accepted")["message"]
    assert {resource for _, resource in place.writes()} <= {
        "agenttasks/status",
        "agentroles/status",
        "events",
    }


def test_a_hole_in_a_policy_is_closed(started: tuple[Any, dict[str, Any]], kubectl: Kubectl) -> None:
    """What somebody adds to a policy of ours is taken away again, and so is a deleted policy put back."""
    place, _ = started
    hole: dict[str, Any] = {"spec": {"ingress": [{}]}}
    policy = ("networkpolicy", "doorward-role-fixer")
    kubectl("patch", *policy, "-n", place.namespace, "--type=merge", "-p", json.dumps(hole))
    until(lambda: "ingress" not in place.get(*policy)["spec"], "the hole to be closed")

    kubectl("delete", "networkpolicy", "doorward-default-deny", "-n", place.namespace)
    until(lambda: len(place.all("networkpolicies")) == 2, "the policy to be back")


def test_a_secret_in_an_account_is_taken_out(started: tuple[Any, dict[str, Any]], kubectl: Kubectl) -> None:
    """A pull secret added to the role's account would reach every later pod."""
    place, _ = started
    account = ("serviceaccount", "doorward-role-fixer")
    added = {"imagePullSecrets": [{"name": "registry"}]}
    kubectl("patch", *account, "-n", place.namespace, "--type=merge", "-p", json.dumps(added))
    until(lambda: not place.get(*account).get("imagePullSecrets"), "the secret to be out")


def test_an_account_that_was_there_before_keeps_nothing(place: Any, replicas: Any, kubectl: Kubectl) -> None:
    """Neither the identity of a cloud nor a secret, though it has no label of ours and so is not followed."""
    metadata = {"name": "doorward-role-fixer", "namespace": place.namespace}
    cloud = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, "annotations": cloud}}
    kubectl.apply({**account, "secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "registry"}]})
    replicas.start()
    place.task()
    place.pod()
    found = place.get("serviceaccount", "doorward-role-fixer")

    assert "annotations" not in found["metadata"]
    assert {"secrets", "imagePullSecrets"}.isdisjoint(found)


def test_an_identity_added_to_an_account_is_taken_out(
    started: tuple[Any, dict[str, Any]], kubectl: Kubectl
) -> None:
    """Later pods of the role would get it."""
    place, _ = started
    account = ("serviceaccount", "doorward-role-fixer")
    kubectl(
        "annotate", *account, "-n", place.namespace, "eks.amazonaws.com/role-arn=arn:aws:iam::1:role/admin"
    )
    until(lambda: "annotations" not in place.get(*account)["metadata"], "the identity to be out")


def test_a_refused_pod_is_explained(place: Any, replicas: Any, kubectl: Kubectl) -> None:
    """What the API server says against a pod stands in the task, and goes with its cause."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": place.namespace},
        "spec": {"hard": {"count/pods": "0"}},
    }
    kubectl.apply(quota)
    patch = json.dumps({"status": {"hard": {"count/pods": "0"}, "used": {"count/pods": "0"}}})
    kubectl(
        "patch",
        "resourcequota",
        "none",
        "-n",
        place.namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        patch,
    )
    replicas.start()
    place.task()
    until(lambda: place.condition("Running").get("reason") == "PodRefused", "the reason")
    assert "exceeded quota" in place.condition("Running")["message"]

    kubectl("delete", "resourcequota", "none", "-n", place.namespace)
    place.pod(seconds=240)


def test_tasks_of_a_role_begin_one_after_the_other(place: Any, replicas: Any) -> None:
    """Above `ceilings.tasks` a task is accepted and waits; it begins when the one before has ended."""
    role = place.get("agentrole", "fixer")
    metadata = {name: role["metadata"][name] for name in ("name", "namespace")}
    place.kubectl.apply({**role, "metadata": metadata, "spec": {**role["spec"], "ceilings": {"tasks": 1}}})
    place.task("one")
    replicas.start()
    first = place.pod()
    until(lambda: place.phase("one") == "Starting", "the first to begin")
    for name in ("two", "three"):
        place.task(name)
        until(
            lambda name=name: place.condition("Running", name).get("reason") == "WaitingForOthers",
            "a task to wait",
        )
        _next_second(place.get("agenttask", name)["metadata"]["creationTimestamp"])
    waiting = [place.condition("Accepted", name)["status"] for name in ("two", "three")]
    before = [pod["metadata"]["name"] for pod in place.all("pods")]
    third = place.get("agenttask", "three")["metadata"]["resourceVersion"]
    place.set_pod_status(first["metadata"]["name"], **finished(0))
    until(lambda: place.phase("two") == "Starting", "the second to begin")

    assert (waiting, before) == (["True", "True"], [first["metadata"]["name"]])
    assert place.get("agenttask", "three")["metadata"]["resourceVersion"] == third
    assert place.writes().count(("create", "pods")) == 2


def _next_second(moment: str) -> None:
    """The API server says in whole seconds when a task was made: those of one second have no order."""
    made = dt.datetime.fromisoformat(moment).timestamp()
    until(lambda: time.time() >= made + 1, "the next second")

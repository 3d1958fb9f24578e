"""Foreign NetworkPolicies and foreign pods, against a real API server."""

from __future__ import annotations

from typing import Any

from devcluster.kubectl import Kubectl
from devcluster.wait import until


def policy(place: Any, name: str, selector: dict[str, Any]) -> dict[str, Any]:
    """A NetworkPolicy that lets the pods it selects go everywhere."""
    spec = {"podSelector": selector, "policyTypes": ["Egress"], "egress": [{}]}
    metadata = {"name": name, "namespace": place.namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def reason(place: Any, kind: str) -> str:
    """Reason of one condition of the task."""
    return str(place.condition(kind).get("reason", ""))


def events(place: Any) -> list[str]:
    """Reasons of the Events of the namespace."""
    return [item["reason"] for item in place.all("events")]


def test_no_pod_behind_a_policy_that_widens(place: Any, replicas: Any, kubectl: Kubectl) -> None:
    """The task waits and names it; once the policy selects others, the task starts."""
    kubectl.apply(policy(place, "helpful", {}))
    replicas.start()
    place.task()
    until(lambda: reason(place, "PolicyReady") == "PolicyWidened", "the reason")
    assert "helpful (opens egress)" in place.condition("PolicyReady")["message"]
    assert place.all("pods") == []

    kubectl.apply(policy(place, "helpful", {"matchLabels": {"app": "web"}}))
    place.pod()
    until(lambda: reason(place, "PolicyReady") == "PolicyInPlace", "the policy to be in place")
    assert events(place) == ["PolicyWidened"]


def test_a_running_task_is_told_of_a_policy_that_widens(place: Any, replicas: Any, kubectl: Kubectl) -> None:
    """An Event and a condition while the policy is there; the pod goes on."""
    replicas.start()
    place.task()
    place.pod()
    until(lambda: reason(place, "PolicyReady") == "PolicyInPlace", "the policy to be in place")
    expression = {"key": "doorward.dev/role", "operator": "In", "values": ["fixer"]}
    kubectl.apply(policy(place, "later", {"matchExpressions": [expression]}))
    until(lambda: reason(place, "PolicyReady") == "PolicyWidened", "the reason")
    until(lambda: "PolicyWidened" in events(place), "the Event")
    assert place.condition("PolicyReady")["status"] == "False"

    kubectl("delete", "networkpolicy", "later", "-n", place.namespace)
    until(lambda: place.condition("PolicyReady")["status"] == "True", "the condition to hold again")
    assert len(place.all("pods")) == 1


def test_no_pod_beside_pods_of_others(place: Any, replicas: Any, kubectl: Kubectl) -> None:
    """The task names them, starts when they have gone, and the operator ends none of them."""
    kubectl("create", "serviceaccount", "default", "-n", place.namespace)
    web = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "namespace": place.namespace,
            "annotations": {"doorward.dev/task": "fix"},
        },
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
    }
    kubectl.apply(web)
    replicas.start()
    place.task()
    until(lambda: reason(place, "Accepted") == "ForeignPods", "the reason")
    assert "web" in place.condition("Accepted")["message"]
    assert [pod["metadata"]["name"] for pod in place.all("pods")] == ["web"]
    assert ("delete", "pods") not in place.writes()

    kubectl("delete", "pod", "web", "-n", place.namespace, "--force", "--grace-period=0")
    place.pod()
    until(lambda: reason(place, "Accepted") == "Accepted", "the task to be accepted")

"""With nobody at the webhook, enrolled namespaces stand still, everything else goes on, and it heals."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import podattacks
import pytest
from admissionworld import task_document

from devcluster.wait import until
from doorward.render import differences

BASE = "/apis/doorward.dev/v1alpha1/namespaces/agents"
SAFE = {"name": "safe", "image": "x"}


@pytest.fixture
def down(world: Any, pod: dict[str, Any], running_task: tuple[str, str]) -> Iterator[Any]:
    """The webhook is configured, and nobody answers."""
    world.rig.stop()
    yield world
    world.rig.start()
    until(lambda: world.create_pod(pod).status == 201, "a pod to be admitted")


def plain_pod(namespace: str) -> dict[str, Any]:
    spec = {"containers": [SAFE], "automountServiceAccountToken": False}
    metadata = {"name": "plain", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_no_pod_gets_in(down: Any, pod: dict[str, Any]) -> None:
    """The operator's own pod has to wait: fail closed."""
    assert "failed calling webhook" in down.create_pod(pod).message


def test_no_task_gets_in_without_a_requester(down: Any) -> None:
    """A task whose requester nobody filled in could be approved by whoever asked for it."""
    document = {**task_document(), "metadata": {"name": "nobodys", "namespace": "agents"}}

    assert "failed calling webhook" in down.api("POST", f"{BASE}/agenttasks", document).message


def test_the_policies_still_speak(down: Any, pod: dict[str, Any]) -> None:
    """The floor refuses in sentences, whoever asks."""
    assert "only Doorward's operator makes pods" in down.create_pod(pod, user="system:admin").message


def test_other_namespaces_go_on(down: Any) -> None:
    """An outage of ours is nobody else's."""
    for namespace in ("elsewhere", "kube-system", "doorward-system"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        down.api("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
        path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        assert down.api("POST", path, plain_pod(namespace)).status == 201


def test_deletion_and_finalizers_pass(down: Any, running_task: tuple[str, str]) -> None:
    """Tasks end, pods go, objects lose their finalizers: nothing gets stuck behind us."""
    task, pod = running_task
    patch = {"metadata": {"finalizers": ["example.org/x"]}}
    path = f"{BASE}/agenttasks/{task}"
    merge = "application/merge-patch+json"
    for body in (patch, {"metadata": {"finalizers": None}}):
        assert down.api("PATCH", path, body, media_type=merge).status == 200
    assert down.api("DELETE", f"/api/v1/namespaces/agents/pods/{pod}?gracePeriodSeconds=0").status == 200
    assert down.api("DELETE", path).status == 200


@pytest.fixture
def running_task(world: Any) -> tuple[str, str]:
    """A task and its pod, made while the webhook is up."""
    document = copy.deepcopy(task_document())
    document["metadata"] = {"name": "ending", "namespace": "agents"}
    world.kubectl.apply(document)
    pod = world.rendered("ending")
    made = until(lambda: _made(world, pod), "the pod")
    return "ending", str(made["metadata"]["name"])


def _made(world: Any, pod: dict[str, Any]) -> Any:
    answer = world.create_pod(pod, dry_run=False)
    if answer.status == 409 and answer.document["reason"] == "AlreadyExists":
        return pod
    return answer.document if answer.status == 201 else None


def test_status_reports_pass(down: Any, world: Any) -> None:
    """A kubelet's report does not wait for us: the policies alone look at it."""
    found = world.api(
        "PATCH", "/api/v1/namespaces/agents/pods/none/status", {}, media_type="application/merge-patch+json"
    )

    assert found.status == 404


def test_the_chart_can_be_upgraded(down: Any) -> None:
    """What brings the webhook back does not need the webhook."""
    down.rig.restore(down.kubectl)
    assert "STATUS: deployed" in down.helm()
    down.rig.attach(down.kubectl)


def test_it_heals(world: Any, pod: dict[str, Any]) -> None:
    """Once somebody answers again, pods get in again."""
    until(lambda: world.create_pod(pod).status == 201, "a pod to be admitted")


def test_an_administrators_copy_of_a_task_pod_is_refused(world: Any, pod: dict[str, Any]) -> None:
    """With everything up: equal or not, only the operator makes pods."""
    assert "only Doorward's operator makes pods" in world.create_pod(pod, user="system:admin").message


def test_every_attack_is_refused_in_a_running_cluster(world: Any, pod: dict[str, Any]) -> None:
    """As the operator: what is admitted at all is the rendered pod, without a field that is not served."""
    admitted = []
    for case in podattacks.cases():
        answer = world.create_pod(case.applied(pod)[0])
        if answer.status == 201 and differences(answer.document, pod):
            admitted.append(case.name)

    assert admitted == []

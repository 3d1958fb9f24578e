"""Enrolling takes a verb, leaving takes a verb and two steps, and the cluster itself gets its work done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

STEWARD = "steward"
LABEL = "doorward.dev/enforced"


@pytest.fixture(scope="module")
def steward(world: Any) -> str:
    """Somebody with the two verbs, and what Kubernetes itself asks for."""
    rules = [
        {"apiGroups": ["doorward.dev"], "resources": ["namespaces"], "verbs": ["enroll", "unenroll"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "update", "patch"]},
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": STEWARD},
        "rules": rules,
    }
    world.kubectl.apply(role)
    world.kubectl("create", "clusterrolebinding", STEWARD, f"--clusterrole={STEWARD}", f"--user={STEWARD}")
    return STEWARD


@pytest.fixture
def namespace(world: Any) -> Iterator[str]:
    """A namespace that is not enrolled."""
    world.kubectl("create", "namespace", "candidate")
    yield "candidate"
    world.kubectl("delete", "namespace", "candidate", "--wait=false")
    # Nobody here finishes the deletion as the namespace controller would.
    path = "/api/v1/namespaces/candidate"
    document = world.kubectl.get("namespace", "candidate")
    document["spec"]["finalizers"] = []
    assert world.api("PUT", f"{path}/finalize", document).status == 200


def change(world: Any, steward: str, *words: str) -> str:
    """What the steward is told; empty when the change went through."""
    return str(world.refused(*words, as_=steward))


def test_a_namespace_comes_and_goes(world: Any, steward: str, namespace: str) -> None:
    """Label; announce; take the label away; and on the way every shortcut is refused."""
    off, on = (
        ("label", "namespace", namespace, f"{LABEL}-"),
        ("label", "namespace", namespace, f"{LABEL}=true"),
    )
    announce = ("annotate", "namespace", namespace, f"doorward.dev/unenroll={namespace}")

    assert change(world, steward, *on) == ""
    assert "announce it first" in change(world, steward, *off)
    assert change(world, steward, *announce) == ""
    assert change(world, steward, *off) == ""


def test_both_steps_at_once_are_one_step(world: Any, steward: str, namespace: str) -> None:
    """An apply of the namespace as it was before it was enrolled is refused, announcement included."""
    change(world, steward, "label", "namespace", namespace, f"{LABEL}=true")
    patch = {"metadata": {"labels": {LABEL: None}, "annotations": {"doorward.dev/unenroll": namespace}}}
    words = ("patch", "namespace", namespace, "--type=merge", "-p", json.dumps(patch))

    assert "announce it first" in change(world, steward, *words)


def test_an_enrolled_namespace_can_end(world: Any, namespace: str) -> None:
    """Deleting it is not leaving it: the fixture's deletion goes through finalize with the label on."""
    world.kubectl("label", "namespace", namespace, f"{LABEL}=true")

    assert world.kubectl.get("namespace", namespace)["metadata"]["labels"][LABEL] == "true"


def test_a_namespace_is_never_created_enrolled_by_those_without_the_verb(world: Any) -> None:
    """Creation is no way around the verb."""
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {LABEL: "true"}}}
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "maker"},
        "rules": rules,
    }
    world.kubectl.apply(role)
    world.kubectl("create", "clusterrolebinding", "maker", "--clusterrole=maker", "--user=maker")
    answer = world.api("POST", "/api/v1/namespaces?dryRun=All", document, user="maker")

    assert "ask for the verb `enroll`" in answer.message


CONTROLLERS = "system:serviceaccount:kube-system:"


@pytest.mark.parametrize(
    ("method", "path", "body", "user"),
    [
        (
            "POST",
            "serviceaccounts",
            {"kind": "ServiceAccount", "metadata": {"name": "default"}},
            "service-account-controller",
        ),
        (
            "POST",
            "configmaps",
            {"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}},
            "root-ca-cert-publisher",
        ),
    ],
    ids=["default account", "root certificate"],
)
def test_what_the_cluster_itself_makes_passes(
    method: str, path: str, body: dict[str, Any], user: str, world: Any
) -> None:
    """Controllers that prepare every namespace get their work done."""
    answer = world.api(
        method,
        f"/api/v1/namespaces/agents/{path}?dryRun=All",
        {"apiVersion": "v1", **body},
        user=CONTROLLERS + user,
        groups=("system:masters",),
    )

    assert answer.status == 201, answer.message


def test_kubelets_get_tokens_for_the_pods_they_run(world: Any) -> None:
    """Reserved is not closed: without this no task pod would start."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["doorward-broker"]},
    }
    path = "/api/v1/namespaces/agents/serviceaccounts/doorward-role-bug-fixer/token?dryRun=All"
    answer = world.api("POST", path, body, user="a-kubelet", groups=("system:nodes", "system:masters"))

    assert answer.status == 201, answer.message


def test_the_operator_stays_in_enrolled_namespaces(world: Any) -> None:
    """Whatever RBAC somebody gives it, its account makes nothing elsewhere."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}}
    user = "system:serviceaccount:doorward-system:doorward-operator"
    path = "/api/v1/namespaces/elsewhere/serviceaccounts?dryRun=All"
    answer = world.api("POST", path, account, user=user, groups=("system:masters",))

    assert "works in enrolled namespaces only" in answer.message

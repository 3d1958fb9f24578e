"""What people try on a running task pod is refused with a sentence, cluster administrators included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import podattacks
import pytest
import yaml
from admissionworld import OPERATOR

from doorward.render import render_default_deny

REQUESTS = yaml.safe_load((podattacks.FOLDER / "requests.yaml").read_text())["requests"]
EDITOR, UNBOUND = "editor", "rbac-writer"


@pytest.fixture(scope="module")
def people(world: Any) -> dict[str, tuple[str, ...]]:
    """Users by the names that the requests use."""
    # No controller aggregates `edit` here; these two are what it is made of.
    for role in ("system:aggregate-to-edit", "system:aggregate-to-view"):
        world.kubectl(
            "-n", "agents", "create", "rolebinding", role.replace(":", "-"),
            f"--clusterrole={role}", f"--user={EDITOR}",
        )  # fmt: skip
    # Somebody who may write namespaces and RBAC, but was given no verb of ours.
    verbs = ["get", "list", "create", "update", "patch"]
    rules = [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": verbs},
        {
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["rolebindings", "clusterroles"],
            "verbs": [*verbs, "bind"],
        },
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": UNBOUND},
    }
    world.kubectl.apply({**role, "rules": rules})
    world.kubectl("create", "clusterrolebinding", UNBOUND, f"--clusterrole={UNBOUND}", f"--user={UNBOUND}")
    return {"admin": (), "editor": (f"--as={EDITOR}",), "unbound": (f"--as={UNBOUND}",)}


@pytest.fixture(scope="module")
def wall(world: Any) -> None:
    """The NetworkPolicy that closes the namespace, made by the operator."""
    path = "/apis/networking.k8s.io/v1/namespaces/agents/networkpolicies"
    assert world.api("POST", path, render_default_deny("agents"), user=OPERATOR).status in {201, 409}


@pytest.fixture(scope="module")
def standing(world: Any) -> Iterator[str]:
    """One pod for all requests: none of them changes it."""
    document = {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentTask",
        "metadata": {"name": "standing", "namespace": "agents"},
        "spec": {"role": "bug-fixer", "agent": {"image": "registry.example/agents/fixer:1.2"}},
    }
    world.kubectl.apply(document)
    pod = world.rendered("standing")
    answer = world.create_pod(pod, dry_run=False)
    assert answer.status == 201, answer.message
    yield pod["metadata"]["name"]
    world.kubectl("-n", "agents", "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    world.kubectl("-n", "agents", "delete", "agenttask", "standing", "--wait=false")


@pytest.fixture
def files(standing: str, tmp_path: Path) -> dict[str, str]:
    """Documents that requests name."""
    meta = {"name": standing, "namespace": "agents"}
    documents = {
        "binding": {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": meta,
            "target": {"kind": "Node", "name": "n"},
        },
        "open-policy": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "open", "namespace": "agents"},
            "spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]},
        },
    }
    for name, document in documents.items():
        (tmp_path / name).write_text(json.dumps(document))
    return {"pod": standing, **{name: str(tmp_path / name) for name in documents}}


def filled(word: str, values: dict[str, str]) -> str:
    """A word of a request with its places filled in."""
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_a_request_is_refused_with_a_sentence(
    number: int, world: Any, people: dict[str, tuple[str, ...]], wall: None, files: dict[str, str]
) -> None:
    """The answer says why, in words that tell what to do instead."""
    request = REQUESTS[number]
    argv = [filled(word, files) for word in request["argv"]]
    answer = world.refused("-n", "agents", *people[request["as"]], *argv)

    assert request["says"] in answer, f"{argv}: {answer}"

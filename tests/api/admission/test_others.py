"""Other people's machinery in the cluster: what changes a task pod is refused and named, the rest is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutator import mutating

from devcluster.wait import until

TOKEN = {
    "serviceAccountToken": {"audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token"}
}
ADDITIONS = {
    "a volume": ("/spec/volumes/-", {"name": "x", "emptyDir": {}}, "/spec/volumes/4"),
    "a variable": (
        "/spec/containers/0/env/-",
        {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::1:role/x"},
        "/spec/containers/0/env/6",
    ),
    "a token": (
        "/spec/volumes/-",
        {"name": "aws-iam-token", "projected": {"sources": [TOKEN]}},
        "/spec/volumes/4/projected/sources/0/serviceAccountToken/audience",
    ),
    "a sidecar": ("/spec/containers/-", {"name": "proxy", "image": "proxy:1"}, "/spec/containers/1"),
    "a label": ("/metadata/labels/example.org~1x", "y", "/metadata/labels/example.org~1x"),
    "an annotation": ("/metadata/annotations/example.org~1x", "y", "/metadata/annotations/example.org~1x"),
}


@pytest.fixture
def unguarded(world: Any, pod: dict[str, Any]) -> Any:
    """Without the policies and Pod Security, so that the webhook is seen to refuse by itself."""
    binding = world.kubectl.get("validatingadmissionpolicybinding", "doorward-pods")
    world.kubectl("delete", "validatingadmissionpolicybinding", "doorward-pods")
    world.kubectl("annotate", "namespace", "agents", "doorward.dev/unenroll=agents")
    world.kubectl("label", "namespace", "agents", "pod-security.kubernetes.io/enforce-")
    until(lambda: not _by_policy(world, pod), "the policy to be gone")
    yield world
    metadata = {key: binding["metadata"][key] for key in ("name", "labels", "annotations")}
    world.kubectl.apply({**binding, "metadata": metadata})
    until(lambda: _by_policy(world, pod), "the policy to be in force")
    world.kubectl("label", "namespace", "agents", "pod-security.kubernetes.io/enforce=restricted")
    world.kubectl("annotate", "namespace", "agents", "doorward.dev/unenroll-")


@pytest.mark.parametrize("addition", ADDITIONS)
def test_what_a_mutating_webhook_adds_is_refused_and_named(
    addition: str, unguarded: Any, pod: dict[str, Any], tmp_path: Path
) -> None:
    """The operator's pod arrives changed, and the place of the change is in the answer."""
    path, value, place = ADDITIONS[addition]
    with mutating(unguarded.kubectl, tmp_path, [{"op": "add", "path": path, "value": value}]):

        def refused() -> str:
            answer = unguarded.create_pod(pod)
            return answer.message if answer.status != 201 else ""

        def named() -> bool:
            return any(f"{place}{end}" in refused() for end in (": ", "/"))

        assert until(named, f"the refusal to name {place}")


def test_a_limit_range_changes_nothing_that_is_rendered(world: Any, pod: dict[str, Any]) -> None:
    """Requests and limits are all written out, so there is nothing to fill in."""
    limits = [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"memory": "1Mi"}}]
    document = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults", "namespace": "agents"},
        "spec": {"limits": limits},
    }
    world.kubectl.apply(document)
    try:
        assert world.create_pod(pod).message == ""
    finally:
        world.kubectl("-n", "agents", "delete", "limitrange", "defaults")


def test_a_default_priority_class_is_named(world: Any, pod: dict[str, Any]) -> None:
    """A cluster with a default PriorityClass has to say so in the chart; until then the field is named."""
    document = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "ordinary"},
        "value": 7,
        "globalDefault": True,
    }
    world.kubectl.apply(document)
    unsaid = {key: item for key, item in pod["spec"].items() if key != "priority"}
    try:
        refused = until(lambda: _message(world, {**pod, "spec": unsaid}), "the class to be in force")
    finally:
        world.kubectl("delete", "priorityclass", "ordinary")

    assert "RenderSkew" in refused
    assert "/spec/priorityClassName" in refused


def test_the_overhead_of_a_runtime_class_is_named(world: Any, task: Callable[..., str]) -> None:
    """A RuntimeClass that adds to pods is refused with the field that it adds."""
    document = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "heavy"},
        "handler": "heavy",
        "overhead": {"podFixed": {"memory": "120Mi"}},
    }
    world.kubectl.apply(document)
    name = task("heavy")
    _runtime_class(world, "heavy")
    try:
        pod = world.rendered(name)
        message = until(lambda: _message(world, pod, "/spec/overhead"), "the class to be known")
    finally:
        _runtime_class(world, None)
        world.kubectl("delete", "runtimeclass", "heavy")

    assert "/spec/overhead" in message


def _runtime_class(world: Any, name: str | None) -> None:
    patch = json.dumps({"spec": {"agent": {"runtimeClassName": name}}})
    world.kubectl("-n", "agents", "patch", "agentrole", "bug-fixer", "--type=merge", "-p", patch)


def _by_policy(world: Any, pod: dict[str, Any]) -> bool:
    holding = {**pod, "spec": {**pod["spec"], "imagePullSecrets": [{"name": "x"}]}}
    return "ValidatingAdmissionPolicy" in str(world.create_pod(holding).message)


def _message(world: Any, pod: dict[str, Any], holding: str = "RenderSkew") -> str:
    message = str(world.create_pod(pod).message)
    return message if holding in message else ""

"""The pod of a task, read back from the API server, holds nothing."""

from __future__ import annotations

from typing import Any

import pytest

from testbed import tasks
from testbed.site import AGENTS, Site

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pod(site: Site, sleeper: str) -> dict[str, Any]:
    return tasks.pod_of(site, sleeper)


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]


def test_the_namespace_enforces_restricted_pod_security(site: Site, pod: dict[str, Any]) -> None:
    """The pod was admitted by Pod Security at its strictest level."""
    labels = site.kubectl.get("namespace", AGENTS)["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_only_token_is_the_sidecars(pod: dict[str, Any]) -> None:
    """One projected token, for the broker alone, for 600 s, mounted in the door alone."""
    tokens = [
        (volume["name"], source["serviceAccountToken"])
        for volume in pod["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    holders = [
        container["name"]
        for container in _containers(pod)
        for mount in container["volumeMounts"]
        if mount["name"] == tokens[0][0]
    ]

    assert [(t["audience"], t["expirationSeconds"]) for _, t in tokens] == [("doorward-broker", 600)]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert holders == ["door"]


def test_the_agent_mounts_only_scratch_space(pod: dict[str, Any]) -> None:
    """The agent has /workspace and /tmp, both empty and bounded, and shares none with the door."""
    by_name = {container["name"]: container for container in _containers(pod)}
    agent = {mount["name"] for mount in by_name["agent"]["volumeMounts"]}
    door = {mount["name"] for mount in by_name["door"]["volumeMounts"]}
    kinds = {volume["name"]: set(volume) - {"name"} for volume in pod["spec"]["volumes"]}

    assert agent == {"workspace", "tmp"}
    assert agent & door == set()
    assert all(kinds[name] == {"emptyDir"} for name in agent)


def test_the_containers_are_strangers(pod: dict[str, Any]) -> None:
    """Other user, other group, no shared processes, nothing extra."""
    contexts = {container["name"]: container["securityContext"] for container in _containers(pod)}
    users = {name: (c["runAsUser"], c["runAsGroup"]) for name, c in contexts.items()}

    assert users["door"] == (65532, 65532)
    assert users["agent"][0] != 65532
    assert users["agent"][1] != 65532
    assert pod["spec"].get("shareProcessNamespace", False) is False
    assert "fsGroup" not in pod["spec"].get("securityContext", {})
    for context in contexts.values():
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True


def test_no_secret_is_named_anywhere(pod: dict[str, Any]) -> None:
    """Neither a Secret nor a pull secret nor an environment source is in the spec."""
    words = str(pod["spec"])

    assert "secretKeyRef" not in words
    assert "secretRef" not in words
    assert "secretName" not in words
    assert "imagePullSecrets" not in words
    assert all("envFrom" not in container for container in _containers(pod))


def test_names_do_not_resolve(pod: dict[str, Any]) -> None:
    """The pod has no usable resolver: a recursing one would be a way out."""
    assert pod["spec"]["dnsPolicy"] == "None"
    assert pod["spec"]["dnsConfig"]["nameservers"] == ["127.0.0.1"]

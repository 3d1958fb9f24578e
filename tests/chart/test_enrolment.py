"""Two ways to enrol a namespace, one result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from doorward.cli import enrolment

SYSTEM = "doorward-system"
Manifests = Mapping[str, list[dict[str, Any]]]


def test_the_command_makes_what_the_chart_makes(manifests: Manifests) -> None:
    """`kubectl doorward enroll` and the value `enrolled`: the same labels and bindings."""
    found = manifests["doorward"]
    (namespace,) = (item for item in found if item["kind"] == "Namespace")
    bindings = {
        item["metadata"]["name"]: item
        for item in found
        if item["kind"] == "RoleBinding" and item["metadata"]["namespace"] == "agents"
    }
    wanted = {
        enrolment.binding_name(part): enrolment.binding(part, "agents", SYSTEM)
        for part in enrolment.COMPONENTS
    }
    prefixes = ("doorward.dev/", "pod-security.kubernetes.io/")
    labels = namespace["metadata"]["labels"].items()

    assert {key: text for key, text in labels if key.startswith(prefixes)} == enrolment.LABELS
    assert bindings.keys() == wanted.keys()
    assert [name for name in wanted if not enrolment.is_bound(bindings[name], wanted[name])] == []

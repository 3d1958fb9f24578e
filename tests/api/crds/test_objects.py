"""What the API server takes, what it refuses, and what it says then."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from devcluster.commands import CommandError
from devcluster.kubectl import Kubectl
from doorward.api.v1alpha1 import KINDS

VECTORS = Path(__file__).parents[2] / "vectors" / "api"
VALID = {item["kind"]: item for item in json.loads((VECTORS / "valid.json").read_text())["objects"]}
REFUSED = json.loads((VECTORS / "refused.json").read_text())["refused"]
IMMUTABLE = {
    "AgentTask": (("role",), "other", "delete the task and apply it under another name"),
    "Grant": (("maxUses",), 2, "make another Grant"),
    "Approval": (("decision",), "Deny", "take the grant back with a Revocation"),
    "Revocation": (("reason",), "other", "what is revoked stays revoked"),
}


def changed(kind: str, at: list[Any] | tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The valid object with one part of its spec replaced, or removed for None."""
    found: dict[str, Any] = copy.deepcopy(VALID[kind])
    part: Any = found
    path = ["spec", *at]
    for step in path[:-1]:
        part = part[step]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return found


def refusal(kubectl: Kubectl, document: dict[str, Any], *verb: str) -> str:
    """What the server says against the object."""
    with pytest.raises(CommandError) as caught:
        kubectl(*(verb or ("create",)), "-f", "-", stdin=json.dumps(document))
    return str(caught.value)


@pytest.mark.parametrize("kind", sorted(VALID))
def test_every_field_is_taken(kubectl: Kubectl, kind: str) -> None:
    """An object that uses every field is stored with every field as it was written."""
    kubectl.apply(VALID[kind])
    stored = kubectl.get(kind, VALID[kind]["metadata"]["name"])

    assert VALID[kind]["spec"] == stored["spec"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_stored_is_read(kubectl: Kubectl, kind: Any) -> None:
    """The models read what the server gives, and nothing of the spec gets lost on the way."""
    kubectl.apply(VALID[kind.__name__])
    stored = kubectl.get(kind.__name__, VALID[kind.__name__]["metadata"]["name"])
    parsed = kind.parse(stored)
    written = parsed.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)

    assert (stored["metadata"]["uid"], stored["spec"]) == (parsed.metadata.uid, written)


@pytest.mark.parametrize(
    "vector", REFUSED, ids=[f"{vector['kind']}-{index}" for index, vector in enumerate(REFUSED)]
)
def test_a_refusal_names_the_remedy(kubectl: Kubectl, vector: dict[str, Any]) -> None:
    """Whoever writes something wrong is told what to write instead."""
    document = (
        changed(vector["kind"], vector["at"], vector["value"])
        if vector["at"]
        else {**VALID[vector["kind"]], "spec": vector["value"]}
    )
    document["metadata"] = {**document["metadata"], "name": "wrong"}

    assert vector["says"] in refusal(kubectl, document)


@pytest.mark.parametrize("kind", sorted(IMMUTABLE))
def test_what_people_relied_on_cannot_change(kubectl: Kubectl, kind: str) -> None:
    """The specs of tasks, grants, approvals and revocations never change, and the server says what to do."""
    at, value, says = IMMUTABLE[kind]
    kubectl.apply(VALID[kind])

    assert says in refusal(kubectl, changed(kind, at, value), "replace")


def test_the_input_cannot_change_either(kubectl: Kubectl) -> None:
    """The rule that a spec never changes sees into the free JSON of a task."""
    kubectl.apply(VALID["AgentTask"])
    deeper = changed("AgentTask", ["input", "hints", 1, "deep"], [2])

    assert "the spec cannot be changed" in refusal(kubectl, deeper, "replace")


def test_defaults_are_visible(kubectl: Kubectl) -> None:
    """What a task leaves out is filled in where its author can read it."""
    task = changed("AgentTask", ["deadline"], None)
    task["metadata"]["name"] = "short"
    del task["spec"]["ttlAfterFinished"]
    kubectl.apply(task)
    spec = kubectl.get("agenttask", "short")["spec"]

    assert (spec["deadline"], spec["ttlAfterFinished"]) == ("1h", "24h")


def test_status_is_its_own_door(kubectl: Kubectl) -> None:
    """Whoever writes a spec writes no status: a status in the document is dropped."""
    task = {**changed("AgentTask", ["deadline"], "1h"), "status": {"phase": "Succeeded"}}
    task["metadata"] = {**task["metadata"], "name": "claims-success"}
    kubectl("create", "-f", "-", stdin=json.dumps(task))

    assert "status" not in kubectl.get("agenttask", "claims-success")


def test_a_long_role_name_is_refused(kubectl: Kubectl) -> None:
    """A role's name becomes a label, and labels have 63 characters."""
    role = {**VALID["AgentRole"], "metadata": {"name": "a" * 64, "namespace": "default"}}

    assert "use at most 63 characters" in refusal(kubectl, role)


def test_columns(kubectl: Kubectl) -> None:
    """`kubectl get` shows what people look for first, `-o wide` the rest, and one category lists all."""
    kubectl.apply(*VALID.values())
    narrow, wide = kubectl("get", "at"), kubectl("get", "at", "-o", "wide")

    assert narrow.split("\n")[0].split() == ["NAME", "ROLE", "PHASE", "REASON", "AGE"]
    assert "REQUESTED BY" in wide
    assert {"agenttask", "agentrole", "grant", "approval", "revocation", "connector"} <= {
        line.split(".", 1)[0] for line in kubectl("get", "doorward", "-o", "name").splitlines()
    }

"""What the API server asks: for each question a task, its pod as rendered, and what servers add."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from admissionworld import API, DIGEST, OPERATOR

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.render import RenderSettings, render_pod

NAMESPACE: Final = "agents"
_TIME: Final = "2026-11-01T00:00:00Z"
_CONNECTORS: Final = ("code", "review", "ci", "cloud", "chat", "model")


def tasks(count: int) -> list[dict[str, Any]]:
    """AgentTasks with variables, a scope, stages and an input, as people write them."""
    return [_task(number) for number in range(count)]


def role() -> dict[str, Any]:
    """The role of all of them: a rule for each connector."""
    rules = [{"name": f"use-{name}", "connector": name, "actions": ["issue.comment"]} for name in _CONNECTORS]
    spec = {"agent": {"images": ["registry.example/agents/*"]}, "rules": rules}
    return _document("AgentRole", {"name": "bug-fixer", "namespace": NAMESPACE, "uid": "role-1"}, spec)


def connectors() -> list[dict[str, Any]]:
    """The connectors that the role names."""
    return [_document("Connector", {"name": name, "uid": name}, _connector(name)) for name in _CONNECTORS]


def settings(bundle: str) -> RenderSettings:
    """What a plain installation renders with; `bundle` is the certificate authority's."""
    image = json.dumps({"doorImage": "registry.example/doorward/door@sha256:" + "a" * 64}).encode()
    return RenderSettings.load(image, ca_pem=bundle, broker_ip="10.96.0.10")


def questions(count: int, bundle: str) -> list[bytes]:
    """AdmissionReviews (JSON), one for each task."""
    found = {item.metadata.name: item for item in map(Connector.parse, connectors())}
    held, rendering = AgentRole.parse(role()), settings(bundle)
    pods = [render_pod(AgentTask.parse(task), held, found, rendering) for task in tasks(count)]
    return [json.dumps(_review(number, _as_sent(pod))).encode() for number, pod in enumerate(pods)]


def spoiled(question: bytes) -> bytes:
    """The same question about a pod that differs in one value: the answer must be a no."""
    review = json.loads(question)
    review["request"]["object"]["spec"]["activeDeadlineSeconds"] += 1
    return json.dumps(review).encode()


def uid_of(question: bytes) -> str:
    """The uid that the answer must carry."""
    return str(json.loads(question)["request"]["uid"])


def _task(number: int) -> dict[str, Any]:
    name = f"fix-issue-{number}"
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"0b8c1c2e-1111-4222-8333-{number:012d}"}
    agent = {
        "image": "registry.example/agents/fixer:1.2",
        "command": ["/usr/bin/fixer"],
        "args": ["--once", "--issue", str(number)],
        "env": [{"name": f"MODE_{index}", "value": f"careful and slow, step {index}"} for index in range(6)],
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
    }
    spec = {
        "role": "bug-fixer",
        "agent": agent,
        "input": {"issue": number, "text": "the button does nothing"},
        "scope": {"repositories": ["acme/web"]},
        "deadline": "1h",
        "requestedBy": "alice",
    }
    return _document("AgentTask", metadata, spec)


def _connector(name: str) -> dict[str, Any]:
    return {
        "type": "forge",
        "provider": "gitea",
        "zone": "repository",
        "endpoint": f"https://{name}.example",
        "service": {"namespace": f"doorward-{name}", "name": f"doorward-connector-{name}"},
        "audience": f"connector:{name}",
        "catalogueHash": DIGEST,
    }


def _document(kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": dict(metadata), "spec": dict(spec)}


def _as_sent(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod with what the API server has added before it asks."""
    sent = copy.deepcopy(pod)
    sent["metadata"] |= {
        "uid": "11111111-2222-4333-8444-555555555555",
        "creationTimestamp": _TIME,
        "generation": 1,
        "managedFields": [_managed(pod)],
    }
    sent["status"] = {"phase": "Pending", "qosClass": "Burstable"}
    return sent


def _managed(pod: Mapping[str, Any]) -> dict[str, Any]:
    fields = {f"f:{key}": _owned(pod[key]) for key in ("metadata", "spec")}
    manager = {"manager": "doorward", "operation": "Update", "apiVersion": "v1", "time": _TIME}
    return {**manager, "fieldsType": "FieldsV1", "fieldsV1": fields}


def _owned(value: Any) -> dict[str, Any]:
    """The field set of a value, in the form of structured-merge-diff: lists of objects by name."""
    if isinstance(value, Mapping):
        return {f"f:{key}": _owned(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[0], Mapping):
        named = [item for item in value if "name" in item]
        return {f'k:{{"name":"{item["name"]}"}}': {".": {}, **_owned(item)} for item in named}
    return {}


def _review(number: int, pod: Mapping[str, Any]) -> dict[str, Any]:
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    groups = ["system:serviceaccounts", "system:serviceaccounts:doorward-system", "system:authenticated"]
    request = {
        "uid": f"9f16a1de-2d5a-4f1e-8a36-{number:012d}",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": pod["metadata"]["name"],
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "userInfo": {"username": OPERATOR, "uid": "8d0f5a10-7a3e-4f6b-9f40-3d1f0f5f2a10", "groups": groups},
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "doorward"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}

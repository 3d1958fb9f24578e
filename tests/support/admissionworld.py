"""Documents of one task, its role, its connector and a grant, as the API server has them."""

from __future__ import annotations

from typing import Any

OPERATOR = "system:serviceaccount:doorward-system:doorward-operator"
API = "doorward.dev/v1alpha1"
DIGEST = "sha256:" + "0" * 64


def task_document(**spec: Any) -> dict[str, Any]:
    """An AgentTask as the API server has it."""
    base = {"role": "bug-fixer", "agent": {"image": "registry.example/agents/fixer:1.2"}}
    metadata = {"name": "fix-7", "namespace": "agents", "uid": "0b8c1c2e-1111-4222-8333-944444444444"}
    return {"apiVersion": API, "kind": "AgentTask", "metadata": metadata, "spec": {**base, **spec}}


def role_document(**spec: Any) -> dict[str, Any]:
    """An AgentRole as the API server has it."""
    rules = [{"name": "comment", "connector": "code", "actions": ["issue.comment"]}]
    base = {"agent": {"images": ["registry.example/agents/*"]}, "rules": rules}
    metadata = {"name": "bug-fixer", "namespace": "agents", "uid": "5d1f0a3c-aaaa-4bbb-8ccc-dddddddddddd"}
    return {"apiVersion": API, "kind": "AgentRole", "metadata": metadata, "spec": {**base, **spec}}


def grant_document(**spec: Any) -> dict[str, Any]:
    """A Grant as the API server has it."""
    base = {
        "task": {"name": "fix-7", "uid": "0b8c1c2e-1111-4222-8333-944444444444"},
        "role": {"name": "bug-fixer", "uid": "5d1f0a3c-aaaa-4bbb-8ccc-dddddddddddd"},
        "rule": "merge",
        "connector": "code",
        "action": "pull.merge",
        "digest": DIGEST,
        "summary": "merge pull request 7",
    }
    metadata = {"name": "grant-1", "namespace": "agents"}
    return {"apiVersion": API, "kind": "Grant", "metadata": metadata, "spec": {**base, **spec}}


def connector_document() -> dict[str, Any]:
    """The Connector that the role names."""
    spec = {
        "type": "forge",
        "provider": "gitea",
        "zone": "repository",
        "endpoint": "https://git.example",
        "service": {"namespace": "doorward-code", "name": "doorward-connector-code"},
        "audience": "connector:code",
        "catalogueHash": DIGEST,
    }
    return {"apiVersion": API, "kind": "Connector", "metadata": {"name": "code"}, "spec": spec}

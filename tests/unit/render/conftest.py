"""One task, one role, one connector and one set of settings, as an installation would have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.render import RenderSettings

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The base with the changes laid over it."""
    result = dict(base)
    for key, change in changes.items():
        both = isinstance(change, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], change) if both else change
    return result


@pytest.fixture
def make_task() -> Callable[..., AgentTask]:
    """Makes a task; arguments are laid over its spec."""

    def make(**spec: Any) -> AgentTask:
        base = {
            "role": "bug-fixer",
            "agent": {"image": "registry.example/agents/fixer:1.2"},
            "deadline": "30m",
        }
        metadata = {"name": "fix-7", "namespace": "agents", "uid": "0b8c1c2e-1111-4222-8333-944444444444"}
        return AgentTask.parse(
            {
                "apiVersion": "doorward.dev/v1alpha1",
                "kind": "AgentTask",
                "metadata": metadata,
                "spec": merged(base, spec),
            }
        )

    return make


@pytest.fixture
def make_role() -> Callable[..., AgentRole]:
    """Makes a role; arguments are laid over its spec."""

    def make(**spec: Any) -> AgentRole:
        rules = [{"name": "comment", "connector": "code", "actions": ["issue.comment"]}]
        base = {"agent": {"images": ["registry.example/agents/*"]}, "rules": rules}
        metadata = {"name": "bug-fixer", "namespace": "agents", "uid": "5d1f0a3c-aaaa-4bbb-8ccc-dddddddddddd"}
        return AgentRole.parse(
            {
                "apiVersion": "doorward.dev/v1alpha1",
                "kind": "AgentRole",
                "metadata": metadata,
                "spec": merged(base, spec),
            }
        )

    return make


@pytest.fixture
def make_connector() -> Callable[..., Connector]:
    """Makes a connector by name."""

    def make(name: str = "code", type_: str = "forge") -> Connector:
        spec = {
            "type": type_,
            "provider": "gitea",
            "zone": "repository",
            "endpoint": "https://git.example",
            "service": {"namespace": f"doorward-{name}", "name": f"doorward-connector-{name}"},
            "audience": f"connector:{name}",
            "catalogueHash": "sha256:" + "0" * 64,
        }
        return Connector.parse(
            {
                "apiVersion": "doorward.dev/v1alpha1",
                "kind": "Connector",
                "metadata": {"name": name, "uid": f"uid-{name}"},
                "spec": spec,
            }
        )

    return make


@pytest.fixture
def connectors(make_connector: Callable[..., Connector]) -> dict[str, Connector]:
    """The one connector that the role names."""
    return {"code": make_connector()}


@pytest.fixture
def settings() -> RenderSettings:
    """What a plain installation renders with."""
    return RenderSettings.load(
        b'{"doorImage": "registry.example/doorward/door@sha256:' + b"a" * 64 + b'"}',
        ca_pem=CA,
        broker_ip="10.96.0.10",
    )

"""Objects as the API server would give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from doorward import catalogue
from doorward.api.v1alpha1 import AgentRole, Connector
from doorward.render import RenderSettings, render_default_deny, render_role_policy, render_service_account
from doorward_operator.reconcile import Observed

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""
CREATED = "2027-01-15T08:00:00Z"


def doorward(kind: str, name: str, spec: dict[str, Any], namespace: str = "agents") -> dict[str, Any]:
    """A custom resource."""
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": CREATED,
    }
    return {"apiVersion": "doorward.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def raw_task(**status: Any) -> dict[str, Any]:
    """A task with a status."""
    spec = {
        "role": "fixer",
        "agent": {"image": "registry.example/agents/a:1"},
        "deadline": "10m",
        "ttlAfterFinished": "1h",
    }
    return {**doorward("AgentTask", "fix", spec), "status": status}


def raw_role() -> dict[str, Any]:
    """Its role."""
    rules = [{"name": "comment", "connector": "code", "actions": ["issue.comment"]}]
    return doorward(
        "AgentRole", "fixer", {"agent": {"images": ["registry.example/agents/*"]}, "rules": rules}
    )


def raw_connector() -> dict[str, Any]:
    """The connector of the role."""
    spec = {
        "type": "forge",
        "provider": "gitea",
        "zone": "repository",
        "endpoint": "https://git.example",
        "service": {"namespace": "doorward-code", "name": "doorward-connector-code"},
        "audience": "connector:code",
        "catalogueHash": catalogue.load("forge").hash,
    }
    return doorward("Connector", "code", spec, "")


def enrolled_namespace() -> dict[str, Any]:
    """The namespace of all this."""
    labels = {"doorward.dev/enforced": "true"}
    return {"metadata": {"name": "agents", "uid": "uid-ns", "resourceVersion": "1", "labels": labels}}


@pytest.fixture(scope="session")
def settings() -> RenderSettings:
    """What pods are rendered with."""
    return RenderSettings.load(b'{"doorImage": "door:1"}', ca_pem=CA, broker_ip="10.96.0.10")


@pytest.fixture(scope="session")
def make_observed(settings: RenderSettings) -> Callable[..., Observed]:
    """What is there when everything is in place; arguments replace parts of it."""

    def make(**changes: Any) -> Observed:
        role, connectors = AgentRole.parse(raw_role()), {"code": Connector.parse(raw_connector())}
        found = {
            "namespace": enrolled_namespace(),
            "role": role,
            "connectors": connectors,
            "deny": render_default_deny("agents"),
            "policy": render_role_policy(role, connectors, settings),
            "account": render_service_account(role),
        }
        return Observed(**{**found, **changes})

    return make

"""Identity and network of tasks: per role and per namespace, never per task.

Tasks come by the thousand and roles by the ten; objects per task would cost a network plugin an
identity each. A task pod is bound to its role's objects by its label and by its account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from doorward.api.v1alpha1 import AgentRole, Connector
from doorward.render import names
from doorward.render.settings import RenderSettings


def render_service_account(role: AgentRole) -> dict[str, Any]:
    """The role's account: it can do nothing, and no pod gets its token unasked."""
    return {
        "apiVersion": "v1",
        "automountServiceAccountToken": False,
        "kind": "ServiceAccount",
        "metadata": _of_role(role),
    }


def render_role_policy(
    role: AgentRole, connectors: Mapping[str, Connector], settings: RenderSettings
) -> dict[str, Any]:
    """What task pods of the role may reach: the broker and the connectors its rules name.

    A connector that does not exist (yet) is left out. No DNS, no API server, nothing inward.
    """
    named = dict.fromkeys(rule.connector for rule in role.spec.rules)
    broker = _peer(settings.release_namespace, {names.COMPONENT: "broker"}, settings.broker_port)
    return _policy(
        _of_role(role),
        {names.COMPONENT: names.TASK_COMPONENT, names.ROLE: role.metadata.name},
        [broker, *(_to_connector(connectors[name]) for name in named if name in connectors)],
    )


def render_default_deny(namespace: str) -> dict[str, Any]:
    """Nothing in, nothing out, for every pod of the namespace."""
    metadata = {"labels": names.managed(), "name": names.DEFAULT_DENY, "namespace": namespace}
    return _policy(metadata, {}, [])


def _policy(
    metadata: dict[str, Any], selected: dict[str, str], egress: list[dict[str, Any]]
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": selected} if selected else {},
        "policyTypes": ["Ingress", "Egress"],
    }
    if egress:
        spec["egress"] = egress
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _to_connector(connector: Connector) -> dict[str, Any]:
    service = connector.spec.service
    labels = {names.COMPONENT: "connector", names.CONNECTOR: connector.metadata.name}
    return _peer(service.namespace, labels, service.port)


def _peer(namespace: str, labels: Mapping[str, str], port: int) -> dict[str, Any]:
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": dict(labels)},
    }
    return {"ports": [{"port": port, "protocol": "TCP"}], "to": [peer]}


def _of_role(role: AgentRole) -> dict[str, Any]:
    owner = {
        "apiVersion": role.api_version,
        "blockOwnerDeletion": False,
        "controller": True,
        "kind": type(role).__name__,
        "name": role.metadata.name,
        "uid": role.metadata.uid,
    }
    return {
        "labels": {**names.managed(), names.ROLE: role.metadata.name},
        "name": names.role_object(role.metadata.name),
        "namespace": role.metadata.namespace,
        "ownerReferences": [owner],
    }

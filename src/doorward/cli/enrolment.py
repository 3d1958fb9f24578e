"""What makes a namespace an enrolled one, and what keeps it from becoming one: pure.

The chart's value `enrolled` renders the same labels and bindings; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from doorward.kube.resources import NETWORK_POLICIES, Object, name_of
from doorward.render import made_for, names

COMPONENTS: Final = ("operator", "broker", "admission")
"""The parts that work in enrolled namespaces, each by a RoleBinding there."""
CLUSTER: Final = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces that the cluster itself runs in."""
UNENROLL: Final = "doorward.dev/unenroll"
"""Annotation that announces that a namespace is about to leave; its value is the namespace's name."""

_SECURITY: Final = "pod-security.kubernetes.io/"
LABELS: Final[Mapping[str, str]] = {
    names.ENFORCED: "true",
    f"{_SECURITY}enforce": "restricted",
    f"{_SECURITY}enforce-version": "v1.33",
    f"{_SECURITY}warn": "restricted",
    f"{_SECURITY}warn-version": "latest",
}
"""Labels of an enrolled namespace."""
_POLICY: Final = NETWORK_POLICIES.kind
_GROUP: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something in the namespace that keeps it from being enrolled, or from leaving."""

    kind: str
    name: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.remedy}"


def labels_to_set(current: Mapping[str, str]) -> dict[str, str]:
    """The labels that are missing or differ.

    The version of a Pod Security that is restricted already stays: changing it could weaken it.
    """
    wanted = dict(LABELS)
    if current.get(f"{_SECURITY}enforce") == "restricted":
        del wanted[f"{_SECURITY}enforce-version"]
    return {key: text for key, text in wanted.items() if current.get(key) != text}


def labels_to_take(current: Mapping[str, str]) -> dict[str, None]:
    """The labels that leaving takes away: those that enrolling sets, where they still say the same."""
    return {key: None for key, text in LABELS.items() if current.get(key) == text or key == names.ENFORCED}


def binding_name(component: str) -> str:
    """Name of the RoleBinding of a part, and of its account."""
    return f"doorward-{component}"


def binding(component: str, namespace: str, system: str) -> Object:
    """The RoleBinding that lets a part work in the namespace; `system` is where Doorward is installed."""
    name = binding_name(component)
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**names.managed(), names.COMPONENT: component},
        },
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": f"{name}-enrolled"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": system}],
    }


def is_bound(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a RoleBinding gives what is wanted to exactly whom it should."""
    return all(live.get(key) == wanted[key] for key in ("roleRef", "subjects"))


def strangers(pods: Iterable[Object], *, enrolled: bool) -> tuple[Obstacle, ...]:
    """Pods that Doorward did not make; before a namespace is enrolled it made none."""
    remedy = "delete what makes it, or take another namespace"
    found = (name_of(pod) for pod in pods if not (enrolled and made_for(pod)))
    return tuple(Obstacle("Pod", name, remedy) for name in found)


def held_secrets(secrets: Iterable[Object]) -> tuple[Obstacle, ...]:
    """Secrets: none may be where agents run."""
    remedy = "delete it, or move it to the namespace of the connector that spends it"
    return tuple(Obstacle("Secret", name_of(secret), remedy) for secret in secrets)


def foreign_policies(policies: Iterable[Object], kind: str) -> tuple[Obstacle, ...]:
    """Network policies that the operator did not make: they add to what ours allow."""
    remedy = "delete it; what tasks may reach is said by the connectors of their role"
    found = (policy for policy in policies if kind != _POLICY or not is_of_operator(policy))
    return tuple(Obstacle(kind, name_of(policy), remedy) for policy in found)


def is_of_operator(found: Object) -> bool:
    """Whether the operator made a policy or account, by its name and label; it puts its own right itself."""
    name, labels = name_of(found), found["metadata"].get("labels", {})
    named = name == names.DEFAULT_DENY or name.startswith(names.role_object(""))
    return named and labels.get(names.MANAGED_BY) == names.PRODUCT

"""The resources that Doorward speaks of, as paths. Objects are plain JSON, so that no field is lost.

A typed client drops the fields that it does not know; what a later Kubernetes adds to a pod must
not be invisible to whoever compares pods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

Object: TypeAlias = dict[str, Any]
"""An object of the Kubernetes API as JSON."""

_GROUP: Final = "doorward.dev"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The path of a collection, an object or a subresource. Without namespace: over all of them."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/" + "/".join(quote(part, safe="") for part in parts)


AGENT_TASKS: Final = Resource(_GROUP, "v1alpha1", "agenttasks", "AgentTask")
AGENT_ROLES: Final = Resource(_GROUP, "v1alpha1", "agentroles", "AgentRole")
GRANTS: Final = Resource(_GROUP, "v1alpha1", "grants", "Grant")
APPROVALS: Final = Resource(_GROUP, "v1alpha1", "approvals", "Approval")
REVOCATIONS: Final = Resource(_GROUP, "v1alpha1", "revocations", "Revocation")
THAWS: Final = Resource(_GROUP, "v1alpha1", "thaws", "Thaw")
CONNECTORS: Final = Resource(_GROUP, "v1alpha1", "connectors", "Connector", namespaced=False)

PODS: Final = Resource("", "v1", "pods", "Pod")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICES: Final = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
TOKEN_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
SELF_SUBJECT_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)
MUTATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)


def name_of(found: Object) -> str:
    """The object's name."""
    return str(found["metadata"]["name"])


def namespace_of(found: Object) -> str:
    """The object's namespace; empty for cluster-scoped ones."""
    return str(found["metadata"].get("namespace", ""))


def uid_of(found: Object) -> str:
    """The object's UID."""
    return str(found["metadata"].get("uid", ""))


def version_of(found: Object) -> int:
    """The resource version as a number, comparable within one resource (KEP-5504); 0 if unknown."""
    text = str(found["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdecimal() else 0

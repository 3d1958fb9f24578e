"""The operator as its own process and under its own account, against a real API server.

Nothing else runs: no scheduler, no kubelet, no garbage collector. Where a test needs what those do,
it does it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiclient import Api

from devcluster.api import ControlPlane
from devcluster.kubectl import Kubectl
from devcluster.wait import until
from doorward import catalogue

RELEASE = "doorward-system"
OPERATOR = f"system:serviceaccount:{RELEASE}:doorward-operator"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
RENDER = {"doorImage": "registry.example/doorward/door:test"}
BROKER_IP = "10.96.0.10"
WRITES = {"create", "update", "patch", "delete"}

CLUSTER_RULES = [
    {
        "apiGroups": ["doorward.dev"],
        "resources": ["agenttasks", "agentroles", "connectors"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["doorward.dev"],
        "resources": ["agenttasks/status", "agentroles/status"],
        "verbs": ["patch"],
    },
    {"apiGroups": ["doorward.dev"], "resources": ["agenttasks"], "verbs": ["delete"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]
ENROLLED_RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "delete"]},
    {
        "apiGroups": ["", "networking.k8s.io"],
        "resources": ["serviceaccounts", "networkpolicies"],
        "verbs": ["get", "list", "watch", "create", "patch"],
    },
]
LEASE_RULES = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
]


def rbac(kind: str, name: str, namespace: str | None = None, **rest: Any) -> dict[str, Any]:
    """One object of RBAC."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, **rest}


def bound(kind: str, role_kind: str, role: str, namespace: str | None = None) -> dict[str, Any]:
    """A binding of the operator's account."""
    subject = {"kind": "ServiceAccount", "name": "doorward-operator", "namespace": RELEASE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role}
    return rbac(kind, "doorward-operator", namespace, roleRef=reference, subjects=[subject])


GROUPS = {
    "agenttasks": "/apis/doorward.dev/v1alpha1",
    "agentroles": "/apis/doorward.dev/v1alpha1",
    "pods": "/api/v1",
    "serviceaccounts": "/api/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "events": "/apis/events.k8s.io/v1",
}
SINGULAR = {
    "agenttask": "agenttasks",
    "agentrole": "agentroles",
    "pod": "pods",
    "serviceaccount": "serviceaccounts",
    "networkpolicy": "networkpolicies",
}


@dataclass
class Place:
    """An enrolled namespace with a role and a connector.

    What is looked at again and again is read over one connection: a kubectl each time would take
    more of the machine than the operator does.
    """

    kubectl: Kubectl
    api: Api
    namespace: str
    audit_log: Path
    offset: int

    def task(self, name: str = "fix", **spec: Any) -> str:
        """Apply a task; gives its UID."""
        body = {
            "apiVersion": "doorward.dev/v1alpha1",
            "kind": "AgentTask",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"role": "fixer", "agent": {"image": "registry.example/agents/a:1"}, **spec},
        }
        self.kubectl.apply(body)
        return str(self.get("agenttask", name)["metadata"]["uid"])

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object. Raises `RuntimeError` where it is not there."""
        found: dict[str, Any] = self._read(SINGULAR[kind], f"/{name}")
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        found = self._read(kind)
        common = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [common | item for item in found["items"]]

    def _read(self, resource: str, name: str = "") -> Any:
        path = f"{GROUPS[resource]}/namespaces/{self.namespace}/{resource}{name}"
        answer = self.api("GET", path)
        if answer.status != 200:
            raise RuntimeError(answer.message)
        return answer.document

    def pod(self, seconds: float = 120) -> dict[str, Any]:
        """The one pod, once there is one."""
        return until(lambda: self.all("pods"), "a pod", seconds)[0]

    def condition(self, kind: str, name: str = "fix") -> dict[str, Any]:
        """One condition of a task; empty where it is not set."""
        conditions = self.get("agenttask", name).get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == kind), {})

    def phase(self, name: str = "fix") -> str:
        """Phase of a task."""
        return str(self.get("agenttask", name).get("status", {}).get("phase", ""))

    def set_pod_status(self, pod: str, **status: Any) -> None:
        """Play the kubelet."""
        patch = json.dumps({"status": status})
        self.kubectl(
            "patch", "pod", pod, "-n", self.namespace, "--subresource=status", "--type=merge", "-p", patch
        )

    def writes(self) -> list[tuple[str, str]]:
        """What the operator wrote in this namespace: `(verb, resource)`, in order."""
        found = []
        with self.audit_log.open() as log:
            log.seek(max(self.offset - 1, 0))
            if self.offset:
                log.readline()  # the size was read while a line was being written
            for line in log:
                if not line.endswith("\n"):
                    break
                entry = json.loads(line)
                reference = entry.get("objectRef", {})
                ours = entry["user"]["username"] == OPERATOR and reference.get("namespace") == self.namespace
                if ours and entry["verb"] in WRITES and entry["stage"] == "ResponseComplete":
                    resource = "/".join(
                        part for part in (reference["resource"], reference.get("subresource")) if part
                    )
                    found.append((entry["verb"], resource))
        return found


@dataclass
class Replicas:
    """Starts and ends processes of the operator."""

    environment: dict[str, str]
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str = "one", **extra: str) -> subprocess.Popen[bytes]:
        """Start a replica."""
        env = {**self.environment, "DOORWARD_POD_NAME": name, **extra}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "doorward_operator"], env=env, stdout=log, stderr=log
            )
        self.running[name] = process
        return process

    def kill(self, name: str = "one") -> None:
        """End a replica without warning."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str = "one") -> int:
        """End a replica as the kubelet does; gives its exit code."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=120)

    def log(self, name: str = "one") -> str:
        """What a replica has printed."""
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture(scope="session")
def operator_kubeconfig(
    control_plane: ControlPlane, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Access as the operator's service account, with the rules of the chart and no more."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "doorward-operator", "namespace": RELEASE},
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE}})
    kubectl.apply(
        account,
        rbac("ClusterRole", "doorward-operator", rules=CLUSTER_RULES),
        rbac("ClusterRole", "doorward-operator-enrolled", rules=ENROLLED_RULES),
        rbac("Role", "doorward-operator", RELEASE, rules=LEASE_RULES),
        bound("ClusterRoleBinding", "ClusterRole", "doorward-operator"),
        bound("RoleBinding", "Role", "doorward-operator", RELEASE),
    )
    token = kubectl("create", "token", "doorward-operator", "-n", RELEASE, "--duration=2h").strip()
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def replicas(operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Replicas]:
    """Replicas of the operator, ended with the test."""
    (tmp_path / "render.json").write_text(json.dumps(RENDER))
    (tmp_path / "ca.crt").write_text(CA)
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(operator_kubeconfig),
        "DOORWARD_RENDER_FILE": str(tmp_path / "render.json"),
        "DOORWARD_CA_FILE": str(tmp_path / "ca.crt"),
        "DOORWARD_BROKER_IP": BROKER_IP,
        "DOORWARD_OPS_PORT": "0",
        "DOORWARD_LOG_LEVEL": "info",
    }
    found = Replicas(environment, tmp_path)
    yield found
    for name in list(found.running):
        found.kill(name)


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A connection as a cluster administrator."""
    made = Api(control_plane.kubeconfig, tmp_path_factory.mktemp("api"))
    yield made
    made.close()


@pytest.fixture
def make_place(control_plane: ControlPlane, kubectl: Kubectl, api: Api) -> Callable[..., Place]:
    """Makes namespaces."""

    def make(*, enrolled: bool = True, objects: bool = True) -> Place:
        name = f"agents-{uuid.uuid4().hex[:8]}"
        labels = {"doorward.dev/enforced": "true"} if enrolled else {}
        offset = control_plane.audit_log.stat().st_size
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        kubectl.apply(bound("RoleBinding", "ClusterRole", "doorward-operator-enrolled", name))
        if objects:
            kubectl.apply(role(name), connector())
        return Place(kubectl, api, name, control_plane.audit_log, offset)

    return make


@pytest.fixture
def place(operator_kubeconfig: Path, make_place: Callable[..., Place]) -> Place:
    """An enrolled namespace where a task can run."""
    return make_place()


def role(namespace: str) -> dict[str, Any]:
    """A role with one rule."""
    rules = [{"name": "comment", "connector": "code", "actions": ["issue.comment"]}]
    return {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentRole",
        "metadata": {"name": "fixer", "namespace": namespace},
        "spec": {"agent": {"images": ["registry.example/agents/*"]}, "rules": rules},
    }


def connector() -> dict[str, Any]:
    """The connector of that rule."""
    return {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "Connector",
        "metadata": {"name": "code"},
        "spec": {
            "type": "forge",
            "provider": "gitea",
            "zone": "repository",
            "endpoint": "https://git.example",
            "service": {"namespace": "doorward-code", "name": "doorward-connector-code"},
            "audience": "connector:code",
            "catalogueHash": catalogue.load("forge").hash,
        },
    }

"""The broker under its own account, against a real API server.

Nothing else runs: no operator, no scheduler, no kubelet. What those do, the tests do.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from authority import Authority
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devcluster import ports
from devcluster.api import ControlPlane
from devcluster.kubectl import Kubectl
from doorward import catalogue
from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.broker.places import Places
from doorward.broker.process import serve
from doorward.broker.settings import CanaryAddress, Settings
from doorward.door import canary
from doorward.door.broker import Broker as Door
from doorward.kube import Client, connect
from doorward.render import RenderSettings, render_pod
from doorward.serving import client_context

RELEASE = "doorward-system"
BROKER_IP = "10.96.0.10"
RENDER = {"doorImage": "registry.example/doorward/door:test"}
GROUP = "doorward.dev/v1alpha1"
RBAC = "rbac.authorization.k8s.io/v1"

CLUSTER_RULES = [
    {
        "apiGroups": ["doorward.dev"],
        "resources": [
            "agenttasks",
            "agentroles",
            "connectors",
            "revocations",
            "grants",
            "approvals",
            "thaws",
        ],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    {
        "apiGroups": ["doorward.dev"],
        "resources": [
            "agenttasks/status",
            "revocations/status",
            "grants/status",
            "approvals/status",
            "thaws/status",
        ],
        "verbs": ["patch"],
    },
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
]
ENROLLED_RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["doorward.dev"], "resources": ["grants"], "verbs": ["create"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]
HEARTBEAT_RULES = [
    {"apiGroups": ["doorward.dev"], "resources": ["revocations"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["doorward-broker-heartbeat"],
        "verbs": ["get", "patch"],
    },
]


def binding(kind: str, role_kind: str, role: str, namespace: str | None = None) -> dict[str, Any]:
    """A binding of the broker's account."""
    metadata = {"name": role} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": RBAC,
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "doorward-broker", "namespace": RELEASE}],
    }


def rules(kind: str, name: str, found: list[dict[str, Any]], namespace: str | None = None) -> dict[str, Any]:
    """A role of RBAC."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": RBAC, "kind": kind, "metadata": metadata, "rules": found}


def account(name: str, namespace: str) -> dict[str, Any]:
    """A service account."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
        "automountServiceAccountToken": False,
    }


@pytest.fixture(scope="session")
def broker_kubeconfig(
    control_plane: ControlPlane, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Access as the broker's service account, with the rules of the chart and no more."""
    for name in (RELEASE, "doorward-code"):
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    labels = {"app.kubernetes.io/name": "doorward", "app.kubernetes.io/component": "broker"}
    lease = {"name": "doorward-broker-heartbeat", "namespace": RELEASE, "labels": labels}
    kubectl.apply(
        account("doorward-broker", RELEASE),
        account("doorward-connector-code", "doorward-code"),
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": lease},
        rules("ClusterRole", "doorward-broker", CLUSTER_RULES),
        rules("ClusterRole", "doorward-broker-enrolled", ENROLLED_RULES),
        rules("Role", "doorward-broker", HEARTBEAT_RULES, RELEASE),
        binding("ClusterRoleBinding", "ClusterRole", "doorward-broker"),
        binding("RoleBinding", "Role", "doorward-broker", RELEASE),
        connector(),
    )
    # Agents of other tests that seem to run would say that there was a ledger.
    kubectl("delete", "agenttasks", "--all", "--all-namespaces", "--wait=false")
    token = kubectl("create", "token", "doorward-broker", "-n", RELEASE, "--duration=2h").strip()
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("broker") / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def connector() -> dict[str, Any]:
    """The Connector that the tests use."""
    tenant = {
        "namespaces": {"selector": {"matchLabels": {"doorward.dev/enforced": "true"}}},
        "effects": ["read", "draft"],
    }
    spec = {
        "type": "forge",
        "provider": "gitea",
        "zone": "repository",
        "endpoint": "https://forge.example",
        "service": {"namespace": "doorward-code", "name": "doorward-connector-code"},
        "audience": "connector:code",
        "catalogueHash": catalogue.load("forge").hash,
        "ci": "isolated",
        "tenants": [tenant],
    }
    return {"apiVersion": GROUP, "kind": "Connector", "metadata": {"name": "code"}, "spec": spec}


@dataclass
class Place:
    """An enrolled namespace with a role, and the parts that the tests play in it."""

    kubectl: Kubectl
    namespace: str
    render: RenderSettings

    def run_task(self, name: str = "fix") -> str:
        """A task, its pod as the operator would make it, and the kubelet's word; gives the door's token."""
        spec = {"role": "fixer", "agent": {"image": "registry.example/agents/a:1"}, "requestedBy": "alice"}
        metadata = {"name": name, "namespace": self.namespace}
        self.kubectl.apply({"apiVersion": GROUP, "kind": "AgentTask", "metadata": metadata, "spec": spec})
        task = AgentTask.parse(self.kubectl.get("agenttask", name, "-n", self.namespace))
        role = AgentRole.parse(self.kubectl.get("agentrole", "fixer", "-n", self.namespace))
        code = Connector.parse(self.kubectl.get("connector", "code"))
        pod = render_pod(task, role, {"code": code}, self.render)
        self.kubectl.apply(pod)
        self.play_kubelet(name)
        return self.token(name)

    def pod(self, task: str = "fix") -> dict[str, Any]:
        """The live pod of a task."""
        found: list[dict[str, Any]] = self.kubectl.get("pods", "-n", self.namespace)["items"]
        return next(pod for pod in found if pod["metadata"]["annotations"].get("doorward.dev/task") == task)

    def play_kubelet(self, task: str = "fix", container: str = "containerd://1", restarts: int = 0) -> None:
        """Say that the door runs, at the address that the tests call from."""
        door = {
            "name": "door",
            "image": "x",
            "imageID": "x",
            "ready": True,
            "containerID": container,
            "restartCount": restarts,
            "state": {"running": {"startedAt": "2026-11-20T10:00:00Z"}},
        }
        status = {
            "phase": "Pending",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "initContainerStatuses": [door],
        }
        patch = json.dumps({"status": status})
        arguments = ("-n", self.namespace, "--subresource=status", "--type=merge", "-p", patch)
        self.kubectl("patch", "pod", self.pod(task)["metadata"]["name"], *arguments)

    def token(self, task: str = "fix", audience: str = "doorward-broker") -> str:
        """A token bound to the task's pod, as the kubelet projects it."""
        pod = self.pod(task)
        bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod['metadata']['name']}")
        uid = f"--bound-object-uid={pod['metadata']['uid']}"
        name, where = pod["spec"]["serviceAccountName"], ("-n", self.namespace)
        return self.kubectl("create", "token", name, *where, f"--audience={audience}", *bound, uid).strip()

    def revoke(self, **spec: Any) -> None:
        """A Revocation."""
        metadata = {"name": f"r-{uuid.uuid4().hex[:8]}", "namespace": self.namespace}
        body = {"reason": "because", **spec}
        self.kubectl.apply({"apiVersion": GROUP, "kind": "Revocation", "metadata": metadata, "spec": body})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Vouches for the broker."""
    return Authority(tmp_path)


@pytest.fixture
def place(kubectl: Kubectl, broker_kubeconfig: Path, authority: Authority) -> Place:
    """A fresh enrolled namespace, and no memory of another test's ledger."""
    kubectl("annotate", "lease", "doorward-broker-heartbeat", "-n", RELEASE, "doorward.dev/ledger-")
    name = f"agents-{uuid.uuid4().hex[:8]}"
    labels = {"doorward.dev/enforced": "true"}
    rule = {
        "name": "comment",
        "connector": "code",
        "actions": ["issue.comment", "issue.read"],
        "resources": {"repository": ["acme/*"]},
    }
    spec = {"agent": {"images": ["registry.example/agents/*"]}, "rules": [rule]}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    kubectl.apply(
        account("doorward-role-fixer", name),
        binding("RoleBinding", "ClusterRole", "doorward-broker-enrolled", name),
        {
            "apiVersion": GROUP,
            "kind": "AgentRole",
            "metadata": {"name": "fixer", "namespace": name},
            "spec": spec,
        },
    )
    render = RenderSettings.load(json.dumps(RENDER).encode(), ca_pem=authority.bundle, broker_ip=BROKER_IP)
    return Place(kubectl, name, render)


@pytest.fixture
def settings(tmp_path: Path, authority: Authority) -> Settings:
    """The broker's settings, everything in one folder."""
    certificate, key = authority.issue("doorward-broker.doorward-system.svc")
    (tmp_path / "render.json").write_text(json.dumps(RENDER))
    doors, hands, ops = (("127.0.0.1", port) for port in ports.free(3))
    return Settings(
        listen=doors,
        connectors_listen=hands,
        ops_listen=ops,
        tls_certificate=certificate,
        tls_key=key,
        render_file=tmp_path / "render.json",
        ca_file=authority.bundle_file,
        history_file=tmp_path / "history.json",
        broker_ip=BROKER_IP,
        ledger_url=f"sqlite:///{tmp_path / 'ledger.db'}",
        keys=tmp_path / "keys",
        canaries=(),
        kubelet_seconds=2.0,
        openings_per_minute=6000.0,
    )


Running = Callable[..., AbstractAsyncContextManager[Callable[..., Door]]]


@pytest.fixture
def running(settings: Settings, broker_kubeconfig: Path, authority: Authority) -> Running:
    """Runs the broker for as long as the context lasts, which gives a maker of doors' clients."""

    async def resolve(_: str, __: int) -> str:
        return "10.96.0.2"

    @asynccontextmanager
    async def run(through: Client | None = None, **changes: Any) -> AsyncIterator[Callable[..., Door]]:
        chosen, stop, doors = replace(settings, **changes), asyncio.Event(), []

        def door(key: Ed25519PrivateKey | None = None) -> Door:
            url = f"https://127.0.0.1:{chosen.listen[1]}"
            made = Door(url, client_context(authority.bundle), key or Ed25519PrivateKey.generate())
            doors.append(made)
            return made

        async with canary.serving("127.0.0.1", 0) as port, connect(str(broker_kubeconfig)) as client:
            there = tuple(CanaryAddress(name, "127.0.0.1", port, name) for name in ("tcp", "udp"))
            chosen = replace(chosen, canaries=there)
            serving = asyncio.ensure_future(serve(chosen, stop, through or client, Places(resolve)))
            try:
                await listening(chosen.listen[1], serving)
                yield door
            finally:
                for made in doors:
                    await made.close()
                stop.set()
                await serving

    return run


async def listening(port: int, serving: asyncio.Future[None], seconds: float = 120.0) -> None:
    """Wait until the port is open; a broker that ended instead raises what ended it."""
    async with asyncio.timeout(seconds):
        while True:
            if serving.done():
                serving.result()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0)
            else:
                writer.close()
                await writer.wait_closed()
                return

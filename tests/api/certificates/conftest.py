"""The charts installed by the real helm on an API server of their own; the process under its account."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from devcluster import tools
from devcluster.api import ControlPlane, start_control_plane
from devcluster.kubectl import Kubectl
from doorward.kube import Change, ChangeType, Client, connect
from doorward_webhooks.certificates.metrics import Metrics
from doorward_webhooks.certificates.process import Connectors, Rotation
from doorward_webhooks.certificates.settings import Settings

ROOT = Path(__file__).parents[3]
SYSTEM = "doorward-system"
CODE = (
    *("--set", "name=code", "--set", "upstream.url=https://git.example"),
    *("--set", "credential.existingSecret=code-token", "--set", "connector.create=true"),
)


@dataclass(frozen=True)
class Cluster:
    """An API server with Doorward's chart on it."""

    plane: ControlPlane
    kubectl: Kubectl
    account: Path
    """Kubeconfig of the account `doorward-certificates`."""

    def helm(self, *words: str) -> str:
        """Run helm as an administrator. Raises `CalledProcessError`."""
        command = [str(tools.path("helm")), "--kubeconfig", str(self.plane.kubeconfig), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def install(self, *flags: str) -> None:
        """Install the chart, or upgrade it."""
        self.helm(
            "upgrade", "--install", "doorward", str(ROOT / "charts" / "doorward"),
            "--namespace", SYSTEM, "--create-namespace", "--reset-values", *flags,
        )  # fmt: skip

    def install_connector(self, *flags: str) -> None:
        """Install the connector `code`, or upgrade it."""
        self.helm(
            "upgrade", "--install", "code", str(ROOT / "charts" / "doorward-connector"),
            "--namespace", "doorward-code", "--create-namespace", *CODE, *flags,
        )  # fmt: skip


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server of this file's own: a webhook without a server would stand in other tests' way."""
    tools.build(["helm"])
    started = start_control_plane(tmp_path_factory.mktemp("plane"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def installed(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The chart, installed once."""
    kubectl = Kubectl(plane.kubeconfig)
    made = Cluster(plane, kubectl, tmp_path_factory.mktemp("account") / "kubeconfig")
    made.install()
    token = kubectl("create", "token", "doorward-certificates", "-n", SYSTEM).strip()
    made.account.write_text(_kubeconfig(plane, token))
    return made


@pytest.fixture(scope="module")
def empty(installed: Cluster) -> str:
    """What the process fills, as the chart makes it."""
    found = installed.kubectl.get(
        *("secret/doorward-ca-key", "secret/doorward-broker-tls", "secret/doorward-admission-tls"),
        *("configmap/doorward-ca", "configmap/doorward-renderings"),
        *("validatingwebhookconfiguration/doorward", "mutatingwebhookconfiguration/doorward"),
        *("-n", SYSTEM),
    )
    return json.dumps({**found, "items": [_bare(item) for item in found["items"]]})


@pytest.fixture
def cluster(installed: Cluster, empty: str) -> Iterator[Cluster]:
    """The chart as if freshly installed; nothing of it runs."""
    yield installed
    if "code" in installed.helm("list", "--short", "--namespace", "doorward-code").split():
        installed.helm("uninstall", "code", "--namespace", "doorward-code")
    installed.kubectl("replace", "--force", "-f", "-", stdin=empty)


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    metadata = document["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if key in metadata}
    return {**document, "metadata": kept}


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    """The API as the certificates process sees it: with its account's rights and no more."""
    async with connect(str(cluster.account)) as found:
        yield found


@pytest.fixture
def rotation(client: Client) -> Callable[[], Rotation]:
    """A new process that has heard of the connectors given."""

    def make(*connectors: tuple[str, str]) -> Rotation:
        heard = Connectors()
        for namespace, service in connectors:
            spec = {"service": {"namespace": namespace, "name": service}}
            heard.on_event(Change(ChangeType.PRESENT, {"metadata": {"name": service}, "spec": spec}))
        return Rotation(client, Settings(), Metrics(CollectorRegistry()), heard)

    return make


def _kubeconfig(plane: ControlPlane, token: str) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "account",
        "clusters": [
            {"name": "here", "cluster": {"server": plane.url, "certificate-authority": str(plane.ca)}}
        ],
        "users": [{"name": "account", "user": {"token": token}}],
        "contexts": [{"name": "account", "context": {"cluster": "here", "user": "account"}}],
    }
    return yaml.safe_dump(document)

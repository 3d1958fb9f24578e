"""The census as a document, asked of a real API server by an account with the rules of the chart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.api import ControlPlane
from devcluster.kubectl import Kubectl

RBAC = "rbac.authorization.k8s.io"
CLUSTER_RULES = [
    {"apiGroups": ["doorward.dev"], "resources": ["agentroles"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]},
]
ENROLLED_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]


@pytest.fixture(scope="module")
def account(control_plane: ControlPlane, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of an account that may do what the census needs, in namespaces that are bound to it."""
    home = f"census-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", home)
    kubectl("create", "serviceaccount", "census", "-n", home)
    for name, rules in (("census", CLUSTER_RULES), ("census-enrolled", ENROLLED_RULES)):
        role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
        kubectl.apply(role)
    kubectl(
        *("create", "clusterrolebinding", home, "--clusterrole=census", f"--serviceaccount={home}:census")
    )
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": kubectl("create", "token", "census", "-n", home).strip()}
    path = tmp_path_factory.mktemp("census") / "kubeconfig"
    path.write_text(yaml.safe_dump({**document, "doorward-home": home}))
    return path


@pytest.fixture
def place(kubectl: Kubectl, account: Path) -> Iterator[str]:
    """An enrolled namespace that the account may look into; not enrolled any more afterwards."""
    name, home = f"before-{uuid.uuid4().hex[:8]}", yaml.safe_load(account.read_text())["doorward-home"]
    kubectl("create", "namespace", name)
    kubectl("create", "serviceaccount", "default", "-n", name)
    binding = ("--clusterrole=census-enrolled", f"--serviceaccount={home}:census")
    kubectl("create", "rolebinding", "census", "-n", name, *binding)
    kubectl("label", "namespace", name, "doorward.dev/enforced=true")
    yield name
    kubectl("label", "namespace", name, "doorward.dev/enforced-")


def census(kubeconfig: Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, report, and what was said besides."""
    env = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig)}
    command = [sys.executable, "-m", "doorward_webhooks.census"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_a_pod_from_before_is_in_the_report(kubectl: Kubectl, account: Path, place: str) -> None:
    """With each place; and out of it when the pod has gone."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "old", "namespace": place},
        "spec": {
            "containers": [{"name": "a", "image": "x"}],
            "volumes": [{"name": "s", "secret": {"secretName": "prod-db"}}],
        },
    }
    kubectl.apply(pod)
    code, report, _ = census(account)
    mine = [item for item in report["findings"] if item["namespace"] == place]

    assert code == 1
    assert [item["pod"] for item in mine] == ["old"]
    assert "/spec/volumes/0/secret" in {spot["pointer"] for spot in mine[0]["places"]}
    kubectl("delete", "pod", "old", "-n", place, "--force", "--grace-period=0")
    assert place not in {item["namespace"] for item in census(account)[1]["findings"]}


def test_a_namespace_that_cannot_be_seen_is_said(kubectl: Kubectl, account: Path, place: str) -> None:
    """Without its RoleBinding it is not among those that were looked into, and all is not well."""
    before = census(account)[1]
    kubectl("delete", "rolebinding", "census", "-n", place)
    code, after, _ = census(account)

    assert place in before["namespaces"]
    assert code == 1
    assert place not in after["namespaces"]
    assert place in {item["namespace"] for item in after["namespacesUnseen"]}


def test_no_answer_is_no_report(tmp_path: Path) -> None:
    """Without an API server there is a sentence and no number that could be taken for one."""
    code, report, said = census(tmp_path / "absent")

    assert (code, report) == (3, {})
    assert "no census" in said

"""An API server of its own with the chart's policies, the webhook in this process, an enrolled namespace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from admissionrig import Rig
from admissionworld import OPERATOR, connector_document, grant_document, role_document, task_document
from apiclient import Answer, Api

from devcluster import tools
from devcluster.api import start_control_plane
from devcluster.commands import CommandError
from devcluster.kubectl import Kubectl
from devcluster.wait import until
from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.render import RenderSettings, render_pod, render_service_account

ROOT = Path(__file__).parents[3]
BROKER_IP = "10.96.0.99"
PODS = "/api/v1/namespaces/agents/pods"
ADMIN = ("system:masters",)


@dataclass
class World:
    """The API server, who talks to it, and what is in it."""

    kubectl: Kubectl
    api: Api
    rig: Rig
    values: Path
    kubeconfig: Path

    def helm(self, *words: str) -> str:
        """Install the chart, or upgrade it."""
        command = (
            *(str(tools.path("helm")), "--kubeconfig", str(self.kubeconfig)),
            *("upgrade", "--install", "doorward", str(ROOT / "charts" / "doorward")),
            *("--namespace", "doorward-system", "--create-namespace", "--values", str(self.values), *words),
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def refused(self, *argv: str, as_: str = "", groups: tuple[str, ...] = ()) -> str:
        """What kubectl prints when it is refused; empty when it is not."""
        acting = (f"--as={as_}",) if as_ else ()
        try:
            self.kubectl(*acting, *(f"--as-group={group}" for group in groups), *argv)
        except CommandError as error:
            return str(error)
        return ""

    def create_pod(self, pod: dict[str, Any], *, user: str = OPERATOR, dry_run: bool = True) -> Answer:
        """POST a pod to its namespace."""
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
        return self.api(
            "POST",
            path + ("?dryRun=All" if dry_run else ""),
            pod,
            user=user,
            groups=GROUPS if user == OPERATOR else ADMIN,
        )

    def rendered(self, task: str) -> dict[str, Any]:
        """The pod that the operator would make for a task that is there."""
        found = self.kubectl.get("-n", "agents", "agenttask", task)
        role = self.kubectl.get("-n", "agents", "agentrole", "bug-fixer")
        connectors = {"code": Connector.parse(self.kubectl.get("connector", "code"))}
        settings = RenderSettings.load(self.rig.render, ca_pem=self.rig.bundle, broker_ip=BROKER_IP)
        return render_pod(AgentTask.parse(found), AgentRole.parse(role), connectors, settings)


GROUPS = ("system:serviceaccounts", "system:serviceaccounts:doorward-system", "system:authenticated")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything in place; tests that take something away put it back."""
    tools.build(["helm"])
    folder = tmp_path_factory.mktemp("admission")
    (folder / "webhook").mkdir()
    plane = start_control_plane(folder)
    rig = Rig(plane.kubeconfig, folder / "webhook", b"{}", BROKER_IP)
    values = folder / "values.yaml"
    values.write_text(json.dumps({"enrolled": [{"name": "agents", "create": True}]}))
    made = World(Kubectl(plane.kubeconfig), Api(plane.kubeconfig, folder), rig, values, plane.kubeconfig)
    try:
        made.helm()
        render = made.kubectl.get("-n", "doorward-system", "configmap", "doorward-render")
        rig.replace_render(render["data"]["render.json"].encode())
        rig.start()
        rig.attach(made.kubectl)
        _fill(made)
        yield made
    finally:
        rig.stop()
        made.api.close()
        plane.stop()


def _fill(world: World) -> None:
    """Objects of the enrolled namespace, made by those who may."""
    documents = [_bare(document) for document in (connector_document(), role_document())]
    world.kubectl.apply(*documents)
    world.kubectl("create", "namespace", "elsewhere")
    world.kubectl("-n", "elsewhere", "create", "serviceaccount", "default")
    role = AgentRole.parse(world.kubectl.get("-n", "agents", "agentrole", "bug-fixer"))
    account = render_service_account(role)
    path = "/api/v1/namespaces/agents/serviceaccounts"
    until(lambda: not _allowed_secret(world), "the policies to be in force")
    until(lambda: world.api("POST", path, account, user=OPERATOR, groups=GROUPS).status == 201, "the account")


def _allowed_secret(world: World) -> bool:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe"}}
    return world.api("POST", "/api/v1/namespaces/agents/secrets?dryRun=All", secret).status == 201


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: item for key, item in document["metadata"].items() if key != "uid"}
    return {**document, "metadata": metadata}


VERBS = {
    "alice": ("use",),
    "robot": ("use", "requestfor"),
    "carol": ("approve",),
    "dora": ("approve",),
    "rita": ("approve",),
    "maker": ("approve",),
    "wendy": ("widen", "approve"),
    "both": ("use", "approve"),
    "nobody": ("get",),
    "system:serviceaccount:agents:bot": ("widen", "approve"),
}
"""What each person may do with role bug-fixer; the group `makers` may run its tasks for others."""
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="session")
def people(world: World) -> None:
    """Each may write every kind of ours, and has the verbs above on one role."""
    for number, (user, verbs) in enumerate(VERBS.items()):
        world.kubectl.apply(*_bound(f"person-{number}", "User", user, verbs))
    world.kubectl.apply(*_bound("makers", "Group", "makers", ("use", "requestfor")))


def _bound(name: str, kind: str, who: str, verbs: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    kinds = ["agenttasks", "approvals", "grants", "agentroles", "revocations", "thaws"]
    writes = ["get", "list", "create", "update", "patch"]
    group = {"apiGroups": ["doorward.dev"]}
    rules: list[dict[str, Any]] = [
        {**group, "resources": kinds, "verbs": writes},
        {**group, "resources": ["agentroles"], "resourceNames": ["bug-fixer"], "verbs": list(verbs)},
    ]
    if "widen" in verbs:
        rules.append({**group, "resources": ["grants/status"], "verbs": writes})
    meta = {"name": name, "namespace": "agents"}
    subject = {"apiGroup": RBAC, "kind": kind, "name": who}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": name}
    return (
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": reference,
            "subjects": [subject],
        },
    )


@pytest.fixture(scope="session")
def asked(world: World, people: None) -> str:
    """UID of a task that `maker` made for `rita`, and for which `wendy` made the Grant `waits`.

    Everything is written out, so that it is admitted with the webhook and without.
    """
    base = "/apis/doorward.dev/v1alpha1/namespaces/agents"
    task = _bare(task_document(requestedBy="rita", createdBy="maker"))
    task["metadata"]["name"] = "asked"
    made = world.api("POST", f"{base}/agenttasks", task, user="maker", groups=("makers",))
    assert made.status == 201, made.message
    uid = str(made.document["metadata"]["uid"])
    grant = grant_document(task={"name": "asked", "uid": uid}, author="wendy")
    grant["metadata"]["name"] = "waits"
    until(lambda: _made(world, f"{base}/grants", grant), "the Grant to be admitted")
    return uid


def _made(world: World, path: str, document: dict[str, Any]) -> Answer | None:
    answer = world.api("POST", path, document, user="wendy")
    return answer if answer.status == 201 else None


@pytest.fixture
def task(world: World, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Makes tasks and takes them away again."""
    made: list[str] = []

    def make(name: str, **spec: Any) -> str:
        document = _bare(task_document(**spec))
        document["metadata"]["name"] = name
        world.kubectl.apply(document)
        made.append(name)
        return name

    yield make
    for name in made:
        world.kubectl("-n", "agents", "delete", "agenttask", name, "--wait=false")


@pytest.fixture
def pod(world: World, task: Callable[..., str]) -> dict[str, Any]:
    """The pod of a task that was just made."""
    return world.rendered(task("fix-7"))


@pytest.fixture
def running(world: World, pod: dict[str, Any]) -> Iterator[str]:
    """Name of a task pod that is there."""
    until(lambda: world.create_pod(pod, dry_run=False).status == 201, "the pod")
    yield pod["metadata"]["name"]
    world.kubectl("-n", "agents", "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")


@pytest.fixture(scope="module")
def floor_only(world: World) -> Iterator[World]:
    """Without any webhook: what is refused, the policies or the server refuse."""
    world.rig.detach(world.kubectl)
    yield world
    world.helm()
    world.rig.attach(world.kubectl)

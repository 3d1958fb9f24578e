"""`kubectl doorward` against a real API server with the policies, with the documented rights and no more."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from admissionworld import OPERATOR

from doorward.cli.main import DONE, REFUSED, UNANSWERED, main
from doorward.render import render_default_deny

ROOT = Path(__file__).parents[3]
LABEL = "doorward.dev/enforced"
GROUPS = ("system:masters",)
NUMBERS = itertools.count()
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def steward(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of an account that has the rights of docs/cli.md and no others."""
    texts = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/cli.md").read_text(), re.DOTALL)
    (role,) = (item for item in map(yaml.safe_load, texts) if item["metadata"]["name"] == "doorward-steward")
    world.kubectl.apply(role)
    world.kubectl("create", "namespace", "stewards")
    world.kubectl("-n", "stewards", "create", "serviceaccount", "steward")
    name = role["metadata"]["name"]
    world.kubectl(
        *("create", "clusterrolebinding", "cli-steward", f"--clusterrole={name}"),
        "--serviceaccount=stewards:steward",
    )
    document = yaml.safe_load(world.kubeconfig.read_text())
    token = world.kubectl("-n", "stewards", "create", "token", "steward").strip()
    document["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("steward") / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def run(steward: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command as the steward; gives the exit code and all that was printed."""

    def command(*words: str) -> tuple[int, str]:
        code = main([*words, "--kubeconfig", str(steward)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return command


@pytest.fixture
def namespace(world: Any) -> str:
    """A namespace of its own with its default account, not enrolled."""
    name = f"team-{next(NUMBERS)}"
    world.kubectl("create", "namespace", name)
    world.kubectl("-n", name, "create", "serviceaccount", "default")
    return name


def labels(world: Any, namespace: str) -> dict[str, str]:
    """The labels of a namespace."""
    found: dict[str, str] = world.kubectl.get("namespace", namespace)["metadata"].get("labels", {})
    return found


def bindings(world: Any, namespace: str) -> list[str]:
    """Names of the RoleBindings of a namespace."""
    return [item["metadata"]["name"] for item in world.kubectl.get("-n", namespace, "rolebindings")["items"]]


def pod(namespace: str) -> dict[str, Any]:
    """A pod of somebody else."""
    spec = {"containers": [{"name": "web", "image": "registry.example/web:1"}]}
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


OURS = ["doorward-admission", "doorward-broker", "doorward-operator"]


def test_a_namespace_comes_and_goes(world: Any, run: Run) -> None:
    """Made, enrolled, found enrolled, taken out, and back as it was; each step may be done again."""
    name = f"team-{next(NUMBERS)}"
    first, again = run("enroll", name, "--create"), run("enroll", name)
    assert (first[0], again[0]) == (DONE, DONE)
    assert again[1].count("unchanged") == 4
    assert labels(world, name)[LABEL] == "true"
    assert labels(world, name)["pod-security.kubernetes.io/enforce"] == "restricted"
    assert bindings(world, name) == OURS
    assert f"namespace {name} is enrolled" in run("status", "-n", name)[1]

    left, twice = run("unenroll", name), run("unenroll", name)
    assert (left[0], twice[0]) == (DONE, DONE)
    assert labels(world, name) == {"kubernetes.io/metadata.name": name}
    assert "annotations" not in world.kubectl.get("namespace", name)["metadata"]
    assert bindings(world, name) == []


def test_what_has_no_place_beside_agents_is_listed(world: Any, run: Run, namespace: str) -> None:
    """Pods, Secrets and policies, all at once, each with what to do; nothing is changed."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "allow-dns", "namespace": namespace},
        "spec": {"podSelector": {}, "egress": [{}]},
    }
    world.kubectl.apply(pod(namespace), policy)
    world.kubectl(
        "-n", namespace, "create", "secret", "generic", "prod-db", "--from-literal=password=hunter2"
    )
    before = world.kubectl.get("namespace", namespace)
    code, said = run("enroll", namespace)

    assert code == REFUSED
    assert [line.split(":")[0].strip() for line in said.splitlines()[1:]] == [
        "Pod web",
        "Secret prod-db",
        "NetworkPolicy allow-dns",
    ]
    assert "hunter2" not in said
    assert world.kubectl.get("namespace", namespace) == before
    assert bindings(world, namespace) == []


@pytest.fixture
def cilium(world: Any) -> Iterator[None]:
    """A network plugin's kind of policy."""
    names = {
        "plural": "ciliumnetworkpolicies",
        "singular": "ciliumnetworkpolicy",
        "kind": "CiliumNetworkPolicy",
    }
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v2", "served": True, "storage": True, "schema": schema}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "ciliumnetworkpolicies.cilium.io"},
        "spec": {"group": "cilium.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    world.kubectl.apply(crd)
    world.kubectl("wait", "--for=condition=Established", "--timeout=180s", "crd", crd["metadata"]["name"])
    yield
    world.kubectl("delete", "crd", crd["metadata"]["name"], "--wait=false")


def test_a_policy_of_a_network_plugin_is_listed(
    world: Any, namespace: str, capsys: pytest.CaptureFixture[str], cilium: None
) -> None:
    """Where the plugin is installed its policies are looked at too."""
    metadata = {"name": "open", "namespace": namespace}
    world.kubectl.apply({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata})

    assert main(["enroll", namespace, "--kubeconfig", str(world.kubeconfig)]) == REFUSED
    assert "CiliumNetworkPolicy open" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(world: Any, run: Run, namespace: str) -> None:
    """It says what it would do."""
    before = world.kubectl.get("namespace", namespace)
    code, said = run("enroll", namespace, "--dry-run")

    assert code == DONE
    assert said.count("(dry run)") == said.count("\n")
    assert "rolebinding/doorward-operator created" in said
    assert world.kubectl.get("namespace", namespace) == before
    assert bindings(world, namespace) == []


def test_nobody_leaves_while_pods_run(world: Any, run: Run, namespace: str) -> None:
    """The walls stay, and the pods are named."""
    world.kubectl.apply(pod(namespace))
    world.kubectl("label", "namespace", namespace, f"{LABEL}=true")
    code, said = run("unenroll", namespace)

    assert code == REFUSED
    assert "Pod web" in said
    assert labels(world, namespace)[LABEL] == "true"


def test_leaving_takes_the_walls_and_accounts_along(world: Any, run: Run, namespace: str) -> None:
    """What the operator made there goes, so that what comes next is not closed in; nothing else goes."""
    run("enroll", namespace)
    deny = render_default_deny(namespace)
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    assert world.api("POST", path, deny, user=OPERATOR, groups=GROUPS).status == 201
    code, said = run("unenroll", namespace)

    assert code == DONE, said
    assert "networkpolicy/doorward-default-deny deleted" in said
    assert world.kubectl.get("-n", namespace, "networkpolicies")["items"] == []
    accounts = world.kubectl.get("-n", namespace, "serviceaccounts")["items"]
    assert [item["metadata"]["name"] for item in accounts] == ["default"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["enroll", "kube-system"], "cannot be enrolled"),
        (["enroll", "doorward-system"], "cannot be enrolled"),
        (["enroll", "never-made"], "--create makes it"),
        (["enroll", "elsewhere", "--system-namespace", "stewards"], "Doorward is not installed in stewards"),
        (["unenroll", "never-made"], "there is no namespace never-made"),
        (["status", "-n", "never-made"], "there is no namespace never-made"),
        (["status", "never-made", "-n", "agents"], "there is no AgentTask never-made"),
    ],
    ids=["cluster", "release", "absent", "not installed", "leaving absent", "status absent", "no task"],
)
def test_what_cannot_be_is_refused_with_a_sentence(run: Run, words: list[str], why: str) -> None:
    """Exit code 1, and nothing is written."""
    code, said = run(*words)

    assert (code, why in said) == (REFUSED, True), said


def test_a_binding_to_another_role_is_not_overwritten(world: Any, run: Run, namespace: str) -> None:
    """The role of a binding never changes, so somebody has to take it away; more subjects are taken out."""
    world.kubectl(
        "-n", namespace, "create", "rolebinding", "doorward-broker", "--clusterrole=view", "--user=x"
    )
    code, said = run("enroll", namespace)
    assert code == REFUSED
    assert "delete rolebinding/doorward-broker" in said

    world.kubectl("-n", namespace, "delete", "rolebinding", "doorward-broker")
    assert run("enroll", namespace)[0] == DONE
    more = [{"op": "add", "path": "/subjects/-", "value": {"kind": "User", "name": "x"}}]
    world.kubectl(
        *("-n", namespace, "patch", "rolebinding", "doorward-broker", "--type=json", "-p", json.dumps(more))
    )
    code, said = run("enroll", namespace)
    assert (code, "rolebinding/doorward-broker configured" in said) == (DONE, True), said
    assert len(world.kubectl.get("-n", namespace, "rolebinding", "doorward-broker")["subjects"]) == 1


def test_somebody_without_the_verb_is_told_so(
    world: Any, steward: Path, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API server's sentence, exit code 3, and the namespace stays as it was."""
    role = json.loads(world.kubectl("get", "clusterrole", "doorward-steward", "-o", "json"))
    without = {**role, "rules": [rule for rule in role["rules"] if "enroll" not in rule["verbs"]]}
    world.kubectl("replace", "-f", "-", stdin=json.dumps(without))
    try:
        code = main(["enroll", namespace, "--kubeconfig", str(steward)])
    finally:
        world.kubectl.apply(
            {
                "apiVersion": role["apiVersion"],
                "kind": role["kind"],
                "metadata": {"name": "doorward-steward"},
                "rules": role["rules"],
            }
        )

    assert code == UNANSWERED
    assert "ask for the verb `enroll`" in capsys.readouterr().err
    assert LABEL not in labels(world, namespace)


def test_tasks_are_shown_with_what_they_wait_for(world: Any, run: Run, task: Callable[..., str]) -> None:
    """All of them in a table, and one with its conditions."""
    name = task("look-at-7")

    assert name in run("status", "-n", "agents")[1]
    assert run("status", name, "-n", "agents") == (DONE, f"{name}: not looked at yet\n")

"""`kubectl doorward` as an approver: accounts with the documented rights and no others, a real server."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from admissionworld import API, DIGEST, grant_document

from doorward import catalogue
from doorward.api.v1alpha1 import approval_name
from doorward.cli.main import DONE, REFUSED, UNANSWERED, main

ROOT = Path(__file__).parents[3]
PROGRAM = Path(sys.executable).with_name("kubectl-doorward")
CAROL = "system:serviceaccount:reviewers:carol"
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def kubeconfigs(world: Any, asked: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig for each account of the reviewers; `carol` and `dora` have the rights of docs/cli.md."""
    texts = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/cli.md").read_text(), re.DOTALL)
    (role,) = (item for item in map(yaml.safe_load, texts) if item["metadata"]["name"] == "doorward-approver")
    world.kubectl.apply(role)
    world.kubectl("create", "namespace", "reviewers")
    world.kubectl("create", "clusterrole", "explains", "--verb=get", "--resource=connectors,namespaces")
    folder = tmp_path_factory.mktemp("reviewers")
    for name in ("carol", "dora", "stranger"):
        world.kubectl("-n", "reviewers", "create", "serviceaccount", name)
        account = f"--serviceaccount=reviewers:{name}"
        if name != "stranger":
            world.kubectl(
                *("-n", "agents", "create", "rolebinding", f"reviewer-{name}", account),
                "--clusterrole=doorward-approver",
            )
            world.kubectl(
                "create", "clusterrolebinding", f"explains-{name}", account, "--clusterrole=explains"
            )
        document = yaml.safe_load(world.kubeconfig.read_text())
        token = world.kubectl("-n", "reviewers", "create", "token", name).strip()
        document["users"][0]["user"] = {"token": token}
        (folder / name).write_text(yaml.safe_dump(document))
    return folder


@pytest.fixture
def run(kubeconfigs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one command in the agents' namespace; gives the exit code and all that was printed."""

    def command(*words: str, as_: str = "carol", says: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(says))
        code = main([*words, "-n", "agents", "--kubeconfig", str(kubeconfigs / as_)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return command


def program(kubeconfig: Path, *words: str, says: str) -> tuple[int, str]:
    """The same by the program that kubectl finds."""
    argv = [str(PROGRAM), *words, "-n", "agents", "--kubeconfig", str(kubeconfig)]
    done = subprocess.run(argv, input=says, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def grant(world: Any, asked: str) -> Iterator[str]:
    """A Grant of its own for each test."""
    document = grant_document(
        task={"name": "asked", "uid": asked}, summary="merge 7\x1b[2J", reason="it is \u202e urgent"
    )
    document["metadata"]["name"] = "to-answer"
    made = world.api("POST", "/apis/doorward.dev/v1alpha1/namespaces/agents/grants", document, user="wendy")
    assert made.status == 201, made.message
    yield "to-answer"
    world.kubectl("-n", "agents", "delete", "grant,approvals", "--field-selector=metadata.name=to-answer")
    for found in answers(world):
        world.kubectl("-n", "agents", "delete", "approval", found["metadata"]["name"])


def answers(world: Any) -> list[dict[str, Any]]:
    """The answers to that Grant."""
    found = world.kubectl.get("-n", "agents", "approvals")["items"]
    return [item for item in found if item["spec"]["grant"] == "to-answer"]


def test_a_grant_is_seen_and_approved(world: Any, run: Run, grant: str, kubeconfigs: Path) -> None:
    """Shown with digest and words, confirmed, made in one's own name; a second answer is none."""
    listed = run("grants")
    first = program(kubeconfigs / "carol", "approve", grant, "--reason", "looks right", says="yes\n")
    again = run("approve", grant, says="yes\n")
    (made,) = answers(world)

    assert (listed[0], "to-answer" in listed[1]) == (DONE, True)
    assert first[0] == DONE, first[1]
    assert all(part in first[1] for part in (DIGEST, "  | merge 7\\u{1b}[2J", '"it is \\u{202e} urgent"'))
    assert made["metadata"]["name"] == approval_name(grant, CAROL)
    assert (made["spec"]["user"], made["spec"]["decision"]) == (CAROL, "Approve")
    assert made["spec"]["reason"] == "looks right"
    assert "system:serviceaccounts:reviewers" in made["spec"]["groups"]
    assert (again[0], "has answered Grant to-answer already" in again[1]) == (REFUSED, True)


@pytest.mark.parametrize("says", ["", "no\n", "y\n", "YES\n"])
def test_what_is_not_confirmed_is_not_answered(world: Any, run: Run, grant: str, says: str) -> None:
    """Only `yes` is yes; a pipe that is closed is not."""
    code, said = run("approve", grant, says=says)

    assert (code, "not answered" in said, answers(world)) == (REFUSED, True, [])


def test_a_no_needs_no_confirmation(world: Any, run: Run, grant: str) -> None:
    """And `--yes` is for those who have read it elsewhere; both may be said of one Grant."""
    assert run("deny", grant, as_="dora")[0] == DONE
    assert run("approve", grant, "--yes")[0] == DONE

    found = {item["spec"]["user"].rpartition(":")[2]: item["spec"]["decision"] for item in answers(world)}
    assert found == {"dora": "Deny", "carol": "Approve"}


def test_somebody_else_may_be_acted_as(world: Any, run: Run, grant: str) -> None:
    """The server knows whoever is named, with their groups and nothing of one's own."""
    words = ("--as", "rita", "--as-group", "leads", "-n", "agents", "--kubeconfig", str(world.kubeconfig))

    assert main(["approve", grant, "--yes", *words]) == UNANSWERED  # the task is for her
    assert main(["approve", grant, "--yes", *words[:1], "dora", *words[2:]]) == DONE
    (made,) = answers(world)
    assert (made["spec"]["user"], made["spec"]["groups"]) == ("dora", ["leads", "system:authenticated"])


def test_the_servers_no_is_told(run: Run, grant: str) -> None:
    """Somebody without rights, a Grant that is not there: a sentence, and never a traceback."""
    absent, stranger = run("approve", "none", says="yes\n"), run("grants", as_="stranger")

    assert absent == (REFUSED, "there is no Grant none in agents\n")
    assert (stranger[0], "Forbidden" in stranger[1]) == (UNANSWERED, True)


@pytest.mark.parametrize("kind", ["task", "grant"])
def test_something_is_taken_back(world: Any, run: Run, kind: str) -> None:
    """One object, named for what it takes back, with the reason."""
    code, said = run("revoke", kind, "never-made", "--reason", "found out")
    assert code == DONE, said
    name = said.split()[0].removeprefix("revocation/")
    spec = world.kubectl.get("-n", "agents", "revocation", name)["spec"]
    world.kubectl("-n", "agents", "delete", "revocation", name)

    spec.pop("everything", None)  # a default of the schema
    assert spec == {f"{kind}s": ["never-made"], "reason": "found out"}


@pytest.fixture(scope="module")
def explained(world: Any) -> str:
    """A task whose role reads freely, comments with an approval, and closes nothing."""
    tenant = {
        "namespaces": {"selector": {"matchLabels": {"kubernetes.io/metadata.name": "agents"}}},
        "resources": {"repository": ["acme/*"]},
        "effects": ["read", "draft"],
    }
    connector = world.kubectl.get("connector", "code")["spec"]
    spec = {**connector, "catalogueHash": catalogue.load("forge").hash, "tenants": [tenant]}
    rules = [
        {"name": "read", "connector": "forge", "actions": ["issue.read"]},
        {"name": "comment", "connector": "forge", "actions": ["issue.comment"], "approval": {"quorum": 1}},
    ]
    agent = {"images": ["registry.example/agents/*"]}
    image = {"image": "registry.example/agents/fixer:1.2"}
    meta = {"name": "explained", "namespace": "agents"}
    world.kubectl.apply(
        {"apiVersion": API, "kind": "Connector", "metadata": {"name": "forge"}, "spec": spec},
        {"apiVersion": API, "kind": "AgentRole", "metadata": meta, "spec": {"agent": agent, "rules": rules}},
        {
            "apiVersion": API,
            "kind": "AgentTask",
            "metadata": meta,
            "spec": {"role": "explained", "agent": image},
        },
    )
    return "explained"


ISSUE = '"owner": "acme", "repo": "web", "number": 7'


@pytest.mark.parametrize(
    ("action", "args", "says"),
    [
        ("forge/issue.read", f"{{{ISSUE}}}", "yes, as far as can be told from here"),
        ("forge/issue.comment", f'{{{ISSUE}, "body": "x"}}', "no, approval_required"),
        ("forge/file.read", '{"owner": "acme", "repo": "web", "path": "a"}', "no, no_rule"),
        ("none/issue.read", f"{{{ISSUE}}}", "no, unknown_action"),
        ("forge/issue.read", "{}", "no, arguments_invalid"),
    ],
)
def test_a_decision_is_explained(run: Run, explained: str, action: str, args: str, says: str) -> None:
    """Each check with its answer, the first no with its code, and what cannot be known."""
    found = run("explain", explained, action, "--args", args)

    assert (found[0], says in found[1]) == (DONE if says.startswith("yes") else REFUSED, True), found[1]
    assert "what is used of limits" in found[1]


def test_what_cannot_be_read_is_not_guessed(run: Run, explained: str) -> None:
    """No task, or no right to see it."""
    assert run("explain", "none", "forge/issue.read")[0] == REFUSED
    assert run("explain", explained, "forge/issue.read", as_="stranger")[0] == UNANSWERED

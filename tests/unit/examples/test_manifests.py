"""The example manifests fit each other, the models and the policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from doorward import catalogue
from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.core.decision import Denial, Permit
from doorward.errors import Code
from doorward.policy import ActionRequest, Context, Vocabulary, decide, lint_role

EXAMPLES = Path(__file__).parents[3] / "examples"
TASKS = sorted(EXAMPLES.glob("task-*.yaml"))
KINDS = {"AgentRole": AgentRole, "AgentTask": AgentTask, "Connector": Connector}


def _load(path: Path, **metadata: str) -> Any:
    document = yaml.safe_load(path.read_text())
    server = {"uid": "uid-1", "resourceVersion": "1", "generation": 1, **metadata}
    return KINDS[document["kind"]].parse({**document, "metadata": {**document["metadata"], **server}})


def _decide(task: Path, action: str, args: Mapping[str, Any]) -> Permit | Denial:
    vocabulary = catalogue.load("forge")
    role = _load(EXAMPLES / "role-issue-helper.yaml")
    context = Context(
        task=_load(task),
        pinned_role=role,
        current_role=role,
        connector=_load(EXAMPLES / "connector-gitea.yaml"),
        actions=vocabulary.actions,
        catalogue_hash=vocabulary.hash,
        namespace_labels={"kubernetes.io/metadata.name": "agents"},
        now=1_700_000_000.0,
    )
    return decide(ActionRequest("code", action, args), context)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_can_be_applied(path: Path) -> None:
    """Each file is one object that its model takes."""
    assert _load(path).metadata.name


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("role-*.yaml")), ids=lambda path: path.name)
def test_an_example_role_can_be_held(path: Path) -> None:
    """The operator accepts each of them, conditions and guards included."""
    vocabulary = Vocabulary(_load(EXAMPLES / "connector-gitea.yaml"), catalogue.load("forge").actions)

    assert lint_role(_load(path), {"code": vocabulary}) == ()


def test_the_connector_pins_this_vocabulary() -> None:
    """A catalogue that changed without the example would make every native request fail."""
    assert _load(EXAMPLES / "connector-gitea.yaml").spec.catalogue_hash == catalogue.load("forge").hash


@pytest.mark.parametrize("task", TASKS, ids=lambda path: path.name)
@pytest.mark.parametrize("action", ["issue.read", "issue.comment"])
def test_each_task_may_do_its_work(task: Path, action: str) -> None:
    """What the example agents do is permitted, with one comment for the life of the task."""
    given = _load(task).spec.input
    owner, repo = given["repository"].split("/")
    args = {"owner": owner, "repo": repo, "number": given["issue"]}

    found = _decide(task, action, args | ({"body": "hi"} if action == "issue.comment" else {}))

    assert isinstance(found, Permit)
    assert (1 in {item.limit for item in found.reservations}) is (action == "issue.comment")


def test_another_repository_is_out_of_scope() -> None:
    """The role reaches it, the task does not: scope narrows."""
    task = EXAMPLES / "task-issue-7.yaml"
    owner, repo = _load(task).spec.input["otherRepository"].split("/")

    found = _decide(task, "issue.read", {"owner": owner, "repo": repo, "number": 1})

    assert isinstance(found, Denial)
    assert found.code is Code.OUT_OF_SCOPE

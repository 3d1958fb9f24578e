"""Our own kinds on a real server: verbs decide who may what, and nothing of ours keeps an object alive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from admissionworld import role_document, task_document

from devcluster.commands import CommandError

BASE = "/apis/doorward.dev/v1alpha1/namespaces/agents"
MERGE = "application/merge-patch+json"


def bare(document: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """The document as a person writes it."""
    return {**document, "metadata": {"name": "x", "namespace": "agents", **metadata}}


@pytest.mark.parametrize(
    ("user", "spec", "says"),
    [
        ("alice", {}, ""),
        ("alice", {"requestedBy": "alice"}, ""),
        ("robot", {"requestedBy": "alice"}, ""),
        ("alice", {"requestedBy": "bob"}, "spec.requestedBy: must be your own name, alice"),
        ("robot", {"createdBy": "alice"}, "spec.createdBy: leave it out"),
        ("carol", {}, "you may not run tasks as role bug-fixer"),
        ("alice", {"role": "deployer"}, "you may not run tasks as role deployer"),
        ("alice", {"input": {"key": "AKIAIOSFODNN7EXAMPLE"}}, "/spec/input/key: AWS access key id"),
    ],
    ids=range(8),
)
def test_who_may_run_which_task_for_whom(
    user: str, spec: dict[str, Any], says: str, world: Any, people: None
) -> None:
    """`use` runs tasks, `requestfor` names somebody else, and a credential is nobody's to give."""
    answer = world.api("POST", f"{BASE}/agenttasks?dryRun=All", bare(task_document(**spec)), user=user)

    assert says in answer.message
    assert answer.status == (403 if says else 201)


@pytest.mark.parametrize(("user", "spec"), [("alice", {}), ("robot", {"requestedBy": "alice"})])
def test_a_task_names_who_asked_for_it(user: str, spec: dict[str, Any], world: Any, people: None) -> None:
    """Left out, it is whoever applies the task; named, it stays. Applying it again changes nothing."""
    path = f"{BASE}/agenttasks/asked-for?fieldManager=test&force=true"
    document = bare(task_document(**spec), name="asked-for")
    made = [
        world.api("PATCH", path, document, user=user, media_type="application/apply-patch+yaml")
        for _ in range(2)
    ]
    world.kubectl("-n", "agents", "delete", "agenttask", "asked-for")

    assert [answer.status for answer in made] == [201, 200], made[-1].message
    assert [answer.document["spec"]["requestedBy"] for answer in made] == ["alice", "alice"]
    assert [answer.document["spec"]["createdBy"] for answer in made] == [user, user]


def test_a_role_that_cannot_be_held_is_refused(world: Any, people: None) -> None:
    """The place and the fault are named when the role is applied."""
    rules = [{"name": "a", "connector": "code", "actions": ["issue.read"], "when": "1 + 1"}]
    answer = world.api(
        "POST", f"{BASE}/agentroles?dryRun=All", bare(role_document(rules=rules)), user="alice"
    )

    assert "/spec/rules/0/when" in answer.message


def test_finalizers_and_deletion_pass_for_those_who_may_not_use_the_role(world: Any, task: Any) -> None:
    """The garbage collector has no verb on any role, and has to get its work done."""
    name = task("held")
    collector = "system:serviceaccount:kube-system:generic-garbage-collector"
    path = f"{BASE}/agenttasks/{name}"
    for finalizers in (["foregroundDeletion"], None):
        patch = {"metadata": {"finalizers": finalizers}}
        answer = world.api("PATCH", path, patch, user=collector, groups=("system:masters",), media_type=MERGE)
        assert answer.status == 200, answer.message


def test_the_spec_of_a_task_stays(world: Any, task: Any) -> None:
    """Not even an administrator changes what was approved."""
    name = task("fixed")
    patch = json.dumps({"spec": {"deadline": "2h"}})
    with pytest.raises(CommandError, match="spec cannot be changed"):
        world.kubectl("-n", "agents", "patch", "agenttask", name, "--type=merge", "-p", patch)


BROKER = "system:serviceaccount:doorward-system:doorward-broker"
PARENT = {"parent": {"name": "lead", "uid": "uid-lead"}}


@pytest.mark.parametrize(
    ("user", "spec", "says"),
    [
        ("root", PARENT, "spec.parent: set by the broker alone"),
        (BROKER, {}, "spec.parent: set by the broker alone"),
        (BROKER, {**PARENT, "requestedBy": "alice"}, ""),
    ],
)
def test_only_the_broker_makes_children(
    user: str, spec: dict[str, Any], says: str, world: Any, people: None
) -> None:
    """Nobody takes the place of a parent, and the broker runs no tasks of its own."""
    answer = world.api(
        "POST",
        f"{BASE}/agenttasks?dryRun=All",
        bare(task_document(**spec)),
        user=user,
        groups=("system:masters",),
    )

    assert says in answer.message
    assert answer.status == (403 if says else 201), answer.message

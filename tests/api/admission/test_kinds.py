"""Our own kinds on a real server: verbs decide who may what, and nothing of ours keeps an object alive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from admissionworld import DIGEST, grant_document, role_document, task_document

from devcluster.commands import CommandError
from devcluster.wait import until

BASE = "/apis/doorward.dev/v1alpha1/namespaces/agents"
MERGE = "application/merge-patch+json"
VERBS = {
    "alice": ("use",),
    "robot": ("use", "requestfor"),
    "carol": ("approve",),
    "wendy": ("widen",),
    "both": ("use", "approve"),
}


@pytest.fixture(scope="module")
def people(world: Any) -> None:
    """Each may write every kind of ours, and has the verbs above on one role."""
    for user, verbs in VERBS.items():
        kinds = ["agenttasks", "approvals", "grants", "agentroles"]
        rules = [
            {
                "apiGroups": ["doorward.dev"],
                "resources": kinds,
                "verbs": ["get", "create", "update", "patch"],
            },
            {
                "apiGroups": ["doorward.dev"],
                "resources": ["agentroles"],
                "resourceNames": ["bug-fixer"],
                "verbs": list(verbs),
            },
        ]
        meta = {"name": user, "namespace": "agents"}
        api = "rbac.authorization.k8s.io"
        subject = {"apiGroup": api, "kind": "User", "name": user}
        world.kubectl.apply(
            {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": rules},
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": meta,
                "roleRef": {"apiGroup": api, "kind": "Role", "name": user},
                "subjects": [subject],
            },
        )


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
        ("carol", {}, "you may not run tasks as role bug-fixer"),
        ("alice", {"role": "deployer"}, "you may not run tasks as role deployer"),
        ("alice", {"input": {"key": "AKIAIOSFODNN7EXAMPLE"}}, "/spec/input/key: AWS access key id"),
    ],
    ids=range(7),
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


def test_a_role_that_cannot_be_held_is_refused(world: Any, people: None) -> None:
    """The place and the fault are named when the role is applied."""
    rules = [{"name": "a", "connector": "code", "actions": ["issue.read"], "when": "1 + 1"}]
    answer = world.api(
        "POST", f"{BASE}/agentroles?dryRun=All", bare(role_document(rules=rules)), user="alice"
    )

    assert "/spec/rules/0/when" in answer.message


@pytest.fixture(scope="module")
def grant(world: Any, people: None) -> Iterator[str]:
    """A Grant made by somebody who may widen the role."""
    document = bare(grant_document(), name="grant-1")
    answer = world.api("POST", f"{BASE}/grants", document, user="wendy")
    assert answer.status == 201, answer.message
    yield "grant-1"
    world.kubectl("-n", "agents", "delete", "grant", "grant-1")


def approval(user: str | None, grant: str = "grant-1") -> dict[str, Any]:
    spec = {"grant": grant, "digest": DIGEST, "decision": "Approve", "user": user}
    given = {key: item for key, item in spec.items() if item is not None}
    return bare({"apiVersion": "doorward.dev/v1alpha1", "kind": "Approval", "spec": given})


@pytest.mark.parametrize(
    ("user", "named", "says"),
    [
        ("carol", "carol", ""),
        ("carol", "alice", "in your own name, carol"),
        ("carol", None, "in your own name, carol"),
        ("alice", "alice", "you may not approve for role bug-fixer"),
        ("both", "both", "whoever may `use` role bug-fixer does not approve"),
    ],
    ids=range(5),
)
def test_who_may_approve(user: str, named: str | None, says: str, world: Any, grant: str) -> None:
    """In one's own name, with `approve` and without `use`."""
    path = f"{BASE}/approvals?dryRun=All"

    def answered() -> Any:
        answer = world.api("POST", path, approval(named, grant), user=user)
        return None if "no Grant" in answer.message else answer

    answer = until(answered, "the Grant to be known", seconds=10)

    assert says in answer.message
    assert answer.status == (403 if says else 201)


def test_an_administrator_does_not_approve(world: Any, grant: str) -> None:
    """Who may do everything may also use the role, so the second person is somebody else."""
    answer = world.api("POST", f"{BASE}/approvals?dryRun=All", approval("admin", grant))

    assert "does not approve" in answer.message


def test_only_the_broker_and_who_may_widen_make_grants(world: Any, people: None) -> None:
    """A Grant in the hand of a task's author would be an approval to be asked for by anybody."""
    document = bare(grant_document())
    broker = "system:serviceaccount:doorward-system:doorward-broker"
    as_alice = world.api("POST", f"{BASE}/grants?dryRun=All", document, user="alice")
    as_broker = world.api("POST", f"{BASE}/grants?dryRun=All", document, user=broker)

    assert "ask for the verb `widen`" in as_alice.message
    assert "widen" not in as_broker.message  # whether RBAC lets the broker is another question


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
